/* SPDX-License-Identifier: MIT */
/* A share of the identities is a share of those that end up in the data set. Labels are handed out while
 * packing, training identities first, so whether an identity has any good photo must be known before:
 * one photo of each is decoded for that, its first good one. Without held-out identities nothing
 * depends on it and nothing is decoded twice.
 */
#include "prep/pack_plan.h"

#include "common/err.h"
#include "prep/decode.h"
#include "prep/split.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe {
    const struct fv_scan *scan;
    int size;
    uint8_t *alive; /* an identity */
    atomic_size_t next;
    atomic_int rc;
    char text[FV_ERR_TEXT_MAX];
};

static int has_good_photo(struct probe *p, struct fv_photo *photo,
                          const struct fv_scan_identity *id, uint8_t *rgb)
{
    char path[PATH_MAX + 16];
    struct fv_refusal why;
    for (size_t i = 0; i < id->count; i++) {
        if (fv_prep_stop)
            return fv_err(FV_EINTR, "interrupted");
        snprintf(path, sizeof path, "%s/%s", p->scan->root, p->scan->file[id->first + i]);
        int rc = fv__photo_read(photo, path, rgb, &why);
        if (rc <= 0)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

static int probe_identities(struct probe *p)
{
    struct fv_photo *photo = NULL;
    uint8_t *rgb = malloc((size_t)p->size * (size_t)p->size * 3);
    int rc = rgb ? fv__photo_open(&photo, p->size) : fv_err(FV_ENOMEM, "out of memory for a photo");
    while (rc >= 0 && p->rc == 0) {
        size_t i = atomic_fetch_add(&p->next, 1);
        if (i >= p->scan->identities)
            break;
        rc = has_good_photo(p, photo, &p->scan->identity[i], rgb);
        p->alive[i] = rc == 1;
    }
    fv__photo_close(&photo);
    free(rgb);
    return rc;
}

static void *probe_thread(void *arg)
{
    struct probe *p = arg;
    int none = 0, rc = probe_identities(p);
    if (rc < 0 && atomic_compare_exchange_strong(&p->rc, &none, rc))
        fv_err_save(p->text); /* read after the join */
    return NULL;
}

static int find_alive(const struct fv_scan *scan, int size, int threads, uint8_t *alive)
{
    struct probe p = {.scan = scan, .size = size, .alive = alive};
    pthread_t *thread = calloc((size_t)threads, sizeof *thread);
    int started = 0;
    if (!thread)
        return fv_err(FV_ENOMEM, "out of memory for %d threads", threads);
    while (started < threads && pthread_create(&thread[started], NULL, probe_thread, &p) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    free(thread);
    if (!started)
        return fv_err(FV_EIO, "the system starts no thread for packing");
    return p.rc < 0 ? fv_err_restore(p.rc, p.text) : 0;
}

/* held[i] for each identity of the scan. */
static int choose_held_out(const struct fv_scan *scan, const struct fv_pack_settings *s,
                           int threads, uint8_t *held)
{
    size_t n = scan->identities, alive_n = 0;
    const char **name = malloc(n * sizeof *name);
    uint8_t *alive = calloc(n, 1), *chosen = calloc(n, 1);
    int rc = name && alive && chosen ? 0 : fv_err(FV_ENOMEM, "out of memory for %zu identities", n);
    if (rc == 0)
        rc = find_alive(scan, (int)s->size, threads, alive);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (alive[i])
            name[alive_n++] = scan->identity[i].name;
    if (rc == 0)
        rc = fv__split_choose((uint64_t)s->seed, FV_SPLIT_IDENTITIES, name, alive_n,
                              fv__split_count(s->holdout_ids, alive_n), chosen);
    for (size_t i = 0, k = 0; rc == 0 && i < n; i++)
        held[i] = alive[i] && chosen[k++];
    free(name);
    free(alive);
    free(chosen);
    return rc;
}

static void append(struct fv_pack_plan *p, const struct fv_scan *scan,
                   const struct fv_scan_identity *id)
{
    p->identity[p->identities++] = id;
    for (size_t i = 0; i < id->count; i++)
        p->file[p->files++] = scan->file[id->first + i];
}

int fv__plan_make(struct fv_pack_plan *out, const struct fv_scan *scan,
                  const struct fv_pack_settings *s, int threads)
{
    size_t n = scan->identities;
    *out = (struct fv_pack_plan){0};
    void *memory = calloc(1, n * sizeof *out->identity + scan->files * sizeof *out->file);
    uint8_t *held = calloc(n, 1);
    int rc = memory && held ? 0 : fv_err(FV_ENOMEM, "out of memory for %zu files", scan->files);
    if (rc == 0 && s->holdout_ids > 0)
        rc = choose_held_out(scan, s, threads, held);
    if (rc < 0) {
        free(memory);
        free(held);
        return rc;
    }
    out->memory = memory;
    out->identity = memory;
    out->file = (const char **)(out->identity + n);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++)
            if (held[i] == pass)
                append(out, scan, &scan->identity[i]);
        if (pass == 0)
            out->training = out->identities;
    }
    free(held);
    return 0;
}

void fv__plan_free(struct fv_pack_plan *p)
{
    free(p->memory);
    *p = (struct fv_pack_plan){0};
}
