/* SPDX-License-Identifier: MIT */
/* AdaFace (arXiv 2204.00964): a margin that depends on the norm of the embedding, which stands for the quality of the
 * image. As in the authors' code, with e = 1e-3:
 *
 *     r   = |embedding| held within 1e-3 .. 100, a constant
 *     mu  = t mean(r) + (1 - t) mu      sigma = t std(r) + (1 - t) sigma      over the batch, before they are used
 *     q   = h (r - mu) / (sigma + e) held within -1 .. 1
 *     t_y = acos(x_y) - m q held within e .. pi - e
 *     z_k = s x_k, z_y = s (cos(t_y) - (m + m q))      x: cosines held within +-(1 - e)
 *
 * std is of a sample (n - 1); a batch of one has none and leaves sigma as it is. mu and sigma begin at 20 and 100 and
 * belong to the net's buffers. Warm-up makes m smaller. What is held has the slope 0 outside.
 */
#include "trainer/loss/loss_impl.h"

#include <math.h>

static const double pi = 3.14159265358979323846, eps = 1e-3;

enum { P_S, P_M, P_H, P_T, P_WARMUP, P_SMOOTH };
enum { STATE_MEAN, STATE_STD };
enum { NEW_MEAN, NEW_STD, NORMS }; /* of its own work */

/* A NaN passes. */
static double hold(double v, double least, double most)
{
    return v < least ? least : v > most ? most : v;
}

static size_t work(int n, int dim)
{
    (void)dim;
    return NORMS + (size_t)n;
}

static void norm_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    double *norm = fv__loss_own(c, term) + NORMS;
    const size_t dim = (size_t)c->dim;
    for (size_t i = begin; i < end; i++) {
        double squares = 0;
        for (size_t k = 0; k < dim; k++) {
            const double v = fv__loss_at(&c->in[FV_LOSS_EMBEDDING], i * dim + k);
            squares += v * v;
        }
        const double r = sqrt(squares);
        norm[i] = hold(r, 1e-3, 100);
    }
}

static void measure(struct fv_loss_call *c, int term)
{
    double *own = fv__loss_own(c, term), *norm = own + NORMS, sum = 0, squares = 0;
    const double share = c->spec->term[term].value[P_T], n = c->n;
    float *const *state = c->state[term];
    for (int i = 0; i < c->n; i++)
        sum += norm[i];
    for (int i = 0; i < c->n; i++)
        squares += (norm[i] - sum / n) * (norm[i] - sum / n);
    const double mean = (double)state[STATE_MEAN][0], std = (double)state[STATE_STD][0];
    own[NEW_MEAN] = share * (sum / n) + (1 - share) * mean;
    own[NEW_STD] = c->n < 2 ? std : share * sqrt(squares / (n - 1)) + (1 - share) * std;
}

struct margin {
    double s, angle, add;
};

static struct fv__loss_target target(const void *ctx, double cosine)
{
    const struct margin *m = ctx;
    const double x = hold(cosine, eps - 1, 1 - eps);
    const double t = acos(x), moved = t + m->angle, held = hold(moved, eps, pi - eps);
    const int inside = x == cosine && held == moved;
    return (struct fv__loss_target){
        m->s * (cos(held) - m->add),
        inside ? m->s * sin(held) / sin(t) : 0,
    };
}

static void rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const struct fv_loss_term *t = &c->spec->term[term];
    const double *own = fv__loss_own(c, term), *norm = own + NORMS;
    const double m = t->value[P_M] * fv_loss_warmth(t, c->epoch);
    for (size_t i = begin; i < end; i++) {
        double q = (norm[i] - own[NEW_MEAN]) / (own[NEW_STD] + eps) * t->value[P_H];
        q = hold(q, -1, 1);
        const struct margin margin = {.s = t->value[P_S], .angle = -m * q, .add = m + m * q};
        const struct fv__loss_softmax s = {.scale = margin.s,
                                           .limit = 1 - eps,
                                           .smooth = t->value[P_SMOOTH],
                                           .target = target,
                                           .ctx = &margin};
        fv__loss_softmax(c, term, i, &s);
    }
}

static void commit(struct fv_loss_call *c, int term)
{
    const double *own = fv__loss_own(c, term);
    c->state[term][STATE_MEAN][0] = (float)own[NEW_MEAN];
    c->state[term][STATE_STD][0] = (float)own[NEW_STD];
}

static double scale(const double *value)
{
    return value[P_S];
}

const struct fv_loss fv__loss_adaface = {
    .name = "adaface",
    .help = "margin by the quality of the image, for which the embedding's norm stands",
    .source = "arXiv 2204.00964",
    .reads = FV_LOSS_READS_COSINE | FV_LOSS_READS_NORMS,
    .soft = 1,
    .param =
        {[P_S] = {.name = "s", .def = 64, .min = 0.1, .max = 1000, .help = "scale of the cosines"},
         [P_M] = {.name = "m", .def = 0.4, .min = 0, .max = 1, .help = "margin"},
         [P_H] = {.name = "h",
                  .def = 0.333,
                  .min = 0,
                  .max = 100,
                  .help = "how fast quality changes the margin"},
         [P_T] = {.name = "t_alpha",
                  .def = 0.01,
                  .min = 0,
                  .max = 1,
                  .help = "share of a new batch in the norms' mean and deviation"},
         [P_WARMUP] = {.name = "warmup",
                       .def = 0,
                       .min = 0,
                       .max = 100000,
                       .help = "epochs in which the margin grows from 0"},
         [P_SMOOTH] = {.name = "smooth",
                       .def = 0,
                       .min = 0,
                       .max = 1,
                       .help = "share of the label that is spread over all classes"}},
    .state = {[STATE_MEAN] = {.name = "head.batch_mean", .init = 20},
              [STATE_STD] = {.name = "head.batch_std", .init = 100}},
    .scale = scale,
    .work = work,
    .phase = {{.rows = norm_rows, .once = measure}, {.rows = rows}},
    .commit = commit,
};
