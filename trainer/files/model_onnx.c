/* SPDX-License-Identifier: MIT */
/* The net as ONNX: opset 13, the batch a free dimension, NCHW as everywhere else, weights as initialisers under their
 * own names, batch norms in their inference form, dropout left out. Field numbers are those of onnx.proto3
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
 *
 * The input "data" is what the net sees: (x / 255 - mean) / std. InsightFace's loader looks for names that begin with
 * Sub and Mul among the first eight nodes: where both are there it takes the graph to normalise by itself, and so the
 * two nodes that do it have such names, and no others have.
 */
#include "trainer/files/model_export.h"
#include "trainer/files/protobuf.h"

#include "common/err.h"
#include "common/fs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPSET = 13, IR_VERSION = 7, TYPE_FLOAT = 1, NAME = 128 };
enum {
    MODEL_GRAPH = 7,
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12
};

struct onnx {
    struct fv_pb pb;
    const struct fv_export *e;
    const struct fv_net *net;
    char (*value)[NAME]; /* of each node: the name of its output */
    char *flat;          /* (nodes) its output is (n, c) and not (n, c, h, w) */
    char *needed;        /* (nodes) */
};

/* --- tensors -------------------------------------------------------------------------------------- */

static void write_tensor(struct onnx *o, const char *name, int ndim, const int *dim, const float *v,
                         size_t count)
{
    const size_t at = fv__pb_begin(&o->pb, GRAPH_INITIALIZER);
    for (int i = 0; i < ndim; i++)
        fv__pb_int(&o->pb, 1, dim[i]);
    fv__pb_int(&o->pb, 2, TYPE_FLOAT);
    fv__pb_text(&o->pb, 8, name);
    fv__pb_bytes(&o->pb, 9, v, count * sizeof *v);
    fv__pb_end(&o->pb, at);
}

static void write_three(struct onnx *o, const char *name, const float v[3])
{
    write_tensor(o, name, 4, (const int[]){1, 3, 1, 1}, v, 3);
}

/* Rows of length 1, as the cosine wants them. */
static void write_unit_rows(struct onnx *o, const struct fv_tensor *t, const float *v)
{
    const size_t dim = (size_t)t->dim[1];
    float *unit = malloc(t->count * sizeof *unit);
    if (!unit) {
        o->pb.failed = 1;
        return;
    }
    for (size_t at = 0; at < t->count; at += dim) {
        double square = 0;
        for (size_t k = at; k < at + dim; k++)
            square += (double)v[k] * (double)v[k];
        const double norm = fmax(sqrt(square), 1e-12);
        for (size_t k = at; k < at + dim; k++)
            unit[k] = (float)((double)v[k] / norm);
    }
    write_tensor(o, t->name, 2, t->dim, unit, t->count);
    free(unit);
}

/* A node's own tensors; a PReLU's slopes get the shape that goes with its input. */
static void write_tensors_of(struct onnx *o, int i)
{
    const struct fv_node *node = &o->net->node[i];
    for (int k = 0; k < 4; k++) {
        if (node->tensor[k] < 0)
            continue;
        const struct fv_tensor *t = &o->net->tensor[node->tensor[k]];
        const float *v = o->e->arena + t->offset;
        if (node->kind == FV_NODE_COSINE)
            write_unit_rows(o, t, v);
        else if (node->kind == FV_NODE_PRELU && !o->flat[i])
            write_tensor(o, t->name, 3, (const int[]){t->dim[0], 1, 1}, v, t->count);
        else
            write_tensor(o, t->name, t->ndim, t->dim, v, t->count);
    }
}

/* --- nodes ---------------------------------------------------------------------------------------- */

static void write_ints(struct onnx *o, const char *name, int n, const int *v)
{
    const size_t at = fv__pb_begin(&o->pb, 5);
    fv__pb_text(&o->pb, 1, name);
    for (int i = 0; i < n; i++)
        fv__pb_int(&o->pb, n == 1 ? 3 : 8, v[i]);
    fv__pb_int(&o->pb, 20, n == 1 ? 2 : 7); /* INT, INTS */
    fv__pb_end(&o->pb, at);
}

