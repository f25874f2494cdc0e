/* SPDX-License-Identifier: MIT */
/* The builder: lists of nodes and tensors that grow, and at the end the arena that follows from the tensors.
 *
 * A net is built once at start, so its lists simply grow, and every name is an allocation of its own. Shapes
 * may come from a checkpoint's settings: whatever cannot be built is an error and not an assertion.
 */
#include "trainer/net/net.h"

#include "trainer/net/net_build.h"

#include "common/err.h"
#include "common/fs.h"

#include <limits.h>
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

int fv__net_fail(struct fv_net *n, int code, const char *fmt, ...)
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
        fv__net_fail(n, FV_ENOMEM, "out of memory");
    return more;
}

struct fv_node *fv__net_add_node(struct fv_net *n, enum fv_node_kind kind, const char *name, int in,
                                 int in2)
{
    int reads = kind == FV_NODE_INPUT ? 0 : kind == FV_NODE_ADD || kind == FV_NODE_SCALE ? 2 : 1;
    if (n->error)
        return NULL;
    if ((reads > 0 && (in < 0 || in >= n->nodes)) || (reads > 1 && (in2 < 0 || in2 >= n->nodes))) {
        fv__net_fail(n, FV_EINVAL, "node %d (%s) reads a node that does not exist", n->nodes,
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
        fv__net_fail(n, FV_ENOMEM, "out of memory");
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

int fv__net_last(const struct fv_net *n)
{
    return n->error ? -1 : n->nodes - 1;
}

int fv__net_add_tensor(struct fv_net *n, const char *node, const char *what, int ndim,
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
            return fv__net_fail(n, FV_EINVAL, "tensor %s.%s is too large", node, what);
        }
    }
    if (!t.name)
        return fv__net_fail(n, FV_ENOMEM, "out of memory");
    list[n->tensors] = t;
    return n->tensors++;
}

int fv__net_add_vector(struct fv_net *n, const char *node, const char *what, int count,
                       struct fv_tensor t)
{
    return fv__net_add_tensor(n, node, what, 1, (int[4]){count}, t);
}

void fv_net_set_init(struct fv_net *n, int node, int which, enum fv_init init, double value)
{
    if (n->error || node < 0 || n->node[node].tensor[which] < 0)
        return;
    n->tensor[n->node[node].tensor[which]].init = init;
    n->tensor[n->node[node].tensor[which]].init_value = value;
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
