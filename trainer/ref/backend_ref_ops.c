/* SPDX-License-Identifier: MIT */
/* What each kind of node computes, by its definition; a row each at the end.
 *
 * A backward pass adds to the gradients of its inputs, since several nodes may read the same one.
 */
#include "trainer/ref/backend_ref.h"

#include <math.h>
#include <string.h>

static void input_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    double *out = p->node[node].out;
    for (size_t i = 0; i < fv__ref_batch_count(p, o); i++)
        out[i] = (p->pixels[i] / 255.0 - (double)o->mean[i % 3]) / (double)o->std[i % 3];
}

/* Mean and biased variance of each channel over all pixels of the batch, in two passes; of all ranks' pixels, where
 * batch norms are synchronised. stat is (2, c), and how many values a channel has. */
static void bn_measure(struct fv_program *p, const double *x, size_t pixels, size_t channels,
                       double *stat)
{
    double *mean = stat, *var = stat + channels, *count = stat + 2 * channels;
    for (size_t c = 0; c < 2 * channels; c++)
        stat[c] = 0;
    *count = (double)pixels;
    fv__ref_sync(p, count, 1);
    for (size_t i = 0; i < pixels * channels; i++)
        mean[i % channels] += x[i];
    fv__ref_sync(p, mean, channels);
    for (size_t c = 0; c < channels; c++)
        mean[c] /= *count;
    for (size_t i = 0; i < pixels * channels; i++)
        var[i % channels] += (x[i] - mean[i % channels]) * (x[i] - mean[i % channels]);
    fv__ref_sync(p, var, channels);
    for (size_t c = 0; c < channels; c++)
        var[c] /= *count;
}

static void bn_take_running(struct fv_program *p, int node)
{
    const struct fv_node *o = &p->net->node[node];
    p->node[node].stat[2 * o->c] = (double)(fv__ref_batch_count(p, o) / (size_t)o->c);
    for (int c = 0; c < o->c; c++) {
        p->node[node].stat[c] = (double)fv__ref_value(p, o->tensor[2])[c];
        p->node[node].stat[o->c + c] = (double)fv__ref_value(p, o->tensor[3])[c];
    }
}

static void bn_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const double *x = p->node[o->in[0]].out;
    double *y = p->node[node].out, *stat = p->node[node].stat;
    const float *gamma = fv__ref_value(p, o->tensor[0]), *beta = fv__ref_value(p, o->tensor[1]);
    const float *running_mean = fv__ref_value(p, o->tensor[2]);
    const float *running_var = fv__ref_value(p, o->tensor[3]);
    size_t count = fv__ref_batch_count(p, o), channels = (size_t)o->c;

    if (p->by_batch && p->node[node].by_running)
        bn_take_running(p, node);
    else if (p->by_batch)
        bn_measure(p, x, count / channels, channels, stat);
    for (size_t i = 0; i < count; i++) {
        size_t c = i % channels;
        double mean = p->by_batch ? stat[c] : (double)running_mean[c];
        double var = p->by_batch ? stat[channels + c] : (double)running_var[c];
        y[i] = (x[i] - mean) / sqrt(var + (double)o->eps) * (double)gamma[c] + (double)beta[c];
    }
}

/* With h = (x - mean) / deviation, over the m values of a channel:
 * dx = gamma / deviation * (dy - sum(dy) / m - h * sum(dy * h) / m); without both sums where mean and deviation do
 * not depend on the batch.
 * Synchronised, the sums and m are those of all ranks. dy is that of a rank's own mean loss, which is as many times
 * that of the whole batch as there are ranks: so is dx then, and the average over the ranks makes up for it. Gradients
 * of gamma and beta remain the rank's own for the same reason. */
