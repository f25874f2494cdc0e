/* SPDX-License-Identifier: MIT */
/* The net's numbers between its canonical order and the slots of the device's arenas. It is done on the host: it
 * happens once a run and once a checkpoint. */
#include "trainer/cuda/backend_cuda.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

/* Calls f(slot element, canonical element) for each number of a tensor. */
#define EACH_ELEMENT(slot, at, from, statement)                                                    \
    for (int k_ = 0; k_ < (slot)->real_k; k_++)                                                    \
        for (int c_ = 0; c_ < (slot)->real_c; c_++)                                                \
            for (int w_ = 0; w_ < (slot)->r * (slot)->s; w_++) {                                   \
                const size_t at = fv_low_slot_element(slot, k_, c_, w_);                           \
                const size_t from = tensor_element(slot, k_, w_, c_);                              \
                statement;                                                                         \
            }

static size_t tensor_element(const struct fv_low_slot *s, int k, int w, int c)
{
    return ((size_t)k * (size_t)s->real_c + (size_t)c) * (size_t)(s->r * s->s) + (size_t)w;
}

void fv__cuda_to_slots(const struct fv_lowered *l, int buffers, const float *arena, float *slots)
{
    const struct fv_net *net = l->net;
    memset(slots, 0, (buffers ? l->stat_elements : l->elements) * sizeof *slots);
    for (int t = 0; t < net->tensors; t++) {
        const struct fv_low_slot *s = &l->slot[t];
        const float *tensor = arena + net->tensor[t].offset;
        if (net->tensor[t].buffer == buffers)
            EACH_ELEMENT(s, at, from, slots[at] = tensor[from])
    }
}

void fv__cuda_from_slots(const struct fv_lowered *l, int buffers, const float *slots, float *arena)
{
    const struct fv_net *net = l->net;
    for (int t = 0; t < net->tensors; t++) {
        const struct fv_low_slot *s = &l->slot[t];
        float *tensor = arena + net->tensor[t].offset;
        if (net->tensor[t].buffer == buffers)
            EACH_ELEMENT(s, at, from, tensor[from] = slots[at])
    }
}

/* 16-bit numbers to fp32: exact. */

static float of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float of_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, m = h & 1023;
    if (exponent == 0)
        return (sign ? -1.0f : 1.0f) * (float)m * 0x1p-24f;
    return of_bits(sign | (exponent == 31 ? 255u : exponent + 112) << 23 | m << 13);
}

void fv__cuda_widen(enum fv_low_dtype type, const void *from, float *to, size_t count)
{
    if (type == FV_LOW_F32) {
        memcpy(to, from, count * sizeof *to);
        return;
    }
    const uint16_t *h = from;
    for (size_t i = 0; i < count; i++)
        to[i] = type == FV_LOW_BF16 ? of_bits((uint32_t)h[i] << 16) : of_f16(h[i]);
}

/* Up and down; all of these wait for the device. */

static int put(struct fv_program *p, void *to, const void *from, size_t bytes)
{
    FV_TRY(fv_gpu_upload(p->device->gpu, FV_GPU_WORK, to, from, bytes));
    return fv__cuda_wait_work(p);
}

static int get(struct fv_program *p, void *to, const void *from, size_t bytes)
{
    FV_TRY(fv_gpu_download(p->device->gpu, FV_GPU_WORK, to, from, bytes));
    return fv__cuda_wait_work(p);
}

static const struct fv_lowered *layout(const struct fv_program *p)
{
    return p->plan[0] ? p->plan[0]->l : p->infer->l;
}

/* Room for the larger of both layouts. */
static float *staging(const struct fv_program *p)
{
    const struct fv_lowered *l = layout(p);
    float *v = malloc((l->elements + l->stat_elements + 1) * sizeof *v);
    if (!v)
        fv_err(FV_ENOMEM, "backend cuda: out of memory");
    return v;
}

static int put_slots(struct fv_program *p, int buffers, void *to, const float *arena)
{
    const struct fv_lowered *l = layout(p);
    float *slots = staging(p);
    if (!slots)
        return FV_ENOMEM;
    fv__cuda_to_slots(l, buffers, arena, slots);
    int rc = put(p, to, slots, (buffers ? l->stat_elements : l->elements) * sizeof *slots);
    free(slots);
    return rc;
}

static int get_slots(struct fv_program *p, int buffers, const void *from, float *arena)
{
    const struct fv_lowered *l = layout(p);
    float *slots = staging(p);
    if (!slots)
        return FV_ENOMEM;
    int rc = get(p, slots, from, (buffers ? l->stat_elements : l->elements) * sizeof *slots);
    if (rc == 0)
        fv__cuda_from_slots(l, buffers, slots, arena);
    free(slots);
    return rc;
}

