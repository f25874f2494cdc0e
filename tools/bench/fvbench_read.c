/* SPDX-License-Identifier: MIT */
/* fvbench read: how fast the bytes of records come out of the map. Reading one means finding it and proving its
 * checksum; copying it, or touching each of its pages, is the least that could be done instead.
 *
 * Cold is measured once, before anything else: the kernel is asked to forget the files (which needs no rights), and
 * is believed only as far as mincore confirms it. */
#include "tools/bench/fvbench.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/rng.h"
#include "store/limit.h"
#include "store/store.h"
#include "tools/bench/fvbench_measure.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct fv_command fvbench_read_cmd = {
    .name = "fvbench read",
    .summary = "Measures how fast records are found, checked and brought in from the disk.",
    .usage = "--db FILE [options]",
};

enum { AT_ONCE = 64, LOOKED_AT = 65536 };
enum { BYTES_AT_ONCE = 1 << 28 }; /* and one record, which is below 1 << 30: their sum is an int */
#define COLD_ENOUGH 0.1           /* share of the pages that may still be in memory */

struct work {
    struct fv_store *store;
    uint64_t at;
    uint8_t *copy; /* room for the longest record */
    size_t page;
    volatile uint8_t sum; /* so that touching is not left out */
};

struct cold {
    double resident; /* share of the records' pages in memory before */
    double mb_per_s, seconds;
};

static uint64_t scattered(const struct work *w, uint64_t i)
{
    const uint64_t images = fv_store_info(w->store)->images;
    return fv_rng_permute(1, (uint32_t)(i / images), images, i % images);
}

/* --- the jobs: their items are bytes -------------------------------------------------------------- */

static int read_some(void *ctx)
{
    struct work *w = ctx;
    const uint8_t *record;
    size_t n, bytes = 0;

    for (int i = 0; i < AT_ONCE && bytes < BYTES_AT_ONCE; i++, bytes += n)
        FV_TRY(fv_limit_record(w->store, scattered(w, w->at++), 1, &record, &n));
    return (int)bytes;
}

static int copy_some(void *ctx)
{
    struct work *w = ctx;
    const uint8_t *record;
    size_t n, bytes = 0;

    for (int i = 0; i < AT_ONCE && bytes < BYTES_AT_ONCE; i++, bytes += n) {
        FV_TRY(fv_limit_record(w->store, scattered(w, w->at++), 0, &record, &n));
        memcpy(w->copy, record, n);
    }
    return (int)bytes;
}

static int touch_some(void *ctx)
{
    struct work *w = ctx;
    const uint8_t *record;
    size_t n, bytes = 0;

    for (int i = 0; i < AT_ONCE && bytes < BYTES_AT_ONCE; i++, bytes += n) {
        FV_TRY(fv_limit_record(w->store, scattered(w, w->at++), 0, &record, &n));
        for (size_t k = 0; k < n; k += w->page)
            w->sum = (uint8_t)(w->sum + record[k]);
    }
    return (int)bytes;
}

/* --- cold ----------------------------------------------------------------------------------------- */

