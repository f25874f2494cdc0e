/* SPDX-License-Identifier: MIT */
/* How the builder's functions add to a net (internal to trainer/net/). Once it has failed nothing more is added. */
#ifndef FV_TRAINER_NET_BUILD_H
#define FV_TRAINER_NET_BUILD_H

#include "trainer/net/net.h"

enum { FV__NET_DIM_MOST = 1 << 24 };

/* Remembers the first failure only: those after it follow from it. -1. */
int fv__net_fail(struct fv_net *n, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends a node that reads `in` (and `in2`; -1 for none) and has the shape of `in`. Takes a copy of `name`. NULL after
 * a failure. */
struct fv_node *fv__net_add_node(struct fv_net *n, enum fv_node_kind kind, const char *name, int in,
                                 int in2);
/* Appends the tensor "<node>.<what>" with the given shape, otherwise as t says; its offset is known when the net is
 * finished. Its number, -1 after a failure. */
int fv__net_add_tensor(struct fv_net *n, const char *node, const char *what, int ndim,
                       const int dim[4], struct fv_tensor t);
int fv__net_add_vector(struct fv_net *n, const char *node, const char *what, int count,
                       struct fv_tensor t);
/* The number of the latest node; -1 after a failure. */
int fv__net_last(const struct fv_net *n);

#endif
