/* SPDX-License-Identifier: MIT */
/* A net as a list of nodes: what an architecture builds and a backend compiles.
 *
 * Nodes are in execution order; each reads the outputs of earlier ones. Shapes are per image, (h, w, c);
 * activations are NHWC in meaning (a backend may lay them out as it likes). All numbers that belong to the
 * net lie in one fp32 arena in canonical order: first every trainable tensor, then every buffer (BN running
 * statistics), each in torchvision's shape and order of elements (conv weights (K, C/groups, R, S), fc weights
 * (out, in)), so that a checkpoint is the arena, name by name.
 */
#ifndef FV_TRAINER_NET_H
#define FV_TRAINER_NET_H

#include <stddef.h>
#include <stdint.h>

enum fv_node_kind {
    FV_NODE_INPUT, /* u8 RGB -> (x/255 - mean) / std */
    FV_NODE_CONV,  /* square window, zero padding, groups */
    FV_NODE_BN, /* batch norm over (N,H,W); running variance with Bessel's correction, as PyTorch */
    FV_NODE_RELU,
    FV_NODE_ADD,     /* in[0] + in[1] */
    FV_NODE_MAXPOOL, /* square window, padding counts as -inf; ties go to the first in row order */
    FV_NODE_GAP,     /* mean over H, W */
    FV_NODE_FC,
    FV_NODE_LOSS, /* softmax cross-entropy with soft labels over in[0]; mean over the batch */
    FV_NODE_KINDS
};
extern const char *const fv_node_names[FV_NODE_KINDS];

struct fv_node {
    enum fv_node_kind kind;
    char *name;  /* torchvision's module name: "layer1.0.conv1"; "" where it has none */
    int in[2];   /* node indices, -1 for none */
    int h, w, c; /* output shape */
    int window, stride, pad, groups; /* CONV, MAXPOOL */
    float eps, momentum;             /* BN; momentum is the share of the new value (0.1) */
    float mean[3], std[3];           /* INPUT */
    /* CONV, FC: weight, bias (-1: none); BN: weight, bias, running_mean, running_var */
    int tensor[4];
};

enum fv_init { FV_INIT_ZERO, FV_INIT_ONE, FV_INIT_KAIMING_FAN_OUT, FV_INIT_UNIFORM_FAN_IN };

struct fv_tensor {
    char *name; /* "layer1.0.conv1.weight" */
    int ndim, dim[4];
    size_t offset, count; /* in floats, in the arena */
    int buffer;           /* not trained */
    int no_decay; /* a bias or a BN parameter: --decay-all says whether weight decay applies */
    enum fv_init init;
    size_t fan; /* for the random initialisers */
};

struct fv_net {
    const char *arch;
    int size, classes, embedding; /* pixels a side, classes of the head, length of the embedding */
    struct fv_node *node;
    int nodes;
    struct fv_tensor *tensor; /* in the order of torchvision's state_dict */
    int tensors;
    size_t params;                   /* trainable floats: arena[0 .. params-1] */
    size_t buffers;                  /* arena[params .. params+buffers-1] */
    int embedding_node, logits_node; /* the architecture sets the first, fv_net_loss the second */
    int error;                       /* the builder's first failure */
};

/* Builder: fv_net_new, nodes, fv_net_finish. Each node function returns the index of the new node, or -1; a
 * failure is remembered and reported by fv_net_finish, so that an architecture reads as a list. The last node
 * is the loss, and no other. `arch` is kept as a pointer. */
int fv_net_new(struct fv_net **out, const char *arch);
int fv_net_input(struct fv_net *n, int size, const float mean[3], const float std[3]);
int fv_net_conv(struct fv_net *n, const char *name, int in, int out_c, int window, int stride,
                int pad, int groups, int bias);
int fv_net_bn(struct fv_net *n, const char *name, int in);
int fv_net_relu(struct fv_net *n, int in);
int fv_net_add(struct fv_net *n, int a, int b);
int fv_net_maxpool(struct fv_net *n, int in, int window, int stride, int pad);
int fv_net_gap(struct fv_net *n, int in);
int fv_net_fc(struct fv_net *n, const char *name, int in, int out, int bias);
int fv_net_loss(struct fv_net *n, int logits);
/* Lays out the arena. Without an embedding node the logits are the embedding. */
int fv_net_finish(struct fv_net *n);

/* Multiply-accumulates of one forward pass of one image. */
uint64_t fv_net_macs(const struct fv_net *n);
/* Fills an arena of params + buffers floats, as torchvision initialises; a function of the seed. */
void fv_net_init(const struct fv_net *n, uint64_t seed, float *arena);
int fv_net_find_tensor(const struct fv_net *n, const char *name); /* -1 if there is none */
void fv_net_free(struct fv_net **n);                              /* accepts NULL */

/* Architectures: one file and one row in trainer/meson.build each. */
struct fv_arch_settings {
    int size, classes; /* 8 .. 2048 pixels, 1 .. 2^24 classes */
    const char *stem;  /* "auto", "7x7", "3x3" */
    float mean[3], std[3];
};
struct fv_arch {
    const char *name, *help;
    int (*build)(struct fv_net *n, const struct fv_arch_settings *s);
};
extern const struct fv_arch *const fv_archs[]; /* NULL-terminated */
/* FV_ENOTFOUND lists the valid names. */
int fv_net_build(struct fv_net **out, const char *arch, const struct fv_arch_settings *s);

#endif
