/* SPDX-License-Identifier: MIT */
#include "tools/bench/aug_cost.h"

#include "common/cpu.h"
#include "common/err.h"
#include "common/rng.h"
#include "store/store.h"
#include "tools/bench/batch_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PADDING = FV_DECODE_PAD };

static int open_images(struct aug_images *im, int h, int w, int out)
{
    const size_t stride = ((size_t)h * (size_t)w * 3 + PADDING + 63) / 64 * 64;

    *im = (struct aug_images){.h = h, .w = w, .out = out};
    im->memory = aligned_alloc(64, stride * AUG_BATCH);
    if (!im->memory)
        return fv_err(FV_ENOMEM, "out of memory for images of %d x %d", h, w);
    memset(im->memory, 0, stride * AUG_BATCH);
    for (int i = 0; i < AUG_BATCH; i++)
        im->src[i] = im->memory + (size_t)i * stride;
    return batch_alloc(&im->batch, AUG_BATCH, out ? out : h, out ? out : w);
}

int aug_images_read(struct aug_images *im, const struct fv_store *store, int out)
{
    const struct fv_store_info *info = fv_store_info(store);
    struct fv_decoder *d = NULL;
    int rc = open_images(im, info->height, info->width, out);

    if (rc >= 0)
        rc = fv_decoder_open(&d, store);
    for (int i = 0; rc >= 0 && i < AUG_BATCH; i++) {
        const uint64_t image = fv_rng_permute(1, 0, info->images, (uint64_t)i % info->images);
        im->batch.image[i] = (uint32_t)image;
        rc = fv_decoder_read(d, image, im->memory + (im->src[i] - im->memory));
    }
    fv_decoder_close(&d);
    if (rc < 0)
        aug_images_free(im);
    return rc;
}

/* A soft pattern with some noise: work depends little on what is in a picture. */
int aug_images_draw(struct aug_images *im, int side, int out)
{
    FV_TRY(open_images(im, side, side, out));
    for (int i = 0; i < AUG_BATCH; i++) {
        struct fv_rng r = fv_rng_at(1, 0, (uint64_t)i, FV_RNG_TEST);
        uint8_t *px = im->memory + (im->src[i] - im->memory);
        im->batch.image[i] = (uint32_t)i;
        for (int k = 0; k < side * side * 3; k++) {
            const double x = k / 3 % side, y = k / 3 / side;
            const double wave = sin(0.11 * x + i) + cos(0.07 * y + k % 3);
            px[k] = (uint8_t)(128 + 40 * wave + (double)fv_rng_below(&r, 16));
        }
    }
    return FV_OK;
}

void aug_images_free(struct aug_images *im)
{
    batch_free(&im->batch);
    free(im->memory);
    *im = (struct aug_images){0};
}

int aug_work_open(struct aug_work *w, struct aug_images *im, const char *policy, unsigned mask)
{
    const struct fv_augmenter_settings s = {.policy = policy,
                                            .seed = 1,
                                            .batch = AUG_BATCH,
                                            .src_h = im->h,
                                            .src_w = im->w,
                                            .out_h = im->batch.height,
                                            .out_w = im->batch.width};
    const unsigned flags = fv_cpu_flags();

    *w = (struct aug_work){.images = im};
    fv_cpu_set_mask(flags & mask);
    const int rc = fv_augmenter_open(&w->augmenter, &s);
    fv_cpu_set_mask(flags);
    FV_TRY(rc);
    snprintf(w->name, sizeof w->name, "%s", fv_augmenter_policy(w->augmenter));
    return FV_OK;
}

int aug_work_run(void *ctx)
{
    struct aug_work *w = ctx;

    if (w->repeat && w->step)
        fv_augmenter_repeat(w->augmenter, w->images->src, &w->images->batch);
    else
        fv_augmenter_run(w->augmenter, 0, w->step, w->images->src, &w->images->batch);
    w->step++;
    return AUG_BATCH;
}

void aug_work_close(struct aug_work *w)
{
    fv_augmenter_close(&w->augmenter);
}

/* Commas inside of parentheses part values, not ops. */
static size_t part_length(const char *p)
{
    int depth = 0;
    size_t n = 0;

    for (; p[n] && (depth > 0 || p[n] != ','); n++)
        depth += (p[n] == '(') - (p[n] == ')');
    return n;
}

int aug_policy_part(const char *policy, int i, int without, char *out, size_t n)
{
    int found = 0;
    size_t used = 0;

    out[0] = '\0';
    for (int k = 0; *policy; k++) {
        const size_t length = part_length(policy);
        found |= k == i;
        if ((k == i) != without && used < n)
            used += (size_t)snprintf(out + used, n - used, "%s%.*s", used ? "," : "", (int)length,
                                     policy);
        policy += length + (policy[length] == ',');
    }
    return found;
}
