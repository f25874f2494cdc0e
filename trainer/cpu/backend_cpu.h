/* SPDX-License-Identifier: MIT */
/* Inside the cpu backend.
 *
 * A program owns the numbers (weights, gradients, states) and runs plans. A plan is the net lowered for one batch
 * size: a flat list of steps, each a oneDNN primitive or a loop of ours, over buffers whose places in one arena
 * follow from when they are first and last used. A training plan holds forward, then backward.
 *
 * backend_cpu.c          the backend: device, program, step, eval
 * backend_cpu_params.c   packing and unpacking of weights, folding of batch norms
 * backend_cpu_update.c   what follows backward: statistics, accumulation, clipping, the update, states
 * backend_cpu_plan.c     buffers, steps, memory, running
 * backend_cpu_forward.c  net -> steps, backend_cpu_backward.c the same for gradients
 * backend_cpu_conv.c     which layouts a convolution computes in
 * backend_cpu_bn.c       batch norms in training, with the ReLU behind them
 * backend_cpu_acts.c     both of them for activations, scaling, dropout
 * backend_cpu_heads.c    both of them for cosine heads and the loss, with their loops
 * backend_cpu_loops.c    the steps that are not oneDNN's; backend_cpu_act_loops.c those of backend_cpu_acts.c
 * backend_cpu_sync.c     the average of gradients and statistics over the ranks
 * backend_cpu_find.c     where a step first was not finite
 * backend_cpu_inspect.c  profile, values of single nodes
 * backend_cpu_dnn*.c     making oneDNN primitives
 */
#ifndef FV_TRAINER_BACKEND_CPU_H
#define FV_TRAINER_BACKEND_CPU_H

#include "trainer/backend.h"
#include "trainer/cpu/backend_cpu_dnn.h"

struct fv_device {
    int threads;
    int winograd; /* 3x3 convolutions of stride 1 by Winograd's method where oneDNN has it */
    int keep; /* for tests: every buffer has memory of its own, so that node_get finds it intact */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    char info[96];
};

/* Where a step finds a tensor: in a buffer of the plan, or in a slot of the program's arenas. */
enum fv__cpu_space { FV_CPU_BUFFER, FV_CPU_WEIGHT, FV_CPU_GRADIENT };
struct fv__cpu_place {
    enum fv__cpu_space space;
    int index;
};

struct fv__cpu_buffer {
    size_t bytes, offset;
    int first, last; /* steps that use it; last is INT_MAX for what must survive */
    int pieces;      /* gradients not yet collected that it is part of */
};

struct fv__cpu_run; /* what the steps of one run share */
struct fv__cpu_step {
    int node, backward;
    void (*loop)(const struct fv__cpu_step *s, struct fv__cpu_run *run); /* NULL: a primitive */
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[12];
    int args;
    struct fv__cpu_place place[10]; /* of the loop's operands */
    float *data[10];
    int operands;
    size_t count; /* floats per operand, or items */
    float limit;  /* of a ReLU: infinite, 6, or 0 where there is none */
    size_t lanes; /* fv__dnn_md_lanes of the operands; of steps over rows, their length */
    uint64_t ns;  /* of the last run */
};

struct fv__cpu_memory {
    dnnl_memory_t memory;
    struct fv__cpu_place place;
};

enum { FV_CPU_PIECES = 4 };
/* What a node puts out, and what forward keeps for backward. */
struct fv__cpu_value {
    int buffer; /* -1: fused away or overwritten */
    struct fv__dnn_md *md;
    int readers; /* nodes that have yet to read it */
    int fused;   /* computed by the step of an earlier node */
    int own_bn;  /* a batch norm by backend_cpu_bn.c */
    int out;     /* the node whose value this node's step puts out: itself, or the last one fused */

    struct fv__dnn_op op;
    struct fv__cpu_place src; /* the input as the primitive takes it */
    struct fv__dnn_md *src_md;
    int mean, var,
        workspace; /* buffers; of a cosine head: norms of input and weight, its unit rows */
    int loss_grad[FV_LOSS_INPUTS]; /* of the loss: the gradients that it gives; -1: none */

