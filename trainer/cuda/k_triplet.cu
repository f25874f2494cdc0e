/* SPDX-License-Identifier: MIT */
/* Triplet loss, as trainer/loss/loss_triplet.c defines it, over the distances of all pairs of the batch: one block an
 * anchor.
 *
 * Distances are made of differences and not of products, so that equal embeddings are exactly 0 apart. Of equal
 * distances the item that comes first is taken, whatever thread found it, and every sum has a fixed order. The
 * gradient by unit rows goes to the embedding through fv_k_normalise_backward.
 */
#include "trainer/cuda/launch.cuh"

#include <math.h>

enum { THREADS = 256, WARP = 32, WARPS = THREADS / WARP };
#define SHORTEST 1e-12f /* norm that an embedding is divided by */

/* What the launches leave for each other. */
struct parts {
    float *unit, *norm, *grad; /* (rows, stride), (rows), (rows, stride) */
    float *dist, *slope;       /* (rows, rows): slope is of the anchor's losses by its distances */
    int *pick;                 /* (rows, rows): semi-hard, the negative of each positive; -1 */
    float *triplets, *active, *apart; /* (rows): counts; sum of distances to items after it */
    float *all;                       /* triplets of the batch */
};

static parts parts_of(const struct fv_k_triplet *a)
{
    const size_t rows = (size_t)a->rows, cells = rows * (size_t)a->stride;
    parts p;
    p.unit = a->work;
    p.grad = p.unit + cells;
    p.dist = p.grad + cells;
    p.slope = p.dist + rows * rows;
    p.pick = (int *)(p.slope + rows * rows);
    p.norm = (float *)(p.pick + rows * rows);
    p.triplets = p.norm + rows;
    p.active = p.triplets + rows;
    p.apart = p.active + rows;
    p.all = p.apart + rows;
    return p;
}

__device__ static inline int identity(const struct fv_k_triplet &a, int i)
{
    return a.lambda[i] == 0 ? a.label_mix[i] : a.label[i];
}

/* --- distances of an anchor --- */

__device__ static inline void measure(const struct fv_k_triplet &a, const float *unit, int anchor,
                                      float *dist, float *slope)
{
    const int lane = (int)threadIdx.x % WARP, n = a.hyper->n;
    const float *u = unit + (size_t)anchor * a.stride;
    for (int j = (int)threadIdx.x / WARP; j < n; j += WARPS) {
        const float *v = unit + (size_t)j * a.stride;
        float sum = 0;
        for (int k = lane; k < a.dim; k += WARP)
            sum += (u[k] - v[k]) * (u[k] - v[k]);
        for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
            sum += fv_shuffle_xor(sum, lanes);
        if (lane == 0) {
            dist[j] = a.squared ? sum : sqrtf(sum);
            slope[j] = 0;
        }
    }
}

/* The farthest item of the anchor's identity and the nearest of another, -1 where there is none; the sum of distances
 * to later items; whether a distance is no number, which comparisons would pass over. */
struct found {
    float far, near;
    int far_at, near_at, bad;
    double apart;
};

__device__ static inline void join(found &f, float far, int far_at, float near, int near_at)
{
    if (far_at >= 0 && (f.far_at < 0 || far > f.far || (far == f.far && far_at < f.far_at))) {
        f.far = far;
        f.far_at = far_at;
    }
    if (near_at >= 0 &&
        (f.near_at < 0 || near < f.near || (near == f.near && near_at < f.near_at))) {
        f.near = near;
        f.near_at = near_at;
    }
}

/* A thread's share of them. */
__device__ static inline found look(const struct fv_k_triplet &a, int anchor, const float *dist)
{
    const int n = a.hyper->n, own = identity(a, anchor);
    found f = {0, 0, -1, -1, 0, 0};
    for (int j = (int)threadIdx.x; j < n; j += THREADS) {
        const float d = dist[j];
        const int same = identity(a, j) == own;
        f.bad |= d != d;
        f.apart += j <= anchor ? 0 : (double)(a.squared ? sqrtf(d) : d);
        if (j != anchor)
            join(f, d, same ? j : -1, d, same ? -1 : j);
    }
    return f;
}

/* --- losses of an anchor --- */

struct sums {
    double loss, triplets, active;
};

