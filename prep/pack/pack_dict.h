/* SPDX-License-Identifier: MIT */
/* The data set's zstd dictionary, trained on some of its photos before all are packed. */
#ifndef FV_PREP_PACK_DICT_H
#define FV_PREP_PACK_DICT_H

#include "prep/pack/pack_pipe.h"
#include "prep/prep.h"

extern const char *const fv__dict_choices[]; /* "auto", "yes", "no", NULL */

/* Whether s wants one for so many photos. FV_ENOTFOUND for an unknown codec. */
int fv__pack_wants_dict(const struct fv_pack_settings *s, size_t photos);
/* How many of so many photos it is trained on. */
size_t fv__pack_dict_samples(size_t photos);
/* Trains one on photos spread evenly over those of `pipe`, made into records as it will make them; its sink is
 * left alone. NULL in *out when they give none worth its bytes. */
int fv__pack_train_dict(struct fv_dict **out, const struct fv_pipe *pipe);

#endif