static void bn_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const double *x = p->node[o->in[0]].out, *dy = p->node[node].grad, *stat = p->node[node].stat;
    double *dx = p->node[o->in[0]].grad;
    const float *gamma = fv__ref_value(p, o->tensor[0]);
    double *dgamma = fv__ref_grad(p, o->tensor[0]), *dbeta = fv__ref_grad(p, o->tensor[1]);
    size_t channels = (size_t)o->c, m = fv__ref_batch_count(p, o) / channels;
    const double all = stat[2 * channels];

    for (size_t c = 0; c < channels; c++) {
        double mean = stat[c], scale = 1 / sqrt(stat[channels + c] + (double)o->eps);
        double sum[2] = {0, 0}; /* of dy, of dy * h */
        for (size_t i = c; i < m * channels; i += channels) {
            sum[0] += dy[i];
            sum[1] += dy[i] * (x[i] - mean) * scale;
        }
        dbeta[c] += sum[0];
        if (dgamma)
            dgamma[c] += sum[1];
        if (p->node[node].by_running)
            sum[0] = sum[1] = 0;
        else
            fv__ref_sync(p, sum, 2);
        for (size_t i = c; dx && i < m * channels; i += channels)
            dx[i] += (double)gamma[c] * scale *
                     (dy[i] - sum[0] / all - (x[i] - mean) * scale * sum[1] / all);
    }
}

static void add_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const double *a = p->node[o->in[0]].out, *b = p->node[o->in[1]].out;
    double *y = p->node[node].out;
    for (size_t i = 0; i < fv__ref_batch_count(p, o); i++)
        y[i] = a[i] + b[i];
}

static void add_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const double *dy = p->node[node].grad;
    for (int k = 0; k < 2; k++) {
        double *dx = p->node[o->in[k]].grad;
        for (size_t i = 0; dx && i < fv__ref_batch_count(p, o); i++)
            dx[i] += dy[i];
    }
}

/* Index, within the image, of the largest value under the window at output (y, x, c). A NaN is the largest. */
static size_t largest(const struct fv_node *o, const struct fv_node *in, const double *image, int y,
                      int x, int c)
{
    size_t best = SIZE_MAX;
    for (int t = 0; t < o->window * o->window; t++) {
        int iy = y * o->stride - o->pad + t / o->window;
        int ix = x * o->stride - o->pad + t % o->window;
        if (iy < 0 || iy >= in->h || ix < 0 || ix >= in->w)
            continue;
        size_t i = ((size_t)iy * (size_t)in->w + (size_t)ix) * (size_t)in->c + (size_t)c;
        if (best == SIZE_MAX || image[i] > image[best] || isnan(image[i]))
            best = i;
    }
    return best;
}

/* One walk for both directions, so that both agree on which value is the largest. */
static void maxpool(struct fv_program *p, int node, int backward)
{
    const struct fv_node *o = fv__ref_desc(p, node), *in = fv__ref_desc(p, o->in[0]);
    size_t at = 0;
    for (int n = 0; n < p->n; n++) {
        const double *image = p->node[o->in[0]].out + (size_t)n * fv__ref_image_count(in);
        double *grad = p->node[o->in[0]].grad;
        for (int y = 0; y < o->h; y++) {
            for (int x = 0; x < o->w; x++) {
                for (int c = 0; c < o->c; c++, at++) {
                    size_t i = largest(o, in, image, y, x, c);
                    if (!backward)
                        p->node[node].out[at] = image[i];
                    else if (grad)
                        grad[(size_t)n * fv__ref_image_count(in) + i] += p->node[node].grad[at];
                }
            }
        }
    }
}

static void maxpool_forward(struct fv_program *p, int node)
{
    maxpool(p, node, 0);
}

static void maxpool_backward(struct fv_program *p, int node)
{
    maxpool(p, node, 1);
}