static void write_int(struct onnx *o, const char *name, int v)
{
    write_ints(o, name, 1, &v);
}

static void write_float(struct onnx *o, const char *name, float v)
{
    const size_t at = fv__pb_begin(&o->pb, 5);
    fv__pb_text(&o->pb, 1, name);
    fv__pb_float(&o->pb, 2, v);
    fv__pb_int(&o->pb, 20, 1); /* FLOAT */
    fv__pb_end(&o->pb, at);
}

/* Begins a node with up to `inputs` inputs; NULL ends them early. Attributes may follow, then fv__pb_end. */
static size_t begin_node(struct onnx *o, const char *op, const char *name, const char *output,
                         const char *const *input, int inputs)
{
    const size_t at = fv__pb_begin(&o->pb, GRAPH_NODE);
    for (int i = 0; i < inputs && input[i]; i++)
        fv__pb_text(&o->pb, 1, input[i]);
    fv__pb_text(&o->pb, 2, output);
    fv__pb_text(&o->pb, 3, name);
    fv__pb_text(&o->pb, 4, op);
    return at;
}

static void write_plain(struct onnx *o, const char *op, const char *output, const char *a,
                        const char *b, const char *c)
{
    const char *const input[] = {a, b, c};
    fv__pb_end(&o->pb, begin_node(o, op, output, output, input, 3));
}

static void write_window(struct onnx *o, const struct fv_node *node)
{
    const int p = node->pad;
    write_ints(o, "kernel_shape", 2, (const int[]){node->window, node->window});
    write_ints(o, "strides", 2, (const int[]){node->stride, node->stride});
    write_ints(o, "pads", 4, (const int[]){p, p, p, p});
}

static const char *tensor_name(const struct onnx *o, const struct fv_node *node, int k)
{
    return node->tensor[k] < 0 ? NULL : o->net->tensor[node->tensor[k]].name;
}

static void write_conv(struct onnx *o, int i)
{
    const struct fv_node *node = &o->net->node[i];
    const char *const input[] = {o->value[node->in[0]], tensor_name(o, node, 0),
                                 tensor_name(o, node, 1)};
    const size_t at = begin_node(o, "Conv", o->value[i], o->value[i], input, 3);
    write_window(o, node);
    write_int(o, "group", node->groups);
    fv__pb_end(&o->pb, at);
}

static void write_maxpool(struct onnx *o, int i)
{
    const struct fv_node *node = &o->net->node[i];
    const char *const input[] = {o->value[node->in[0]]};
    const size_t at = begin_node(o, "MaxPool", o->value[i], o->value[i], input, 1);
    write_window(o, node);
    fv__pb_end(&o->pb, at);
}

static void write_bn(struct onnx *o, int i)
{
    const struct fv_node *node = &o->net->node[i];
    const char *const input[] = {o->value[node->in[0]], tensor_name(o, node, 0),
                                 tensor_name(o, node, 1), tensor_name(o, node, 2),
                                 tensor_name(o, node, 3)};
    const size_t at = begin_node(o, "BatchNormalization", o->value[i], o->value[i], input, 5);
    write_float(o, "epsilon", node->eps);
    fv__pb_end(&o->pb, at);
}

static void write_flatten(struct onnx *o, const char *output, const char *in)
{
    const size_t at = begin_node(o, "Flatten", output, output, &in, 1);
    write_int(o, "axis", 1);
    fv__pb_end(&o->pb, at);
}

/* rows (n, in) times the transposed weight (out, in) */
static void write_gemm(struct onnx *o, int i, const char *rows, const char *output)
{
    const struct fv_node *node = &o->net->node[i];
    const char *const input[] = {rows, tensor_name(o, node, 0),
                                 node->kind == FV_NODE_FC ? tensor_name(o, node, 1) : NULL};
    const size_t at = begin_node(o, "Gemm", output, output, input, 3);
    write_int(o, "transB", 1);
    fv__pb_end(&o->pb, at);
}

