/* SPDX-License-Identifier: MIT */
/* A net as a list of nodes: what an architecture builds and a backend compiles.
 *
 * Nodes are in execution order; each reads the outputs of earlier ones. Shapes are per image, (h, w, c);
 * activations are NHWC in meaning (a backend may lay them out as it likes). All numbers that belong to the
 * net lie in one fp32 arena in canonical order: first every trainable tensor, then every buffer (BN running
 * statistics, a batch norm's scale that is held at 1), each in torchvision's shape and order of elements (conv
 * weights (K, C/groups, R, S), fc weights (out, c * h * w), which is (out, in) of a flattened NCHW value), so that a
 * checkpoint is the arena, name by name.
 */
#ifndef FV_TRAINER_NET_H
#define FV_TRAINER_NET_H

#include "trainer/loss/loss.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum fv_node_kind {
    FV_NODE_INPUT, /* u8 RGB -> (x/255 - mean) / std */
    FV_NODE_CONV,  /* square window, zero padding, groups */
    FV_NODE_BN, /* batch norm over (N,H,W); running variance with Bessel's correction, as PyTorch */
    FV_NODE_RELU,
    FV_NODE_ADD,     /* in[0] + in[1] */
    FV_NODE_MAXPOOL, /* square window, padding counts as -inf; ties go to the first in row order */
    FV_NODE_GAP,     /* mean over H, W */
    FV_NODE_FC,      /* over all h * w * c numbers of in[0] */
    FV_NODE_LOSS,    /* net->loss over its inputs, of which each may be -1: by enum fv_loss_input */
    FV_NODE_RELU6,   /* min(max(x, 0), 6); the slope is 0 at both ends, as PyTorch's */
    FV_NODE_PRELU,   /* x > 0 ? x : slope of the channel * x */
    FV_NODE_SIGMOID,
    FV_NODE_SCALE, /* in[0] (h, w, c) times in[1] (1, 1, c) */
    FV_NODE_DROPOUT, /* times 0 or 1 / (1 - rate) in training (fv_net_dropout), nothing in inference */
    /* cosine of in[0], a row x, and each row w of the weight: x . w / (|x| |w|), norms not below 1e-12 */
    FV_NODE_COSINE,
    FV_NODE_KINDS
};
extern const char *const fv_node_names[FV_NODE_KINDS];

enum { FV_NODE_INPUTS = 3 };
struct fv_node {
    enum fv_node_kind kind;
    char *name;             /* torchvision's module name: "layer1.0.conv1"; "" where it has none */
    int in[FV_NODE_INPUTS]; /* node indices, -1 for none */
    int h, w, c;            /* output shape */
    int window, stride, pad, groups; /* CONV, MAXPOOL */
    float eps, momentum;             /* BN; momentum is the share of the new value (0.1) */
    float mean[3], std[3];           /* INPUT */
    float rate;                      /* DROPOUT: the share that is dropped */
    /* CONV, FC: weight, bias (-1: none); BN: weight, bias, running_mean, running_var, where a weight that is a
     * buffer is 1 and gets no gradient; PRELU: the slopes; COSINE: weight (c, embedding);
     * LOSS: the states of its terms, in their order (fv_net_loss_state finds them) */
    int tensor[4];
};

enum fv_init {
    FV_INIT_ZERO,
    FV_INIT_ONE,
    FV_INIT_KAIMING_FAN_OUT, /* normal, variance 2 / fan */
    FV_INIT_UNIFORM_FAN_IN,  /* within +-1 / sqrt(fan) */
    FV_INIT_NORMAL,          /* deviation init_value */
    FV_INIT_CONSTANT,        /* init_value */
};

struct fv_tensor {
    char *name; /* "layer1.0.conv1.weight" */
    int ndim, dim[4];
    size_t offset, count; /* in floats, in the arena */
    int buffer;           /* not trained */
    /* a bias, a BN parameter or a PReLU's slopes: --decay-all says whether weight decay applies */
    int no_decay;
    enum fv_init init;
    size_t fan;        /* for the initialisers that ask for it */
    double init_value; /* likewise */
};

struct fv_net {
    const char *arch;
    int size, classes, embedding; /* pixels a side, identities, length of the embedding */
    int embedding_asked;          /* fv_arch_settings.embedding */
    struct fv_loss_spec loss;
    struct fv_node *node;
    int nodes;
    struct fv_tensor *tensor; /* in the order of torchvision's state_dict */
    int tensors;
    size_t params;  /* trainable floats: arena[0 .. params-1] */
    size_t buffers; /* arena[params .. params+buffers-1] */
    /* The architecture sets the first, the loss the second: the class scores of its first term that reads any, which
     * times logit_scale are logits; -1 where no term does. */
    int embedding_node, logits_node;
    double logit_scale;
    uint64_t seed; /* of dropout: the trainer sets it, to another number in each process of a run */
    int error;     /* the builder's first failure */
};

