/* SPDX-License-Identifier: MIT */
/* The builder: shapes follow from the nodes, tensors from the shapes, the arena from the tensors.
 *
 * A net is built once at start, so its lists simply grow, and every name is an allocation of its own. Shapes
 * may come from a checkpoint's settings: whatever cannot be built is an error and not an assertion.
 */
#include "trainer/net/net.h"

#include "common/err.h"
#include "common/fs.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const fv_node_names[FV_NODE_KINDS] = {
    [FV_NODE_INPUT] = "input",     [FV_NODE_CONV] = "conv",       [FV_NODE_BN] = "bn",
    [FV_NODE_RELU] = "relu",       [FV_NODE_ADD] = "add",         [FV_NODE_MAXPOOL] = "maxpool",
    [FV_NODE_GAP] = "global-mean", [FV_NODE_FC] = "fc",           [FV_NODE_LOSS] = "loss",
    [FV_NODE_RELU6] = "relu6",     [FV_NODE_PRELU] = "prelu",     [FV_NODE_SIGMOID] = "sigmoid",
    [FV_NODE_SCALE] = "scale",     [FV_NODE_DROPOUT] = "dropout", [FV_NODE_COSINE] = "cosine",
};

enum { MAX_DIM = 1 << 24 };

int fv_net_new(struct fv_net **out, const char *arch)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "%s: out of memory", arch);
    (*out)->arch = arch;
    (*out)->embedding_node = (*out)->logits_node = -1;
    (*out)->logit_scale = 1;
    return 0;
}

void fv_net_free(struct fv_net **n)
{
    if (!n || !*n)
        return;
    for (int i = 0; i < (*n)->nodes; i++)
        free((*n)->node[i].name);
    for (int i = 0; i < (*n)->tensors; i++)
        free((*n)->tensor[i].name);
    free((*n)->node);
    free((*n)->tensor);
    free(*n);
    *n = NULL;
}

/* Remembers the first failure only: those after it follow from it. */
__attribute__((format(printf, 3, 4))) static int fail(struct fv_net *n, int code, const char *fmt,
                                                      ...)
{
    char text[256];
    va_list args;
    if (n->error)
        return -1;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    n->error = fv_err(code, "%s: %s", n->arch, text);
    return -1;
}

/* Lists grow whenever their length is a power of two from 16 on. */
static void *grow(struct fv_net *n, void *list, int used, size_t item)
{
    if (used > 0 && (used < 16 || (used & (used - 1)) != 0))
        return list;
    void *more = realloc(list, (used == 0 ? 16 : 2 * (size_t)used) * item);
    if (!more)
        fail(n, FV_ENOMEM, "out of memory");
    return more;
}

/* Appends a node that reads `in` (and `in2`; -1 for none) and has the shape of `in`. Takes a copy of `name`. */
static struct fv_node *add_node(struct fv_net *n, enum fv_node_kind kind, const char *name, int in,
                                int in2)
{
    int reads = kind == FV_NODE_INPUT ? 0 : kind == FV_NODE_ADD || kind == FV_NODE_SCALE ? 2 : 1;
    if (n->error)
        return NULL;
    if ((reads > 0 && (in < 0 || in >= n->nodes)) || (reads > 1 && (in2 < 0 || in2 >= n->nodes))) {
        fail(n, FV_EINVAL, "node %d (%s) reads a node that does not exist", n->nodes,
             fv_node_names[kind]);
        return NULL;
    }
    struct fv_node *list = grow(n, n->node, n->nodes, sizeof *n->node);
    if (!list)
        return NULL;
    n->node = list;
    struct fv_node *node = &list[n->nodes];
    *node = (struct fv_node){.kind = kind,
                             .name = fv_format("%s", name),
                             .in = {in, in2, -1},
                             .groups = 1,
                             .tensor = {-1, -1, -1, -1}};
    if (!node->name) {
        fail(n, FV_ENOMEM, "out of memory");
        return NULL;
    }
    if (in >= 0) {
        node->h = list[in].h;
        node->w = list[in].w;
        node->c = list[in].c;
    }
    n->nodes++;
    return node;
}