    int grad[FV_CPU_PIECES], grads; /* buffers whose sum is the gradient, laid out as md */
    int kept_grad;                  /* for node_get; -1: none */
};

struct fv__cpu_plan {
    struct fv_program *program;
    int n, training;
    int embedding, logits;       /* inference: buffers of what it is for, as plain matrices */
    int error;                   /* the first failure; all that follows is skipped */
    struct fv__cpu_value *value; /* a node each */
    struct fv__cpu_buffer *buffer;
    struct fv__cpu_step *step;
    struct fv__cpu_memory *memory;
    struct fv__dnn_op *op;
    struct fv__dnn_md **md;
    int buffers, steps, memories, ops, mds;
    unsigned char *arena;
    size_t arena_bytes;
};

/* A tensor of the net as the program keeps it; slot t is tensor t, slot tensors + i the bias that node i, a
 * convolution, gets from a batch norm folded into it. */
struct fv__cpu_slot {
    struct fv__dnn_md *plain, *packed;
    size_t offset, count; /* floats in the arenas, padding of the packed layout included */
};

/* What a node does otherwise in training where tensors are frozen. */
enum fv__cpu_frozen {
    FV_CPU_BY_RUNNING = 1, /* a batch norm works by its running statistics */
    FV_CPU_STILL = 2,      /* none of its tensors is trained: it needs no gradient of them */
    FV_CPU_UNNEEDED = 4    /* nor one by its output: nothing below is trained either */
};

enum { FV_CPU_PLANS = 3 }; /* batch sizes held at a time: the full one and the latest others */

struct fv_program {
    struct fv_device *device;
    const struct fv_net *net;
    int batch, train;
    struct fv__cpu_slot *slot;
    int slots;
    unsigned char *frozen; /* training, by node: bits of enum fv__cpu_frozen */
    unsigned char *needed; /* scratch: fv_optim_find_needed */
    unsigned char *still;  /* training, by tensor: frozen */
    int *folded; /* inference, by node: the batch norm folded into this convolution, or -1 */
    float *weight, *grad;     /* packed; inference has only weights */
    float *vector[FV_STATES]; /* the states, packed; NULL until set or needed */
    size_t packed;            /* floats in weight, of which the first `trained` are trained */
    size_t trained;
    double *square; /* sums of squares of blocks of gradients; NULL until needed */
    float *plain;   /* scratch for packing; in inference the arena as it was set */
    struct fv__cpu_plan *plan[FV_CPU_PLANS];
    struct fv__cpu_plan *last; /* the plan that ran last, here or in infer; NULL: none */
    int last_n;                /* images it ran on */
    uint64_t update_ns;        /* that all after backward took in the last step */
    struct fv_program *infer;  /* of a training program: compiled at the first eval */
    int infer_stale;
    double epoch;             /* set_epoch */
    struct fv_batch bad;      /* a copy of that of the last step, if that was not finite */
    struct fv_loss_call loss; /* of the last step */
    struct fv_step_result result;
    struct fv_comm *comm; /* NULL: a process by itself */
    int sync_bn;          /* batch norms measure over all ranks: backend_cpu_bn.c */
};

struct fv__cpu_run {
    struct fv_program *program;
    const uint8_t *pixels;
    int n;                        /* images in pixels; the plan may be for more */
    const struct fv_batch *batch; /* NULL in inference */
    int error;                    /* of a loop */
};

/* backend_cpu_plan.c. The functions that add to a plan return an index, or -1 once the plan has failed. */
int fv__cpu_plan_new(struct fv__cpu_plan **out, struct fv_program *p, int n, int training);
void fv__cpu_plan_free(struct fv__cpu_plan **plan);
int fv__cpu_fail(struct fv__cpu_plan *plan, int code); /* remembers a failure; returns -1 */
struct fv__dnn_md *fv__cpu_own_md(struct fv__cpu_plan *plan, struct fv__dnn_md *md);
struct fv__dnn_md *fv__cpu_md(struct fv__cpu_plan *plan, int ndim, const int *dim,
                              enum fv__dnn_layout layout);
