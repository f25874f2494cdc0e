/* SPDX-License-Identifier: MIT */
/* A backend compiles a whole net into a program; what happens between two nodes is its own business.
 *
 * A table of single operations would freeze the borders that fusion has to cross, so the border is here: a
 * program takes batches and gives losses, embeddings, logits. `ref` (naive C) is the oracle for the others.
 * Everything crosses this border as fp32 in the net's canonical order (net.h), whatever a backend keeps inside.
 */
#ifndef FV_TRAINER_BACKEND_H
#define FV_TRAINER_BACKEND_H

#include "augment/batch.h"
#include "trainer/net/net.h"

struct fv_device; /* an opened backend; each backend defines its own */
struct fv_program;

struct fv_device_settings {
    int threads; /* CPU backends; 0: all (ref always uses one) */
    int index;   /* of the GPU */
};

/* SGD as torch.optim.SGD defines it: g += decay * w; v = momentum * v + g (v = g at the first step, which
 * with v = 0 is the same); w -= lr * (nesterov ? g + momentum * v : v). */
struct fv_optim {
    float lr, momentum, weight_decay;
    int nesterov;
    int decay_all; /* 1: on every parameter, as torch.optim.SGD does by default; 0: not on no_decay tensors */
};

struct fv_step_result {
    double loss; /* mean over the batch's n items */
    /* sum over items of lambda [argmax = label] + (1 - lambda) [argmax = label_mix] */
    double correct;
    int n;
    int finite; /* 0: loss or a gradient was not finite, and the parameters, momenta and running
                      statistics were left alone */
};

struct fv_backend {
    const char *name, *help;
    int (*open)(struct fv_device **out, const struct fv_device_settings *s);
    void (*close)(struct fv_device **d); /* accepts NULL */
    /* "oneDNN 2.6.3, avx512, 2 threads"; valid until close */
    const char *(*info)(const struct fv_device *d);

    /* train = 0 leaves out all that only training needs. The net must outlive the program. `batch` is the
     * capacity: smaller batches are allowed. Parameters are zero until set. */
    int (*compile)(struct fv_device *d, const struct fv_net *net, int batch, int train,
                   struct fv_program **out);
    void (*release)(struct fv_program **p);       /* accepts NULL */
    size_t (*memory)(const struct fv_program *p); /* bytes held */

    int (*params_set)(struct fv_program *p, const float *arena); /* params + buffers floats */
    int (*params_get)(struct fv_program *p, float *arena);
    int (*momenta_set)(struct fv_program *p, const float *v); /* params floats */
    int (*momenta_get)(struct fv_program *p, float *v);
    /* Of the last step, before decay; params floats. */
    int (*grads_get)(struct fv_program *p, float *g);

    /* Forward, backward and, unless optim is NULL, the update. May return before the work is done; the batch
     * may be released once it returns. BN running statistics are updated in either case. */
    int (*step)(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim);
    /* Result of the last step; waits for it. */
    int (*result)(struct fv_program *p, struct fv_step_result *out);
    /* Inference mode (BN by running statistics) on n <= batch images, (n, size, size, 3) u8. Either output may
     * be NULL: embedding (n, net->embedding), logits (n, net->classes). */
    int (*eval)(struct fv_program *p, const uint8_t *pixels, int n, float *embedding,
                float *logits);

    /* (optional; default: single process) Called between backward and update with all gradients. */
    int (*set_reduce)(struct fv_program *p, int (*reduce)(void *ctx, float *grads, size_t n),
                      void *ctx);
    /* (optional; default: none) Time per node of the last step, as text; the caller frees it. */
    char *(*profile)(struct fv_program *p);
    /* (optional; for tests) Output of one node after step or eval, (n, h, w, c); or, after step, the gradient
     * of the loss by it. The loss node gives each item's loss. FV_EUNSUPPORTED for what was not computed: the
     * gradient of the input, the loss node after eval, what a backend has fused away. */
    int (*node_get)(struct fv_program *p, int node, int gradient, float *out);
};

/* NULL-terminated, best first; the build decides */
extern const struct fv_backend *const fv_backends[];
/* "auto" is the first that opens. FV_ENOTFOUND lists what this build has. */
int fv_backend_open(const char *name, const struct fv_device_settings *s,
                    const struct fv_backend **backend, struct fv_device **device);

/* For the backends: what any of them may rely on in a step. FV_EINVAL names what is wrong with the batch: its
 * size or image size, a label or lambda out of range, or a single value for a batch norm to normalise. */
int fv_backend_check_batch(const struct fv_net *net, int capacity, const struct fv_batch *b);

#endif
