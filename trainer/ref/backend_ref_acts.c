/* SPDX-License-Identifier: MIT */
/* The nodes of the reference backend that work number by number: activations, scaling, dropout. */
#include "trainer/ref/backend_ref.h"

#include <math.h>

/* Calls body for every number i of the node's output: x its input, y its output. */
#define FORWARD(p, node, body)                                                                     \
    do {                                                                                           \
        const struct fv_node *o_ = fv__ref_desc(p, node);                                          \
        const double *in_ = (p)->node[o_->in[0]].out;                                              \
        double *out_ = (p)->node[node].out;                                                        \
        for (size_t i = 0; i < fv__ref_batch_count(p, o_); i++) {                                  \
            double x = in_[i];                                                                     \
            out_[i] = (body);                                                                      \
        }                                                                                          \
    } while (0)

/* Adds `body`, an expression of x, y and dy, to the gradient of the input. */
#define BACKWARD(p, node, body)                                                                    \
    do {                                                                                           \
        const struct fv_node *o_ = fv__ref_desc(p, node);                                          \
        const double *in_ = (p)->node[o_->in[0]].out, *out_ = (p)->node[node].out;                 \
        double *dx_ = (p)->node[o_->in[0]].grad;                                                   \
        for (size_t i = 0; dx_ && i < fv__ref_batch_count(p, o_); i++) {                           \
            double x = in_[i], y = out_[i], dy = (p)->node[node].grad[i];                          \
            (void)x, (void)y;                                                                      \
            dx_[i] += (body);                                                                      \
        }                                                                                          \
    } while (0)

void fv__ref_relu_forward(struct fv_program *p, int node)
{
    FORWARD(p, node, x < 0 ? 0 : x); /* a NaN passes */
}

void fv__ref_relu_backward(struct fv_program *p, int node)
{
    BACKWARD(p, node, y > 0 ? dy : 0);
}

void fv__ref_relu6_forward(struct fv_program *p, int node)
{
    FORWARD(p, node, x < 0 ? 0 : x > 6 ? 6 : x);
}

void fv__ref_relu6_backward(struct fv_program *p, int node)
{
    BACKWARD(p, node, y > 0 && y < 6 ? dy : 0);
}

void fv__ref_prelu_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const float *slope = fv__ref_value(p, o->tensor[0]);
    FORWARD(p, node, x > 0 ? x : (double)slope[i % (size_t)o->c] * x);
}

void fv__ref_prelu_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const float *slope = fv__ref_value(p, o->tensor[0]);
    double *dslope = fv__ref_grad(p, o->tensor[0]);
    size_t channels = (size_t)o->c;
    for (size_t i = 0; i < fv__ref_batch_count(p, o); i++) {
        double x = p->node[o->in[0]].out[i];
        if (!(x > 0))
            dslope[i % channels] += x * p->node[node].grad[i];
    }
    BACKWARD(p, node, x > 0 ? dy : (double)slope[i % channels] * dy);
}

void fv__ref_sigmoid_forward(struct fv_program *p, int node)
{
    FORWARD(p, node, 1 / (1 + exp(-x)));
}

void fv__ref_sigmoid_backward(struct fv_program *p, int node)
{
    BACKWARD(p, node, dy * y * (1 - y));
}

/* Where the factor of number i of a batch's output lies. */
static size_t factor_of(const struct fv_node *o, size_t i)
{
    size_t channels = (size_t)o->c;
    return i / fv__ref_image_count(o) * channels + i % channels;
}

void fv__ref_scale_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const double *factor = p->node[o->in[1]].out;
    FORWARD(p, node, x * factor[factor_of(o, i)]);
}

void fv__ref_scale_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = fv__ref_desc(p, node);
    const double *factor = p->node[o->in[1]].out;
    double *dfactor = p->node[o->in[1]].grad;
    for (size_t i = 0; dfactor && i < fv__ref_batch_count(p, o); i++)
        dfactor[factor_of(o, i)] += p->node[o->in[0]].out[i] * p->node[node].grad[i];
    BACKWARD(p, node, dy * factor[factor_of(o, i)]);
}

static double drop(const struct fv_program *p, int node, size_t i)
{
    float factor = 1;
    if (p->by_batch)
        fv_net_dropout_factors(p->net, node, p->ticket, i, 1, &factor);
    return (double)factor;
}

void fv__ref_dropout_forward(struct fv_program *p, int node)
{
    FORWARD(p, node, x * drop(p, node, i));
}

void fv__ref_dropout_backward(struct fv_program *p, int node)
{
    BACKWARD(p, node, dy * drop(p, node, i));
}
