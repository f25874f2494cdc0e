/* SPDX-License-Identifier: MIT */
/* The update of all parameters at once: flat arenas, one launch, all that changes from step to step read from memory.
 *
 * A thread takes eight elements at a time; 32 threads take a block, whose tensor's factors they share. Each plane is
 * read and written once. trainer/optim.c states the rules; this is the same in fp32.
 */
#include "trainer/cuda/gradients.cuh"

enum { THREADS = 256 };

/* What a block's elements are updated with. */
struct rates {
    float lr, decay, shrink, momentum, factor, step, root;
};

__device__ static inline rates rates_of(const fv_k_hyper &h, const fv_k_control &c,
                                        const fv_k_block &b)
{
    rates r;
    const float decay = h.weight_decay * b.decay_factor;
    r.lr = h.lr * b.lr_factor;
    r.decay = h.decoupled ? 0 : decay;
    r.shrink = h.decoupled ? 1 - r.lr * decay : 1;
    r.momentum = h.momentum;
    r.factor = c.factor;
    r.step = r.lr * c.step;
    r.root = c.root;
    return r;
}

__device__ static inline void follow(float *average, size_t at, const float (&w)[8], float share)
{
    float v[8];
    fv_load8(average + at, v);
    FV_UNROLL
    for (int i = 0; i < 8; i++)
        v[i] += share * (w[i] - v[i]);
    fv_store8(average + at, v);
}

__device__ static inline void store_copy(enum fv_k_type type, void *work, size_t at,
                                         const float (&w)[8])
{
    if (type == FV_K_BF16)
        fv_store8((fv_bf16 *)work + at, w);
    else
        fv_store8((fv_f16 *)work + at, w);
}

template <typename T, bool ADAM> FV_KERNEL(THREADS) optim(struct fv_k_optim a)
{
    if (!a.control->finite || !a.hyper->update)
        return;
    const fv_k_hyper h = *a.hyper;
    const size_t step = (size_t)gridDim.x * THREADS * 8;
    for (size_t at = 8 * ((size_t)blockIdx.x * THREADS + threadIdx.x); at < a.gradients.count;
         at += step) {
        const fv_k_block b = a.block[at / FV_BLOCK];
        if (b.lr_factor == 0)
            continue;
        const rates r = rates_of(h, *a.control, b);
        float w[8], g[8], m[8], v[8];
        fv__load_gradient<T>(a.gradients, at, g);
        fv_load8(a.master + at, w);
        fv_load8(a.first + at, m);
        if (ADAM)
            fv_load8(a.second + at, v);
        FV_UNROLL
        for (int i = 0; i < 8; i++) {
            w[i] *= r.shrink;
            const float gradient = g[i] * r.factor + r.decay * w[i];
            if (ADAM) {
                m[i] = h.beta1 * m[i] + h.one_minus_beta1 * gradient;
                v[i] = h.beta2 * v[i] + h.one_minus_beta2 * gradient * gradient;
                w[i] -= r.step * m[i] / (sqrtf(v[i]) * r.root + h.eps);
            } else {
                m[i] = r.momentum * m[i] + gradient;
                w[i] -= r.lr * (h.nesterov ? gradient + r.momentum * m[i] : m[i]);
            }
        }
        fv_store8(a.master + at, w);
        fv_store8(a.first + at, m);
        if (ADAM)
            fv_store8(a.second + at, v);
        if (a.work && at < a.gradients.low_count)
            store_copy(a.work_type, a.work, at, w);
        if (a.average && h.ema_share > 0)
            follow(a.average, at, w, h.ema_share);
    }
}

FV_KERNEL(THREADS) running(struct fv_k_running a)
{
    const size_t step = (size_t)gridDim.x * THREADS;
    if (!a.control->finite)
        return;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < a.count; i += step) {
        const float momentum = a.momentum[i / FV_BLOCK];
        float v = a.running[i];
        if (momentum > 0)
            a.running[i] = v = (1 - momentum) * v + momentum * a.batch[i];
        if (a.average && a.hyper->update && a.hyper->ema_share > 0)
            a.average[i] += a.hyper->ema_share * (v - a.average[i]);
    }
}

static unsigned blocks_for(size_t items)
{
    const size_t blocks = (items + THREADS - 1) / THREADS;
    return (unsigned)(blocks < 2048 ? blocks : 2048);
}

template <typename T> static int launch(const struct fv_k_optim *a, fv_stream s)
{
    const unsigned grid = blocks_for(a->gradients.count / 8);
    return a->is_adam ? FV_LAUNCH("optim", (optim<T, true>), grid, THREADS, s, *a)
                      : FV_LAUNCH("optim", (optim<T, false>), grid, THREADS, s, *a);
}

extern "C" {

int fv_k_optim(const struct fv_k_optim *a, fv_stream s)
{
    FV_TRY(fv__gradients_check("optim", &a->gradients));
    if (a->work && a->work_type == FV_K_F32)
        return fv_err(FV_EINVAL, "kernel optim: a working copy of 32 bits");
    return FV_BY_TYPE(a->gradients.type, launch, a, s);
}

int fv_k_running(const struct fv_k_running *a, fv_stream s)
{
    if (a->count < 1 || a->count % FV_BLOCK)
        return fv_err(FV_EINVAL, "kernel running: %zu statistics, which must be a multiple of 256",
                      a->count);
    return FV_LAUNCH("running", running, blocks_for(a->count), THREADS, s, *a);
}
}