static int last(const struct fv_net *n)
{
    return n->error ? -1 : n->nodes - 1;
}

/* Appends the tensor "<node>.<what>" with the given shape; its offset is known when the net is finished. */
static int add_tensor(struct fv_net *n, const char *node, const char *what, int ndim,
                      const int dim[4], struct fv_tensor t)
{
    if (n->error)
        return -1;
    struct fv_tensor *list = grow(n, n->tensor, n->tensors, sizeof *n->tensor);
    if (!list)
        return -1;
    n->tensor = list;
    t.name = fv_format("%s.%s", node, what);
    t.ndim = ndim;
    t.count = 1;
    for (int i = 0; i < ndim; i++) {
        t.dim[i] = dim[i];
        if (__builtin_mul_overflow(t.count, (size_t)dim[i], &t.count)) {
            free(t.name);
            return fail(n, FV_EINVAL, "tensor %s.%s is too large", node, what);
        }
    }
    if (!t.name)
        return fail(n, FV_ENOMEM, "out of memory");
    list[n->tensors] = t;
    return n->tensors++;
}

static int vector(struct fv_net *n, const char *node, const char *what, int count,
                  struct fv_tensor t)
{
    return add_tensor(n, node, what, 1, (int[4]){count}, t);
}

int fv_net_input(struct fv_net *n, int size, const float mean[3], const float std[3])
{
    if (size < 1 || size > MAX_DIM)
        return fail(n, FV_EINVAL, "images of %d pixels a side", size);
    for (int i = 0; i < 3; i++)
        if (!isfinite(mean[i]) || !(std[i] > 0) || !isfinite(std[i]))
            return fail(n, FV_EINVAL, "the pixel mean must be finite and the deviation positive");
    struct fv_node *node = add_node(n, FV_NODE_INPUT, "", -1, -1);
    if (!node)
        return -1;
    n->size = node->h = node->w = size;
    node->c = 3;
    memcpy(node->mean, mean, sizeof node->mean);
    memcpy(node->std, std, sizeof node->std);
    return last(n);
}

/* Output size of a window that slides over a padded side, rounded down as PyTorch does; -1 if it does not fit. */
static int slide(int side, int window, int stride, int pad)
{
    if (window < 1 || stride < 1 || pad < 0 || pad >= window || window > MAX_DIM ||
        side + 2 * pad < window)
        return -1;
    return (side + 2 * pad - window) / stride + 1;
}

static int set_window(struct fv_net *n, struct fv_node *node, int window, int stride, int pad)
{
    int h = slide(node->h, window, stride, pad), w = slide(node->w, window, stride, pad);
    if (h < 1 || w < 1)
        return fail(n, FV_EINVAL, "a window of %d, stride %d, padding %d does not fit %dx%d",
                    window, stride, pad, node->w, node->h);
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
    struct fv_node *node = add_node(n, FV_NODE_CONV, name, in, -1);
    if (!node || set_window(n, node, window, stride, pad) < 0)
        return -1;
    if (out_c < 1 || out_c > MAX_DIM || groups < 1 || node->c % groups || out_c % groups)
        return fail(n, FV_EINVAL, "%s: %d groups do not divide %d -> %d channels", name, groups,
                    node->c, out_c);
    int group_c = node->c / groups;
    size_t area = (size_t)window * (size_t)window;
    node->c = out_c;
    node->groups = groups;
    node->tensor[0] = add_tensor(
        n, name, "weight", 4, (int[4]){out_c, group_c, window, window},
        (struct fv_tensor){.init = FV_INIT_KAIMING_FAN_OUT, .fan = (size_t)out_c * area});
    if (bias)
        node->tensor[1] = vector(n, name, "bias", out_c,
                                 (struct fv_tensor){.no_decay = 1,
                                                    .init = FV_INIT_UNIFORM_FAN_IN,
                                                    .fan = (size_t)group_c * area});
    return last(n);
}

