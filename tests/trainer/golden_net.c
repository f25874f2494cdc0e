/* SPDX-License-Identifier: MIT */
#include "golden_net.h"

#include "common/err.h"

#include <math.h>
#include <string.h>

double golden_unit(uint32_t seed, uint32_t stream, uint32_t i)
{
    uint32_t x = i * 0x9E3779B9u;
    x ^= stream * 0x85EBCA6Bu + seed * 0xC2B2AE35u;
    for (int round = 0; round < 2; round++) {
        x ^= x >> 16;
        x *= 0x7FEB352Du;
        x ^= x >> 15;
        x *= 0x846CA68Bu;
        x ^= x >> 16;
    }
    return (x >> 8) * 0x1p-23 - 1.0;
}

void golden_images(uint32_t seed, int step, int count, uint8_t *pixels)
{
    for (int i = 0; i < count; i++)
        pixels[i] =
            (uint8_t)((golden_unit(seed, 1000 + (uint32_t)step, (uint32_t)i) + 1.0) * 128.0);
}

static int ends_with(const char *s, const char *end)
{
    return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

void golden_fill(const struct fv_net *net, uint32_t seed, float *arena)
{
    for (int i = 0; i < net->tensors; i++) {
        const struct fv_tensor *t = &net->tensor[i];
        for (size_t k = 0; k < t->count; k++) {
            double u = golden_unit(seed, (uint32_t)i, (uint32_t)k);
            if (ends_with(t->name, "running_mean") || ends_with(t->name, "bias"))
                u = 0.1 * u;
            else if (t->ndim == 1)
                u = 1.0 + 0.2 * u;
            else if (t->ndim == 2)
                u = u * sqrt(3.0 / t->dim[1]);
            else
                u = u * sqrt(6.0 / (t->dim[1] * t->dim[2] * t->dim[3]));
            arena[t->offset + k] = (float)u;
        }
    }
}

/* What the residual nets lack; its twin is in make_trainer_golden.py. */
static int build_grouped(struct fv_net **out, const struct fv_arch_settings *s)
{
    FV_TRY(fv_net_new(out, "grouped"));
    struct fv_net *n = *out;
    int x = fv_net_input(n, s->size, s->mean, s->std);
    x = fv_net_conv(n, "conv1", x, 12, 3, 2, 1, 3, 1);
    x = fv_net_relu(n, x);
    x = fv_net_conv(n, "conv2", x, 12, 5, 1, 2, 12, 0);
    x = fv_net_relu(n, fv_net_bn(n, "bn2", x));
    x = fv_net_maxpool(n, x, 2, 1, 0);
    x = fv_net_conv(n, "conv3", x, 8, 4, 3, 0, 2, 1);
    x = n->embedding_node = fv_net_gap(n, x);
    fv_net_loss(n, fv_net_fc(n, "fc", x, s->classes, 0));
    return fv_net_finish(n);
}

int golden_build(struct fv_net **out, const char *name, int size, int classes)
{
    struct fv_arch_settings s = {size, classes, "auto", {.5f, .5f, .5f}, {.25f, .25f, .25f},
                                 0,    NULL};
    if (strcmp(name, "grouped") == 0)
        return build_grouped(out, &s);
    if (strcmp(name, "tiny") == 0)
        return fv_net_build(out, "tiny", &s);
    s.stem = strchr(name, '-') + 1;
    return fv_net_build(out, "resnet18", &s);
}