/* The input of a fully connected layer as rows, by a Flatten of its own where it is not that yet. */
static const char *as_rows(struct onnx *o, int i, char name[NAME])
{
    const int in = o->net->node[i].in[0];
    if (o->flat[in])
        return o->value[in];
    snprintf(name, NAME, "%.100s.rows", o->value[i]);
    write_flatten(o, name, o->value[in]);
    return name;
}

static void write_fc(struct onnx *o, int i)
{
    char rows[NAME];
    write_gemm(o, i, as_rows(o, i, rows), o->value[i]);
}

/* x / max(|x|, 1e-12) times rows of length 1 */
static void write_cosine(struct onnx *o, int i)
{
    char rows[NAME], norm[NAME], safe[NAME], unit[NAME], least[NAME];
    const char *x = as_rows(o, i, rows);
    const float tiny = 1e-12f;
    snprintf(norm, NAME, "%.100s.norm", o->value[i]);
    snprintf(safe, NAME, "%.100s.norm_above_0", o->value[i]);
    snprintf(unit, NAME, "%.100s.unit", o->value[i]);
    snprintf(least, NAME, "%.100s.least_norm", o->value[i]);
    write_tensor(o, least, 0, NULL, &tiny, 1);
    const size_t at = begin_node(o, "ReduceL2", norm, norm, &x, 1);
    const size_t axes = fv__pb_begin(&o->pb, 5); /* a list of one number */
    fv__pb_text(&o->pb, 1, "axes");
    fv__pb_int(&o->pb, 8, 1);
    fv__pb_int(&o->pb, 20, 7);
    fv__pb_end(&o->pb, axes);
    fv__pb_end(&o->pb, at);
    write_plain(o, "Max", safe, norm, least, NULL);
    write_plain(o, "Div", unit, x, safe, NULL);
    write_gemm(o, i, unit, o->value[i]);
}

static void write_input(struct onnx *o, int i)
{
    const struct fv_node *node = &o->net->node[i];
    float mean[3], scale[3];
    if (!o->e->normalise)
        return;
    for (int c = 0; c < 3; c++) {
        mean[c] = 255 * node->mean[c];
        scale[c] = (float)(1 / (255 * (double)node->std[c]));
    }
    write_three(o, "colour_mean", mean);
    write_three(o, "colour_scale", scale);
    write_plain(o, "Sub", "Sub_mean", "data", "colour_mean", NULL);
    write_plain(o, "Mul", "Mul_scale", "Sub_mean", "colour_scale", NULL);
}

static void write_node(struct onnx *o, int i)
{
    const struct fv_node *node = &o->net->node[i];
    const char *a = node->in[0] >= 0 ? o->value[node->in[0]] : NULL;
    const char *b = node->in[1] >= 0 ? o->value[node->in[1]] : NULL;
    const char *out = o->value[i];
    write_tensors_of(o, i);
    switch (node->kind) {
    case FV_NODE_INPUT:
        write_input(o, i);
        break;
    case FV_NODE_CONV:
        write_conv(o, i);
        break;
    case FV_NODE_BN:
        write_bn(o, i);
        break;
    case FV_NODE_RELU:
        write_plain(o, "Relu", out, a, NULL, NULL);
        break;
    case FV_NODE_RELU6:
        write_plain(o, "Clip", out, a, "zero", "six");
        break;
    case FV_NODE_PRELU:
        write_plain(o, "PRelu", out, a, tensor_name(o, node, 0), NULL);
        break;
    case FV_NODE_SIGMOID:
        write_plain(o, "Sigmoid", out, a, NULL, NULL);
        break;
    case FV_NODE_ADD:
        write_plain(o, "Add", out, a, b, NULL);
        break;
    case FV_NODE_SCALE:
        write_plain(o, "Mul", out, a, b, NULL);
        break;
    case FV_NODE_MAXPOOL:
        write_maxpool(o, i);
        break;
    case FV_NODE_GAP:
        write_plain(o, "GlobalAveragePool", out, a, NULL, NULL);
        break;
    case FV_NODE_FC:
        write_fc(o, i);
        break;
    case FV_NODE_COSINE:
        write_cosine(o, i);
        break;
    case FV_NODE_DROPOUT: /* nothing in inference: its output is its input */
    case FV_NODE_LOSS:
    case FV_NODE_KINDS:
        break;
    }
}

