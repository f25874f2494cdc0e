/* SPDX-License-Identifier: MIT */
/* fvbench: where does the time go. Each subcommand is a row of the table at the end. Figures per
 * core divide by the processor time of the whole process, so that neighbours on a shared machine do
 * not flatter or spoil them. */
#include "augment/augment.h"
#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/opt.h"
#include "common/report.h"
#include "common/trace.h"
#include "tools/command.h"
#include "tools/fvbench_step.h"
#include "tools/results.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct bench {
    const char *db;
    const char *trace; /* of the loader */
    const char *cpu;
    double seconds;
    int json;
};

#define FIELD(f) offsetof(struct bench, f)
/* clang-format off */
static const struct fv_opt bench_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE", "the data set", 0, 0, NULL},
    {"seconds", 0, FV_OPT_REAL, 0, FIELD(seconds), "S",
     "how long to measure, after a warm-up of a fifth of it", 0.1, 3600, NULL},
    {"cpu-mask", 0, FV_OPT_STRING, 0, FIELD(cpu), "SETS",
     "use no instruction sets but these: c, or avx2, or avx2+avx512", 0, 0, NULL},
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print the result as JSON", 0, 0, NULL},
    {.name = NULL},
};
static const struct fv_opt trace_opts[] = {
    {"trace", 0, FV_OPT_STRING, 0, FIELD(trace), "FILE",
     "write the spans of the measured part, for Perfetto", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

static int mask_cpu(const struct bench *b)
{
    unsigned mask;

    if (!b->cpu)
        return FV_OK;
    FV_TRY(fv_cpu_parse_mask(b->cpu, &mask));
    fv_cpu_set_mask(mask);
    return FV_OK;
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* --- loader ----------------------------------------------------------------------------------- */

static const struct fv_command loader_cmd = {
    .name = "fvbench loader",
    .summary = "Measures how fast batches are made and what each stage of an image costs.",
    .usage = "--db FILE [options]",
    .notes = "  fvbench loader --db faces.lmdb --aug 'rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2)'",
};

/* Takes batches for so many seconds. */
static int consume(const struct fv_batch_source *src, double seconds)
{
    const uint64_t end = fv_now_ns() + (uint64_t)(seconds * 1e9);
    const struct fv_batch *b;

    while (fv_now_ns() < end) {
        FV_TRY(src->next(src->ctx, &b));
        src->release(src->ctx);
    }
    return FV_OK;
}

static void stage(struct results *r, const char *key, uint64_t ns, uint64_t images)
{
    const double us = images ? (double)ns / 1e3 / (double)images : 0;

    results_real(r, key, us, "%8.2f us an image", us);
}

static void print_loader(const struct bench *b, const struct fv_loader_stats *from,
                         const struct fv_loader_stats *to, double wall, double cpu)
{
    const uint64_t n = to->images - from->images;
    const double waited = (double)(to->consumer_wait_ns - from->consumer_wait_ns) * 1e-9 / wall;
    struct results r = {0};

    results_int(&r, "images", n, NULL);
    results_real(&r, "images_per_s", (double)n / wall, "%8.0f", (double)n / wall);
    results_real(&r, "images_per_s_per_core", (double)n / cpu, "%8.0f", (double)n / cpu);
    results_real(&r, "cores_used", cpu / wall, "%8.2f", cpu / wall);
    results_real(&r, "consumer_waited", waited, "%8.1f %% of the time", waited * 100);
    stage(&r, "decode_us", to->decode_ns - from->decode_ns, n);
    stage(&r, "warp_us", to->warp_ns - from->warp_ns, n);
    stage(&r, "colour_us", to->colour_ns - from->colour_ns, n);
    stage(&r, "erase_us", to->erase_ns - from->erase_ns, n);
    stage(&r, "mix_us", to->mix_ns - from->mix_ns, n);
    results_print(&r, b->db, b->json);
}

static int measure_loader(const struct bench *b, struct fv_loader *l)
{
    const struct fv_batch_source *src = fv_loader_source(l);
    struct fv_loader_stats from, to;

    FV_TRY(consume(src, b->seconds / 5));
    if (b->trace)
        FV_TRY(fv_trace_start(b->trace));
    fv_loader_stats(l, &from);
    const double cpu = cpu_seconds();
    const uint64_t begin = fv_now_ns();
    const int consumed = consume(src, b->seconds);
    const double wall = (double)(fv_now_ns() - begin) * 1e-9, used = cpu_seconds() - cpu;
    fv_loader_stats(l, &to);
    const int traced = fv_trace_stop(); /* of a run that failed too */
    FV_TRY(consumed);
    FV_TRY(traced);
    print_loader(b, &from, &to, wall, used);
    return FV_OK;
}

static int run_loader(int argc, char **argv)
{
    struct bench b = {.seconds = 5};
    struct fv_loader_settings s;
    struct fv_store *store;
    struct fv_loader *l = NULL;
    struct fv_args args;

    fv_loader_defaults(&s);
    const struct fv_opt_group groups[] = {
        {"loader", fv_loader_opts, &s}, {"measuring", bench_opts, &b}, {"tracing", trace_opts, &b}};
    FV_TRY(fv_opt_parse(&loader_cmd, groups, 3, argc, argv, &args));
    if (args.help) {
        fv_opt_help(&loader_cmd, groups, 3, stdout);
        return FV_OK;
    }
    s.report = fv_console_report(loader_cmd.name, 2);
    FV_TRY(mask_cpu(&b));
    FV_TRY(fv_store_open(&store, b.db));
    int rc = fv_loader_open(&l, store, &s);
    if (rc == FV_OK) {
        fv_loader_say_threads(l);
        rc = measure_loader(&b, l);
    }
    fv_loader_say_bad(l);
    fv_loader_close(&l);
    fv_store_close(&store);
    return rc;
}

/* --- decode ----------------------------------------------------------------------------------- */

static const struct fv_command decode_cmd = {
    .name = "fvbench decode",
    .summary = "Measures how fast records become pixels on one thread.",
    .usage = "--db FILE [options]",
};

/* Images in a scattered but fixed order; returns how many in *n. */
static int decode_for(const struct fv_store *store, struct fv_decoder *d, uint8_t *rgb,
                      double seconds, uint64_t *n)
{
    const uint64_t images = fv_store_info(store)->images;
    const uint64_t end = fv_now_ns() + (uint64_t)(seconds * 1e9);

    for (*n = 0; fv_now_ns() < end; ++*n)
        FV_TRY(fv_decoder_read(d, *n * 7919 % images, rgb));
    return FV_OK;
}

static int measure_decode(const struct bench *b, const struct fv_store *store, struct fv_decoder *d,
                          uint8_t *rgb)
{
    const struct fv_store_info *info = fv_store_info(store);
    struct results r = {0};
    uint64_t n;

    FV_TRY(decode_for(store, d, rgb, b->seconds / 5, &n));
    const double cpu = cpu_seconds();
    FV_TRY(decode_for(store, d, rgb, b->seconds, &n));
    const double per_s = (double)n / (cpu_seconds() - cpu);
    const double megapixels = per_s * info->height * info->width * 1e-6;
    results_int(&r, "images", n, NULL);
    results_real(&r, "images_per_s_per_core", per_s, "%8.0f", per_s);
    results_real(&r, "megapixels_per_s", megapixels, "%8.0f", megapixels);
    results_real(&r, "decode_us", 1e6 / per_s, "%8.2f us an image", 1e6 / per_s);
    results_print(&r, b->db, b->json);
    return FV_OK;
}

static int run_decode(int argc, char **argv)
{
    struct bench b = {.seconds = 5};
    struct fv_store *store;
    struct fv_decoder *d = NULL;
    struct fv_args args;
    const struct fv_opt_group group = {"measuring", bench_opts, &b};

    FV_TRY(fv_opt_parse(&decode_cmd, &group, 1, argc, argv, &args));
    if (args.help) {
        fv_opt_help(&decode_cmd, &group, 1, stdout);
        return FV_OK;
    }
    FV_TRY(mask_cpu(&b));
    FV_TRY(fv_store_open(&store, b.db));
    const struct fv_store_info *info = fv_store_info(store);
    uint8_t *rgb = malloc((size_t)info->height * (size_t)info->width * 3 + FV_DECODE_PAD);
    int rc = rgb ? fv_decoder_open(&d, store) : fv_err(FV_ENOMEM, "out of memory for an image");
    if (rc == FV_OK)
        rc = measure_decode(&b, store, d, rgb);
    fv_decoder_close(&d);
    free(rgb);
    fv_store_close(&store);
    return rc;
}

/* --- the table -------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct tool_command commands[] = {
        {&loader_cmd, run_loader},
        {&decode_cmd, run_decode},
        {&fvbench_step_cmd, fvbench_step},
    };
    return tool_main("fvbench", "Where the time goes.", commands,
                     sizeof commands / sizeof commands[0], argc, argv);
}
