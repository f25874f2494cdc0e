/* SPDX-License-Identifier: MIT */
/* The weights alone, under the names of the original, with what a strict load_state_dict asks for besides: each batch
 * norm's num_batches_tracked. States of a loss belong to training and stay behind.
 */
#include "trainer/files/model_export.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/run/checkpoint.h"

#include <stdlib.h>
#include <string.h>

static int is_of_loss(const struct fv_net *net, int tensor)
{
    const struct fv_node *loss = &net->node[net->nodes - 1];
    for (int k = 0; k < 4; k++)
        if (loss->tensor[k] == tensor)
            return 1;
    return 0;
}

/* The prefix of a batch norm's tensors, as node->name, then counters of them; *n counts. */
static int add_tensors(const struct fv_export *e, struct fv_st_tensor *t, char **name, int *n)
{
    const struct fv_net *net = e->net;
    for (int i = 0; i < net->tensors; i++) {
        const struct fv_tensor *from = &net->tensor[i];
        if (is_of_loss(net, i))
            continue;
        struct fv_st_tensor *to = &t[(*n)++];
        *to = (struct fv_st_tensor){.name = from->name,
                                    .dtype = "F32",
                                    .ndim = from->ndim,
                                    .data = e->arena + from->offset,
                                    .bytes = from->count * sizeof(float)};
        for (int k = 0; k < from->ndim; k++)
            to->dim[k] = from->dim[k];
    }
    for (int i = 0; i < net->nodes; i++) {
        if (net->node[i].kind != FV_NODE_BN)
            continue;
        name[i] = fv_format("%s.num_batches_tracked", net->node[i].name);
        if (!name[i])
            return fv_err(FV_ENOMEM, "out of memory");
        t[(*n)++] = (struct fv_st_tensor){
            .name = name[i], .dtype = "I64", .data = &e->batches, .bytes = sizeof e->batches};
    }
    return 0;
}

static int write_file(const struct fv_export *e, const char *path)
{
    const struct fv_net *net = e->net;
    const struct fv_node *in = &net->node[0];
    char mean[64], std[64], size[16];
    snprintf(mean, sizeof mean, "%.9g %.9g %.9g", (double)in->mean[0], (double)in->mean[1],
             (double)in->mean[2]);
    snprintf(std, sizeof std, "%.9g %.9g %.9g", (double)in->std[0], (double)in->std[1],
             (double)in->std[2]);
    snprintf(size, sizeof size, "%d", net->size);
    const struct fv_st_meta meta[] = {
        {"format", "pt"}, {"program", "fv " FV_VERSION}, {"arch", net->arch},
        {"size", size},   {"colour_order", "RGB"},       {"mean", mean},
        {"std", std}};
    struct fv_st_tensor *t = calloc((size_t)(net->tensors + net->nodes), sizeof *t);
    char **name = calloc((size_t)net->nodes, sizeof *name);
    int n = 0;
    int rc = t && name ? add_tensors(e, t, name, &n) : fv_err(FV_ENOMEM, "%s: out of memory", path);
    if (rc == 0)
        rc = fv_st_write(path, t, n, meta, sizeof meta / sizeof *meta);
    for (int i = 0; name && i < net->nodes; i++)
        free(name[i]);
    free(name);
    free(t);
    return rc;
}

const struct fv_export_kind fv__model_safetensors = {
    .name = "safetensors",
    .help = "the weights under the names of torchvision, timm or InsightFace, for load_state_dict",
    .write = write_file,
};
