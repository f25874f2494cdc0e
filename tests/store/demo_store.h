/* SPDX-License-Identifier: MIT */
/* A small data set for tests: LABELS identities of IMAGES images, the last HOLDOUT of them held out, every
 * fifth image of the others for validation; pixels are a function of the image id. */
#ifndef FV_TESTS_DEMO_STORE_H
#define FV_TESTS_DEMO_STORE_H

#include "common/err.h"
#include "common/rng.h"
#include "store/pixel_filter.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <zdict.h>

struct demo {
    int labels, images, holdout, side;
    int with_dict;
};

static inline void demo_pixels(uint32_t image, int side, uint8_t *rgb)
{
    struct fv_rng r = fv_rng_at(1, 0, image, FV_RNG_TEST);
    int v[3] = {128, 128, 128};

    for (int i = 0; i < side * side; i++)
        for (int c = 0; c < 3; c++) {
            v[c] += (int)fv_rng_below(&r, 13) - 6;
            rgb[3 * i + c] = (uint8_t)v[c];
        }
}

/* A zstd dictionary for such images, from some that are not in the data set. */
static inline size_t demo_dict(int side, uint8_t *dict, size_t room)
{
    enum { SAMPLES = 100 };
    const size_t n = (size_t)side * (size_t)side * 3;
    uint8_t *rgb = malloc(n), *content = malloc(SAMPLES * n);
    size_t sizes[SAMPLES];

    for (uint32_t i = 0; i < SAMPLES; i++) {
        demo_pixels(1000000 + i, side, rgb);
        fv__pixels_filter(rgb, side, side, content + i * n);
        sizes[i] = n;
    }
    const size_t bytes = ZDICT_trainFromBuffer(dict, room, content, sizes, SAMPLES);
    free(rgb);
    free(content);
    return ZDICT_isError(bytes) ? 0 : bytes;
}

static inline int demo_fill(struct fv_store_writer *w, struct fv_encoder *e, const struct demo *d)
{
    uint8_t *rgb = malloc((size_t)d->side * (size_t)d->side * 3),
            *record = malloc(fv_encoder_bound(e));
    char name[64];
    uint32_t image = 0;
    int rc = FV_OK;

    for (int l = 0; l < d->labels && rc >= 0; l++) {
        const int holdout = l >= d->labels - d->holdout;
        snprintf(name, sizeof name, "person%03d", l);
        rc = fv_store_put_label(w, name, holdout);
        for (int i = 0; i < d->images && rc >= 0; i++, image++) {
            size_t n;
            demo_pixels(image, d->side, rgb);
            rc = fv_encoder_write(e, rgb, record, &n);
            snprintf(name, sizeof name, "person%03d/%04d.jpg", l, i);
            if (rc >= 0)
                rc = fv_store_put(w, record, n, name,
                                  holdout      ? FV_SPLIT_HOLDOUT
                                  : i % 5 == 4 ? FV_SPLIT_VAL
                                               : FV_SPLIT_TRAIN);
        }
    }
    free(rgb);
    free(record);
    return rc;
}

static inline int demo_make(const char *path, const struct demo *d)
{
    uint8_t dict[2048];
    struct fv_store_settings s = {.height = d->side,
                                  .width = d->side,
                                  .codec = "pixels",
                                  .level = 3,
                                  .packed_with = "size = demo\n"};
    struct fv_store_writer *w;
    struct fv_encoder *e;

    if (d->with_dict) {
        s.dict = dict;
        s.dict_bytes = demo_dict(d->side, dict, sizeof dict);
    }
    FV_TRY(fv_store_create(&w, path, &s, 1));
    int rc = fv_encoder_open(&e, &s);
    if (rc >= 0)
        rc = demo_fill(w, e, d);
    fv_encoder_close(&e);
    if (rc < 0) {
        fv_store_abort(&w);
        return rc;
    }
    return fv_store_finish(&w);
}

#endif
