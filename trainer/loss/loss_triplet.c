/* SPDX-License-Identifier: MIT */
/* Triplet loss over the batch. With u = x / |x| (unit=yes) or u = x, and D the Euclidean distance of two u, or its
 * square (squared=yes),
 *
 *     l(a, p, n) = max(0, D(a, p) - D(a, n) + margin)       or log(1 + exp(D(a, p) - D(a, n))) with soft=yes
 *
 * batch-hard (Hermans et al., arXiv 1703.07737, equation 5): every item is an anchor a, with p the farthest item of its
 *   identity and n the nearest of any other.
 * semi-hard (Schroff et al., arXiv 1503.03832, section 3.2): every pair (a, p) of an identity, both ways round, with n
 *   the nearest item of another identity that is farther than p, D(a, n) > D(a, p). Beyond the margin it gives
 *   no loss; a pair whose others are all nearer than p has no triplet.
 *
 * The loss is the mean over the triplets, those of no loss included. Of equal distances the item that comes first in
 * the batch is taken. At D = 0 the slope of the distance is taken as 0. A batch without a triplet (one identity, or no
 * two images of any) has the loss 0.
 */
#include "trainer/loss/loss_impl.h"

#include "common/err.h"

#include <math.h>

enum { P_MARGIN, P_MINE, P_SQUARED, P_SOFT, P_UNIT };
enum { BATCH_HARD, SEMI_HARD };
#define DEFAULT_MARGIN 0.3
#define SHORTEST 1e-12 /* norm that an embedding is divided by */

/* Parts of its own work. dist and slope are (n, n): slope[a][j] is the derivative of the sum of anchor a's losses by
 * D(a, j). */
struct parts {
    double *all; /* triplets of the batch */
    double *triplets, *active,
        *apart;           /* (n): of each anchor: counts, and sum of distances to items after it */
    double *norm;         /* (n) */
    double *unit, *grad;  /* (n, dim) */
    double *dist, *slope; /* (n, n) */
};

static size_t work(int n, int dim)
{
    return 1 + (size_t)n * (4 + 2 * (size_t)dim + 2 * (size_t)n);
}

static struct parts parts_of(const struct fv_loss_call *c, int term)
{
    const size_t n = (size_t)c->n;
    struct parts p = {.all = fv__loss_own(c, term)};
    p.triplets = p.all + 1;
    p.active = p.triplets + n;
    p.apart = p.active + n;
    p.norm = p.apart + n;
    p.unit = p.norm + n;
    p.grad = p.unit + n * (size_t)c->dim;
    p.dist = p.grad + n * (size_t)c->dim;
    p.slope = p.dist + n * n;
    return p;
}

static int32_t identity(const struct fv_loss_call *c, size_t i)
{
    return c->lambda[i] == 0 ? c->label_mix[i] : c->label[i];
}

static void unit_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const struct parts p = parts_of(c, term);
    const size_t dim = (size_t)c->dim;
    for (size_t i = begin; i < end; i++) {
        double *u = p.unit + i * dim, squares = 0;
        for (size_t k = 0; k < dim; k++) {
            u[k] = fv__loss_at(&c->in[FV_LOSS_EMBEDDING], i * dim + k);
            squares += u[k] * u[k];
        }
        p.norm[i] = c->spec->term[term].value[P_UNIT] != 0 ? fmax(sqrt(squares), SHORTEST) : 1;
        for (size_t k = 0; k < dim; k++)
            u[k] /= p.norm[i];
    }
}

static double distance(const double *a, const double *b, size_t dim, int squared)
{
    double sum[8] = {0};
    size_t k = 0;
    for (; k + 8 <= dim; k += 8)
        for (size_t j = 0; j < 8; j++)
            sum[j] += (a[k + j] - b[k + j]) * (a[k + j] - b[k + j]);
    for (; k < dim; k++)
        sum[0] += (a[k] - b[k]) * (a[k] - b[k]);
    for (int j = 1; j < 8; j++)
        sum[0] += sum[j];
    return squared ? sum[0] : sqrt(sum[0]);
}