static int forget(const char *db)
{
    char **file;
    size_t n;

    FV_TRY(fv_store_split_path(&file, &n, db));
    for (size_t i = 0; i < n; i++) {
        const int fd = open(file[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue; /* opening the data set says what is wrong with it */
        fdatasync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    free(file);
    return FV_OK;
}

/* The share of pages that are in memory, of the first pages of many records. */
static int resident_share(const struct work *w, double *share)
{
    const uint64_t images = fv_store_info(w->store)->images;
    const uint64_t n = images < LOOKED_AT ? images : LOOKED_AT;
    uint64_t in = 0;

    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *record;
        unsigned char there = 0;
        size_t bytes;
        FV_TRY(fv_limit_record(w->store, scattered(w, i), 0, &record, &bytes));
        if (mincore((void *)((uintptr_t)record & ~(uintptr_t)(w->page - 1)), 1, &there) != 0)
            return fv_err_errno(FV_EIO, "mincore");
        in += there & 1;
    }
    *share = (double)in / (double)n;
    return FV_OK;
}

/* Every record once at most, for as long as is measured, in scattered order. */
static int measure_cold(struct work *w, double seconds, struct cold *out)
{
    const uint64_t images = fv_store_info(w->store)->images, begin = fv_now_ns();
    uint64_t bytes = 0;

    FV_TRY(resident_share(w, &out->resident));
    if (out->resident > COLD_ENOUGH)
        return FV_OK;
    while (w->at < images && bench_go_on() == FV_OK &&
           (double)(fv_now_ns() - begin) * 1e-9 < seconds) {
        const int n = read_some(w);
        FV_TRY(n);
        bytes += (uint64_t)n;
    }
    out->seconds = (double)(fv_now_ns() - begin) * 1e-9;
    out->mb_per_s = (double)bytes * 1e-6 / out->seconds;
    return bench_go_on();
}

/* --- the command ---------------------------------------------------------------------------------- */

static void print(const struct bench *b, const struct work *w, const struct bench_job job[3],
                  const struct cold *cold)
{
    const struct fv_store_info *info = fv_store_info(w->store);
    const double mean = (double)info->record_bytes / (double)info->images;
    const double read = bench_per_cpu_s(&job[0]) * 1e-6, copy = bench_per_cpu_s(&job[1]) * 1e-6;
    const double touch = bench_per_cpu_s(&job[2]) * 1e-6;
    const double share = bench_ratio(&job[0], &job[1]);
    struct results r = {0};

    results_real(&r, "bytes_per_record", mean, "%8.0f", mean);
    results_real(&r, "mb_per_s_per_core", read, "%8.0f (found, checksum proved)", read);
    results_real(&r, "records_per_s_per_core", read * 1e6 / mean, "%8.0f", read * 1e6 / mean);
    results_real(&r, "limit_memcpy_mb_per_s", copy, "%8.0f (found and copied)", copy);
    results_real(&r, "limit_touch_mb_per_s", touch, "%8.0f (found, one byte a page)", touch);
    results_real(&r, "share_of_memcpy", share, "%8.1f %%", share * 100);
    results_real(&r, "resident_before_cold", cold->resident,
                 "%8.1f %% of the records' pages were in memory before", cold->resident * 100);
    if (cold->seconds > 0)
        results_real(&r, "cold_mb_per_s", cold->mb_per_s,
                     "%8.0f (from the disk, scattered, %.1f s)", cold->mb_per_s, cold->seconds);
    else
        results_heading(&r, "cold_mb_per_s", "not measured: the kernel keeps the file in memory");
    bench_print(b, &r, b->db, job, 3, NULL);
}

static int open_work(struct work *w, const char *db)
{
    size_t longest = 0;

    FV_TRY(forget(db));
    FV_TRY(fv_store_open(&w->store, db));
    w->page = (size_t)sysconf(_SC_PAGESIZE);
    for (uint64_t i = 0; i < fv_store_info(w->store)->images; i++) {
        struct fv_store_image image;
        FV_TRY(fv_store_image(w->store, i, &image));
        longest = image.bytes > longest ? image.bytes : longest;
    }
    w->copy = malloc(longest + 1);
    return w->copy ? FV_OK : fv_err(FV_ENOMEM, "out of memory for a record");
}

int fvbench_read(int argc, char **argv)
{
    struct bench b = bench_defaults(&fvbench_read_cmd);
    const struct fv_opt_group group = {"data", bench_db_opts, &b};
    struct work w = {0};
    struct cold cold = {0};
    struct bench_job job[3] = {{.name = "read", .run = read_some, .ctx = &w},
                               {.name = "memcpy", .run = copy_some, .ctx = &w},
                               {.name = "touch", .run = touch_some, .ctx = &w}};
    int rc = bench_parse(&b, &group, 1, argc, argv);

    if (rc)
        return rc < 0 ? rc : FV_OK;
    rc = open_work(&w, b.db);
    if (rc >= 0)
        rc = measure_cold(&w, b.seconds, &cold);
    if (rc >= 0)
        rc = bench_run(&b, job, 3);
    if (rc >= 0)
        print(&b, &w, job, &cold);
    free(w.copy);
    fv_store_close(&w.store);
    return rc;
}
