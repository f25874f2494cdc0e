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
#include "trainer/comm/comm.h"
#include "trainer/net/net.h"

struct fv_device; /* an opened backend; each backend defines its own */
struct fv_program;
struct fv_columns;

struct fv_device_settings {
    int threads; /* CPU backends; 0: all (ref always uses one) */
    int index;   /* of the GPU */
    /* what activations and weights are kept in, "fp32", "bf16", "fp16"; NULL or "auto": what suits the device */
    const char *dtype;
    int no_graph; /* a GPU's work is launched piece by piece, not as a captured whole */
    /* (optional) FV_ERR_TEXT_MAX bytes for why "auto" took none of the backends before the one it took: sentences, or
     * "" if it took the first. "" for a backend by name. */
    char *passed_over;
};

/* What update an optimiser makes, as torch.optim defines it (optim.c has the formulas). */
enum fv_optim_kind { FV_OPTIM_SGD, FV_OPTIM_ADAM, FV_OPTIM_ADAMW, FV_OPTIM_KINDS };

/* Vectors that a program keeps beside its parameters. They are zero until set, but the average, which begins as a
 * copy of the parameters, and take memory from the first step or state_set that needs them. */
enum fv_state {
    FV_STATE_FIRST, /* SGD: momentum; Adam: mean of the gradients. params floats, as the next two */
    FV_STATE_SECOND, /* Adam: mean of their squares */
    FV_STATE_SUM,    /* gradients of the parts of a step done so far (accumulation) */
    FV_STATE_EMA,    /* moving average of all numbers of the net: params + buffers floats */
    FV_STATES
};
size_t fv_state_count(const struct fv_net *net, enum fv_state which);

/* With a step ranks may tell each other what they want: so many bits, of no meaning to a backend. */
enum { FV_WANT_BITS = 2 };

/* The optimiser and the settings of one step. Numbers are double because 1 - 0.999f is not 0.001. */
struct fv_optim {
    enum fv_optim_kind kind;
    double lr;
    double momentum;          /* SGD */
    int nesterov;             /* SGD */
    double beta1, beta2, eps; /* Adam, AdamW */
    double weight_decay;
    int decoupled; /* decay shrinks the weights, w *= 1 - lr * decay, and not by way of the gradient; AdamW: always */
    /* Gradients are scaled by min(1, clip_norm / (norm + 1e-6)), norm being that of all of them together as
     * torch.nn.utils.clip_grad_norm_ has it; 0: not */
    double clip_norm;
    double
        ema_decay; /* after the update, average += (1 - ema_decay) * (value - average); 0: none */
    uint64_t
        updates; /* done before this one since the states were zero; those left out do not count */
    /* Gradient accumulation: this batch is part `part` (from 0) of `parts`. Gradients add up in FV_STATE_SUM; the
     * last part divides the sum by `parts` and makes the update, the others make none. Batch norms' running
     * statistics and the loss's states follow every part that is finite, and the last only if all were. parts 0 or 1:
     * none. */
    int part, parts;
    /* (net->tensors) of each, or NULL: 1 for all. lr_factor 0 is a frozen tensor: value, states and average keep
     * their bits and its gradient counts neither for the norm nor for `finite`. A batch norm of which both weight
     * and bias are frozen works as in inference: by its running statistics, which stay as they are. */
    const float *lr_factor, *decay_factor;
    unsigned wants; /* FV_WANT_BITS bits: what this rank asks of all */
};

/* The same for one tensor, worked out: every backend computes with these. */
struct fv_optim_scalars {
    int frozen;
    double lr;
    double decay;  /* gradient += decay * w */
    double shrink; /* w *= shrink, before the update; 1: none */
    double momentum, beta1, beta2, eps;
    int nesterov;
    /* Adam: w -= step_size * first / (sqrt(second) * root_scale + eps) */
    double step_size, root_scale;
};
struct fv_optim_scalars fv_optim_scalars(const struct fv_optim *o, int tensor);
/* Whether node i is a batch norm that works by its running statistics in a step of these settings (or NULL). */
int fv_optim_is_frozen_bn(const struct fv_optim *o, const struct fv_net *net, int node);
/* Whether a tensor of the net is trained in a step of these settings (or NULL); -1 is none. */
int fv_optim_trains(const struct fv_optim *o, const struct fv_net *net, int tensor);
/* Of each node whether the gradient by its output is needed: it, or one that it gets something from, has a trained
 * tensor. Backward passes go no further down. */
void fv_optim_find_needed(const struct fv_optim *o, const struct fv_net *net,
                          unsigned char *needed);
/* Whether this step is the last of its parts, so that it makes an update. */
int fv_optim_updates(const struct fv_optim *o);
/* What clipping multiplies all gradients by. */
double fv_optim_clip_scale(const struct fv_optim *o, double norm);