/* One triplet of anchor a: its loss, and what it adds to the slopes. */
static double triplet(const struct fv_loss_call *c, int term, size_t a, size_t positive,
                      size_t negative)
{
    const double *value = c->spec->term[term].value;
    const struct parts p = parts_of(c, term);
    const double *d = p.dist + a * (size_t)c->n, x = d[positive] - d[negative];
    double *slope = p.slope + a * (size_t)c->n, loss, share;
    if (value[P_SOFT] != 0) {
        loss = x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
        share = 1 / (1 + exp(-x));
        p.active[a] += x > 0;
    } else {
        loss = x + value[P_MARGIN];
        share = loss > 0;
        p.active[a] += loss > 0;
        loss = loss < 0 ? 0 : loss; /* a NaN passes */
    }
    p.triplets[a]++;
    slope[positive] += share;
    slope[negative] -= share;
    return loss;
}

/* The farthest item of a's identity and the nearest of another; n where there is none. */
static void hardest(const struct fv_loss_call *c, const double *d, size_t a, size_t *positive,
                    size_t *negative)
{
    const size_t n = (size_t)c->n;
    const int32_t y = identity(c, a);
    *positive = *negative = n;
    for (size_t j = 0; j < n; j++) {
        if (j == a)
            continue;
        size_t *best = identity(c, j) == y ? positive : negative;
        if (*best == n || (best == positive ? d[j] > d[*best] : d[j] < d[*best]))
            *best = j;
    }
}

/* The nearest item of another identity than a's that is farther than `than`; n if there is none. */
static size_t next_farther(const struct fv_loss_call *c, const double *d, size_t a, double than)
{
    const size_t n = (size_t)c->n;
    size_t best = n;
    for (size_t j = 0; j < n; j++)
        if (identity(c, j) != identity(c, a) && d[j] > than && (best == n || d[j] < d[best]))
            best = j;
    return best;
}

static double mine(const struct fv_loss_call *c, int term, size_t a)
{
    const size_t n = (size_t)c->n;
    const struct parts p = parts_of(c, term);
    const double *d = p.dist + a * n;
    double sum = 0;
    if (c->spec->term[term].value[P_MINE] == BATCH_HARD) {
        size_t positive, negative;
        hardest(c, d, a, &positive, &negative);
        return positive < n && negative < n ? triplet(c, term, a, positive, negative) : 0;
    }
    for (size_t j = 0; j < n; j++) {
        if (j == a || identity(c, j) != identity(c, a))
            continue;
        const size_t negative = next_farther(c, d, a, d[j]);
        if (negative < n)
            sum += triplet(c, term, a, j, negative);
    }
    return sum;
}

static void mine_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const struct parts p = parts_of(c, term);
    const size_t n = (size_t)c->n, dim = (size_t)c->dim;
    const int squared = c->spec->term[term].value[P_SQUARED] != 0;
    for (size_t a = begin; a < end; a++) {
        double all = 0;
        p.triplets[a] = p.active[a] = p.apart[a] = 0;
        for (size_t j = 0; j < n; j++) {
            const double d = distance(p.unit + a * dim, p.unit + j * dim, dim, squared);
            p.dist[a * n + j] = d;
            p.slope[a * n + j] = 0;
            all += d;
            if (j > a)
                p.apart[a] += squared ? sqrt(d) : d;
        }
        /* comparisons would pass a NaN over */
        fv__loss_items(c, term)[a] = isnan(all) ? NAN : mine(c, term, a);
    }
}

