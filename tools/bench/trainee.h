/* SPDX-License-Identifier: MIT */
/* Something that takes batches: a net in training on a backend, or a step of a given duration that stands for one. */
#ifndef FV_TOOLS_TRAINEE_H
#define FV_TOOLS_TRAINEE_H

#include "augment/augment.h"
#include "common/opt.h"

struct trainee_settings {
    const char *arch, *stem, *loss, *backend, *dtype;
    int no_graph;
    int64_t threads;
    double step_ms; /* above 0: no net, a step that takes so long on no processor, as on a GPU */
};
extern const struct fv_opt trainee_opts[];
void trainee_defaults(struct trainee_settings *s);

struct trainee;
/* For batches of one shape. */
int trainee_open(struct trainee **out, const struct trainee_settings *s, int batch, int size,
                 int classes);
void trainee_close(struct trainee **t); /* accepts NULL */
/* One whole training step: forward, loss, backward, update, result. */
int trainee_step(struct trainee *t, const struct fv_batch *b);
/* "resnet18 on cpu (oneDNN 2.6.3, ...)", "a step of 20 ms"; valid until close. */
const char *trainee_info(const struct trainee *t);
/* Where it reads batches from without copying them first, for a loader; NULL: anywhere. Valid until close. */
const struct fv_allocator *trainee_memory(const struct trainee *t);
int trainee_is_simulated(const struct trainee *t);
/* Multiply-adds of an image's forward pass; 0 when simulated. */
uint64_t trainee_macs(const struct trainee *t);
/* Time of each node, to free; NULL and a sentence when the backend keeps none. */
char *trainee_profile(struct trainee *t);

#endif
