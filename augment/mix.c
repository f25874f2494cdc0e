/* SPDX-License-Identifier: MIT */
/* CutMix in place: item k takes a box from item k-1, which must still be as it was. Going from the last
 * item to the first, only the last one's box has to be kept aside, for the first. */
#include "augment/policy.h"

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

void fv_mix_apply(const struct fv_mix *mix, struct fv_batch *b, void *scratch)
{
    const size_t image_bytes = (size_t)b->height * (size_t)b->width * 3;
    const int on = mix->on && b->n > 1;

    for (int k = 0; k < b->n; k++) {
        b->label_mix[k] = on ? b->label[k > 0 ? k - 1 : b->n - 1] : b->label[k];
        b->lambda[k] = on ? mix->lambda : 1.0f;
    }
    if (!on)
        return;

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
