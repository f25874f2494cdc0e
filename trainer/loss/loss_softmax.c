/* SPDX-License-Identifier: MIT */
/* Softmax cross-entropy of one row, which every loss over class scores is made of.
 *
 *     z_k = scale * clamp(x_k)                       for every class but the item's own
 *     z_y = target(x_y)                              for its own; scale * clamp(x_y) without a margin
 *     L_y = log(sum_k exp(z_k)) - sum_k q_k z_k      q_k = (1 - smooth) [k = y] + smooth / classes
 *     L   = lambda * L_label + (1 - lambda) * L_label_mix
 *
 * In a mixture each label in turn is "its own", so there are two softmaxes that differ in two logits. The classes that
 * are neither (the rest) are summed once, below their own maximum; the two others join as a log-sum-exp of three,
 * in which nothing cancels. A row is walked three times in blocks that stay in registers and the first cache, and
 * needs no memory of its own: where the gradient is fp32 and this term's alone, its row keeps the powers in between.
 */
#include "trainer/loss/loss_impl.h"

#include <math.h>

/* exp by 2^k * p(r), r within +-ln(2) / 2, p a Taylor polynomial of degree 11: no branch, so that it becomes vector
 * code. Below -700 it stays at exp(-700) = 1e-304, which vanishes beside the exp(0) that is in every sum. */
void fv__loss_exp(double e[FV_LOSS_BLOCK], const double x[FV_LOSS_BLOCK], double top)
{
    static const double log2e = 1.4426950408889634, ln2_high = 6.93147180369123816490e-01,
                        ln2_low = 1.90821492927058770002e-10, magic = 6755399441055744.0;
    union {
        double d[FV_LOSS_BLOCK];
        int64_t i[FV_LOSS_BLOCK];
    } k;
    double r[FV_LOSS_BLOCK];
    for (int i = 0; i < FV_LOSS_BLOCK; i++) {
        double v = x[i] - top;
        v = v < -700.0 ? -700.0 : v;
        double whole = v * log2e + magic;
        k.d[i] = whole;
        whole -= magic;
        r[i] = v - whole * ln2_high - whole * ln2_low;
    }
    /* the lowest bits of k.d are the integer, in two's complement */
    for (int i = 0; i < FV_LOSS_BLOCK; i++)
        k.i[i] = (int64_t)((uint64_t)k.i[i] << 52) + (INT64_C(1023) << 52);
    for (int i = 0; i < FV_LOSS_BLOCK; i++) {
        const double v = r[i];
        double p = 1.0 / 39916800;
        p = p * v + 1.0 / 3628800;
        p = p * v + 1.0 / 362880;
        p = p * v + 1.0 / 40320;
        p = p * v + 1.0 / 5040;
        p = p * v + 1.0 / 720;
        p = p * v + 1.0 / 120;
        p = p * v + 1.0 / 24;
        p = p * v + 1.0 / 6;
        p = p * v + 0.5;
        p = p * v + 1.0;
        p = p * v + 1.0;
        e[i] = p * k.d[i];
    }
}

/* One item's row and its labels. */
struct row {
    struct fv_loss_rows m; /* of this row */
    size_t classes, a, b;  /* b: SIZE_MAX unless mixed */
    double share_a, share_b;
    double scale, limit;
};

static struct row row_of(const struct fv_loss_call *c, int term, size_t item,
                         const struct fv__loss_softmax *s)
{
    const struct fv_loss_rows *m = &c->in[fv_loss_scores(&c->spec->term[term])];
    const size_t at = item * (size_t)c->classes;
    const double lambda = (double)c->lambda[item];
    struct row r = {.classes = (size_t)c->classes,
                    .a = (size_t)c->label[item],
                    .b = (size_t)c->label_mix[item],
                    .share_a = lambda,
                    .share_b = 1 - lambda,
                    .scale = s->scale,
                    .limit = s->limit};
    r.m = (struct fv_loss_rows){.f = m->f ? m->f + at : NULL,
                                .d = m->d ? m->d + at : NULL,
                                .grad_f = m->grad_f ? m->grad_f + at : NULL,
                                .grad_d = m->grad_d ? m->grad_d + at : NULL};
    if (lambda == 0)
        r.a = r.b;
    if (r.a == r.b || lambda == 1) {
        r.b = SIZE_MAX;
        r.share_a = 1;
        r.share_b = 0;
    }
    return r;
}

static double plain(const struct row *r, double x)
{
    return r->scale * (x < -r->limit ? -r->limit : x > r->limit ? r->limit : x);
}
static double plain_slope(const struct row *r, double x)
{
    return fabs(x) > r->limit ? 0 : r->scale;
}

