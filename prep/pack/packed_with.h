/* SPDX-License-Identifier: MIT */
/* What a data set says of how it was packed: "name = value" lines of fvprep pack's options. */
#ifndef FV_PREP_PACKED_WITH_H
#define FV_PREP_PACKED_WITH_H

#include "common/report.h"
#include "prep/prep.h"

#include <stddef.h>

/* The lines that all these files have, without that of the shard; free it. Warns of settings that differ and of
 * shards that are missing. */
int fv__packed_with_of(char **text, const char *const *paths, size_t n, const struct fv_report *r);
/* Those settings, over what stands in *s. They point into *memory, to free in any case. An option that this
 * program does not know is an error; `path` is for the sentence. */
int fv__packed_with_read(struct fv_pack_settings *s, char **memory, const char *text,
                         const char *path);

#endif