struct fv__dnn_md *fv__cpu_op_md(struct fv__cpu_plan *plan, const struct fv__dnn_op *op,
                                 dnnl_query_t what);
int fv__cpu_buffer_new(struct fv__cpu_plan *plan, size_t bytes);
int fv__cpu_buffer_for(struct fv__cpu_plan *plan, const struct fv__dnn_md *md);
struct fv__cpu_place fv__cpu_in_buffer(int buffer);
struct fv__cpu_place fv__cpu_in_weight(int slot);
const struct fv_node *fv__cpu_node(const struct fv__cpu_plan *plan, int node);
/* A step that executes op, which the plan then owns; arguments follow. */
void fv__cpu_step_op(struct fv__cpu_plan *plan, int node, int backward, struct fv__dnn_op op);
void fv__cpu_arg(struct fv__cpu_plan *plan, int arg, const struct fv__dnn_md *md,
                 struct fv__cpu_place place);
/* A step that runs a loop of ours; operands follow. */
struct fv__cpu_step *
fv__cpu_step_loop(struct fv__cpu_plan *plan, int node, int backward,
                  void (*loop)(const struct fv__cpu_step *, struct fv__cpu_run *), size_t count);
void fv__cpu_operand(struct fv__cpu_plan *plan, struct fv__cpu_place place);
/* The tensor at `place` in the layout `to`: itself if it has it already, else a copy made by a new step. */
struct fv__cpu_place fv__cpu_convert(struct fv__cpu_plan *plan, int node, int backward,
                                     struct fv__cpu_place place, const struct fv__dnn_md *from,
                                     const struct fv__dnn_md *to);
void fv__cpu_copy(struct fv__cpu_plan *plan, int node, int backward, struct fv__cpu_place place,
                  const struct fv__dnn_md *from, struct fv__cpu_place to_place,
                  const struct fv__dnn_md *to);
/* Gives every buffer its place, and every memory object its address. The program's arenas exist by now. */
int fv__cpu_plan_commit(struct fv__cpu_plan *plan);
int fv__cpu_plan_run(struct fv__cpu_plan *plan, struct fv__cpu_run *run);
float *fv__cpu_address(const struct fv__cpu_plan *plan, struct fv__cpu_place place);

/* backend_cpu_forward.c, backend_cpu_backward.c */
void fv__cpu_lower_forward(struct fv__cpu_plan *plan);
void fv__cpu_lower_backward(struct fv__cpu_plan *plan);

/* Between them and backend_cpu_acts.c. The value of a node, all of it plain; a vector of so many numbers. The whole
 * gradient of a node's output (-1: nothing that leads to the loss reads it), by a ReLU's output `mask` also behind that
 * ReLU (-1: none); a piece of the gradient, in the layout `md`. */
struct fv__dnn_md *fv__cpu_value_md(struct fv__cpu_plan *plan, int node,
                                    enum fv__dnn_layout layout);
struct fv__cpu_place fv__cpu_value_place(const struct fv__cpu_plan *plan, int node);
struct fv__dnn_md *fv__cpu_vector_md(struct fv__cpu_plan *plan, int count);
int fv__cpu_collect(struct fv__cpu_plan *plan, int node, int mask);
int fv__cpu_wants_grad(const struct fv__cpu_plan *plan,
                       int node); /* whether any is collected of it */
int fv__cpu_is_still(const struct fv__cpu_plan *plan, int node); /* FV_CPU_STILL */
void fv__cpu_give(struct fv__cpu_plan *plan, int from, int node, int buffer,
                  const struct fv__dnn_md *md);