static void sum_up(struct fv_loss_call *c, int term)
{
    const struct parts p = parts_of(c, term);
    const double n = c->n;
    double triplets = 0, active = 0, apart = 0;
    for (int i = 0; i < c->n; i++) {
        triplets += p.triplets[i];
        active += p.active[i];
        apart += p.apart[i];
    }
    *p.all = triplets;
    c->result.active = active / triplets;
    c->result.distance = apart / (n * (n - 1) / 2);
    for (int i = 0; i < c->n && triplets > 0; i++)
        fv__loss_items(c, term)[i] *= n / triplets; /* the mean over items is that over triplets */
}

/* dL/du_i = sum over j of (slope[i][j] + slope[j][i]) dD(i, j)/du_i, and dD/du_i = (u_i - u_j) / D or twice
 * (u_i - u_j); into p->grad. */
static void unit_grad(const struct fv_loss_call *c, const struct parts *p, size_t i, double weight,
                      int squared)
{
    const size_t n = (size_t)c->n, dim = (size_t)c->dim;
    const double *u = p->unit + i * dim;
    double *g = p->grad + i * dim;
    for (size_t k = 0; k < dim; k++)
        g[k] = 0;
    for (size_t j = 0; j < n; j++) {
        const double slope = p->slope[i * n + j] + p->slope[j * n + i], d = p->dist[i * n + j];
        const double by = weight * slope * (squared ? 2 : 1 / d), *v = p->unit + j * dim;
        if (slope == 0 || d == 0)
            continue;
        for (size_t k = 0; k < dim; k++)
            g[k] += by * (u[k] - v[k]);
    }
}

static void grad_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const struct parts p = parts_of(c, term);
    const struct fv_loss_term *t = &c->spec->term[term];
    const int add = !fv__loss_is_alone(c->spec, FV_LOSS_EMBEDDING);
    const double weight = *p.all > 0 ? t->weight / *p.all : 0;
    const size_t dim = (size_t)c->dim;
    for (size_t i = begin; i < end; i++) {
        const double *u = p.unit + i * dim, *g = p.grad + i * dim;
        double along = 0;
        unit_grad(c, &p, i, weight, t->value[P_SQUARED] != 0);
        for (size_t k = 0; k < dim && t->value[P_UNIT] != 0 && p.norm[i] > SHORTEST; k++)
            along += g[k] * u[k];
        for (size_t k = 0; k < dim; k++)
            fv__loss_put(&c->in[FV_LOSS_EMBEDDING], i * dim + k, (g[k] - along * u[k]) / p.norm[i],
                         add);
    }
}

static int check(const double *value)
{
    if (value[P_SOFT] != 0 && value[P_MARGIN] != DEFAULT_MARGIN)
        return fv_err(FV_EUSAGE, "loss 'triplet': soft=yes takes no margin: leave one of them out");
    return 0;
}

static const char *const mines[] = {"batch-hard", "semi-hard", NULL};
static const char *const no_yes[] = {"no", "yes", NULL};

const struct fv_loss fv__loss_triplet = {
    .name = "triplet",
    .help = "an identity's images nearer to each other than to others, by --order pk",
    .source = "arXiv 1703.07737, 1503.03832",
    .reads = FV_LOSS_READS_EMBEDDING,
    .param =
        {[P_MARGIN] = {.name = "margin",
                       .def = DEFAULT_MARGIN,
                       .min = 0,
                       .max = 100,
                       .help = "by which the distance to others must be larger"},
         [P_MINE] = {.name = "mine", .def = BATCH_HARD, .help = "which triplets", .words = mines},
         [P_SQUARED] = {.name = "squared", .def = 0, .help = "squared distances", .words = no_yes},
         [P_SOFT] = {.name = "soft",
                     .def = 0,
                     .help = "log(1 + exp(x)) instead of a margin",
                     .words = no_yes},
         [P_UNIT] = {.name = "unit", .def = 1, .help = "embeddings normalised", .words = no_yes}},
    .check = check,
    .work = work,
    .phase = {{.rows = unit_rows}, {.rows = mine_rows, .once = sum_up}, {.rows = grad_rows}},
};