/* --- the graph ------------------------------------------------------------------------------------ */

static int wants(const struct onnx *o, const char *output)
{
    return strcmp(o->e->outputs, "both") == 0 || strcmp(o->e->outputs, output) == 0;
}

/* Which nodes the outputs need; names and shapes of what nodes give. */
static int plan(struct onnx *o)
{
    const struct fv_net *net = o->net;
    if (wants(o, "embedding"))
        o->needed[net->embedding_node] = 1;
    if (wants(o, "logits") && net->logits_node >= 0)
        o->needed[net->logits_node] = 1;
    if (strcmp(o->e->outputs, "logits") == 0 && net->logits_node < 0)
        return fv_err(FV_EUSAGE, "--outputs logits: a net of the loss %s has none", net->loss.text);
    for (int i = net->nodes - 1; i >= 0; i--)
        for (int k = 0; o->needed[i] && k < FV_NODE_INPUTS; k++)
            if (net->node[i].in[k] >= 0)
                o->needed[net->node[i].in[k]] = 1;
    for (int i = 0; i < net->nodes; i++) {
        const struct fv_node *node = &net->node[i];
        const int in = node->in[0];
        o->flat[i] = node->kind == FV_NODE_FC || node->kind == FV_NODE_COSINE ||
                     (in >= 0 && node->kind != FV_NODE_GAP && o->flat[in]);
        if (node->kind == FV_NODE_INPUT)
            strcpy(o->value[i], o->e->normalise ? "Mul_scale" : "data");
        else if (node->kind == FV_NODE_DROPOUT)
            strcpy(o->value[i], o->value[in]);
        else if (*node->name)
            snprintf(o->value[i], NAME, "%.100s", node->name);
        else
            snprintf(o->value[i], NAME, "%s_%d", fv_node_names[node->kind], i);
        if (node->kind == FV_NODE_SCALE && o->flat[in] != o->flat[node->in[1]])
            return fv_err(FV_EUNSUPPORTED, "%s: maps times a row cannot be written as ONNX",
                          net->arch);
    }
    return 0;
}

/* A named tensor of floats; `dim` 0 is the batch. */
static void write_value_info(struct onnx *o, int field, const char *name, int ndim, const int *dim)
{
    const size_t info = fv__pb_begin(&o->pb, field);
    fv__pb_text(&o->pb, 1, name);
    const size_t type = fv__pb_begin(&o->pb, 2), tensor = fv__pb_begin(&o->pb, 1);
    fv__pb_int(&o->pb, 1, TYPE_FLOAT);
    const size_t shape = fv__pb_begin(&o->pb, 2);
    for (int i = 0; i < ndim; i++) {
        const size_t at = fv__pb_begin(&o->pb, 1);
        if (dim[i])
            fv__pb_int(&o->pb, 1, dim[i]);
        else
            fv__pb_text(&o->pb, 2, "batch");
        fv__pb_end(&o->pb, at);
    }
    fv__pb_end(&o->pb, shape);
    fv__pb_end(&o->pb, tensor);
    fv__pb_end(&o->pb, type);
    fv__pb_end(&o->pb, info);
}

static void write_outputs(struct onnx *o)
{
    const struct fv_net *net = o->net;
    const float scale = (float)net->logit_scale;
    if (wants(o, "embedding")) {
        write_flatten(o, "embedding", o->value[net->embedding_node]);
        write_value_info(o, GRAPH_OUTPUT, "embedding", 2, (const int[]){0, net->embedding});
    }
    if (!wants(o, "logits") || net->logits_node < 0)
        return;
    write_tensor(o, "logit_scale", 0, NULL, &scale, 1);
    write_plain(o, "Mul", "logits", o->value[net->logits_node], "logit_scale", NULL);
    write_value_info(o, GRAPH_OUTPUT, "logits", 2, (const int[]){0, net->classes});
}

