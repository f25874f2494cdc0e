/* SPDX-License-Identifier: MIT */
/* Between backward and update: are the gradients finite, how long are they, and what does the update make of that?
 *
 * The host does not wait for an answer: the update reads it from the control block. Sums are of fixed parts in a fixed
 * order, so that the norm, and with it every weight, has the same bits on each run.
 */
#include "trainer/cuda/gradients.cuh"

#include <float.h>

enum { THREADS = 256, TERMS = 4, SUMS = 3 + TERMS };

template <typename T> FV_KERNEL(THREADS) gradient_norm(struct fv_k_gradient_norm a)
{
    FV_SHARED(float, squares, THREADS);
    FV_SHARED(int, bads, THREADS);
    const size_t step = (size_t)gridDim.x * THREADS * 8;
    float square = 0;
    int bad = 0;
    for (size_t at = 8 * ((size_t)blockIdx.x * THREADS + threadIdx.x); at < a.gradients.count;
         at += step) {
        float g[8];
        if (a.block[at / FV_BLOCK].lr_factor == 0)
            continue;
        fv__load_gradient<T>(a.gradients, at, g);
        FV_UNROLL
        for (int i = 0; i < 8; i++) {
            square += g[i] * g[i];
            bad |= !(fabsf(g[i]) <= FLT_MAX);
        }
    }
    squares[threadIdx.x] = square;
    bads[threadIdx.x] = bad;
    for (int span = THREADS / 2; span > 0; span /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < span) {
            square += squares[(int)threadIdx.x + span];
            bad |= bads[(int)threadIdx.x + span];
            squares[threadIdx.x] = square;
            bads[threadIdx.x] = bad;
        }
    }
    if (threadIdx.x == 0) {
        a.partial[2 * blockIdx.x] = square;
        a.partial[2 * blockIdx.x + 1] = (float)bad;
    }
}

template <typename T> FV_KERNEL(THREADS) accumulate(struct fv_k_accumulate a)
{
    const size_t step = (size_t)gridDim.x * THREADS * 8;
    const float by = 1 / a.control->loss_scale;
    if (a.control->hold)
        return;
    for (size_t at = 8 * ((size_t)blockIdx.x * THREADS + threadIdx.x); at < a.gradients.count;
         at += step) {
        float g[8], sum[8] = {0};
        if (a.block[at / FV_BLOCK].lr_factor == 0)
            continue;
        fv__load_gradient<T>(a.gradients, at, g);
        if (!a.first)
            fv_load8(a.sum + at, sum);
        FV_UNROLL
        for (int i = 0; i < 8; i++)
            sum[i] += g[i] * by;
        fv_store8(a.sum + at, sum);
    }
}

FV_KERNEL(THREADS) forget(struct fv_k_forget a)
{
    const float zero[8] = {0};
    const size_t step = (size_t)gridDim.x * THREADS * 8;
    if (a.control->hold)
        return;
    for (size_t at = 8 * ((size_t)blockIdx.x * THREADS + threadIdx.x); at < a.count; at += step)
        fv_store8(a.sum + at, zero);
}

/* Sums of one block's threads, in doubles: thread 0 has them all in the end. */
template <typename S> __device__ static inline void sum_block(S &shared, double (&v)[SUMS])
{
    for (int i = 0; i < SUMS; i++)
        shared[SUMS * (int)threadIdx.x + i] = v[i];
    for (int span = THREADS / 2; span > 0; span /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < span)
            for (int i = 0; i < SUMS; i++) {
                v[i] += shared[SUMS * ((int)threadIdx.x + span) + i];
                shared[SUMS * (int)threadIdx.x + i] = v[i];
            }
    }
}

__device__ static inline float next_scale(float scale, int finite, int growth_steps,
                                          int32_t *good_steps)
{
    if (growth_steps == 0)
        return scale;
    *good_steps = finite ? *good_steps + 1 : 0;
    if (!finite)
        return scale > 2 ? scale / 2 : 1;
    if (*good_steps < growth_steps)
        return scale;
    *good_steps = 0;
    return scale < 8388608 ? scale * 2 : 16777216;
}

