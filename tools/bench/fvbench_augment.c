/* SPDX-License-Identifier: MIT */
/* fvbench augment: what each op costs by itself and what a whole policy costs, in which all geometry is one warp; with
 * the kernels of this processor and with those in C, which give the same bits. Beside them the limits: a copy of the
 * images, and one warp of them with nothing to decide. One thread, images in memory. */
#include "tools/bench/fvbench.h"

#include "common/cpu.h"
#include "common/err.h"
#include "store/store.h"
#include "tools/bench/aug_cost.h"

#include <stdlib.h>
#include <string.h>

const struct fv_command fvbench_augment_cmd = {
    .name = "fvbench augment",
    .summary = "Measures each augmentation op, a whole policy, and their limits, on one thread.",
    .usage = "[options]",
    .notes = "  fvbench augment --aug 'flip,rotate(10),jitter(.2,.2,.2),erase(.25),cutmix(1)'\n"
             "  fvbench augment --db faces.lmdb --size 96",
};

/* Each op with the parameters that recipes give it, always applied, so that the cost is the op's. */
static const char *const ops[] = {
    "rrc(0.8,1)",
    "flip(1)",
    "rotate(10)",
    "affine(10,.1,.1,.9,1.1,5)",
    "perspective(.3,1)",
    "jitter(.2,.2,.2)",
    "jitter(0,0,0,.05)",
    "gray(1)",
    "blur(5)",
    "erase(1)",
    "erase(1,noise=1)",
    "cutmix",
    "mixup",
};
enum { OPS = sizeof ops / sizeof ops[0], LINES_MAX = OPS + 3 };
#define WARP "rotate(10)"
#define ALL "rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),erase(.25),cutmix(1)"

struct augment_settings {
    const char *policy;
    int64_t size, source;
};