/* A triplet's loss joins the sums; returns its slope by the difference of distances. */
__device__ static inline float add_triplet(const struct fv_k_triplet &a, sums &s, float positive,
                                           float negative)
{
    const float x = positive - negative, loss = x + a.margin;
    s.triplets += 1;
    if (a.soft) {
        const float e = expf(-fabsf(x));
        s.loss += (double)((x > 0 ? x : 0) + log1pf(e));
        s.active += x > 0;
        return x > 0 ? 1 / (1 + e) : e / (1 + e);
    }
    s.loss += (double)(loss < 0 ? 0 : loss);
    s.active += loss > 0;
    return loss > 0;
}

/* The nearest item of another identity that is farther than `than`, by all lanes of a warp; -1: none. */
__device__ static inline int next_farther(const struct fv_k_triplet &a, const float *dist, int own,
                                          float than)
{
    found f = {0, 0, -1, -1, 0, 0};
    for (int j = (int)threadIdx.x % WARP; j < a.hyper->n; j += WARP)
        if (identity(a, j) != own && dist[j] > than)
            join(f, 0, -1, dist[j], j);
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        const float near = fv_shuffle_xor(f.near, lanes);
        const int at = fv_shuffle_xor(f.near_at, lanes);
        join(f, 0, -1, near, at);
    }
    return f.near_at;
}

/* Every positive of the anchor, a warp each; what this warp's come to. */
__device__ static inline sums mine_semi_hard(const struct fv_k_triplet &a, int anchor,
                                             const float *dist, float *slope, int *pick)
{
    const int lane = (int)threadIdx.x % WARP, n = a.hyper->n, own = identity(a, anchor);
    sums s = {0, 0, 0};
    for (int j = (int)threadIdx.x / WARP; j < n; j += WARPS) {
        int negative = -1;
        if (j != anchor && identity(a, j) == own) /* the whole warp */
            negative = next_farther(a, dist, own, dist[j]);
        if (lane == 0) {
            pick[j] = negative;
            if (negative >= 0)
                slope[j] = add_triplet(a, s, dist[j], dist[negative]);
        }
    }
    return s;
}

/* What the positives that picked an item take from its slope. */
__device__ static inline void take_slopes(const struct fv_k_triplet &a, int anchor, float *slope,
                                          const int *pick)
{
    const int n = a.hyper->n, own = identity(a, anchor);
    for (int k = (int)threadIdx.x; k < n; k += THREADS) {
        float taken = 0;
        if (identity(a, k) == own)
            continue;
        for (int j = 0; j < n; j++)
            if (pick[j] == k)
                taken += slope[j];
        slope[k] = -taken;
    }
}

FV_KERNEL(THREADS) triplet_mine(struct fv_k_triplet a, parts p)
{
    FV_SHARED(found, shared, THREADS);
    FV_SHARED(sums, of_warp, WARPS);
    const int anchor = (int)blockIdx.x, me = (int)threadIdx.x, n = a.hyper->n;
    float *dist = p.dist + (size_t)anchor * n, *slope = p.slope + (size_t)anchor * n;
    int *pick = p.pick + (size_t)anchor * n;
    if (anchor >= n) { /* no such item in this batch */
        if (me == 0)
            a.items[anchor] = 0;
        return;
    }
    measure(a, p.unit, anchor, dist, slope);
    __syncthreads();
    found f = look(a, anchor, dist);
    shared[me] = f;
    for (int span = THREADS / 2; span > 0; span /= 2) {
        __syncthreads();
        if (me < span) {
            const found o = shared[me + span];
            join(f, o.far, o.far_at, o.near, o.near_at);
            f.bad |= o.bad;
            f.apart += o.apart;
            shared[me] = f;
        }
    }
    sums s = {0, 0, 0};
    if (a.semi_hard) {
        s = mine_semi_hard(a, anchor, dist, slope, pick);
    } else if (me == 0 && f.far_at >= 0 && f.near_at >= 0) {
        const float share = add_triplet(a, s, f.far, f.near);
        slope[f.far_at] = share;
        slope[f.near_at] = -share;
    }
    if (me % WARP == 0)
        of_warp[me / WARP] = s;
    __syncthreads();
    if (a.semi_hard)
        take_slopes(a, anchor, slope, pick);
    if (me > 0)
        return;
    for (int w = 1; w < WARPS; w++) {
        const sums o = of_warp[w];
        s.loss += o.loss;
        s.triplets += o.triplets;
        s.active += o.active;
    }
    a.items[anchor] = f.bad ? NAN : (float)s.loss;
    p.triplets[anchor] = (float)s.triplets;
    p.active[anchor] = (float)s.active;
    p.apart[anchor] = (float)f.apart;
}

/* --- the batch --- */