static void gap_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node), *in = fv__ref_desc(p, o->in[0]);
    const double *x = p->node[o->in[0]].out;
    size_t channels = (size_t)o->c, pixels = (size_t)in->h * (size_t)in->w;
    for (size_t i = 0; i < fv__ref_batch_count(p, o); i++) {
        double sum = 0;
        for (size_t k = 0; k < pixels; k++)
            sum += x[(i / channels * pixels + k) * channels + i % channels];
        p->node[node].out[i] = sum / (double)pixels;
    }
}

static void gap_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node), *in = fv__ref_desc(p, o->in[0]);
    double *dx = p->node[o->in[0]].grad;
    size_t channels = (size_t)o->c, pixels = (size_t)in->h * (size_t)in->w;
    for (size_t i = 0; dx && i < fv__ref_batch_count(p, in); i++)
        dx[i] +=
            p->node[node].grad[i / (pixels * channels) * channels + i % channels] / (double)pixels;
}

/* Weights are (out, c, h, w), values (h, w, c): where the weight of number i of a value lies in its row. */
static size_t fc_weight(const struct fv_node *in, size_t i)
{
    size_t channels = (size_t)in->c, pixels = (size_t)in->h * (size_t)in->w;
    return i % channels * pixels + i / channels;
}

static void fc_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node), *in = fv__ref_desc(p, o->in[0]);
    const float *w = fv__ref_value(p, o->tensor[0]), *bias = fv__ref_value(p, o->tensor[1]);
    size_t from = fv__ref_image_count(in), to = (size_t)o->c;
    for (size_t i = 0; i < (size_t)p->n; i++)
        for (size_t k = 0; k < to; k++)
            p->node[node].out[i * to + k] = bias ? (double)bias[k] : 0;
    for (size_t c = 0; c < from; c++) {
        size_t at = fc_weight(in, c);
        for (size_t i = 0; i < (size_t)p->n; i++) {
            double x = p->node[o->in[0]].out[i * from + c];
            for (size_t k = 0; k < to; k++)
                p->node[node].out[i * to + k] += x * (double)w[k * from + at];
        }
    }
}

static void fc_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node), *in = fv__ref_desc(p, o->in[0]);
    const float *w = fv__ref_value(p, o->tensor[0]);
    double *dw = fv__ref_grad(p, o->tensor[0]), *dbias = fv__ref_grad(p, o->tensor[1]);
    double *dx = p->node[o->in[0]].grad;
    size_t from = fv__ref_image_count(in), to = (size_t)o->c;
    for (size_t i = 0; i < (size_t)p->n; i++) {
        const double *x = p->node[o->in[0]].out + i * from;
        for (size_t k = 0; k < to; k++) {
            double dy = p->node[node].grad[i * to + k];
            if (dbias)
                dbias[k] += dy;
            for (size_t c = 0; c < from; c++) {
                size_t at = k * from + fc_weight(in, c);
                dw[at] += dy * x[c];
                if (dx)
                    dx[i * from + c] += dy * (double)w[at];
            }
        }
    }
}

static double norm(const double *x, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += x[i] * x[i];
    return fmax(sqrt(squares), 1e-12);
}

/* A row of the weight and its norm. */
static double weight_row(const float *w, size_t count, double *row)
{
    for (size_t i = 0; i < count; i++)
        row[i] = (double)w[i];
    return norm(row, count);
}

static void cosine_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node), *in = fv__ref_desc(p, o->in[0]);
    const float *w = fv__ref_value(p, o->tensor[0]);
    const size_t dim = (size_t)in->c, to = (size_t)o->c;
    for (size_t k = 0; k < to; k++) {
        const double w_norm = weight_row(w + k * dim, dim, p->row);
        for (size_t i = 0; i < (size_t)p->n; i++) {
            const double *x = p->node[o->in[0]].out + i * dim;
            double dot = 0;
            for (size_t c = 0; c < dim; c++)
                dot += x[c] * p->row[c];
            p->node[node].out[i * to + k] = dot / (norm(x, dim) * w_norm);
        }
    }
}

