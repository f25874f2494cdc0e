/* SPDX-License-Identifier: MIT */
/* Runs a lowered program on the host, to prove its data flow without a GPU.
 *
 * Every op runs on private copies of its operands, each between guard zones: what it reads beyond what it declares
 * is poison (all bits set: NaN in every type), and what it writes there is found. Around the ops the interpreter keeps
 * who wrote which part of the arena. It refuses an op that reads what was not written, or what has died or belongs
 * to somebody else; that writes an operand it only reads, or leaves part of one it declares to write; that is given
 * memory of a buffer still alive. Memory is poisoned when a lifetime begins and when it ends; gradients and batch
 * statistics at the start of each step.
 */
#ifndef FV_TESTS_CUDA_INTERPRET_H
#define FV_TESTS_CUDA_INTERPRET_H

#include "trainer/backend.h"
#include "trainer/cuda/lower.h"

struct interp {
    const struct fv_lowered *l;
    unsigned char *memory[FV_LOW_SPACES];
    unsigned char *known[FV_LOW_SPACES]; /* by byte: written */
    int *owner;                          /* by 256 bytes of the arena: buffer that wrote it, -1 */
    int *reduced;                        /* by bucket: its op has run */
    int stage, updates;    /* of the step: loss, check; optimiser, running statistics */
    unsigned char *copies; /* of an op's operands */
    char fault[256];       /* the first; "" if none */
    double loss, correct;
    uint64_t ticket; /* of the step's batch */
    float *states;   /* while the loss runs: the net's arena, with what the loss's terms keep */
};

/* What an op works on: its operands' private copies, by role. */
struct interp_call {
    const struct fv_lowered *l;
    const struct fv_low_op *op;
    void *arg[FV_LOW_ROLES]; /* NULL: absent */
    struct interp *interp;
    const struct fv_optim *optim;
};

int interp_open(struct interp **out, const struct fv_lowered *l);
void interp_close(struct interp **p);
/* params + buffers floats in the net's canonical order; states are zeroed. */
void interp_set(struct interp *p, const float *arena);
void interp_get(const struct interp *p, float *arena);
void interp_put_states(struct interp *p); /* takes the loss's states back, and frees p->states */
void interp_grads(const struct interp *p, float *grads);
/* One step of a training program; -1 and p->fault if the program is wrong. */
int interp_step(struct interp *p, const struct fv_batch *b, const struct fv_optim *optim);
/* An inference program on l->batch images; either output may be NULL. */
int interp_eval(struct interp *p, const uint8_t *pixels, float *embedding, float *logits);

/* interpret_ops.c, interpret_backward.c, interpret_update.c, interpret_conv.c */
void interp_run(struct interp_call *c);
/* interpret_kernels.c: 1 if the backend's own kernel, emulated, has done it; interpret_loops.c: never. A kernel that
 * fails, or writes beyond its scratch memory, is the program's fault. */
int interp_by_kernel(struct interp_call *c);
__attribute__((format(printf, 2, 3))) int interp_fault(struct interp *p, const char *fmt, ...);
void interp_conv(struct interp_call *c);

/* interpret_number.c: numbers of any type to fp32 and back, rounding to nearest even. */
void interp_widen(enum fv_low_dtype t, const void *from, float *to, size_t count);
void interp_narrow(enum fv_low_dtype t, const float *from, void *to, size_t count);

/* An operand as fp32 numbers, to be freed; NULL if absent. And back. */
float *interp_take(const struct interp_call *c, int role);
float *interp_new(const struct interp_call *c, int role);
size_t interp_count(const struct interp_call *c, int role);
void interp_put(const struct interp_call *c, int role, float *values); /* frees values */

#endif
