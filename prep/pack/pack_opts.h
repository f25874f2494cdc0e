/* SPDX-License-Identifier: MIT */
/* What the options of fvprep pack mean together. */
#ifndef FV_PREP_PACK_OPTS_H
#define FV_PREP_PACK_OPTS_H

#include "prep/import/importer.h"
#include "prep/photo/framing.h"
#include "prep/prep.h"

/* Settles --frame auto in *s. FV_EUSAGE when options exclude each other. */
int fv__framing_of(struct fv_pack_settings *s, struct fv_framing *out);
struct fv_import_settings fv__import_settings_of(const struct fv_pack_settings *s);

#endif
