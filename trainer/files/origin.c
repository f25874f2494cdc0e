/* SPDX-License-Identifier: MIT */
#include "trainer/files/origin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* torchvision: references/classification/presets.py. InsightFace: recognition/arcface_torch/dataset.py, whose images
 * come from mxnet's imdecode. */
static const struct fv_origin torchvision = {.name = "torchvision's nets for ImageNet",
                                             .mean = "imagenet",
                                             .std = "imagenet",
                                             .mean_of = {0.485f, 0.456f, 0.406f},
                                             .std_of = {0.229f, 0.224f, 0.225f}};
static const struct fv_origin insightface = {.name = "InsightFace's nets",
                                             .mean = "0.5",
                                             .std = "0.5",
                                             .mean_of = {0.5f, 0.5f, 0.5f},
                                             .std_of = {0.5f, 0.5f, 0.5f}};

static int ends(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

/* A head for the thousand classes of ImageNet. */
static int is_imagenet_head(const struct fv_weight *w)
{
    return w->ndim == 2 && w->dim[0] == 1000 &&
           (ends(w->name, "fc.weight") || ends(w->name, "classifier.1.weight"));
}

const struct fv_origin *fv__origin_of(const struct fv_weights *w, const char *arch)
{
    if (w->is_checkpoint)
        return NULL;
    for (int i = 0; i < w->weights; i++)
        if (is_imagenet_head(&w->weight[i]))
            return &torchvision;
    return strncmp(arch, "iresnet", 7) == 0 ? &insightface : NULL;
}

int fv__origin_differs(const struct fv_origin *o, const char *path, const float mean[3],
                       const float std[3], int bgr, char *text, size_t n)
{
    int other = 0;
    for (int c = 0; c < 3; c++)
        other |= fabsf(mean[c] - o->mean_of[c]) > 0.01f || fabsf(std[c] - o->std_of[c]) > 0.01f;
    if (!other && !bgr)
        return 0;
    snprintf(
        text, n,
        "%s looks like one of %s, which see red first, and --mean %s --std %s: %s%s%s, or they "
        "learn from what they take for other colours",
        path, o->name, o->mean, o->std, other ? "give these" : "", other && bgr ? ", and " : "",
        bgr ? "leave --init-bgr out" : "");
    return 1;
}