/* Logits of the classes k .. k + 63; what is no rest gets `hole`. Returns how many classes there are. */
static size_t load(const struct row *r, size_t k, double hole, double z[FV_LOSS_BLOCK])
{
    const size_t n = r->classes - k < FV_LOSS_BLOCK ? r->classes - k : FV_LOSS_BLOCK;
    if (r->m.f)
        for (size_t i = 0; i < n; i++)
            z[i] = (double)r->m.f[k + i];
    else
        for (size_t i = 0; i < n; i++)
            z[i] = r->m.d[k + i];
    if (isfinite(r->limit))
        for (size_t i = 0; i < n; i++)
            z[i] = z[i] < -r->limit ? -r->limit : z[i] > r->limit ? r->limit : z[i];
    for (size_t i = 0; i < n; i++)
        z[i] *= r->scale;
    for (size_t i = n; i < FV_LOSS_BLOCK; i++)
        z[i] = hole;
    if (r->a - k < n)
        z[r->a - k] = hole;
    if (r->b - k < n)
        z[r->b - k] = hole;
    return n;
}

/* The largest logit of the rest; -INFINITY if there is none. */
static double rest_top(const struct row *r)
{
    double top[8], z[FV_LOSS_BLOCK];
    for (int i = 0; i < 8; i++)
        top[i] = -INFINITY;
    for (size_t k = 0; k < r->classes; k += FV_LOSS_BLOCK) {
        load(r, k, -INFINITY, z);
        for (int i = 0; i < FV_LOSS_BLOCK; i += 8)
            for (int j = 0; j < 8; j++)
                top[j] = z[i + j] > top[j] ? z[i + j] : top[j];
    }
    for (int i = 1; i < 8; i++)
        top[0] = top[i] > top[0] ? top[i] : top[0];
    return top[0];
}

/* The rest's sum of exp(z - top), and of z if it is wanted. The powers stay in `keep` unless that is NULL. */
static void rest_sums(const struct row *r, double top, int want_logits, float *keep, double *exps,
                      double *logits)
{
    double z[FV_LOSS_BLOCK], e[FV_LOSS_BLOCK], sum[8] = {0}, sum_z[8] = {0};
    for (size_t k = 0; k < r->classes; k += FV_LOSS_BLOCK) {
        const size_t n = load(r, k, -INFINITY, z);
        fv__loss_exp(e, z, top);
        for (int i = 0; i < FV_LOSS_BLOCK; i += 8)
            for (int j = 0; j < 8; j++)
                sum[j] += e[i + j];
        for (size_t i = 0; keep && i < n; i++)
            keep[k + i] = (float)e[i];
        if (!want_logits)
            continue;
        load(r, k, 0, z);
        for (int i = 0; i < FV_LOSS_BLOCK; i += 8)
            for (int j = 0; j < 8; j++)
                sum_z[j] += z[i + j];
    }
    *exps = *logits = 0;
    for (int i = 0; i < 8; i++) {
        *exps += sum[i];
        *logits += sum_z[i];
    }
}

/* log(exp(top) * sum + exp(u) + exp(v)); v may be -INFINITY, sum may be 0. */
static double log_sum(double top, double sum, double u, double v)
{
    double m = u > v ? u : v;
    if (sum > 0 && top > m)
        m = top;
    const double rest = sum > 0 ? sum * exp(top - m) : sum; /* a NaN is passed on */
    return m + log(rest + exp(u - m) + exp(v - m));
}

/* The gradient by the rest: factor * exp(z - top) - even, times the slope. */
static void rest_grad(const struct row *r, double top, double factor, double even, int add)
{
    double z[FV_LOSS_BLOCK], e[FV_LOSS_BLOCK];
    for (size_t k = 0; k < r->classes; k += FV_LOSS_BLOCK) {
        const size_t n = load(r, k, -INFINITY, z);
        fv__loss_exp(e, z, top);
        for (size_t i = 0; i < n; i++)
            e[i] = factor * e[i] - even;
        for (size_t i = 0; i < n && isfinite(r->limit); i++)
            e[i] = fabs(fv__loss_at(&r->m, k + i)) > r->limit ? 0 : e[i];
        if (r->a - k < n)
            e[r->a - k] = 0;
        if (r->b - k < n)
            e[r->b - k] = 0;
        for (size_t i = 0; i < n; i++)
            fv__loss_put(&r->m, k + i, e[i], add);
    }
}

