/* SPDX-License-Identifier: MIT */
/* fvbench decode: how fast records become pixels on one thread, and how fast the library that does most of it is
 * alone on the same records. Both take the same images, scattered over the data set, in the same order. */
#include "tools/bench/fvbench.h"

#include "common/err.h"
#include "common/rng.h"
#include "store/limit.h"
#include "store/store.h"
#include "tools/bench/fvbench_measure.h"

#include <stdlib.h>

const struct fv_command fvbench_decode_cmd = {
    .name = "fvbench decode",
    .summary = "Measures how fast records become pixels on one thread, beside the library alone.",
    .usage = "--db FILE [options]",
};

enum { IMAGES = 1024 }; /* at most: held by the limit, unpacked */

struct work {
    struct fv_store *store;
    struct fv_decoder *decoder;
    struct fv_decode_limit *limit;
    uint64_t image[IMAGES];
    size_t n, decoded, limited; /* images; how many turns each has had */
    uint8_t *rgb;
};

static int decode_one(void *ctx)
{
    struct work *w = ctx;

    FV_TRY(fv_decoder_read(w->decoder, w->image[w->decoded++ % w->n], w->rgb));
    return 1;
}

static int limit_one(void *ctx)
{
    struct work *w = ctx;

    FV_TRY(fv_decode_limit_run(w->limit, w->limited++ % w->n, w->rgb));
    return 1;
}

static void print(const struct bench *b, const struct work *w, const struct bench_job job[2])
{
    const struct fv_store_info *info = fv_store_info(w->store);
    const double per_s = bench_per_cpu_s(&job[0]), limit = bench_per_cpu_s(&job[1]);
    const double megapixels = per_s * info->height * info->width * 1e-6;
    const double share = bench_ratio(&job[0], &job[1]);
    struct results r = {0};

    results_string(&r, "codec", info->codec);
    results_int(&r, "images", w->n, "%zu of %d x %d, again and again", w->n, info->height,
                info->width);
    results_real(&r, "images_per_s_per_core", per_s, "%8.0f", per_s);
    results_real(&r, "megapixels_per_s", megapixels, "%8.0f", megapixels);
    results_real(&r, "decode_us", 1e6 / per_s, "%8.2f us an image", 1e6 / per_s);
    results_string(&r, "limit", fv_decode_limit_name(w->limit));
    results_real(&r, "limit_images_per_s_per_core", limit, "%8.0f (%s alone)", limit,
                 fv_decode_limit_name(w->limit));
    results_real(&r, "share_of_limit", share, "%8.1f %%", share * 100);
    bench_print(b, &r, b->db, job, 2, NULL);
}

static int open_work(struct work *w, const char *db)
{
    FV_TRY(fv_store_open(&w->store, db));
    const struct fv_store_info *info = fv_store_info(w->store);
    w->n = info->images < IMAGES ? (size_t)info->images : IMAGES;
    for (size_t i = 0; i < w->n; i++)
        w->image[i] = fv_rng_permute(1, 0, info->images, i);
    w->rgb = malloc((size_t)info->height * (size_t)info->width * 3 + FV_DECODE_PAD);
    if (!w->rgb)
        return fv_err(FV_ENOMEM, "out of memory for an image");
    FV_TRY(fv_decoder_open(&w->decoder, w->store));
    return fv_decode_limit_open(&w->limit, w->store, w->image, w->n);
}

int fvbench_decode(int argc, char **argv)
{
    struct bench b = bench_defaults(&fvbench_decode_cmd);
    const struct fv_opt_group group = {"data", bench_db_opts, &b};
    struct work w = {0};
    struct bench_job job[2] = {{.name = "decode", .run = decode_one, .ctx = &w},
                               {.name = "limit", .run = limit_one, .ctx = &w}};
    int rc = bench_parse(&b, &group, 1, argc, argv);

    if (rc)
        return rc < 0 ? rc : FV_OK;
    rc = open_work(&w, b.db);
    if (rc >= 0)
        rc = bench_run(&b, job, 2);
    if (rc >= 0)
        print(&b, &w, job);
    fv_decode_limit_close(&w.limit);
    fv_decoder_close(&w.decoder);
    free(w.rgb);
    fv_store_close(&w.store);
    return rc;
}