static int add_bn(struct fv_net *n, const char *name, int in, int unit_scale)
{
    struct fv_node *node = add_node(n, FV_NODE_BN, name, in, -1);
    if (!node)
        return -1;
    int c = node->c;
    node->eps = 1e-5f;
    node->momentum = 0.1f;
    node->tensor[0] = vector(
        n, name, "weight", c,
        (struct fv_tensor){.no_decay = !unit_scale, .buffer = unit_scale, .init = FV_INIT_ONE});
    node->tensor[1] =
        vector(n, name, "bias", c, (struct fv_tensor){.no_decay = 1, .init = FV_INIT_ZERO});
    node->tensor[2] =
        vector(n, name, "running_mean", c, (struct fv_tensor){.buffer = 1, .init = FV_INIT_ZERO});
    node->tensor[3] =
        vector(n, name, "running_var", c, (struct fv_tensor){.buffer = 1, .init = FV_INIT_ONE});
    return last(n);
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
    add_node(n, FV_NODE_RELU, "", in, -1);
    return last(n);
}

int fv_net_relu6(struct fv_net *n, int in)
{
    add_node(n, FV_NODE_RELU6, "", in, -1);
    return last(n);
}

int fv_net_prelu(struct fv_net *n, const char *name, int in)
{
    struct fv_node *node = add_node(n, FV_NODE_PRELU, name, in, -1);
    if (!node)
        return -1;
    node->tensor[0] =
        vector(n, name, "weight", node->c,
               (struct fv_tensor){.no_decay = 1, .init = FV_INIT_CONSTANT, .init_value = 0.25});
    return last(n);
}

int fv_net_sigmoid(struct fv_net *n, int in)
{
    add_node(n, FV_NODE_SIGMOID, "", in, -1);
    return last(n);
}

int fv_net_add(struct fv_net *n, int a, int b)
{
    struct fv_node *node = add_node(n, FV_NODE_ADD, "", a, b);
    if (!node)
        return -1;
    const struct fv_node *other = &n->node[b];
    if (node->h != other->h || node->w != other->w || node->c != other->c)
        return fail(n, FV_EINVAL, "cannot add %dx%dx%d and %dx%dx%d", node->h, node->w, node->c,
                    other->h, other->w, other->c);
    return last(n);
}

int fv_net_scale(struct fv_net *n, int in, int by)
{
    struct fv_node *node = add_node(n, FV_NODE_SCALE, "", in, by);
    if (!node)
        return -1;
    const struct fv_node *factor = &n->node[by];
    if (in == by || factor->h != 1 || factor->w != 1 || factor->c != node->c)
        return fail(n, FV_EINVAL, "cannot scale %dx%dx%d by %dx%dx%d", node->h, node->w, node->c,
                    factor->h, factor->w, factor->c);
    return last(n);
}

int fv_net_dropout(struct fv_net *n, int in, double rate)
{
    if (rate == 0)
        return in;
    if (!(rate > 0 && (float)rate < 1))
        return fail(n, FV_EINVAL, "a dropout of %g: 0 .. below 1 is possible", rate);
    struct fv_node *node = add_node(n, FV_NODE_DROPOUT, "", in, -1);
    if (node)
        node->rate = (float)rate;
    return last(n);
}

int fv_net_maxpool(struct fv_net *n, int in, int window, int stride, int pad)
{
    struct fv_node *node = add_node(n, FV_NODE_MAXPOOL, "", in, -1);
    if (!node || set_window(n, node, window, stride, pad) < 0)
        return -1;
    return last(n);
}

int fv_net_gap(struct fv_net *n, int in)
{
    struct fv_node *node = add_node(n, FV_NODE_GAP, "", in, -1);
    if (node)
        node->h = node->w = 1;
    return last(n);
}

