/* SPDX-License-Identifier: MIT */
/* Inside the cuda backend.
 *
 * A program owns the numbers: masters, working copies, gradients, the optimiser's planes, running statistics, laid out
 * by slots (lower.h), which depend on net and storage type alone. It runs plans: the net lowered for one batch size,
 * for training or inference, with the plans of its convolutions and, once captured, a CUDA graph. Plans share one
 * arena of activations, since nothing in it outlives a run.
 *
 * Two batches are under way at a time: while one is computed the next is copied, into the other slot. A slot has its
 * own memory for the batch on the device, so a captured graph belongs to a slot. The result of a step is left in the
 * slot's host memory by the step itself and read when somebody asks.
 *
 * backend_cuda.c         the backend: device, program, memory
 * backend_cuda_plan.c    lowering and preparing for a batch size, running, capturing
 * backend_cuda_step.c    batches in, results out: step, eval
 * backend_cuda_update.c  loss, gradients' check, optimiser, averages: what depends on the settings of a step
 * backend_cuda_loss.c    the terms of the loss
 * backend_cuda_ranks.c   several processes, a GPU each
 * backend_cuda_columns.c inner products for scoring
 * backend_cuda_params.c  numbers between canonical order and slots
 * backend_cuda_inspect.c what was chosen, where the time goes, which layer was the first to go wrong
 */
#ifndef FV_TRAINER_CUDA_BACKEND_CUDA_H
#define FV_TRAINER_CUDA_BACKEND_CUDA_H

#include "trainer/backend.h"
#include "trainer/cuda/device_cuda.h"
#include "trainer/cuda/dispatch.h"

enum { FV__CUDA_SLOTS = 2, FV__CUDA_PLANS = 2, FV__CUDA_INFO = 256 };

struct fv_device {
    struct fv_gpu *gpu;
    enum fv_low_dtype type;
    int eager; /* no graphs */
    char info[FV__CUDA_INFO];
};

struct fv__cuda_plan {
    struct fv_program *program;
    struct fv_lowered *l;
    const struct fv_gpu_conv **conv; /* by op; NULL: not a convolution */
    size_t scratch;                  /* bytes that its ops need */
    void *graph[FV__CUDA_SLOTS];
    unsigned graph_of[FV__CUDA_SLOTS]; /* the settings that the graph was captured with */
    int runs;
};

struct fv__cuda_slot {
    char *batch;         /* device: FV_LOW_BATCH */
    char *host;          /* pinned: the same, where the loader's own memory cannot be copied from */
    char *settings;      /* device: struct fv__cuda_settings of the step */
    char *settings_host; /* pinned */
    char *result;        /* pinned: the control block as the step left it */
    void *copied, *done; /* events */
    int used, n, clips;
    unsigned wants;             /* of this rank, with the step */
    int reads_host;             /* part of the batch goes up from the loader's own memory */
    struct fv__cuda_plan *plan; /* that ran last */
};

struct fv_program {
    struct fv_device *device;
    const struct fv_net *net;
    int batch, train;
    unsigned char *frozen; /* by tensor: what the training plans were lowered for */
    struct fv__cuda_plan
        *plan[FV__CUDA_PLANS]; /* training: full batches, then the last other size */
    struct fv__cuda_plan *infer;
    char *space[FV_LOW_SPACES]; /* NULL: arena and batch, which are below */
    void *parameters;           /* the allocation that they lie in */
    size_t parameter_bytes;
    char *arena, *scratch; /* the largest of all plans */
    size_t arena_bytes, scratch_bytes, batch_bytes, host_bytes;
    float *state[FV_STATES]; /* device; NULL until needed. EMA: elements, then stat_elements */
    struct fv__cuda_slot slot[FV__CUDA_SLOTS];
    uint64_t steps;
    int late; /* results are read a step late */
    /* A step was not finite, and what came after it changed nothing: `again`, the slot of a step to give once more,
     * or NULL. */
    int held;
    struct fv__cuda_slot *again;
    struct fv__cuda_slot
        *judged; /* of the step whose result was read last; NULL: its batch is gone */
    const struct fv_batch *fetched; /* on its way into the slot of the next step */
    uint64_t fetched_ticket;
    struct fv__cuda_slot *last; /* of the last step */
    unsigned mode; /* which kernels the step under way has at its end (backend_cuda_update.c) */
    double epoch;  /* how far training is */
    int counting;  /* the device knows how many updates were made */
    float *factor; /* of each tensor: of its learning rate, of its decay, as the device has them */
    struct fv_k_block *blocks; /* device: the same for each block of elements, then BN's momenta */
    struct fv_comm *comm;      /* NULL: one rank */
    int sync_bn;               /* batch norms measure over all ranks, by way of */
    struct fv_dispatch_ranks sync;
    void *ready, *joined; /* events between backward and the sum over ranks */
    void *idle;           /* event: all work so far is done */
};

