/* SPDX-License-Identifier: MIT */
/* Softmax cross-entropy over class scores, with a margin for the item's own class: one block an item.
 *
 * The row is walked twice: for the largest logit and the sum of powers in one go (each thread keeps both and scales the
 * sum when its maximum grows), and for the gradient; the second time it comes from the cache. The item's own class,
 * or the two classes of a mixture, stand apart as in trainer/loss/loss_softmax.c, whose formulas these are: what
 * belongs to them is worked out by one thread in double, because 1 - p of a class that is nearly sure would be lost.
 */
#include "trainer/cuda/launch.cuh"

#include <math.h>

enum { THREADS = 256, SCALARS = 6 };
enum { TOP, FACTOR, EVEN, AT_A, AT_B };

/* An item's classes: `b` is -1 unless it is a mixture. */
struct labels {
    int a, b;
    double share_a, share_b;
};

__device__ static inline labels labels_of(const struct fv_k_loss &l, int row)
{
    const double lambda = (double)l.lambda[row];
    labels r = {l.label[row], l.label_mix[row], lambda, 1 - lambda};
    if (lambda == 0)
        r.a = r.b;
    if (r.a == r.b || lambda == 1) {
        r.b = -1;
        r.share_a = 1;
        r.share_b = 0;
    }
    return r;
}

/* --- the own class's logit, and its slope by the score --- */

struct target {
    double logit, slope;
};

__device__ static inline double hold(double v, double least, double most)
{
    return v < least ? least : v > most ? most : v;
}

__device__ static inline target angular(const fv_k_margin &m, double cosine)
{
    const double pi = 3.14159265358979323846, limit = m.insightface ? 1 : 1 - 1e-7;
    const double x = hold(cosine, -limit, limit), t = acos(x), u = m.m1 * t + m.m2;
    target r = {cos(u) - m.m3, m.insightface ? 1 : x == cosine ? m.m1 * sin(u) / sin(t) : 0};
    if (m.insightface || u <= pi)
        return r;
    if (m.m1 == 1) {
        r.slope = 1;
        r.logit = cosine - m.m2 * sin(m.m2) - m.m3;
        return r;
    }
    const double k = floor(u / pi), sign = fmod(k, 2.0) == 0 ? 1 : -1;
    r.slope *= sign;
    r.logit = sign * cos(u) - 2 * k - m.m3;
    return r;
}

/* The margin by the norm of the embedding, given the norms' mean and deviation. */
__device__ static inline target adaptive(const fv_k_margin &m, double cosine, double norm,
                                         double mean, double deviation)
{
    const double pi = 3.14159265358979323846, eps = 1e-3;
    const double q = hold((hold(norm, 1e-3, 100) - mean) / (deviation + eps) * m.h, -1, 1);
    const double x = hold(cosine, eps - 1, 1 - eps), t = acos(x), moved = t - m.m2 * q;
    const double held = hold(moved, eps, pi - eps);
    target r = {cos(held) - (m.m2 + m.m2 * q),
                x == cosine && held == moved ? sin(held) / sin(t) : 0};
    return r;
}

__device__ static inline target plain(const fv_k_margin &m, double x)
{
    const double limit = (double)m.limit, scale = (double)m.scale;
    target r = {scale * hold(x, -limit, limit), fabs(x) > limit ? 0 : scale};
    return r;
}

__device__ static inline target own(const struct fv_k_loss &l, const fv_k_margin &m, int row,
                                    double x)
{
    target r = plain(m, x);
    if (m.kind == FV_K_MARGIN_NONE)
        return r;
    if (m.kind == FV_K_MARGIN_ADAFACE)
        r = adaptive(m, x, (double)l.norm[row], (double)*l.mean, (double)*l.deviation);
    else if (m.m1 != 1 || m.m2 != 0)
        r = angular(m, x);
    else
        r = {x - m.m3, 1};
    r.logit *= (double)m.scale;
    r.slope *= (double)m.scale;
    return r;
}

/* --- a row --- */

