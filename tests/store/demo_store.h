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
    int shard,
        shards; /* only images whose id leaves `shard` when divided by `shards`; 0 shards: all */
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

/* A zstd dictionary of at most room bytes for such images, from some that are not in the data set. */
static inline struct fv_dict *demo_dict(int side, size_t room, int level)
{
    enum { SAMPLES = 100 };
    const size_t n = (size_t)side * (size_t)side * 3;
    uint8_t *rgb = malloc(n), *content = malloc(SAMPLES * n), *bytes = malloc(room);
    struct fv_dict *dict = NULL;
    size_t sizes[SAMPLES];

    for (uint32_t i = 0; i < SAMPLES; i++) {
        demo_pixels(1000000 + i, side, rgb);
        fv__pixels_filter(rgb, side, side, content + i * n);
        sizes[i] = n;
    }
    const size_t trained = ZDICT_trainFromBuffer(bytes, room, content, sizes, SAMPLES);
    if (ZDICT_isError(trained) || fv_dict_open(&dict, bytes, trained, level) < 0)
        abort();
    free(rgb);
    free(content);
    free(bytes);
    return dict;
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
        int begun = 0;
        for (int i = 0; i < d->images && rc >= 0; i++, image++) {
            size_t n;
            if (d->shards && (int)image % d->shards != d->shard)
                continue;
            snprintf(name, sizeof name, "person%03d", l);
            rc = begun ? FV_OK : fv_store_put_label(w, name, holdout);
            begun = 1;
            if (rc < 0)
                break;
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
    struct fv_dict *dict = d->with_dict ? demo_dict(d->side, 2048, 3) : NULL;
    const struct fv_store_settings s = {.height = d->side,
                                        .width = d->side,
                                        .codec = "pixels",
                                        .level = 3,
                                        .packed_with = "size = demo\n",
                                        .dict = dict};
    struct fv_store_writer *w = NULL;
    struct fv_encoder *e = NULL;

    int rc = fv_store_create(&w, path, &s, 1);
    if (rc >= 0)
        rc = fv_encoder_open(&e, &s);
    if (rc >= 0)
        rc = demo_fill(w, e, d);
    fv_encoder_close(&e);
    if (rc >= 0)
        rc = fv_store_finish(&w);
    fv_store_abort(&w);
    fv_dict_close(&dict);
    return rc;
}

#endif
