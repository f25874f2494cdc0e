/* SPDX-License-Identifier: MIT */
/* Packing as part of something larger. */
#ifndef FV_PREP_PACK_H
#define FV_PREP_PACK_H

#include "prep/prep.h"
#include "store/store.h"

/* Ends with the digest of that data set; a line of the settings of what is packed for one. */
#define FV_PACK_ONTO_LINE "append-to = "

/* As fv_pack_run, of what `onto` lacks: its names are left out, who is held out and validates is settled as if all
 * were packed together but for those that have a place there, and records get its dictionary. NULL: of all. */
int fv__pack_onto(struct fv_store *onto, const struct fv_pack_settings *s, const char *photos,
                  const struct fv_report *r, struct fv_pack_result *out);

#endif