/* log(exp(top) * sum + exp(u) + exp(v)); v may be -INFINITY, sum may be 0. */
__device__ static inline double log_sum(double top, double sum, double u, double v)
{
    double m = u > v ? u : v;
    if (sum > 0 && top > m)
        m = top;
    const double rest = sum > 0 ? sum * exp(top - m) : sum; /* a NaN is passed on */
    return m + log(rest + exp(u - m) + exp(v - m));
}

/* The rest's largest logit, its sum of powers below that, and its sum of logits; the row's best class. */
struct summary {
    float top, sum, best;
    int best_at;
    double logits;
};

__device__ static inline void join_best(summary &s, float best, int at)
{
    if (best > s.best || (best == s.best && at < s.best_at)) {
        s.best = best;
        s.best_at = at;
    }
}

__device__ static inline void join(summary &s, const summary &o)
{
    const float top = o.top > s.top ? o.top : s.top;
    if (top > -INFINITY)
        s.sum = s.sum * expf(s.top - top) + o.sum * expf(o.top - top);
    s.top = top;
    s.logits += o.logits;
    join_best(s, o.best, o.best_at);
}

__device__ static inline float clamp(float x, float limit)
{
    return x < -limit ? -limit : x > limit ? limit : x;
}

__device__ static inline summary summarise(const float *__restrict__ x, int classes,
                                           const labels &who, float scale, float limit)
{
    summary s = {-INFINITY, 0, -INFINITY, 0x7fffffff, 0};
    for (int k = (int)threadIdx.x; k < classes; k += THREADS) {
        const float v = x[k];
        join_best(s, v, k);
        if (k == who.a || k == who.b)
            continue;
        const float z = scale * clamp(v, limit);
        s.logits += (double)z;
        if (z > s.top) {
            s.sum = s.sum * expf(s.top - z) + 1;
            s.top = z;
        } else if (z != -INFINITY) {
            s.sum += expf(z - s.top);
        }
    }
    return s;
}

/* What the row's gradient is made of, from its summary; stores the item's loss and hit. */
template <typename S>
__device__ static inline void work_out(const struct fv_k_loss &l, const fv_k_margin &m, int row,
                                       const labels &who, const float *x, const summary &s,
                                       S &scalars)
{
    const bool mixed = who.b >= 0;
    const double none = -INFINITY, smooth = (double)m.smooth, even = smooth / l.classes,
                 sure = 1 - smooth;
    const double xa = (double)x[who.a], xb = mixed ? (double)x[who.b] : 0;
    const target own_a = own(l, m, row, xa), other_a = plain(m, xa);
    const target own_b = mixed ? own(l, m, row, xb) : own_a;
    target other_b = {0, 0};
    if (mixed)
        other_b = plain(m, xb);
    const double all_a =
        log_sum((double)s.top, (double)s.sum, own_a.logit, mixed ? other_b.logit : none);
    const double all_b =
        mixed ? log_sum((double)s.top, (double)s.sum, own_b.logit, other_a.logit) : all_a;
    double loss = who.share_a *
                  (all_a - sure * own_a.logit - even * (s.logits + own_a.logit + other_b.logit));
    double factor = who.share_a * exp((double)s.top - all_a), at_b = 0;
    double at_a = who.share_a * (exp(own_a.logit - all_a) - sure - even) * own_a.slope;
    if (mixed) {
        loss += who.share_b *
                (all_b - sure * own_b.logit - even * (s.logits + own_b.logit + other_a.logit));
        factor += who.share_b * exp((double)s.top - all_b);
        at_a += who.share_b * (exp(other_a.logit - all_b) - even) * other_a.slope;
        at_b = who.share_a * (exp(other_b.logit - all_a) - even) * other_b.slope +
               who.share_b * (exp(own_b.logit - all_b) - sure - even) * own_b.slope;
    }
    const double by = (double)m.weight / l.hyper->n * (double)l.control->loss_scale,
                 scale = (double)m.scale;
    scalars[TOP] = s.top;
    scalars[FACTOR] = (float)(by * scale * factor);
    scalars[EVEN] = (float)(by * scale * even);
    scalars[AT_A] = (float)(by * at_a);
    scalars[AT_B] = (float)(by * at_b);
    const float item = (float)((double)m.weight * loss);
    l.items[row] = l.add_items ? l.items[row] + item : item;
    if (l.hits)
        l.hits[row] = (float)((s.best_at == who.a ? who.share_a : 0) +
                              (s.best_at == who.b ? who.share_b : 0));
}