static void write_graph(struct onnx *o)
{
    const struct fv_net *net = o->net;
    const float zero = 0, six = 6;
    const size_t at = fv__pb_begin(&o->pb, MODEL_GRAPH);
    int relu6 = 0;
    for (int i = 0; i < net->nodes; i++) {
        relu6 |= o->needed[i] && net->node[i].kind == FV_NODE_RELU6;
        if (o->needed[i])
            write_node(o, i);
    }
    if (relu6) {
        write_tensor(o, "zero", 0, NULL, &zero, 1);
        write_tensor(o, "six", 0, NULL, &six, 1);
    }
    fv__pb_text(&o->pb, 2, net->arch);
    write_value_info(o, GRAPH_INPUT, "data", 4, (const int[]){0, 3, net->size, net->size});
    write_outputs(o);
    fv__pb_end(&o->pb, at);
}

static void write_prop(struct onnx *o, const char *key, const char *value)
{
    const size_t at = fv__pb_begin(&o->pb, 14);
    fv__pb_text(&o->pb, 1, key);
    fv__pb_text(&o->pb, 2, value);
    fv__pb_end(&o->pb, at);
}

static void write_model(struct onnx *o)
{
    const struct fv_node *in = &o->net->node[0];
    char text[96];
    fv__pb_int(&o->pb, 1, IR_VERSION);
    fv__pb_text(&o->pb, 2, "fv");
    fv__pb_text(&o->pb, 3, FV_VERSION);
    const size_t set = fv__pb_begin(&o->pb, 8);
    fv__pb_text(&o->pb, 1, "");
    fv__pb_int(&o->pb, 2, OPSET);
    fv__pb_end(&o->pb, set);
    write_graph(o);
    write_prop(o, "colour_order", "RGB");
    write_prop(o, "input", o->e->normalise ? "0 .. 255" : "(x / 255 - mean) / std");
    snprintf(text, sizeof text, "%.9g %.9g %.9g", (double)in->mean[0], (double)in->mean[1],
             (double)in->mean[2]);
    write_prop(o, "mean", text);
    snprintf(text, sizeof text, "%.9g %.9g %.9g", (double)in->std[0], (double)in->std[1],
             (double)in->std[2]);
    write_prop(o, "std", text);
}

static size_t needed_bytes(const struct onnx *o)
{
    size_t floats = 0;
    for (int i = 0; i < o->net->nodes - 1; i++)
        for (int k = 0; k < 4; k++)
            if (o->needed[i] && o->net->node[i].tensor[k] >= 0)
                floats += o->net->tensor[o->net->node[i].tensor[k]].count;
    return floats * sizeof(float);
}

static int write_file(const struct fv_export *e, const char *path)
{
    static const size_t most = (size_t)2000 << 20; /* protobuf's limit, 2 GiB, less the graph */
    const size_t nodes = (size_t)e->net->nodes;
    struct onnx o = {.e = e, .net = e->net};
    o.value = calloc(nodes, sizeof *o.value);
    o.flat = calloc(nodes, 1);
    o.needed = calloc(nodes, 1);
    int rc = o.value && o.flat && o.needed ? plan(&o) : FV_ENOMEM;
    if (rc == 0 && needed_bytes(&o) > most)
        rc = fv_err(FV_EUNSUPPORTED,
                    "%s: %zu parameters are more than a file of ONNX can hold: --outputs embedding "
                    "leaves out the head, --to safetensors has no limit",
                    path, e->net->params);
    if (rc == 0) {
        write_model(&o);
        rc = o.pb.failed ? FV_ENOMEM : fv_file_write(path, o.pb.p, o.pb.n);
    }
    if (rc == FV_ENOMEM)
        fv_err(FV_ENOMEM, "%s: out of memory", path);
    free(o.pb.p);
    free(o.value);
    free(o.flat);
    free(o.needed);
    return rc;
}

const struct fv_export_kind fv__model_onnx = {
    .name = "onnx",
    .help = "a graph for onnxruntime and others: opset 13, any batch, embedding and logits",
    .write = write_file,
};