/* backend_cpu_fuse.c. The only reader of a node's output, if it is of that kind and the output is not asked for by
 * itself, else -1; the same of a ReLU of either kind, and what that cuts off at. Whether an output may be written over
 * when its last reader has it, and the buffer for one that is computed element by element from `in`: that of `in` where
 * it may. `node` has read its inputs: all that may be written over one of them is decided before. The step of `node`
 * does the work of `later` too. */
int fv__cpu_only_reader(const struct fv__cpu_plan *plan, int node, enum fv_node_kind kind);
int fv__cpu_only_relu(const struct fv__cpu_plan *plan, int node);
float fv__cpu_relu_limit(const struct fv__cpu_plan *plan, int node);
int fv__cpu_may_overwrite(const struct fv__cpu_plan *plan, int node);
int fv__cpu_buffer_over(struct fv__cpu_plan *plan, int in, const struct fv__dnn_md *md);
void fv__cpu_have_read(struct fv__cpu_plan *plan, int node);
void fv__cpu_fuse(struct fv__cpu_plan *plan, int node, int later);

/* backend_cpu_forward_weights.c */
void fv__cpu_conv_forward(struct fv__cpu_plan *plan, int node);
void fv__cpu_fc_forward(struct fv__cpu_plan *plan, int node);

/* backend_cpu_conv.c. A convolution by itself; its weights in any layout; its forward pass, in the layouts by which it
 * and the gradients are fastest, `sum` being that of what it is added to (NULL: nothing); 0 if an implementation is
 * none of the slow ones. */
struct fv__dnn_conv fv__cpu_conv_of(const struct fv__cpu_plan *plan, int node);
struct fv__dnn_md *fv__cpu_conv_weights(struct fv__cpu_plan *plan, int node);
int fv__cpu_conv_make(struct fv__cpu_plan *plan, int node, const struct fv__dnn_conv *conv,
                      const struct fv__dnn_md *bias, const struct fv__dnn_md *sum,
                      struct fv__dnn_op *op);
int fv__cpu_conv_cost(const struct fv__dnn_op *op);

/* backend_cpu_bn.c: training, by the batch's statistics, which go into the value's mean and var; behind it a ReLU up to
 * `limit`, 0: none. For inputs of which fv__dnn_md_lanes is known. */
void fv__cpu_bn_forward(struct fv__cpu_plan *plan, int node, struct fv__cpu_place out, float limit);
void fv__cpu_bn_backward(struct fv__cpu_plan *plan, int node, int g, int dx, float limit,
                         struct fv__cpu_place dgamma, struct fv__cpu_place dbeta);

/* backend_cpu_acts.c */
void fv__cpu_prelu_forward(struct fv__cpu_plan *plan, int node);
void fv__cpu_prelu_backward(struct fv__cpu_plan *plan, int node);
void fv__cpu_sigmoid_forward(struct fv__cpu_plan *plan, int node);
void fv__cpu_sigmoid_backward(struct fv__cpu_plan *plan, int node);
void fv__cpu_scale_forward(struct fv__cpu_plan *plan, int node);
void fv__cpu_scale_backward(struct fv__cpu_plan *plan, int node);
void fv__cpu_dropout_forward(struct fv__cpu_plan *plan, int node);
void fv__cpu_dropout_backward(struct fv__cpu_plan *plan, int node);

/* backend_cpu_params.c */
int fv__cpu_slots_new(struct fv_program *p);
int fv__cpu_slots_place(struct fv_program *p); /* once the first plan has chosen the layouts */
int fv__cpu_reorder(struct fv_program *p, const struct fv__dnn_md *from, const float *in,
                    const struct fv__dnn_md *to, float *out);
int fv__cpu_pack(struct fv_program *p, float *packed, const float *arena);
int fv__cpu_unpack(struct fv_program *p, const float *packed, float *arena);
int fv__cpu_pack_folded(struct fv_program *p, const float *arena);
void fv__cpu_memory(const struct fv_program *p, struct fv_memory_use *out);
float *fv__cpu_floats(size_t count); /* zeros, aligned for vectors; NULL when out of memory */