/* Builder: fv_net_new, nodes, fv_net_finish. Each node function returns the index of the new node, or -1; a
 * failure is remembered and reported by fv_net_finish, so that an architecture reads as a list. The last node
 * is the loss, and no other. `arch` is kept as a pointer. */
struct fv_arch_settings;
int fv_net_new(struct fv_net **out, const char *arch);
int fv_net_input(struct fv_net *n, int size, const float mean[3], const float std[3]);
int fv_net_conv(struct fv_net *n, const char *name, int in, int out_c, int window, int stride,
                int pad, int groups, int bias);
int fv_net_bn(struct fv_net *n, const char *name, int in);
int fv_net_bn_unit_scale(struct fv_net *n, const char *name, int in); /* its weight stays 1 */
int fv_net_relu(struct fv_net *n, int in);
int fv_net_relu6(struct fv_net *n, int in);
int fv_net_prelu(struct fv_net *n, const char *name, int in);
int fv_net_sigmoid(struct fv_net *n, int in);
int fv_net_add(struct fv_net *n, int a, int b);
int fv_net_scale(struct fv_net *n, int in, int by);
int fv_net_dropout(struct fv_net *n, int in, double rate); /* rate 0: `in` itself */
int fv_net_maxpool(struct fv_net *n, int in, int window, int stride, int pad);
int fv_net_gap(struct fv_net *n, int in);
int fv_net_fc(struct fv_net *n, const char *name, int in, int out, int bias);
/* How tensor `which` of a node begins, where the node's own way is not the architecture's; `value` is for the
 * initialisers that take one. */
void fv_net_set_init(struct fv_net *n, int node, int which, enum fv_init init, double value);
int fv_net_cosine(struct fv_net *n, const char *name, int in, int out); /* init: N(0, 0.01) */
int fv_net_set_loss(struct fv_net *n, const char *text);                /* trainer/loss/loss.h */
/* The loss node: `in` for what n->loss reads, in the order of enum fv_loss_input, else -1. */
int fv_net_loss_over(struct fv_net *n, const int in[FV_LOSS_INPUTS], int classes);
int fv_net_loss(struct fv_net *n,
                int logits); /* plain cross-entropy over these logits, both in one */
/* The tensor that is state `which` of a term of the loss; -1: none. */
int fv_net_loss_state(const struct fv_net *n, int term, int which);
/* Lays out the arena. Without an embedding node the logits are the embedding. */
int fv_net_finish(struct fv_net *n);

/* Multiply-accumulates of one forward pass of one image: of a node, of all. */
uint64_t fv_net_node_macs(const struct fv_net *n, int node);
uint64_t fv_net_macs(const struct fv_net *n);
/* Fills an arena of params + buffers floats, as the original initialises; a function of the seed. */
void fv_net_init(const struct fv_net *n, uint64_t seed, float *arena);
/* What a dropout node multiplies its elements first .. first + count - 1 by in the training step on the batch
 * `ticket`: 0 or 1 / (1 - rate). Elements count through (n, h, w, c). Element e is dropped when word e of
 * fv_rng_at(net->seed, node, ticket, FV_RNG_DROPOUT) is below rate * 2^32: word e % 4 of one Philox block, so that
 * each can be had alone. */
void fv_net_dropout_factors(const struct fv_net *n, int node, uint64_t ticket, size_t first,
                            size_t count, float *factor);
uint32_t fv_net_dropout_limit(const struct fv_node *node);        /* rate * 2^32 */
int fv_net_find_tensor(const struct fv_net *n, const char *name); /* -1 if there is none */
void fv_net_free(struct fv_net **n);                              /* accepts NULL */

/* Architectures: one file and one row in trainer/net/meson.build each. */
struct fv_arch_settings {
    int size, classes; /* 8 .. 2048 pixels, 1 .. 2^24 classes */
    const char *stem;  /* "auto" or another of the architecture's */
    float mean[3], std[3];
    int embedding;    /* its length, 1 .. 65536; 0: the architecture's own */
    const char *loss; /* trainer/loss/loss.h; NULL: "ce" */
};
struct fv_arch {
    const char *name, *help;
    const char *const *stems; /* NULL-terminated, "auto" first */
    int (*build)(struct fv_net *n, const struct fv_arch_settings *s);
};
extern const struct fv_arch *const fv_archs[]; /* NULL-terminated */
/* A table of all: parameters without the head, multiply-adds and operations an image of `size` pixels, embedding,
 * stems, for printing. */
int fv_arch_write_table(FILE *f, int size);
/* FV_ENOTFOUND lists the valid names. */
int fv_net_build(struct fv_net **out, const char *arch, const struct fv_arch_settings *s);

#endif
