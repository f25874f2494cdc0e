/* SPDX-License-Identifier: MIT */
/* Mixing in place: item k takes from item k-1, which must still be as it was. Going from the last item to the
 * first, only the last one has to be kept aside, for the first.
 *
 * MixUp's pixels are (w a + (2^14 - w) b) / 2^14 rounded half up, in integers, with w the share lambda to the nearest
 * 2^-14: within 0.51 levels of the real blend. Labels take lambda as it was drawn. */
#include "augment/dsp.h"
#include "augment/policy.h"

#include <math.h>
#include <string.h>

struct box {
    size_t offset; /* of the box within an image */
    size_t width;  /* bytes of one of its rows */
    size_t stride; /* bytes of an image row */
    int rows;
};

static void copy_box(const struct box *b, uint8_t *dst, const uint8_t *src)
{
    for (int y = 0; y < b->rows; y++)
        memcpy(dst + b->offset + (size_t)y * b->stride, src + b->offset + (size_t)y * b->stride,
               b->width);
}

static void cutmix(const struct fv_mix *mix, struct fv_batch *b, size_t image_bytes,
                   uint8_t *scratch)
{
    const struct box box = {
        .offset = ((size_t)mix->y1 * (size_t)b->width + (size_t)mix->x1) * 3,
        .width = (size_t)(mix->x2 - mix->x1) * 3,
        .stride = (size_t)b->width * 3,
        .rows = mix->y2 - mix->y1,
    };

    copy_box(&box, scratch, b->pixels + (size_t)(b->n - 1) * image_bytes);
    for (int k = b->n - 1; k > 0; k--)
        copy_box(&box, b->pixels + (size_t)k * image_bytes,
                 b->pixels + (size_t)(k - 1) * image_bytes);
    copy_box(&box, b->pixels, scratch);
}

static void mixup(const struct fv_dsp *dsp, const struct fv_mix *mix, struct fv_batch *b,
                  size_t image_bytes, uint8_t *scratch)
{
    const int weight = (int)lrint(ldexp((double)mix->lambda, FV_DSP_BLEND_BITS));

    memcpy(scratch, b->pixels + (size_t)(b->n - 1) * image_bytes, image_bytes);
    for (int k = b->n - 1; k > 0; k--)
        dsp->blend(b->pixels + (size_t)k * image_bytes, b->pixels + (size_t)(k - 1) * image_bytes,
                   image_bytes, weight);
    dsp->blend(b->pixels, scratch, image_bytes, weight);
}

void fv_mix_apply(const struct fv_dsp *dsp, const struct fv_mix *mix, struct fv_batch *b,
                  void *scratch)
{
    const size_t image_bytes = (size_t)b->height * (size_t)b->width * 3;
    const enum fv_mix_kind kind = b->n > 1 ? mix->kind : FV_MIX_NONE;

    for (int k = 0; k < b->n; k++) {
        b->label_mix[k] = kind ? b->label[k > 0 ? k - 1 : b->n - 1] : b->label[k];
        b->lambda[k] = kind ? mix->lambda : 1.0f;
    }
    if (kind == FV_MIX_CUTMIX)
        cutmix(mix, b, image_bytes, scratch);
    else if (kind == FV_MIX_MIXUP)
        mixup(dsp, mix, b, image_bytes, scratch);
}