/* backend_cpu.c */
extern const struct fv_backend fv_backend_cpu;
int fv__cpu_plan_anew(
    struct fv_program *p); /* where batch norms are lowered otherwise, no plan fits any more */

/* backend_cpu_find.c */
void fv__cpu_keep_bad(struct fv_program *p, const struct fv_batch *b);
void fv__cpu_drop_bad(struct fv_program *p);
int fv__cpu_find_bad(struct fv_program *p, int *node, int *gradient);

/* backend_cpu_update.c */
size_t fv__cpu_state_floats(const struct fv_program *p, enum fv_state which); /* packed */
int fv__cpu_state_set(struct fv_program *p, enum fv_state which, const float *v);
int fv__cpu_state_get(struct fv_program *p, enum fv_state which, float *v);
/* After the plan has run: `loss_finite` says whether its loss is. Sets what the result says of finiteness, norm. */
int fv__cpu_finish_step(struct fv_program *p, const struct fv__cpu_plan *plan,
                        const struct fv_optim *optim, int loss_finite);

/* backend_cpu_sync.c. Averages gradients and the statistics of the plan's batch norms over the ranks, by one sum. */
int fv__cpu_average(struct fv_program *p, const struct fv__cpu_plan *plan);

/* backend_cpu_inspect.c */
char *fv__cpu_profile(struct fv_program *p);
int fv__cpu_node_get(struct fv_program *p, int node, int gradient, float *out);

/* backend_cpu_loops.c: the operands of each, in order */
void fv__cpu_loop_input(const struct fv__cpu_step *s, struct fv__cpu_run *r);    /* NCHW out */
void fv__cpu_loop_add(const struct fv__cpu_step *s, struct fv__cpu_run *r);      /* a, b, out */
void fv__cpu_loop_relu(const struct fv__cpu_step *s, struct fv__cpu_run *r);     /* in, out */
void fv__cpu_loop_mask(const struct fv__cpu_step *s, struct fv__cpu_run *r);     /* g, y, out */
void fv__cpu_loop_add_mask(const struct fv__cpu_step *s, struct fv__cpu_run *r); /* g, h, y, out */

/* backend_cpu_heads.c */
#define FV_CPU_SHORTEST 1e-12 /* norm that a row is divided by */
void fv__cpu_cosine_forward(struct fv__cpu_plan *plan, int node);
void fv__cpu_cosine_backward(struct fv__cpu_plan *plan, int node);
void fv__cpu_loss_forward(struct fv__cpu_plan *plan, int node);
void fv__cpu_loss_backward(struct fv__cpu_plan *plan, int node);
/* Rows divided by their norms, which `norm` gets unless it is NULL; in and out may be one. */
void fv__cpu_unit_rows(int threads, const float *in, size_t rows, size_t columns, float *out,
                       float *norm);

/* backend_cpu_act_loops.c; count is the number of images */
void fv__cpu_loop_prelu(const struct fv__cpu_step *s, struct fv__cpu_run *r); /* in, slope, out */
/* in, g, slope, out, slope's gradient */
void fv__cpu_loop_prelu_grad(const struct fv__cpu_step *s, struct fv__cpu_run *r);
void fv__cpu_loop_sigmoid(const struct fv__cpu_step *s, struct fv__cpu_run *r);      /* in, out */
void fv__cpu_loop_sigmoid_grad(const struct fv__cpu_step *s, struct fv__cpu_run *r); /* g, y, out */
void fv__cpu_loop_scale(const struct fv__cpu_step *s, struct fv__cpu_run *r); /* in, factor, out */
/* in, g, factor, out, factor's gradient */
void fv__cpu_loop_scale_grad(const struct fv__cpu_step *s, struct fv__cpu_run *r);
void fv__cpu_loop_dropout(const struct fv__cpu_step *s, struct fv__cpu_run *r); /* NCHW in, out */

#endif
