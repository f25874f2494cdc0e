/* SPDX-License-Identifier: MIT */
/* What the net is, layer by layer, for reading. */
#include "trainer/files/model_export.h"

#include "common/err.h"

static void print_node(const struct fv_net *net, int i, FILE *to)
{
    const struct fv_node *o = &net->node[i];
    size_t params = 0, buffers = 0;
    char shape[48], window[48] = "";
    for (int k = 0; k < 4; k++)
        if (o->kind != FV_NODE_LOSS && o->tensor[k] >= 0) {
            const struct fv_tensor *t = &net->tensor[o->tensor[k]];
            *(t->buffer ? &buffers : &params) += t->count;
        }
    snprintf(shape, sizeof shape, "%dx%dx%d", o->c, o->h, o->w);
    if (o->kind == FV_NODE_CONV || o->kind == FV_NODE_MAXPOOL)
        snprintf(window, sizeof window, "%dx%d/%d", o->window, o->window, o->stride);
    if (o->kind == FV_NODE_CONV && o->groups > 1)
        snprintf(window, sizeof window, "%dx%d/%d, %d groups", o->window, o->window, o->stride,
                 o->groups);
    fprintf(to, "%4d  %-30s %-12s %-20s %-14s %10zu %8zu %13llu\n", i, o->name,
            fv_node_names[o->kind], window, shape, params, buffers,
            (unsigned long long)fv_net_node_macs(net, i));
}

static int print(const struct fv_export *e, FILE *to)
{
    const struct fv_net *net = e->net;
    const struct fv_node *in = &net->node[0];
    fprintf(to, "%s, %d px, %d classes, embedding of %d, loss %s\n", net->arch, net->size,
            net->classes, net->embedding, net->loss.text);
    fprintf(to, "%zu parameters, %zu buffers, %llu multiply-adds an image\n", net->params,
            net->buffers, (unsigned long long)fv_net_macs(net));
    fprintf(to, "input: RGB, (x / 255 - mean) / std, mean %g %g %g, std %g %g %g\n\n",
            (double)in->mean[0], (double)in->mean[1], (double)in->mean[2], (double)in->std[0],
            (double)in->std[1], (double)in->std[2]);
    fprintf(to, "%4s  %-30s %-12s %-20s %-14s %10s %8s %13s\n", "node", "name", "kind", "window",
            "output", "params", "buffers", "multiply-adds");
    for (int i = 0; i < net->nodes; i++)
        print_node(net, i, to);
    return ferror(to) ? fv_err_errno(FV_EIO, "cannot write") : 0;
}

const struct fv_export_kind fv__model_text = {
    .name = "text",
    .help = "a table of its layers, shapes, parameters and multiply-adds",
    .print = print,
};