FV_KERNEL(THREADS) loss_softmax(struct fv_k_loss l)
{
    FV_SHARED(summary, shared, THREADS);
    FV_SHARED(float, scalars, SCALARS);
    const int row = (int)blockIdx.x, me = (int)threadIdx.x;
    const float *x = l.scores + (size_t)row * l.stride;
    float *g = l.gradient + (size_t)row * l.stride;
    if (row >= l.hyper->n) { /* no such item in this batch */
        for (int k = me; k < l.stride && !l.add_gradient; k += THREADS)
            g[k] = 0;
        if (me == 0 && !l.add_items)
            l.items[row] = 0;
        if (me == 0 && l.hits)
            l.hits[row] = 0;
        return;
    }
    const fv_k_margin m = *l.margin;
    const labels who = labels_of(l, row);
    summary s = summarise(x, l.classes, who, m.scale, m.limit);
    shared[me] = s;
    for (int span = THREADS / 2; span > 0; span /= 2) {
        __syncthreads();
        if (me < span) {
            const summary other = shared[me + span];
            join(s, other);
            shared[me] = s;
        }
    }
    if (me == 0)
        work_out(l, m, row, who, x, s, scalars);
    __syncthreads();
    const float top = scalars[TOP], factor = scalars[FACTOR], even = scalars[EVEN],
                at_a = scalars[AT_A], at_b = scalars[AT_B];
    for (int k = me; k < l.stride; k += THREADS) {
        float v = 0; /* past the classes: padding */
        if (k < l.classes) {
            const float score = x[k];
            v = factor * expf(m.scale * clamp(score, m.limit) - top) - even;
            v = fabsf(score) > m.limit ? 0 : v;
            v = k == who.a ? at_a : k == who.b ? at_b : v;
        }
        g[k] = l.add_gradient ? g[k] + v : v;
    }
}

/* --- the norms' statistics --- */

FV_KERNEL(THREADS) norm_moments(struct fv_k_norm_moments a)
{
    FV_SHARED(double, shared, THREADS);
    const int n = a.hyper->n, me = (int)threadIdx.x;
    double mean = 0, deviation = 0;
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        for (int i = me; i < n; i += THREADS) {
            const double r = hold((double)a.norm[i], 1e-3, 100);
            sum += pass ? (r - mean) * (r - mean) : r;
        }
        __syncthreads();
        shared[me] = sum;
        for (int span = THREADS / 2; span > 0; span /= 2) {
            __syncthreads();
            if (me < span) {
                sum += shared[me + span];
                shared[me] = sum;
            }
        }
        __syncthreads();
        if (pass)
            deviation = sqrt(shared[0] / (n - 1));
        else
            mean = shared[0] / n;
    }
    if (me > 0)
        return;
    const double share = (double)a.margin->t_alpha, old_mean = (double)*a.mean,
                 old_deviation = (double)*a.deviation;
    *a.new_mean = (float)(share * mean + (1 - share) * old_mean);
    *a.new_deviation =
        n < 2 ? *a.deviation : (float)(share * deviation + (1 - share) * old_deviation);
}

extern "C" {

int fv_k_loss(const struct fv_k_loss *a, fv_stream s)
{
    if (a->rows < 1 || a->classes < 1 || a->stride < a->classes)
        return fv_err(FV_EINVAL, "kernel loss: %d rows of %d classes in %d", a->rows, a->classes,
                      a->stride);
    return FV_LAUNCH("loss", loss_softmax, (unsigned)a->rows, THREADS, s, *a);
}

int fv_k_norm_moments(const struct fv_k_norm_moments *a, fv_stream s)
{
    return FV_LAUNCH("norm_moments", norm_moments, 1, THREADS, s, *a);
}
}
