/* SPDX-License-Identifier: MIT */
/* Whether a convolution that does more in one launch is faster than the plain one and the passes that it saves. A graph
 * that cuDNN offers need not be: its engine may be of an older kind than the plain graph's. */
#ifndef FV_TRAINER_CUDA_CONV_WORTH_H
#define FV_TRAINER_CUDA_CONV_WORTH_H

#include "trainer/cuda/conv_key.h"

struct fv_conv_times {
    /* By graph, of one shape and type: microseconds as timed on the device; 0: not timed, negative: there is none. */
    double us[FV_CONV_GRAPHS];
    double bytes_per_us; /* of the device's memory at its peak; 0: not known */
};

/* The graphs whose times are looked at for one, itself included: a bit each. */
unsigned fv_conv_weighed(enum fv_conv_graph graph);

/* Microseconds of graph `k->graph`, with whatever else it must come with, and of what does the same without it. The
 * batch norm in front of a convolution is applied by it forward and in the gradient of its weights, or in neither:
 * these two graphs are weighed together. */
struct fv_conv_worth {
    double together, apart;
};

/* 1 if the graph is there and not slower; also where nothing was timed. Plain graphs: whether they are there. */
int fv_conv_is_worth(const struct fv_conv_key *k, const struct fv_conv_times *t,
                     struct fv_conv_worth *out);

#endif
