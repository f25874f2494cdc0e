/* SPDX-License-Identifier: MIT */
/* Center loss (Wen et al., ECCV 2016): half the squared distance of each embedding x from its class's centre c, as the
 * mean over the batch,
 *
 *     L = 1/n sum_i 1/2 |x_i - c_y|^2      dL/dx_i = (x_i - c_y) / n
 *
 * and every centre follows its class by the paper's equation 4 after the step, which is no gradient descent and has no
 * learning rate but alpha:
 *
 *     c_j -= alpha * sum_{y = j} (c_j - x_i) / (1 + number of items of class j)
 *
 * The centres are buffers of the net and begin at 0.
 */
#include "trainer/loss/loss_impl.h"

enum { P_ALPHA };

/* Each item's x - c (n, dim), then its class (n). */
static size_t work(int n, int dim)
{
    return (size_t)n * ((size_t)dim + 1);
}

static void rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const struct fv_loss_rows *m = &c->in[FV_LOSS_EMBEDDING];
    const int add = !fv__loss_is_alone(c->spec, FV_LOSS_EMBEDDING);
    const double weight = c->spec->term[term].weight / c->n;
    const size_t dim = (size_t)c->dim;
    double *away = fv__loss_own(c, term), *label = away + (size_t)c->n * dim;
    for (size_t i = begin; i < end; i++) {
        const int32_t y = c->lambda[i] == 0 ? c->label_mix[i] : c->label[i];
        const float *centre = c->state[term][0] + (size_t)y * dim;
        double squares = 0;
        label[i] = y;
        for (size_t k = 0; k < dim; k++) {
            const double d = fv__loss_at(m, i * dim + k) - (double)centre[k];
            squares += d * d;
            away[i * dim + k] = d;
            fv__loss_put(m, i * dim + k, weight * d, add);
        }
        fv__loss_items(c, term)[i] = squares / 2;
    }
}

/* All items of a class at once, where its first one stands. */
static void commit(struct fv_loss_call *c, int term)
{
    const double alpha = c->spec->term[term].value[P_ALPHA];
    const size_t n = (size_t)c->n, dim = (size_t)c->dim;
    double *away = fv__loss_own(c, term), *label = away + n * dim;
    for (size_t i = 0; i < n; i++) {
        size_t count = 1;
        if (label[i] < 0)
            continue;
        for (size_t j = i + 1; j < n; j++) {
            if (label[j] != label[i])
                continue;
            for (size_t k = 0; k < dim; k++)
                away[i * dim + k] += away[j * dim + k];
            label[j] = -1;
            count++;
        }
        float *centre = c->state[term][0] + (size_t)label[i] * dim;
        for (size_t k = 0; k < dim; k++)
            centre[k] =
                (float)((double)centre[k] + alpha * away[i * dim + k] / (double)(1 + count));
    }
}

const struct fv_loss fv__loss_center = {
    .name = "center",
    .help = "draws embeddings to a centre of their class; with another loss, as 0.003*center",
    .source = "Wen et al., ECCV 2016",
    .reads = FV_LOSS_READS_EMBEDDING,
    .param = {[P_ALPHA] = {.name = "alpha",
                           .def = 0.5,
                           .min = 0,
                           .max = 1,
                           .help = "how fast the centres follow"}},
    .state = {{.name = "center.weight", .per_class = 1}},
    .work = work,
    .phase = {{.rows = rows}},
    .commit = commit,
};
