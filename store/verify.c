/* SPDX-License-Identifier: MIT */
/* Reads everything that a data set promises: every record's checksum and pixels on all threads, then the digest
 * over checksums and tables. Bad images are told in image order, whatever thread met them. */
#include "common/cpu.h"
#include "common/err.h"
#include "store/coder.h"
#include "store/reader.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CHUNK = 64 };

struct job {
    const struct fv_store *store;
    uint64_t images;
    _Atomic uint64_t next, done;
    uint8_t *bad;  /* (images) */
    uint64_t told; /* progress, to the caller */
    _Atomic int failed;
};

static void tell_progress(struct job *j, const struct fv_report *r)
{
    if (!r)
        return;
    j->told = atomic_load(&j->done);
    fv_progress(r, &(struct fv_progress){
                       .what = "verify", .unit = "img", .done = j->told, .total = j->images});
}

/* Reads chunks until none is left. r: NULL on all threads but the caller's. */
static void check_chunks(struct job *j, const struct fv_report *r)
{
    const struct fv_store_info *info = fv_store_info(j->store);
    struct fv_decoder *d = NULL;
    uint8_t *rgb = malloc((size_t)info->width * (size_t)info->height * 3 + FV_DECODE_PAD);

    if (!rgb || fv_decoder_open(&d, j->store) < 0)
        atomic_store(&j->failed, 1);
    while (d && rgb) {
        const uint64_t first = atomic_fetch_add(&j->next, CHUNK);
        if (first >= j->images)
            break;
        const uint64_t end = first + CHUNK < j->images ? first + CHUNK : j->images;
        for (uint64_t i = first; i < end; i++)
            j->bad[i] = fv__decoder_prove(d, i, rgb) < 0;
        atomic_fetch_add(&j->done, end - first);
        tell_progress(j, r);
    }
    fv_decoder_close(&d);
    free(rgb);
}

static void *work(void *arg)
{
    check_chunks(arg, NULL);
    return NULL;
}

/* Again on this thread, for the sentence. */
static void tell_bad(const struct job *j, const struct fv_report *r, uint64_t *bad)
{
    const struct fv_store_info *info = fv_store_info(j->store);
    struct fv_decoder *d = NULL;
    uint8_t *rgb = malloc((size_t)info->width * (size_t)info->height * 3 + FV_DECODE_PAD);

    *bad = 0;
    for (uint64_t i = 0; i < j->images; i++) {
        if (!j->bad[i])
            continue;
        ++*bad;
        if (rgb && (d || fv_decoder_open(&d, j->store) >= 0) && fv__decoder_prove(d, i, rgb) < 0)
            fv_say(r, FV_LEVEL_ERROR, "%s", fv_err_text());
    }
    fv_decoder_close(&d);
    free(rgb);
}

static int run(struct job *j, int threads, const struct fv_report *r)
{
    pthread_t *t = calloc((size_t)threads, sizeof *t);
    int started = 0;

    if (!t)
        return fv_err(FV_ENOMEM, "out of memory");
    tell_progress(j, r);
    while (started < threads - 1 && pthread_create(&t[started], NULL, work, j) == 0)
        started++;
    check_chunks(j, r);
    for (int i = 0; i < started; i++)
        pthread_join(t[i], NULL);
    free(t);
    if (j->told < j->images)
        tell_progress(j, r);
    return atomic_load(&j->failed) ? fv_err(FV_ENOMEM, "out of memory") : FV_OK;
}

int fv_store_verify(struct fv_store *s, int threads, const struct fv_report *r, uint64_t *bad)
{
    const struct fv_store_info *info = fv_store_info(s);
    struct job j = {.store = s, .images = info->images, .bad = calloc(info->images, 1)};

    *bad = 0;
    if (!j.bad)
        return fv_err(FV_ENOMEM, "out of memory");
    const int rc = run(&j, threads > 0 ? threads : fv_cpu_count(), r);
    if (rc >= 0)
        tell_bad(&j, r, bad);
    free(j.bad);
    FV_TRY(rc);
    if (*bad)
        return fv_err(FV_ECORRUPT, "%s: %llu of %llu images are damaged", fv_store_path(s),
                      (unsigned long long)*bad, (unsigned long long)info->images);
    return fv__store_check_digests(s);
}
