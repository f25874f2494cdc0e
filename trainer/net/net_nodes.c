/* SPDX-License-Identifier: MIT */
/* The nodes: of each kind the shape of its output and the tensors that it has, how these begin, and what cannot be. */
#include "trainer/net/net_build.h"

#include "common/err.h"

#include <math.h>
#include <string.h>

int fv_net_input(struct fv_net *n, int size, const float mean[3], const float std[3])
{
    if (size < 1 || size > FV__NET_DIM_MOST)
        return fv__net_fail(n, FV_EINVAL, "images of %d pixels a side", size);
    for (int i = 0; i < 3; i++)
        if (!isfinite(mean[i]) || !(std[i] > 0) || !isfinite(std[i]))
            return fv__net_fail(n, FV_EINVAL,
                                "the pixel mean must be finite and the deviation positive");
    struct fv_node *node = fv__net_add_node(n, FV_NODE_INPUT, "", -1, -1);
    if (!node)
        return -1;
    n->size = node->h = node->w = size;
    node->c = 3;
    memcpy(node->mean, mean, sizeof node->mean);
    memcpy(node->std, std, sizeof node->std);
    return fv__net_last(n);
}

/* Output size of a window that slides over a padded side, rounded down as PyTorch does; -1 if it does not fit. */
static int slide(int side, int window, int stride, int pad)
{
    if (window < 1 || stride < 1 || pad < 0 || pad >= window || window > FV__NET_DIM_MOST ||
        side + 2 * pad < window)
        return -1;
    return (side + 2 * pad - window) / stride + 1;
}

static int set_window(struct fv_net *n, struct fv_node *node, int window, int stride, int pad)
{
    int h = slide(node->h, window, stride, pad), w = slide(node->w, window, stride, pad);
    if (h < 1 || w < 1)
        return fv__net_fail(n, FV_EINVAL,
                            "a window of %d, stride %d, padding %d does not fit %dx%d", window,
                            stride, pad, node->w, node->h);
    node->h = h;
    node->w = w;
    node->window = window;
    node->stride = stride;
    node->pad = pad;
    return 0;
}

int fv_net_conv(struct fv_net *n, const char *name, int in, int out_c, int window, int stride,
                int pad, int groups, int bias)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_CONV, name, in, -1);
    if (!node || set_window(n, node, window, stride, pad) < 0)
        return -1;
    if (out_c < 1 || out_c > FV__NET_DIM_MOST || groups < 1 || node->c % groups || out_c % groups)
        return fv__net_fail(n, FV_EINVAL, "%s: %d groups do not divide %d -> %d channels", name,
                            groups, node->c, out_c);
    int group_c = node->c / groups;
    size_t area = (size_t)window * (size_t)window;
    node->c = out_c;
    node->groups = groups;
    node->tensor[0] = fv__net_add_tensor(
        n, name, "weight", 4, (int[4]){out_c, group_c, window, window},
        (struct fv_tensor){.init = FV_INIT_KAIMING_FAN_OUT, .fan = (size_t)out_c * area});
    if (bias)
        node->tensor[1] = fv__net_add_vector(n, name, "bias", out_c,
                                             (struct fv_tensor){.no_decay = 1,
                                                                .init = FV_INIT_UNIFORM_FAN_IN,
                                                                .fan = (size_t)group_c * area});
    return fv__net_last(n);
}

static int add_bn(struct fv_net *n, const char *name, int in, int unit_scale)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_BN, name, in, -1);
    if (!node)
        return -1;
    int c = node->c;
    node->eps = 1e-5f;
    node->momentum = 0.1f;
    node->tensor[0] = fv__net_add_vector(
        n, name, "weight", c,
        (struct fv_tensor){.no_decay = !unit_scale, .buffer = unit_scale, .init = FV_INIT_ONE});
    node->tensor[1] = fv__net_add_vector(n, name, "bias", c,
                                         (struct fv_tensor){.no_decay = 1, .init = FV_INIT_ZERO});
    node->tensor[2] = fv__net_add_vector(n, name, "running_mean", c,
                                         (struct fv_tensor){.buffer = 1, .init = FV_INIT_ZERO});
    node->tensor[3] = fv__net_add_vector(n, name, "running_var", c,
                                         (struct fv_tensor){.buffer = 1, .init = FV_INIT_ONE});
    return fv__net_last(n);
}

int fv_net_bn(struct fv_net *n, const char *name, int in)
{
    return add_bn(n, name, in, 0);
}

int fv_net_bn_unit_scale(struct fv_net *n, const char *name, int in)
{
    return add_bn(n, name, in, 1);
}