int fv_net_fc(struct fv_net *n, const char *name, int in, int out, int bias)
{
    struct fv_node *node = add_node(n, FV_NODE_FC, name, in, -1);
    if (!node)
        return -1;
    uint64_t area = (uint64_t)node->h * (uint64_t)node->w, from = area * (uint64_t)node->c;
    if (area > MAX_DIM || from > MAX_DIM || out < 1 || out > MAX_DIM)
        return fail(n, FV_EINVAL, "%s: fc has 1 .. %d inputs and as many outputs", name, MAX_DIM);
    struct fv_tensor t = {.init = FV_INIT_UNIFORM_FAN_IN, .fan = (size_t)from};
    node->tensor[0] = add_tensor(n, name, "weight", 2, (int[4]){out, (int)from}, t);
    node->h = node->w = 1;
    node->c = out;
    t.no_decay = 1;
    if (bias)
        node->tensor[1] = vector(n, name, "bias", out, t);
    return last(n);
}

void fv_net_set_init(struct fv_net *n, int node, int which, enum fv_init init, double value)
{
    if (n->error || node < 0 || n->node[node].tensor[which] < 0)
        return;
    n->tensor[n->node[node].tensor[which]].init = init;
    n->tensor[n->node[node].tensor[which]].init_value = value;
}

int fv_net_cosine(struct fv_net *n, const char *name, int in, int out)
{
    struct fv_node *node = add_node(n, FV_NODE_COSINE, name, in, -1);
    if (!node)
        return -1;
    if (node->h != 1 || node->w != 1 || out < 1 || out > MAX_DIM)
        return fail(n, FV_EINVAL, "%s: a cosine head reads 1x1 pixels and has 1 .. %d outputs",
                    name, MAX_DIM);
    node->tensor[0] = add_tensor(n, name, "weight", 2, (int[4]){out, node->c},
                                 (struct fv_tensor){.init = FV_INIT_NORMAL, .init_value = 0.01});
    node->c = out;
    return last(n);
}

/* The states of the loss's terms, as buffers of the node. */
static void add_states(struct fv_net *n, struct fv_node *node, int classes, int dim)
{
    int count = 0;
    for (int t = 0; t < n->loss.terms; t++) {
        for (int k = 0; k < FV_LOSS_STATES; k++) {
            const struct fv_loss_state *s = &n->loss.term[t].loss->state[k];
            const char *dot = s->name ? strrchr(s->name, '.') : NULL;
            if (!dot)
                continue;
            char *module = fv_format("%.*s", (int)(dot - s->name), s->name);
            if (!module) {
                fail(n, FV_ENOMEM, "out of memory");
                return;
            }
            const struct fv_tensor tensor = {
                .buffer = 1, .init = FV_INIT_CONSTANT, .init_value = s->init};
            const int dims[4] = {s->per_class ? classes : 1, dim};
            node->tensor[count++] =
                add_tensor(n, module, dot + 1, s->per_class ? 2 : 1, dims, tensor);
            free(module);
        }
    }
}

int fv_net_loss_state(const struct fv_net *n, int term, int which)
{
    int count = 0;
    if (which >= FV_LOSS_STATES || !n->loss.term[term].loss->state[which].name)
        return -1;
    for (int t = 0; t <= term; t++)
        for (int k = 0; k < (t < term ? FV_LOSS_STATES : which); k++)
            count += n->loss.term[t].loss->state[k].name != NULL;
    return n->node[n->nodes - 1].tensor[count];
}

int fv_net_set_loss(struct fv_net *n, const char *text)
{
    if (!n->error)
        n->error = fv_loss_parse(&n->loss, text);
    return n->error ? -1 : 0;
}