struct fv_optim_rule {
    const char *name, *help;
    int states;           /* FV_STATE_FIRST .. that it keeps */
    const char *state[2]; /* what a checkpoint calls them: "optim.<state>.<tensor>" */
    /* The definition, for one weight: ref calls it, the other backends do the same in fp32 over whole tensors. */
    void (*update)(const struct fv_optim_scalars *c, double *w, double g, double state[2]);
    const char *
        uses; /* the options that it reads and not all others, with blanks around each: " beta1 beta2 eps " */
};
extern const struct fv_optim_rule fv_optim_rules[FV_OPTIM_KINDS];
extern const char *const fv_optim_names[]; /* NULL-terminated, in the order of the kinds */
/* FV_ENOTFOUND lists the valid names. */
int fv_optim_find(enum fv_optim_kind *kind, const char *name);

struct fv_step_result {
    double loss; /* mean over the batch's n items */
    /* sum over items of lambda [argmax = label] + (1 - lambda) [argmax = label_mix], by the scores of
     * net->logits_node, which have no margin; 0 where there is no such node */
    double correct;
    double term[FV_LOSS_TERMS]; /* of the loss, each before its weight: mean over the items */
    /* Triplets, NAN without such a term: the share that have a loss (NAN also if the batch had none), mean distance
     * of all pairs */
    double active, distance;
    int n;
    /* 0: loss or a gradient was not finite, and the parameters, states and running statistics were left alone. Of
     * the last part of an accumulated step also if an earlier part was not: no update is made of half a sum. Of a
     * part before that, FV_STATE_SUM holds a NaN from then on. */
    int finite;
    /* With finite 0: the loss was finite and gradients were too large for the storage type under the loss scale that
     * the backend had chosen. It goes on with a smaller one; nothing is wrong with the training. */
    int rescaled;
    double grad_norm; /* before clipping; 0 unless an update clipped */
    unsigned wanted;  /* what any rank asked, whatever became of the step; alike on all ranks */
};

/* What a program takes, in bytes. What a backend does not tell apart is among the activations. */
struct fv_memory_use {
    size_t weights, gradients, states, activations;
    size_t evaluation; /* of a training program: what eval takes beside that */
};

struct fv_backend {
    const char *name, *help;
    int own_memory;  /* a program lies in memory of the device, not of the process */
    int takes_dtype; /* settings.dtype may be another than fp32 */
    /* (optional) The row stands for a module of this build (module.h), has no more than name, help, the two above and
     * this, and here is what gives the backend itself. */
    int (*load)(const struct fv_backend **out);
    int (*open)(struct fv_device **out, const struct fv_device_settings *s);
    void (*close)(struct fv_device **d); /* accepts NULL */
    /* "oneDNN 2.6.3, avx512, 2 threads"; valid until close */
    const char *(*info)(const struct fv_device *d);

    /* (optional, both or none) Host memory, aligned to 64 bytes, that the device reads by itself while the host goes
     * on: batches that lie there are not copied first. NULL: out of memory. To be freed before the device is closed. */
    void *(*host_alloc)(struct fv_device *d, size_t bytes);
    void (*host_free)(struct fv_device *d, void *p);

    /* (optional, all or none) Many inner products in fp32, for scoring (trainer/eval): rows of v (n, dim) go to the
     * device once, as columns; then out (rows, count) becomes the products of `row` (rows, dim) with columns first ..
     * first + count - 1. The same call gives the same bits again. One thread at a time. */
    int (*columns_open)(struct fv_device *d, const float *v, size_t n, int dim,
                        struct fv_columns **out);
    int (*columns_times)(struct fv_columns *c, const float *row, size_t rows, size_t first,
                         size_t count, float *out);
    void (*columns_close)(struct fv_columns **c); /* accepts NULL */

    /* train = 0 leaves out all that only training needs. The net must outlive the program. `batch` is the
     * capacity: smaller batches are allowed. `optim` (NULL: nothing is frozen) is for what the first step will freeze:
     * a program is made for that, and made anew by a step that freezes something else. Parameters are zero until
     * set. */
    int (*compile)(struct fv_device *d, const struct fv_net *net, int batch, int train,
                   const struct fv_optim *optim, struct fv_program **out);
    void (*release)(struct fv_program **p); /* accepts NULL */
    /* What steps of these settings take, with the states that are set, and what evaluation takes, if it is to come: it
     * is made ready then. */
    int (*memory)(struct fv_program *p, const struct fv_optim *optim, int evaluates,
                  struct fv_memory_use *out);

    int (*params_set)(struct fv_program *p, const float *arena); /* params + buffers floats */
    int (*params_get)(struct fv_program *p, float *arena);
    /* fv_state_count floats. */
    int (*state_set)(struct fv_program *p, enum fv_state which, const float *v);
    int (*state_get)(struct fv_program *p, enum fv_state which, float *v);
    /* Of the last batch alone, before clipping and decay; params floats, 0 for a frozen tensor. */
    int (*grads_get)(struct fv_program *p, float *g);