FV_KERNEL(THREADS) decide(struct fv_k_decide a, int parts)
{
    FV_SHARED(double, shared, SUMS *THREADS);
    double sum[SUMS] = {0}; /* squares, faults, hits, each term's losses */
    const fv_k_hyper h = *a.hyper;
    for (int i = (int)threadIdx.x; i < parts; i += THREADS) {
        sum[0] += (double)a.partial[2 * i];
        sum[1] += (double)a.partial[2 * i + 1];
    }
    for (int i = (int)threadIdx.x; i < h.n; i += THREADS) {
        sum[2] += a.hits ? (double)a.hits[i] : 0;
        for (int t = 0; t < TERMS; t++)
            sum[3 + t] += t < a.terms ? (double)a.items[(size_t)t * a.rows + i] : 0;
    }
    sum_block(shared, sum);
    if (threadIdx.x > 0)
        return;
    fv_k_control c = *a.control;
    if (c.hold) {
        a.control->finite = 0;
        return;
    }
    c.used_scale = c.loss_scale;
    c.loss = 0;
    for (int t = 0; t < TERMS; t++) {
        c.term[t] = sum[3 + t] / h.n;
        c.loss += c.term[t];
    }
    c.correct = sum[2];
    c.n = h.n;
    c.finite = sum[1] == 0 && fabs(c.loss) <= DBL_MAX;
    const double by = a.is_sum ? (double)h.inverse_parts : 1 / (double)c.loss_scale;
    c.grad_norm = sqrt(sum[0]) * by;
    const double clip = h.clip_norm > 0 ? (double)h.clip_norm / (c.grad_norm + 1e-6) : 1;
    c.factor = (float)(by * (clip < 1 ? clip : 1));
    if (c.finite && h.update) {
        c.updates++;
        c.step = (float)(1 / (1 - pow(h.beta1_exact, (double)c.updates)));
        c.root = (float)(1 / sqrt(1 - pow(h.beta2_exact, (double)c.updates)));
    }
    if (!a.is_sum || !c.broken)
        c.loss_scale = next_scale(c.loss_scale, c.finite, h.growth_steps, &c.good_steps);
    c.broken = !h.update && (c.broken || !c.finite);
    c.hold = h.holds && !c.finite && !(fabs(c.loss) <= DBL_MAX && c.used_scale > 1);
    *a.control = c;
}

/* --- launches --- */

static unsigned parts_of(size_t count)
{
    const size_t parts = (count + 8 * THREADS - 1) / (8 * THREADS), most = 512;
    return (unsigned)(parts < most ? parts : most);
}

template <typename T> static int norm_launch(const struct fv_k_gradient_norm *a, fv_stream s)
{
    return FV_LAUNCH("gradient_norm", (gradient_norm<T>), parts_of(a->gradients.count), THREADS, s,
                     *a);
}

template <typename T> static int accumulate_launch(const struct fv_k_accumulate *a, fv_stream s)
{
    const size_t blocks = (a->gradients.count / 8 + THREADS - 1) / THREADS;
    return FV_LAUNCH("accumulate", (accumulate<T>), (unsigned)(blocks < 2048 ? blocks : 2048),
                     THREADS, s, *a);
}

extern "C" {

size_t fv_k_gradient_norm_partial(size_t count)
{
    return 2 * (size_t)parts_of(count);
}

int fv_k_gradient_norm(const struct fv_k_gradient_norm *a, fv_stream s)
{
    FV_TRY(fv__gradients_check("gradient_norm", &a->gradients));
    return FV_BY_TYPE(a->gradients.type, norm_launch, a, s);
}

int fv_k_accumulate(const struct fv_k_accumulate *a, fv_stream s)
{
    FV_TRY(fv__gradients_check("accumulate", &a->gradients));
    return FV_BY_TYPE(a->gradients.type, accumulate_launch, a, s);
}

int fv_k_forget(const struct fv_k_forget *a, fv_stream s)
{
    const size_t blocks = (a->count / 8 + THREADS - 1) / THREADS;
    if (a->count < 1 || a->count % FV_BLOCK)
        return fv_err(FV_EINVAL, "kernel forget: %zu elements, which must be a multiple of 256",
                      a->count);
    return FV_LAUNCH("forget", forget, (unsigned)(blocks < 2048 ? blocks : 2048), THREADS, s, *a);
}

int fv_k_decide(const struct fv_k_decide *a, fv_stream s)
{
    if (a->terms < 1 || a->terms > TERMS || a->rows < 1)
        return fv_err(FV_EINVAL, "kernel decide: %d terms of %d rows", a->terms, a->rows);
    return FV_LAUNCH("decide", decide, 1, THREADS, s, *a, (int)parts_of(a->count));
}
}