#define FIELD(f) offsetof(struct augment_settings, f)
/* clang-format off */
static const struct fv_opt db_opts[] = {
    {"db", 'd', FV_OPT_STRING, 0, offsetof(struct bench, db), "FILE",
     "take images from a data set; without it they are drawn", 0, 0, NULL},
    {.name = NULL},
};
static const struct fv_opt augment_opts[] = {
    {"aug", 0, FV_OPT_STRING, 0, FIELD(policy), "POLICY", "the whole policy", 0, 0, NULL},
    {"size", 's', FV_OPT_INT, 0, FIELD(size), "PX", "side of the images made; 0: as their sources", 0, 4096, NULL},
    {"source", 0, FV_OPT_INT, 0, FIELD(source), "PX", "side of drawn sources", 1, 4096, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

/* A policy, with the best kernels and with those in C. */
struct line {
    const char *label, *key;
    struct aug_work best, plain;
    char in_c[280]; /* name of the second one's samples */
};

struct work {
    struct aug_images images;
    int lines;
    struct line line[LINES_MAX];
    struct bench_job job[2 * LINES_MAX + 1];
    uint8_t *copy;
};

static int copy_batch(void *ctx)
{
    struct work *w = ctx;
    const struct aug_images *im = &w->images;

    for (int i = 0; i < AUG_BATCH; i++)
        memcpy(w->copy + (size_t)i * (size_t)im->h * (size_t)im->w * 3, im->src[i],
               (size_t)im->h * (size_t)im->w * 3);
    return AUG_BATCH;
}

static int add_line(struct work *w, const char *policy, const char *label, int repeat)
{
    struct line *l = &w->line[w->lines];

    w->lines++; /* closed in any case */
    FV_TRY(aug_work_open(&l->best, &w->images, policy, ~0u));
    FV_TRY(aug_work_open(&l->plain, &w->images, policy, 0));
    l->best.repeat = l->plain.repeat = repeat;
    l->label = l->key = label ? label : l->best.name;
    snprintf(l->in_c, sizeof l->in_c, "%s, in C", l->key);
    struct bench_job *job = &w->job[2 * (w->lines - 1)];
    job[0] = (struct bench_job){.name = l->key, .run = aug_work_run, .ctx = &l->best};
    job[1] = (struct bench_job){.name = l->in_c, .run = aug_work_run, .ctx = &l->plain};
    return FV_OK;
}

static int open_work(struct work *w, const struct bench *b, const struct augment_settings *s)
{
    if (b->db) {
        struct fv_store *store;
        FV_TRY(fv_store_open(&store, b->db));
        const int rc = aug_images_read(&w->images, store, (int)s->size);
        fv_store_close(&store);
        FV_TRY(rc);
    } else {
        FV_TRY(aug_images_draw(&w->images, (int)s->source, (int)s->size));
    }
    w->copy = malloc((size_t)w->images.h * (size_t)w->images.w * 3 * AUG_BATCH);
    if (!w->copy)
        return fv_err(FV_ENOMEM, "out of memory for a batch");
    FV_TRY(add_line(w, s->policy, "whole policy", 0));
    for (int i = 0; i < OPS; i++)
        FV_TRY(add_line(w, ops[i], NULL, 0));
    FV_TRY(add_line(w, WARP, "limit: one warp", 1));
    w->job[2 * w->lines] = (struct bench_job){.name = "memcpy", .run = copy_batch, .ctx = w};
    return FV_OK;
}

static void print(const struct bench *b, struct work *w)
{
    const struct aug_images *im = &w->images;
    const double megapixels = (double)im->batch.height * im->batch.width * 1e-6;
    const struct bench_job *copy = &w->job[2 * w->lines], *warp = copy - 2;
    const double copies = bench_per_cpu_s(copy);
    struct results r = {0};
    char sizes[64];

    snprintf(sizes, sizeof sizes, "%d x %d to %d x %d", im->h, im->w, im->batch.height,
             im->batch.width);
    results_string(&r, "images", sizes);
    results_string(&r, "policy", w->line[0].best.name);
    results_heading(&r, "", "us an image     MP/s      in C   faster   of one warp's rate");
    for (int i = 0; i < w->lines; i++) {
        const struct bench_job *job = &w->job[2 * i];
        const double best = bench_per_cpu_s(job), plain = bench_per_cpu_s(job + 1);
        const double faster = bench_ratio(job, job + 1), share = bench_ratio(job, warp);
        results_object(&r, w->line[i].key,
                       (const struct result_number[]){{"us", 1e6 / best},
                                                      {"megapixels_per_s", best * megapixels},
                                                      {"us_in_c", 1e6 / plain},
                                                      {"faster_than_c", faster},
                                                      {"share_of_warp", share}},
                       5, "%11.2f %8.0f %9.2f %7.2fx %12.0f %%", 1e6 / best, best * megapixels,
                       1e6 / plain, faster, share * 100);
    }
    results_object(
        &r, "limit: memcpy",
        (const struct result_number[]){{"us", 1e6 / copies},
                                       {"megapixels_per_s", copies * (double)im->h * im->w * 1e-6}},
        2, "%11.2f %8.0f", 1e6 / copies, copies * (double)im->h * im->w * 1e-6);
    bench_print(b, &r, b->db ? b->db : "drawn images", w->job, 2 * w->lines + 1, NULL);
}

int fvbench_augment(int argc, char **argv)
{
    struct bench b = bench_defaults(&fvbench_augment_cmd);
    struct augment_settings s = {.policy = ALL, .source = 112};
    const struct fv_opt_group groups[] = {{"data", db_opts, &b},
                                          {"augmentation", augment_opts, &s}};

    b.seconds = 0.5; /* of each of some twenty things */
    int rc = bench_parse(&b, groups, 2, argc, argv);
    if (rc)
        return rc < 0 ? rc : FV_OK;
    struct work *w = calloc(1, sizeof *w);
    rc = w ? open_work(w, &b, &s) : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0)
        rc = bench_run(&b, w->job, 2 * w->lines + 1);
    if (rc >= 0)
        print(&b, w);
    for (int i = 0; w && i < w->lines; i++) {
        aug_work_close(&w->line[i].best);
        aug_work_close(&w->line[i].plain);
    }
    if (w) {
        free(w->copy);
        aug_images_free(&w->images);
    }
    free(w);
    return rc;
}
