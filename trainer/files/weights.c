/* SPDX-License-Identifier: MIT */
#include "trainer/files/weights.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/run/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t max_file = (size_t)64 << 30;

struct fv_weight *fv__weights_add(struct fv_weights *w)
{
    if (w->weights % 64 == 0) {
        void *more = realloc(w->weight, ((size_t)w->weights + 64) * sizeof *w->weight);
        if (!more)
            return NULL;
        w->weight = more;
    }
    struct fv_weight *t = &w->weight[w->weights++];
    *t = (struct fv_weight){0};
    return t;
}

size_t fv_weight_count(const struct fv_weight *t)
{
    size_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= (size_t)t->dim[i];
    return n;
}

/* What a checkpoint of fvtrain says of its colours. */
static void read_colours(struct fv_weights *w)
{
    const char *mean = fv_st_meta(w->st, "mean"), *std = fv_st_meta(w->st, "std");
    w->is_checkpoint = fv_st_meta(w->st, "fv_checkpoint") && mean && std &&
                       sscanf(mean, "%f %f %f", &w->mean[0], &w->mean[1], &w->mean[2]) == 3 &&
                       sscanf(std, "%f %f %f", &w->std[0], &w->std[1], &w->std[2]) == 3;
}

static int read_safetensors(struct fv_weights *w, const char *origin)
{
    struct fv_st_tensor t;
    w->kind = "safetensors";
    for (int i = 0; fv_st_tensor_at(w->st, i, &t) == 0; i++) {
        struct fv_weight *out = fv__weights_add(w);
        int64_t stride = 1;
        if (!out)
            return fv_err(FV_ENOMEM, "%s: out of memory", origin);
        out->name = t.name;
        out->dtype = t.dtype;
        out->ndim = t.ndim;
        out->data = t.data;
        for (int k = t.ndim - 1; k >= 0; k--) {
            out->dim[k] = t.dim[k];
            out->stride[k] = stride;
            stride *= t.dim[k] > 0 ? t.dim[k] : 1;
        }
    }
    read_colours(w);
    return 0;
}

/* A pickle says its protocol first. A safetensors file may begin with the same bytes, as the length of its header, and
 * has a brace behind that. */
static int is_bare_pickle(const char *bytes, size_t n)
{
    return n >= 2 && bytes[0] == '\x80' && bytes[1] >= 0 && bytes[1] <= 5 &&
           !(n > 8 && bytes[8] == '{');
}

int fv_weights_parse(struct fv_weights *w, char *bytes, size_t n, const char *origin)
{
    *w = (struct fv_weights){0};
    if (n >= 4 && memcmp(bytes, "PK\3\4", 4) == 0) {
        w->bytes = bytes;
        w->kind = "torch.save";
        return fv__weights_read_pth(w, (const uint8_t *)bytes, n, origin);
    }
    if (is_bare_pickle(bytes, n)) {
        free(bytes);
        return fv_err(
            FV_EUNSUPPORTED,
            "%s: written by torch.save of before 1.6, a pickle without zip: write it anew, "
            "python3 -c \"import torch; torch.save(torch.load('OLD', map_location='cpu'), "
            "'NEW')\"",
            origin);
    }
    FV_TRY(fv_st_parse(&w->st, bytes, n, origin));
    return read_safetensors(w, origin);
}

int fv_weights_open(struct fv_weights *w, const char *path)
{
    char *bytes;
    size_t n;
    *w = (struct fv_weights){0};
    FV_TRY(fv_file_read(path, max_file, &bytes, &n));
    return fv_weights_parse(w, bytes, n, path);
}

void fv_weights_close(struct fv_weights *w)
{
    fv_st_close(&w->st);
    for (int i = 0; i < w->names; i++)
        free(w->name[i]);
    free(w->name);
    free(w->weight);
    free(w->bytes);
    *w = (struct fv_weights){0};
}

/* Numbers: little-endian, from bits to fp32. */

static float from_f32_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float read_f32(const uint8_t *p)
{
    return from_f32_bits((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                         (uint32_t)p[3] << 24);
}

static float read_bf16(const uint8_t *p)
{
    return from_f32_bits((uint32_t)p[0] << 16 | (uint32_t)p[1] << 24);
}

/* IEEE binary16; a subnormal is its fraction times 2^-24. */
static float read_f16(const uint8_t *p)
{
    const uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8, sign = (bits & 0x8000) << 16;
    const uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 0)
        return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
    return from_f32_bits(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13);
}

static float read_f64(const uint8_t *p)
{
    uint64_t bits = 0;
    double d;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)p[i] << 8 * i;
    memcpy(&d, &bits, sizeof d);
    return (float)d;
}

static const struct {
    const char *dtype;
    size_t bytes;
    float (*read)(const uint8_t *p);
} readers[] = {
    {"F32", 4, read_f32}, {"F16", 2, read_f16}, {"BF16", 2, read_bf16}, {"F64", 8, read_f64}};
enum { READERS = sizeof readers / sizeof *readers };

int fv_weight_read(const struct fv_weight *t, float *out)
{
    int r = 0;
    while (r < READERS && strcmp(readers[r].dtype, t->dtype) != 0)
        r++;
    if (r == READERS)
        return fv_err(FV_EUNSUPPORTED,
                      "the tensor '%s' is of type %s: F32, F16, BF16 and F64 can be read", t->name,
                      t->dtype);
    const size_t n = fv_weight_count(t);
    int64_t at[FV_WEIGHT_DIMS] = {0}, element = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = readers[r].read(t->data + (size_t)element * readers[r].bytes);
        for (int k = t->ndim - 1; k >= 0; k--) {
            element += t->stride[k];
            if (++at[k] < t->dim[k])
                break;
            element -= t->stride[k] * t->dim[k];
            at[k] = 0;
        }
    }
    return 0;
}