int fv_net_relu(struct fv_net *n, int in)
{
    fv__net_add_node(n, FV_NODE_RELU, "", in, -1);
    return fv__net_last(n);
}

int fv_net_relu6(struct fv_net *n, int in)
{
    fv__net_add_node(n, FV_NODE_RELU6, "", in, -1);
    return fv__net_last(n);
}

int fv_net_prelu(struct fv_net *n, const char *name, int in)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_PRELU, name, in, -1);
    if (!node)
        return -1;
    node->tensor[0] = fv__net_add_vector(
        n, name, "weight", node->c,
        (struct fv_tensor){.no_decay = 1, .init = FV_INIT_CONSTANT, .init_value = 0.25});
    return fv__net_last(n);
}

int fv_net_sigmoid(struct fv_net *n, int in)
{
    fv__net_add_node(n, FV_NODE_SIGMOID, "", in, -1);
    return fv__net_last(n);
}

int fv_net_add(struct fv_net *n, int a, int b)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_ADD, "", a, b);
    if (!node)
        return -1;
    const struct fv_node *other = &n->node[b];
    if (node->h != other->h || node->w != other->w || node->c != other->c)
        return fv__net_fail(n, FV_EINVAL, "cannot add %dx%dx%d and %dx%dx%d", node->h, node->w,
                            node->c, other->h, other->w, other->c);
    return fv__net_last(n);
}

int fv_net_scale(struct fv_net *n, int in, int by)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_SCALE, "", in, by);
    if (!node)
        return -1;
    const struct fv_node *factor = &n->node[by];
    if (in == by || factor->h != 1 || factor->w != 1 || factor->c != node->c)
        return fv__net_fail(n, FV_EINVAL, "cannot scale %dx%dx%d by %dx%dx%d", node->h, node->w,
                            node->c, factor->h, factor->w, factor->c);
    return fv__net_last(n);
}

int fv_net_dropout(struct fv_net *n, int in, double rate)
{
    if (rate == 0)
        return in;
    if (!(rate > 0 && (float)rate < 1))
        return fv__net_fail(n, FV_EINVAL, "a dropout of %g: 0 .. below 1 is possible", rate);
    struct fv_node *node = fv__net_add_node(n, FV_NODE_DROPOUT, "", in, -1);
    if (node)
        node->rate = (float)rate;
    return fv__net_last(n);
}

int fv_net_maxpool(struct fv_net *n, int in, int window, int stride, int pad)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_MAXPOOL, "", in, -1);
    if (!node || set_window(n, node, window, stride, pad) < 0)
        return -1;
    return fv__net_last(n);
}

int fv_net_gap(struct fv_net *n, int in)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_GAP, "", in, -1);
    if (node)
        node->h = node->w = 1;
    return fv__net_last(n);
}

int fv_net_fc(struct fv_net *n, const char *name, int in, int out, int bias)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_FC, name, in, -1);
    if (!node)
        return -1;
    uint64_t area = (uint64_t)node->h * (uint64_t)node->w, from = area * (uint64_t)node->c;
    if (area > FV__NET_DIM_MOST || from > FV__NET_DIM_MOST || out < 1 || out > FV__NET_DIM_MOST)
        return fv__net_fail(n, FV_EINVAL, "%s: fc has 1 .. %d inputs and as many outputs", name,
                            FV__NET_DIM_MOST);
    struct fv_tensor t = {.init = FV_INIT_UNIFORM_FAN_IN, .fan = (size_t)from};
    node->tensor[0] = fv__net_add_tensor(n, name, "weight", 2, (int[4]){out, (int)from}, t);
    node->h = node->w = 1;
    node->c = out;
    t.no_decay = 1;
    if (bias)
        node->tensor[1] = fv__net_add_vector(n, name, "bias", out, t);
    return fv__net_last(n);
}

int fv_net_cosine(struct fv_net *n, const char *name, int in, int out)
{
    struct fv_node *node = fv__net_add_node(n, FV_NODE_COSINE, name, in, -1);
    if (!node)
        return -1;
    if (node->h != 1 || node->w != 1 || out < 1 || out > FV__NET_DIM_MOST)
        return fv__net_fail(n, FV_EINVAL,
                            "%s: a cosine head reads 1x1 pixels and has 1 .. %d outputs", name,
                            FV__NET_DIM_MOST);
    node->tensor[0] =
        fv__net_add_tensor(n, name, "weight", 2, (int[4]){out, node->c},
                           (struct fv_tensor){.init = FV_INIT_NORMAL, .init_value = 0.01});
    node->c = out;
    return fv__net_last(n);
}