int fv__cuda_params_set(struct fv_program *p, const float *arena)
{
    const struct fv_lowered *l = layout(p);
    FV_TRY(put_slots(p, 0, p->space[FV_LOW_MASTER], arena));
    if (l->stat_elements > 0)
        FV_TRY(put_slots(p, 1, p->space[FV_LOW_RUNNING], arena));
    if (l->dtype == FV_LOW_F32 || l->elements_t == 0)
        return 0;
    const struct fv_k_cast k = {.from = p->space[FV_LOW_MASTER],
                                .to = p->space[FV_LOW_WORK],
                                .from_type = FV_K_F32,
                                .to_type = fv_dispatch_type(l->dtype),
                                .count = (int64_t)l->elements_t};
    return fv_k_cast(&k, fv_gpu_stream(p->device->gpu, FV_GPU_WORK));
}

int fv__cuda_params_get(struct fv_program *p, float *arena)
{
    FV_TRY(get_slots(p, 0, p->space[FV_LOW_MASTER], arena));
    return layout(p)->stat_elements > 0 ? get_slots(p, 1, p->space[FV_LOW_RUNNING], arena) : 0;
}

/* The optimiser's planes: memory at first use. */

static size_t plane_floats(const struct fv_program *p, enum fv_state which)
{
    const struct fv_lowered *l = layout(p);
    return l->elements + (which == FV_STATE_EMA ? l->stat_elements : 0);
}

int fv__cuda_state_need(struct fv_program *p, enum fv_state which)
{
    static const char *const names[FV_STATES] = {"the first moments", "the second moments",
                                                 "the sum of gradients", "the average of weights"};
    struct fv_gpu *g = p->device->gpu;
    const struct fv_lowered *l = layout(p);
    void *memory;
    if (p->state[which])
        return 0;
    FV_TRY(fv_gpu_alloc(g, &memory, plane_floats(p, which) * sizeof(float), names[which]));
    p->state[which] = memory;
    if (which != FV_STATE_EMA)
        return fv_gpu_zero(g, FV_GPU_WORK, memory, plane_floats(p, which) * sizeof(float));
    FV_TRY(
        fv_gpu_copy(g, FV_GPU_WORK, memory, p->space[FV_LOW_MASTER], l->elements * sizeof(float)));
    if (l->stat_elements == 0)
        return 0;
    return fv_gpu_copy(g, FV_GPU_WORK, p->state[which] + l->elements, p->space[FV_LOW_RUNNING],
                       l->stat_elements * sizeof(float));
}

int fv__cuda_state_set(struct fv_program *p, enum fv_state which, const float *v)
{
    p->counting = 0;
    FV_TRY(fv__cuda_state_need(p, which));
    FV_TRY(put_slots(p, 0, p->state[which], v));
    if (which != FV_STATE_EMA || layout(p)->stat_elements == 0)
        return 0;
    return put_slots(p, 1, p->state[which] + layout(p)->elements, v);
}

int fv__cuda_state_get(struct fv_program *p, enum fv_state which, float *v)
{
    if (!p->state[which] && which == FV_STATE_EMA)
        return fv__cuda_params_get(p, v);
    if (!p->state[which]) {
        memset(v, 0, fv_state_count(p->net, which) * sizeof *v);
        return 0;
    }
    FV_TRY(get_slots(p, 0, p->state[which], v));
    if (which != FV_STATE_EMA || layout(p)->stat_elements == 0)
        return 0;
    return get_slots(p, 1, p->state[which] + layout(p)->elements, v);
}

/* Gradients are of two types, and hold the loss scale. */

int fv__cuda_grads_get(struct fv_program *p, float *g)
{
    const struct fv_lowered *l = layout(p);
    const size_t t_bytes = fv_low_grad_byte(l, l->elements_t);
    double scale = 1;
    float *slots = staging(p);
    char *raw = malloc(l->bytes[FV_LOW_GRAD] + 1);
    int rc = slots && raw ? 0 : fv_err(FV_ENOMEM, "backend cuda: out of memory");
    if (rc == 0)
        rc = get(p, raw, p->space[FV_LOW_GRAD], l->bytes[FV_LOW_GRAD]);
    if (rc == 0)
        rc = fv__cuda_loss_scale(p, &scale);
    if (rc == 0) {
        fv__cuda_widen(l->dtype, raw, slots, l->elements_t);
        fv__cuda_widen(FV_LOW_F32, raw + t_bytes, slots + l->elements_t,
                       l->elements - l->elements_t);
        for (size_t i = 0; i < l->elements; i++)
            slots[i] = (float)((double)slots[i] / scale);
        fv__cuda_from_slots(l, 0, slots, g);
        for (int t = 0; p->frozen && t < p->net->tensors; t++)
            if (p->frozen[t])
                memset(g + p->net->tensor[t].offset, 0, p->net->tensor[t].count * sizeof *g);
    }
    free(raw);
    free(slots);
    return rc;
}