/* The mean over items of what items become is the mean over triplets. */
FV_KERNEL(THREADS) triplet_sum(struct fv_k_triplet a, parts p)
{
    FV_SHARED(sums, shared, THREADS);
    const int me = (int)threadIdx.x, n = a.hyper->n;
    sums s = {0, 0, 0}; /* distances, triplets, active */
    for (int i = me; i < n; i += THREADS) {
        s.loss += (double)p.apart[i];
        s.triplets += (double)p.triplets[i];
        s.active += (double)p.active[i];
    }
    shared[me] = s;
    for (int span = THREADS / 2; span > 0; span /= 2) {
        __syncthreads();
        if (me < span) {
            const sums o = shared[me + span];
            s.loss += o.loss;
            s.triplets += o.triplets;
            s.active += o.active;
            shared[me] = s;
        }
    }
    __syncthreads();
    const sums whole = shared[0];
    const double by = (double)a.weight * (whole.triplets > 0 ? (double)n / whole.triplets : 1);
    for (int i = me; i < n; i += THREADS)
        a.items[i] = (float)((double)a.items[i] * by);
    if (me > 0)
        return;
    *p.all = (float)whole.triplets;
    a.control->shared.active = (float)(whole.active / whole.triplets);
    a.control->shared.distance = (float)(whole.loss / ((double)n * (n - 1) / 2));
}

/* dL/du_i = sum over j of (slope[i][j] + slope[j][i]) dD(i, j)/du_i. */
FV_KERNEL(THREADS) triplet_gradient(struct fv_k_triplet a, parts p, float *to, int add)
{
    FV_SHARED(float, share, THREADS);
    const int i = (int)blockIdx.x, me = (int)threadIdx.x, n = a.hyper->n;
    const float *u = p.unit + (size_t)i * a.stride;
    const float by = i<n && * p.all> 0 ? a.weight * a.control->loss_scale / *p.all : 0;
    for (int k = me; k < me + a.stride; k += THREADS) { /* every thread as often */
        const int column = k < a.stride ? k : -1;
        float sum = 0;
        for (int first = 0; first < n && i < n; first += THREADS) {
            const int j = first + me, count = n - first < THREADS ? n - first : THREADS;
            float s = 0;
            if (j < n) {
                const float d = p.dist[(size_t)i * n + j];
                s = p.slope[(size_t)i * n + j] + p.slope[(size_t)j * n + i];
                s = s == 0 || d == 0 ? 0 : by * s * (a.squared ? 2 : 1 / d);
            }
            __syncthreads();
            share[me] = s;
            __syncthreads();
            for (int t = 0; t < count && column >= 0 && column < a.dim; t++) {
                const float w = share[t];
                if (w != 0)
                    sum += w * (u[column] - p.unit[(size_t)(first + t) * a.stride + column]);
            }
        }
        if (column >= 0) {
            const size_t at = (size_t)i * a.stride + column;
            to[at] = add ? to[at] + sum : sum;
        }
    }
}

extern "C" {

size_t fv_k_triplet_work(int rows, int stride)
{
    const size_t n = (size_t)rows;
    return n * (2 * (size_t)stride + 3 * n + 4) + 1;
}

int fv_k_triplet(const struct fv_k_triplet *a, fv_stream s)
{
    const unsigned rows = (unsigned)a->rows;
    if (a->rows < 1 || a->dim < 1 || a->stride < a->dim)
        return fv_err(FV_EINVAL, "kernel triplet: %d rows of %d in %d", a->rows, a->dim, a->stride);
    parts p = parts_of(a);
    const struct fv_k_normalise_forward forward = {a->embedding, p.unit,    p.norm,
                                                   a->rows,      a->stride, SHORTEST};
    const struct fv_k_normalise_backward backward = {
        p.grad, p.unit, p.norm, a->gradient, a->rows, a->stride, a->add_gradient, SHORTEST};
    if (a->unit)
        FV_TRY(fv_k_normalise_forward(&forward, s));
    else
        FV_TRY(fv_k_copy(p.unit, a->embedding, (size_t)a->rows * (size_t)a->stride * sizeof(float),
                         s));
    FV_TRY(FV_LAUNCH("triplet_mine", triplet_mine, rows, THREADS, s, *a, p));
    FV_TRY(FV_LAUNCH("triplet_sum", triplet_sum, 1, THREADS, s, *a, p));
    FV_TRY(FV_LAUNCH("triplet_gradient", triplet_gradient, rows, THREADS, s, *a, p,
                     a->unit ? p.grad : a->gradient, a->unit ? 0 : a->add_gradient));
    return a->unit ? fv_k_normalise_backward(&backward, s) : 0;
}
}