int fv_net_loss_over(struct fv_net *n, const int in[FV_LOSS_INPUTS], int classes)
{
    int some = -1, dim = 0;
    for (int k = 0; k < FV_LOSS_INPUTS; k++)
        some = in[k] >= 0 ? in[k] : some;
    struct fv_node *node = add_node(n, FV_NODE_LOSS, "", some, -1);
    if (!node)
        return -1;
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        node->in[k] = in[k];
        if (in[k] >= n->nodes - 1)
            return fail(n, FV_EINVAL, "the loss reads a node that does not exist");
        if (in[k] >= 0 && (n->node[in[k]].h != 1 || n->node[in[k]].w != 1))
            return fail(n, FV_EINVAL, "the loss reads 1x1 pixels");
        if (in[k] >= 0 && k != FV_LOSS_EMBEDDING && n->node[in[k]].c != classes)
            return fail(n, FV_EINVAL, "a head of %d classes where there are %d", n->node[in[k]].c,
                        classes);
    }
    if (in[FV_LOSS_EMBEDDING] >= 0)
        dim = n->node[in[FV_LOSS_EMBEDDING]].c;
    n->classes = classes;
    if (n->loss.scored >= 0)
        n->logits_node = in[fv_loss_scores(&n->loss.term[n->loss.scored])];
    n->logit_scale = fv_loss_scale(&n->loss);
    node->c = 1;
    add_states(n, node, classes, dim);
    return last(n);
}

int fv_net_loss(struct fv_net *n, int logits)
{
    const int in[FV_LOSS_INPUTS] = {logits, -1, -1};
    if (fv_net_set_loss(n, "ce") < 0)
        return -1;
    return fv_net_loss_over(n, in, logits >= 0 && logits < n->nodes ? n->node[logits].c : 0);
}

static int check_node(const struct fv_net *n, int i)
{
    const struct fv_node *node = &n->node[i];
    if ((node->kind == FV_NODE_INPUT) != (i == 0) ||
        (node->kind == FV_NODE_LOSS) != (i == n->nodes - 1))
        return fv_err(FV_EINVAL, "%s: a net has one input, first, and one loss, last", n->arch);
    if ((uint64_t)node->h * (uint64_t)node->w * (uint64_t)node->c > INT_MAX)
        return fv_err(FV_EINVAL, "%s: an output of %dx%dx%d is too large", n->arch, node->w,
                      node->h, node->c);
    return 0;
}

int fv_net_finish(struct fv_net *n)
{
    if (n->error)
        return n->error;
    if (n->nodes < 2)
        return fv_err(FV_EINVAL, "%s: a net has an input and a loss", n->arch);
    for (int i = 0; i < n->nodes; i++)
        FV_TRY(check_node(n, i));
    if (n->embedding_node < 0)
        n->embedding_node = n->logits_node;
    if (n->embedding_node < 0)
        return fv_err(FV_EINVAL, "%s: there is no embedding", n->arch);
    const struct fv_node *e = &n->node[n->embedding_node];
    n->embedding = e->h * e->w * e->c;
    size_t used = 0;
    for (int buffer = 0; buffer < 2; buffer++) {
        for (int i = 0; i < n->tensors; i++) {
            if (n->tensor[i].buffer != buffer)
                continue;
            n->tensor[i].offset = used;
            if (__builtin_add_overflow(used, n->tensor[i].count, &used) || used > PTRDIFF_MAX / 16)
                return fv_err(FV_EINVAL, "%s: too many parameters", n->arch);
        }
        *(buffer ? &n->buffers : &n->params) = used - (buffer ? n->params : 0);
    }
    return 0;
}

uint64_t fv_net_node_macs(const struct fv_net *n, int node)
{
    const struct fv_node *o = &n->node[node];
    if (o->kind != FV_NODE_CONV && o->kind != FV_NODE_FC && o->kind != FV_NODE_COSINE)
        return 0;
    return (uint64_t)o->h * (uint64_t)o->w * n->tensor[o->tensor[0]].count;
}

uint64_t fv_net_macs(const struct fv_net *n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n->nodes; i++)
        sum += fv_net_node_macs(n, i);
    return sum;
}

int fv_net_find_tensor(const struct fv_net *n, const char *name)
{
    for (int i = 0; i < n->tensors; i++)
        if (strcmp(n->tensor[i].name, name) == 0)
            return i;
    return -1;
}
