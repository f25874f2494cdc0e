/* SPDX-License-Identifier: MIT */
/* The reference backend's program, for its own files. */
#ifndef FV_TRAINER_BACKEND_REF_H
#define FV_TRAINER_BACKEND_REF_H

#include "common/arena.h"
#include "trainer/backend.h"

struct fv__ref_node {
    double *out;         /* (batch, h, w, c) */
    double *grad_memory; /* the same; NULL in a program that does not train, and for the input */
    double *grad; /* that, in a step that needs the gradient: fv_optim_find_needed; else NULL */
    /* BN: mean, biased variance of the batch, (2, c), and of how many values a channel, (1). NULL if the program does
     * not train */
    double *stat;
    int by_running; /* BN, in this step: works by its running statistics, which are in stat then */
};

enum fv__ref_state { FV__REF_NEW, FV__REF_EVALUATED, FV__REF_STEPPED };

struct fv_program {
    const struct fv_net *net;
    int batch, train;
    float *value;             /* params + buffers */
    double *grad;             /* params */
    float *vector[FV_STATES]; /* the states; NULL until set or needed */
    struct fv__ref_node *node;
    double *weight, *weight_grad; /* scratch for one convolution */
    double *row;                  /* scratch for one row of a cosine head */
    unsigned char *needed;        /* by node: fv_optim_find_needed */
    struct fv_arena memory;
    /* of the running or last step or eval */
    enum fv__ref_state state;
    int n, by_batch; /* by_batch: BN normalises by the batch's statistics */
    const uint8_t *pixels;
    const int32_t *label, *label_mix;
    const float *lambda;
    uint64_t ticket;
    double epoch;
    struct fv_loss_call loss; /* with the gradients by the loss's inputs */
    struct fv_step_result result;
    struct fv_comm *comm; /* NULL: a process by itself */
    int sync_bn;
    double *shared; /* params + buffers: what goes over comm; NULL without one */
    int error;      /* of comm, in the middle of a pass */
};

/* A node's forward pass, and its backward pass: from its gradient to those of its inputs and of its parameters,
 * which are added to. The input has no backward pass. */
struct fv__ref_op {
    void (*forward)(struct fv_program *p, int node);
    void (*backward)(struct fv_program *p, int node);
};
extern const struct fv__ref_op fv__ref_ops[FV_NODE_KINDS];

/* backend_ref_update.c: what follows the backward pass. The result's `finite` says so far only of the loss. */
int fv__ref_finish_step(struct fv_program *p, const struct fv_optim *optim);
int fv__ref_state_set(struct fv_program *p, enum fv_state which, const float *v);
int fv__ref_state_get(struct fv_program *p, enum fv_state which, float *v);

/* Sums of n doubles over all ranks, where batch norms are synchronised. */
void fv__ref_sync(struct fv_program *p, double *sums, size_t n);

void fv__ref_conv_forward(struct fv_program *p, int node);
void fv__ref_conv_backward(struct fv_program *p, int node);

/* backend_ref_acts.c */
void fv__ref_relu_forward(struct fv_program *p, int node);
void fv__ref_relu_backward(struct fv_program *p, int node);
void fv__ref_relu6_forward(struct fv_program *p, int node);
void fv__ref_relu6_backward(struct fv_program *p, int node);
void fv__ref_prelu_forward(struct fv_program *p, int node);
void fv__ref_prelu_backward(struct fv_program *p, int node);
void fv__ref_sigmoid_forward(struct fv_program *p, int node);
void fv__ref_sigmoid_backward(struct fv_program *p, int node);
void fv__ref_scale_forward(struct fv_program *p, int node);
void fv__ref_scale_backward(struct fv_program *p, int node);
void fv__ref_dropout_forward(struct fv_program *p, int node);
void fv__ref_dropout_backward(struct fv_program *p, int node);

static inline const struct fv_node *fv__ref_desc(const struct fv_program *p, int node)
{
    return &p->net->node[node];
}

/* Values of one image's output, and of the batch's. */
static inline size_t fv__ref_image_count(const struct fv_node *o)
{
    return (size_t)o->h * (size_t)o->w * (size_t)o->c;
}
static inline size_t fv__ref_batch_count(const struct fv_program *p, const struct fv_node *o)
{
    return (size_t)p->n * fv__ref_image_count(o);
}

/* Values of one of the node's tensors, and their gradients; NULL where it has none, or none that is trained. */
static inline const float *fv__ref_value(const struct fv_program *p, int tensor)
{
    return tensor < 0 ? NULL : p->value + p->net->tensor[tensor].offset;
}
static inline double *fv__ref_grad(const struct fv_program *p, int tensor)
{
    return tensor < 0 || p->net->tensor[tensor].buffer ? NULL
                                                       : p->grad + p->net->tensor[tensor].offset;
}

#endif
