/* SPDX-License-Identifier: MIT */
#include "tools/eval/eval_images.h"

#include "augment/augment.h"
#include "common/err.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int eval_images_want(struct eval_images *im, uint32_t image)
{
    struct fv_store_image info;

    FV_TRY(fv_store_image(im->store, image, &info));
    im->splits |= 1u << info.split;
    return FV_OK;
}

int eval_images_place(struct eval_images *im)
{
    const uint64_t all = fv_store_info(im->store)->images;
    struct fv_store_image info;

    free(im->position);
    im->position = malloc(all * sizeof *im->position);
    im->n = 0;
    if (!im->position)
        return fv_err(FV_ENOMEM, "out of memory for %" PRIu64 " images", all);
    for (uint64_t i = 0; i < all; i++) {
        FV_TRY(fv_store_image(im->store, i, &info));
        im->position[i] = im->n;
        im->n += im->splits >> info.split & 1;
    }
    return FV_OK;
}

static int want_split(struct eval_images *im, const char *name, size_t n)
{
    for (int i = 0; i < FV_SPLITS; i++)
        if (strlen(fv_split_names[i]) == n && memcmp(fv_split_names[i], name, n) == 0) {
            im->splits |= 1u << i;
            return FV_OK;
        }
    return fv_err(FV_EUSAGE, "--split: '%.*s' is none: valid are all, or of train, val, holdout",
                  (int)n, name);
}

int eval_images_want_splits(struct eval_images *im, const char *list)
{
    const int all = strcmp(list, "all") == 0;

    if (all)
        im->splits = (1u << FV_SPLITS) - 1;
    for (const char *p = list; !all && p; p = strchr(p, ','), p += p != NULL)
        FV_TRY(want_split(im, p, strcspn(p, ",")));
    FV_TRY(eval_images_place(im));
    if (im->n == 0)
        return fv_err(FV_ENOTFOUND, "%s: has no images in split %s", fv_store_path(im->store),
                      list);
    return FV_OK;
}

void eval_images_free(struct eval_images *im)
{
    free(im->position);
    memset(im, 0, sizeof *im);
}

static int open_loader(struct fv_loader **loader, const struct eval_images *im,
                       const struct fv_model *model, int64_t batch)
{
    struct fv_loader_settings ls;

    *loader = NULL;
    fv_loader_defaults(&ls);
    ls.batch = batch;
    ls.size = fv_model_net(model)->size;
    ls.policy = "none";
    ls.splits = im->splits;
    ls.order = "sequential";
    ls.endless = 0;
    ls.on_error = "fail";
    return fv_loader_open(loader, im->store, &ls);
}

int eval_images_embed(const struct eval_images *im, struct fv_model *model, int flip, int64_t batch,
                      float *emb)
{
    struct fv_loader *loader;
    int rc = open_loader(&loader, im, model, batch);

    if (rc >= 0)
        rc = fv_model_embed(model, fv_loader_source(loader), flip, emb, im->report);
    fv_loader_close(&loader);
    return rc;
}

int eval_images_embed_raw(const struct eval_images *im, struct fv_model *model, int flip,
                          int64_t batch, float *emb)
{
    struct fv_loader *loader;
    int rc = open_loader(&loader, im, model, batch);

    if (rc >= 0)
        rc = fv_model_embed_raw(model, fv_loader_source(loader), flip, emb, im->report);
    fv_loader_close(&loader);
    return rc;
}

int eval_images_classify(const struct eval_images *im, struct fv_model *model, int64_t batch,
                         uint32_t *label)
{
    struct fv_loader *loader;
    int rc = open_loader(&loader, im, model, batch);

    if (rc >= 0)
        rc = fv_model_classify(model, fv_loader_source(loader), label, im->report);
    fv_loader_close(&loader);
    return rc;
}

enum { GRID = EVAL_PIXEL_GRID };

static void pixel_vector(const uint8_t *rgb, int width, int height, float *out)
{
    double cell[GRID * GRID] = {0}, mean = 0, norm = 0;
    int count[GRID * GRID] = {0};

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int c = y * GRID / height * GRID + x * GRID / width;
            const uint8_t *p = rgb + 3 * ((size_t)y * (size_t)width + (size_t)x);
            cell[c] += 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
            count[c]++;
        }
    for (int c = 0; c < GRID * GRID; c++) {
        cell[c] = count[c] ? cell[c] / count[c] : 0;
        mean += cell[c] / (GRID * GRID);
    }
    for (int c = 0; c < GRID * GRID; c++) {
        cell[c] -= mean;
        norm += cell[c] * cell[c];
    }
    norm = norm > 0 ? sqrt(norm) : 1;
    for (int c = 0; c < GRID * GRID; c++)
        out[c] = (float)(cell[c] / norm);
}

int eval_images_pixels(const struct eval_images *im, float *v)
{
    const struct fv_store_info *info = fv_store_info(im->store);
    uint8_t *rgb = malloc((size_t)info->width * (size_t)info->height * 3 + FV_DECODE_PAD);
    struct fv_decoder *d = NULL;
    struct fv_store_image one;
    int rc = rgb ? fv_decoder_open(&d, im->store) : fv_err(FV_ENOMEM, "out of memory");

    for (uint64_t i = 0; i < info->images && rc >= 0; i++) {
        rc = fv_store_image(im->store, i, &one);
        if (rc < 0 || !(im->splits >> one.split & 1))
            continue;
        rc = fv_decoder_read(d, i, rgb);
        if (rc >= 0)
            pixel_vector(rgb, info->width, info->height,
                         v + (size_t)im->position[i] * EVAL_PIXEL_DIM);
    }
    fv_decoder_close(&d);
    free(rgb);
    return rc;
}

double eval_images_score(const struct eval_images *im, const float *emb, int dim, uint32_t a,
                         uint32_t b)
{
    const size_t row = (size_t)dim;
    return fv_score_two(emb + im->position[a] * row, emb + im->position[b] * row, dim);
}