/* cos = x . w / (|x| |w|): d cos/dx = (w / |w| - cos x / |x|) / |x|, and the same with x and w exchanged. */
static void cosine_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node), *in = fv__ref_desc(p, o->in[0]);
    const float *w = fv__ref_value(p, o->tensor[0]);
    double *dw = fv__ref_grad(p, o->tensor[0]), *dx = p->node[o->in[0]].grad;
    const size_t dim = (size_t)in->c, to = (size_t)o->c;
    for (size_t k = 0; k < to; k++) {
        const double w_norm = weight_row(w + k * dim, dim, p->row);
        for (size_t i = 0; i < (size_t)p->n; i++) {
            const double *x = p->node[o->in[0]].out + i * dim, x_norm = norm(x, dim);
            const double dy = p->node[node].grad[i * to + k],
                         cosine = p->node[node].out[i * to + k];
            for (size_t c = 0; c < dim; c++) {
                const double u = x[c] / x_norm, v = p->row[c] / w_norm;
                dw[k * dim + c] += dy * (u - cosine * v) / w_norm;
                if (dx)
                    dx[i * dim + c] += dy * (v - cosine * u) / x_norm;
            }
        }
    }
}

static void loss_forward(struct fv_program *p, int node)
{
    struct fv_loss_call *c = &p->loss;
    c->n = p->n;
    c->label = p->label;
    c->label_mix = p->label_mix;
    c->lambda = p->lambda;
    c->epoch = p->epoch;
    fv_loss_run(c);
    memcpy(p->node[node].out, c->work, (size_t)p->n * sizeof(double));
    p->result = (struct fv_step_result){.loss = c->result.loss,
                                        .correct = c->result.correct,
                                        .active = c->result.active,
                                        .distance = c->result.distance,
                                        .n = p->n,
                                        .finite = isfinite(c->result.loss) != 0};
    memcpy(p->result.term, c->result.term, sizeof p->result.term);
}

/* The loss is the mean over the batch, so each item's own gradient is 1 / n. */
static void loss_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    for (int i = 0; i < p->n; i++)
        p->node[node].grad[i] = 1.0 / p->n;
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        const double *from = p->loss.in[k].grad_d;
        double *to = from ? p->node[o->in[k]].grad : NULL;
        const size_t count = to ? fv__ref_batch_count(p, fv__ref_desc(p, o->in[k])) : 0;
        for (size_t i = 0; i < count; i++)
            to[i] += from[i];
    }
}

const struct fv__ref_op fv__ref_ops[FV_NODE_KINDS] = {
    [FV_NODE_INPUT] = {input_forward, NULL},
    [FV_NODE_CONV] = {fv__ref_conv_forward, fv__ref_conv_backward},
    [FV_NODE_BN] = {bn_forward, bn_backward},
    [FV_NODE_RELU] = {fv__ref_relu_forward, fv__ref_relu_backward},
    [FV_NODE_ADD] = {add_forward, add_backward},
    [FV_NODE_MAXPOOL] = {maxpool_forward, maxpool_backward},
    [FV_NODE_GAP] = {gap_forward, gap_backward},
    [FV_NODE_FC] = {fc_forward, fc_backward},
    [FV_NODE_LOSS] = {loss_forward, loss_backward},
    [FV_NODE_RELU6] = {fv__ref_relu6_forward, fv__ref_relu6_backward},
    [FV_NODE_PRELU] = {fv__ref_prelu_forward, fv__ref_prelu_backward},
    [FV_NODE_SIGMOID] = {fv__ref_sigmoid_forward, fv__ref_sigmoid_backward},
    [FV_NODE_SCALE] = {fv__ref_scale_forward, fv__ref_scale_backward},
    [FV_NODE_DROPOUT] = {fv__ref_dropout_forward, fv__ref_dropout_backward},
    [FV_NODE_COSINE] = {cosine_forward, cosine_backward},
};
