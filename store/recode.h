/* SPDX-License-Identifier: MIT */
/* Records on their way to another data set: untouched where its dictionary is the one that they were made with,
 * else compressed anew. Their content, and with it what the codec lost, never changes.
 */
#ifndef FV_STORE_RECODE_H
#define FV_STORE_RECODE_H

#include "store/dict.h"
#include "store/record.h"
#include "store/store.h"

/* The dictionary for copies of a data set's records: the first one that any of them has, for writing at a level of
 * zstd. NULL when none has. */
int fv__recode_dict(struct fv_dict **out, const struct fv_store *from, int level);

struct fv_recoder; /* one per thread */

/* dict: of the data set to come, NULL for none; level: of its frames without one. */
int fv__recoder_open(struct fv_recoder **out, const struct fv_store *from,
                     const struct fv_dict *dict, int level);
void fv__recoder_close(struct fv_recoder **r); /* accepts NULL */
/* The record of an image; 1 when it was made anew: then valid until the next call, else as long as the store. Its
 * checksum and, when made anew, its content were checked. */
int fv__recoder_read(struct fv_recoder *r, uint64_t image, struct fv_span *record);

#endif