/* backend_cuda_plan.c */
int fv__cuda_plan_new(struct fv__cuda_plan **out, struct fv_program *p, int n, int train);
/* What these settings freeze, before there are plans; then the training plans made for that. */
int fv__cuda_note_frozen(struct fv_program *p, const struct fv_optim *optim);
int fv__cuda_plan_freeze(struct fv_program *p, const struct fv_optim *optim);
void fv__cuda_plan_free(struct fv__cuda_plan **plan);
/* The plan for training batches of n. */
int fv__cuda_plan_for(struct fv_program *p, int n, struct fv__cuda_plan **out);
int fv__cuda_plan_room(struct fv_program *p, const struct fv_lowered *l, size_t scratch);
/* Enqueues all of it; `slot` has the batch. */
int fv__cuda_plan_run(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot);
/* Ops first .. end - 1, not captured. */
int fv__cuda_plan_range(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot, int first, int end);
/* The same without the sums of gradients over ranks: for looking into what one rank has. */
int fv__cuda_plan_alone(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot, int first, int end);
struct fv_dispatch fv__cuda_dispatch(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot);
/* FV_ENOMEM that says which batch would fit, if this one does not; with plans it knows what they need. */
int fv__cuda_check_memory(struct fv_program *p, int n);
int fv__cuda_can(void *device, const struct fv_low_query *q);
struct fv_lower_settings fv__cuda_lowering(const struct fv_program *p, int n, int train);

/* backend_cuda_step.c */
int fv__cuda_prefetch(struct fv_program *p, const struct fv_batch *b);
int fv__cuda_step(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim);
int fv__cuda_result(struct fv_program *p, struct fv_step_result *out);
int fv__cuda_result_before(struct fv_program *p, struct fv_step_result *out);
/* Before anything but find_bad: a step that was held back is given again. */
int fv__cuda_settle(struct fv_program *p);
int fv__cuda_eval(struct fv_program *p, const uint8_t *pixels, int n, float *embedding,
                  float *logits);

/* backend_cuda_update.c */
size_t fv__cuda_settings_bytes(const struct fv_program *p);
/* What a step needs of the optimiser before it is enqueued: memory, and its settings in the slot. */
int fv__cuda_prepare_update(struct fv_program *p, struct fv__cuda_slot *slot,
                            const struct fv_batch *b, const struct fv_optim *optim);
int fv__cuda_update(struct fv_program *p, const struct fv_low_op *op, void *const arg[FV_LOW_ROLES],
                    void *scratch);
int fv__cuda_read_control(const struct fv_program *p, const struct fv__cuda_slot *slot,
                          struct fv_step_result *out);
int fv__cuda_begin_control(struct fv_program *p);
/* Whether that step has put those after it on hold; and the end of that. */
int fv__cuda_on_hold(const struct fv__cuda_slot *slot);
int fv__cuda_release_hold(struct fv_program *p);
/* What gradients are multiplied by in memory. */
int fv__cuda_loss_scale(struct fv_program *p, double *scale);

/* backend_cuda_loss.c */
/* FV_EUNSUPPORTED names a term that there are no kernels for. */
int fv__cuda_check_loss(const struct fv_net *net);
size_t fv__cuda_loss_scratch(const struct fv_lowered *l);

/* backend_cuda_ranks.c */
int fv__cuda_set_comm(struct fv_program *p, struct fv_comm *comm, int sync_bn);
/* The host waits for an event of the work, or for all of it: for as long as it may still come. */
int fv__cuda_wait(struct fv_program *p, void *event);
int fv__cuda_wait_work(struct fv_program *p);
/* Of a bucket of gradients, beside backward; then the update waits for all of them. */
int fv__cuda_bucket(struct fv_program *p, const struct fv_low_bucket *b);
int fv__cuda_join_ranks(struct fv_program *p);
/* At once, in the order of the work. */
int fv__cuda_mean_of_ranks(struct fv_program *p, void *v, size_t count, enum fv_low_dtype type);
int fv__cuda_gather_ranks(struct fv_program *p, const float *mine, float *all, size_t count);

/* backend_cuda_columns.c */
int fv__cuda_columns_open(struct fv_device *d, const float *v, size_t n, int dim,
                          struct fv_columns **out);
int fv__cuda_columns_times(struct fv_columns *c, const float *row, size_t rows, size_t first,
                           size_t count, float *out);
void fv__cuda_columns_close(struct fv_columns **c);

/* backend_cuda_params.c */
void fv__cuda_to_slots(const struct fv_lowered *l, int buffers, const float *arena, float *slots);
void fv__cuda_from_slots(const struct fv_lowered *l, int buffers, const float *slots, float *arena);
int fv__cuda_params_set(struct fv_program *p, const float *arena);
int fv__cuda_params_get(struct fv_program *p, float *arena);
int fv__cuda_state_set(struct fv_program *p, enum fv_state which, const float *v);
int fv__cuda_state_get(struct fv_program *p, enum fv_state which, float *v);
int fv__cuda_state_need(struct fv_program *p, enum fv_state which);
int fv__cuda_grads_get(struct fv_program *p, float *g);

/* backend_cuda_inspect.c */
char *fv__cuda_describe(const struct fv_program *p);
char *fv__cuda_profile(struct fv_program *p);
int fv__cuda_find_bad(struct fv_program *p, int *node, int *gradient);
int fv__cuda_node_get(struct fv_program *p, int node, int gradient, float *out);
void fv__cuda_widen(enum fv_low_dtype type, const void *from, float *to, size_t count);

#endif
