/* SPDX-License-Identifier: MIT */
/* The cuda backend, on a device that is the host (device_host.h), and ref with the same net, numbers and batches. What
 * differs by more than it may fails the test. */
#ifndef FV_TESTS_BACKEND_PAIR_H
#define FV_TESTS_BACKEND_PAIR_H

#include "trainer/cuda/backend_cuda.h"

enum { PAIR_N = 4, PAIR_SIZE = 16, PAIR_CLASSES = 6 };

extern const struct fv_backend fv_backend_cuda, fv_backend_ref;
extern const char *pair_loss; /* of the nets that follow: "ce" */

/* A batch of noise with soft labels; `pixels` may be given. */
struct pair_data {
    struct fv_batch b;
    uint8_t pixels[PAIR_N * PAIR_SIZE * PAIR_SIZE * 3];
    int32_t label[PAIR_N], label_mix[PAIR_N];
    float lambda[PAIR_N];
    uint32_t image[PAIR_N];
};

/* One backend's side of a comparison. */
struct pair_side {
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
};

struct pair {
    struct fv_net *net;
    struct pair_side cuda, ref;
    float *arena, *a, *b;
    size_t count;
};

void pair_must(int rc); /* it is no error */
void pair_build(struct fv_net **net, const char *arch);
void pair_make_batch(struct pair_data *d, uint32_t seed, int n);
void pair_open_side(struct pair_side *s, const struct fv_backend *backend, const char *type,
                    const struct fv_net *net, int train, const float *arena);
void pair_close_side(struct pair_side *s);
void pair_open(struct pair *p, const char *arch, const char *type);
void pair_close(struct pair *p);

/* Norm of the difference over the norm of what is wanted; that it is not more than `limit`. */
double pair_distance(const float *got, const float *want, size_t n);
void pair_near(const char *what, const float *got, const float *want, size_t n, double limit);
/* A step of both, with the same result. */
void pair_step(struct pair *p, const struct pair_data *d, const struct fv_optim *o, double limit);
void pair_compare_grads(struct pair *p, double limit);
void pair_compare_params(struct pair *p, double limit);
void pair_compare_state(struct pair *p, enum fv_state which, double limit);
/* Freezes all tensors whose name begins with one of these. */
void pair_freeze(const struct pair *p, float *factor, const char *const *names);

#endif
