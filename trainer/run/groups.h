/* SPDX-License-Identifier: MIT */
/* Which tensors learn how fast: from --lr-of, --freeze and --decay-all to a factor a tensor (internal to trainer/).
 *
 * A name in a list means the tensors that bear it or begin with it and a dot: "layer1" is layer1.0.conv1.weight and
 * all beside it, "fc" is fc.weight and fc.bias, but "layer1" is not layer10. Of several names in --lr-of the longest
 * that fits counts; --freeze wins over all.
 */
#ifndef FV_TRAINER_GROUPS_H
#define FV_TRAINER_GROUPS_H

#include "trainer/net/net.h"

struct fv_group_settings {
    const char *lr_of, *freeze; /* NULL or "": none */
    int decay_all;
};

/* Fills (net->tensors) of each. FV_EUSAGE names the option and what of it fits no tensor or is no factor. */
int fv__groups_fill(const struct fv_group_settings *s, const struct fv_net *net, float *lr_factor,
                    float *decay_factor);
/* Parameters with a factor of 0. */
size_t fv__groups_frozen(const struct fv_net *net, const float *lr_factor);

#endif