    /* Forward, backward and, unless optim is NULL, the update. May return before the work is done; the batch may
     * be released once it returns. BN running statistics are updated in either case. The settings may change from
     * one step to the next, and are not read after the return. */
    int (*step)(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim);
    /* (optional) The batch that the next step will be given begins to go to the device, beside the step under way. It
     * must stay as it is until that step returns. Another batch may be given all the same. */
    int (*prefetch)(struct fv_program *p, const struct fv_batch *b);
    /* How far training is, in epochs, for what the next steps do by it: margins that grow. INFINITY until set. */
    void (*set_epoch)(struct fv_program *p, double epoch);
    /* Result of the last step; waits for it. */
    int (*result)(struct fv_program *p, struct fv_step_result *out);
    /* (optional, both or none) For a loop that keeps a device busy: after read_late(p, 1) it gives a step before it
     * asks for the result of the one before, by result_before, and asks for the last one's by result. It is as if each
     * had been asked for at once: a step that follows one that was not finite is made only when that has been read and,
     * perhaps, looked into by find_bad. */
    int (*read_late)(struct fv_program *p, int late);
    int (*result_before)(struct fv_program *p, struct fv_step_result *out);
    /* Inference mode (BN by running statistics) on n <= batch images, (n, size, size, 3) u8. Either output may
     * be NULL: embedding (n, net->embedding), logits (n, net->classes), which are cosines where net->logits_node is a
     * cosine head. FV_EINVAL for logits where there is no such node. */
    int (*eval)(struct fv_program *p, const uint8_t *pixels, int n, float *embedding,
                float *logits);

    /* (optional; default: a process by itself) The batches of all ranks of `comm`, all of one size, are parts of
     * one batch. Between backward and update gradients are averaged over the ranks (of an accumulated step those
     * of each part, so that FV_STATE_SUM is the same on all ranks), and so are the statistics that go into BN's
     * running ones; result tells of the whole batch. On a GPU all of it goes from device to device: steps and their
     * results make no host wait for another. sync_bn: batch norms measure mean and variance over the items
     * of all ranks, in backward too, so that a step is that of one process with the whole batch. To be called
     * before the first step, by all ranks alike; comm must outlive the program. */
    int (*set_comm)(struct fv_program *p, struct fv_comm *comm, int sync_bn);
    /* (optional) What was chosen for this net on this device, for --verbose; the caller frees it. */
    char *(*describe)(const struct fv_program *p);
    /* (optional; default: none) Time per node of the last step, as text; the caller frees it. */
    char *(*profile)(struct fv_program *p);
    /* (optional) After a step whose result was not finite: the first node, in the order of execution, whose output
     * was not, or, with *gradient set, the last whose output's gradient was not. FV_ENOTFOUND if all were (then it
     * was the loss or a weight's gradient). May run the step again, without any effect. FV_EUNSUPPORTED if
     * the last step was finite. */
    int (*find_bad)(struct fv_program *p, int *node, int *gradient);
    /* (optional; for tests) Output of one node after step or eval, (n, h, w, c); or, after step, the gradient
     * of the loss by it. The loss node gives each item's loss. FV_EUNSUPPORTED for what was not computed: the
     * gradient of the input and of what lies below all that is trained, the loss node after eval, what a backend has
     * fused away. */
    int (*node_get)(struct fv_program *p, int node, int gradient, float *out);
};

/* NULL-terminated, best first; the build decides */
extern const struct fv_backend *const fv_backends[];
/* "auto" is the first that opens; if none does, the sentence says it of each. FV_ENOTFOUND lists what this build has.
 * *backend: the one that was loaded, where there is something to load. */
int fv_backend_open(const char *name, const struct fv_device_settings *s,
                    const struct fv_backend **backend, struct fv_device **device);

/* For the backends: what any of them may rely on in a step. FV_EINVAL names what is wrong with the batch: its
 * size or image size, a label or lambda out of range, an item mixed of two identities for a loss that has no meaning
 * for it, or a single value for a batch norm to normalise. */
int fv_backend_check_batch(const struct fv_net *net, int capacity, const struct fv_batch *b);
/* The result of a step of this rank becomes that of all ranks' items; not finite for all if for one. */
int fv_backend_sum_result(struct fv_comm *comm, struct fv_step_result *r);
/* fv_loss_commit, and the states that come of it become the mean of all ranks', so that they stay the same on all. */
int fv_backend_commit_loss(struct fv_comm *comm, const struct fv_net *net, struct fv_loss_call *c);
/* The same for logits that are asked of fv_backend.eval. */
int fv_backend_check_logits(const struct fv_net *net, const float *logits);

#endif