/* The same where the row of the gradient has the powers already. */
static void rest_grad_kept(const struct row *r, double factor, double even)
{
    const float f = (float)factor, u = (float)even;
    float *g = r->m.grad_f;
    for (size_t i = 0; i < r->classes; i++)
        g[i] = f * g[i] - u;
    for (size_t i = 0; i < r->classes && isfinite(r->limit); i++)
        g[i] = fabs((double)r->m.f[i]) > r->limit ? 0 : g[i];
    g[r->a] = 0;
    if (r->b != SIZE_MAX)
        g[r->b] = 0;
}

/* The largest of n floats, in lanes. */
static float largest(const float *x, size_t n)
{
    float top[16];
    size_t k = 0;
    for (int i = 0; i < 16; i++)
        top[i] = -INFINITY;
    for (; k + 16 <= n; k += 16)
        for (int i = 0; i < 16; i++)
            top[i] = x[k + (size_t)i] > top[i] ? x[k + (size_t)i] : top[i];
    for (; k < n; k++)
        top[0] = x[k] > top[0] ? x[k] : top[0];
    for (int i = 1; i < 16; i++)
        top[0] = top[i] > top[0] ? top[i] : top[0];
    return top[0];
}

/* The first of the largest scores. */
static size_t best_class(const struct row *r)
{
    size_t best = 0;
    if (r->m.f) {
        const float most = largest(r->m.f, r->classes);
        while (best + 1 < r->classes && !(r->m.f[best] == most))
            best++;
        return best;
    }
    for (size_t k = 1; k < r->classes; k++)
        if (r->m.d[k] > r->m.d[best])
            best = k;
    return best;
}

/* Share of a right answer. */
static double hit(const struct row *r)
{
    const size_t best = best_class(r);
    return (best == r->a ? r->share_a : 0) + (best == r->b ? r->share_b : 0);
}

static struct fv__loss_target target_of(const struct row *r, const struct fv__loss_softmax *s,
                                        double x)
{
    return s->target ? s->target(s->ctx, x)
                     : (struct fv__loss_target){plain(r, x), plain_slope(r, x)};
}

void fv__loss_softmax(struct fv_loss_call *c, int term, size_t item,
                      const struct fv__loss_softmax *s)
{
    const struct row r = row_of(c, term, item, s);
    const int add = !fv__loss_is_alone(c->spec, fv_loss_scores(&c->spec->term[term]));
    const int mixed = r.b != SIZE_MAX;
    const double weight = c->spec->term[term].weight / c->n, none = -INFINITY;
    const double even = s->smooth / (double)r.classes, sure = 1 - s->smooth;
    const double xa = fv__loss_at(&r.m, r.a), xb = mixed ? fv__loss_at(&r.m, r.b) : 0;
    const struct fv__loss_target own_a = target_of(&r, s, xa);
    const struct fv__loss_target own_b = mixed ? target_of(&r, s, xb) : own_a;
    const double other_a = plain(&r, xa), other_b = mixed ? plain(&r, xb) : 0;

    const double top = rest_top(&r);
    float *keep = !add && top > none ? r.m.grad_f : NULL;
    double exps = 0, logits = 0;
    if (top > none)
        rest_sums(&r, top, s->smooth > 0, keep, &exps, &logits);
    const double all_a = log_sum(top, exps, own_a.logit, mixed ? other_b : none);
    const double all_b = mixed ? log_sum(top, exps, own_b.logit, other_a) : all_a;
    double loss =
        r.share_a * (all_a - sure * own_a.logit - even * (logits + own_a.logit + other_b));
    if (mixed)
        loss += r.share_b * (all_b - sure * own_b.logit - even * (logits + own_b.logit + other_a));
    fv__loss_items(c, term)[item] = loss;
    if (term == c->spec->scored)
        c->work[(size_t)c->n + item] = hit(&r);

    double factor = r.share_a * exp(top - all_a), at_b = 0;
    double at_a = r.share_a * (exp(own_a.logit - all_a) - sure - even) * own_a.slope;
    if (mixed) {
        factor += r.share_b * exp(top - all_b);
        at_a += r.share_b * (exp(other_a - all_b) - even) * plain_slope(&r, xa);
        at_b = r.share_a * (exp(other_b - all_a) - even) * plain_slope(&r, xb) +
               r.share_b * (exp(own_b.logit - all_b) - sure - even) * own_b.slope;
    }
    /* the two classes stand apart, so that what is added to them is added once */
    if (keep)
        rest_grad_kept(&r, weight * r.scale * factor, weight * r.scale * even);
    else
        rest_grad(&r, top, weight * r.scale * factor, weight * r.scale * even, add);
    fv__loss_put(&r.m, r.a, weight * at_a, 1);
    if (mixed)
        fv__loss_put(&r.m, r.b, weight * at_b, 1);
}
