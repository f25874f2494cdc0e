/* SPDX-License-Identifier: MIT */
#include "trainer/run/runlog.h"

#include "trainer/track/track.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/line_file.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fv_runlog {
    int fd;
    char *path;
    struct fv_track *track;
};

/* Whether a line belongs to the run up to this point. */
static int keep_line(const struct fv_line_file *l, uint64_t step, uint64_t epochs)
{
    json_t *o = l->ended && !l->cut ? json_loadb(l->line, l->n, 0, NULL) : NULL;
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_t *at = json_object_get(o, "step"), *epoch = json_object_get(o, "epoch");
    int keep = type && json_is_integer(at) && (uint64_t)json_integer_value(at) <= step;
    if (keep && strcmp(type, "epoch") == 0)
        keep = json_is_integer(epoch) && (uint64_t)json_integer_value(epoch) <= epochs;
    json_decref(o);
    return keep;
}

/* Writes the lines that are kept, unless `to` is NULL, and counts the bytes of those that are not. */
static int sift(const char *path, uint64_t step, uint64_t epochs, FILE *to, uint64_t *dropped)
{
    struct fv_line_file l;
    uint64_t kept = 0;
    int rc = fv_line_file_open(&l, path);
    while (rc >= 0 && (rc = fv_line_file_next(&l)) == 1) {
        if (!keep_line(&l, step, epochs))
            continue;
        kept += l.n + 1;
        if (to)
            fprintf(to, "%s\n", l.line); /* it is JSON, so it holds no NUL */
    }
    fv_line_file_close(&l);
    *dropped = l.bytes - kept;
    return rc;
}

/* Rewrites the file without what the checkpoint does not know of, and without a line torn by a crash. */
static int trim(const char *path, uint64_t step, uint64_t epochs)
{
    struct fv_file f;
    uint64_t dropped;
    const int rc = sift(path, step, epochs, NULL, &dropped);
    if (rc == FV_ENOTFOUND)
        return 0;
    FV_TRY(rc);
    if (dropped == 0)
        return 0;
    FV_TRY(fv_file_create(&f, path));
    return fv_file_end(&f, sift(path, step, epochs, f.f, &dropped));
}

static int open_all(struct fv_runlog *log, const char *folder, uint64_t step, uint64_t epochs)
{
    if (!(log->path = fv_format("%s/log.jsonl", folder)))
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(trim(log->path, step, epochs));
    log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (log->fd < 0)
        return fv_err_errno(FV_EIO, "%s: cannot open", log->path);
    return fv_track_open(&log->track, folder, log->path);
}

int fv_runlog_open(struct fv_runlog **out, const char *folder, uint64_t step, uint64_t epochs)
{
    struct fv_runlog *log = *out = calloc(1, sizeof *log);
    if (!log)
        return fv_err(FV_ENOMEM, "out of memory");
    log->fd = -1;
    const int rc = open_all(log, folder, step, epochs);
    if (rc < 0)
        fv_runlog_close(out);
    return rc;
}

enum { LINE_MAX_BYTES = 1024 };

/* What was not measured is NAN, which JSON does not have: it is left out. */
static void add(char line[LINE_MAX_BYTES], int *n, const char *name, int digits, double value)
{
    if (isfinite(value))
        *n += snprintf(line + *n, LINE_MAX_BYTES - (size_t)*n, ",\"%s\":%.*g", name, digits, value);
}

static void add_terms(char line[LINE_MAX_BYTES], int *n, const struct fv_runlog_line *l)
{
    if (!l->spec)
        return;
    for (int t = 0; t < l->spec->terms && l->spec->terms > 1; t++) {
        char name[32];
        snprintf(name, sizeof name, "loss_%s", l->spec->term[t].loss->name);
        add(line, n, name, 7, l->term[t]);
    }
    add(line, n, "triplets_active", 6, l->active);
    add(line, n, "pair_distance", 6, l->distance);
}

static int append(struct fv_runlog *log, const char *type, const struct fv_runlog_line *l)
{
    char line[LINE_MAX_BYTES];
    int n = snprintf(line, sizeof line, "{\"type\":\"%s\",\"step\":%llu,\"epoch\":%llu", type,
                     (unsigned long long)l->step, (unsigned long long)l->epoch);
    if (l->time_s > 0)
        n += snprintf(line + n, sizeof line - (size_t)n, ",\"time\":%.3f", l->time_s);
    add(line, &n, "loss", 7, l->loss);
    add(line, &n, "acc", 7, l->acc);
    add_terms(line, &n, l);
    add(line, &n, "lr", 9, l->lr);
    n += snprintf(line + n, sizeof line - (size_t)n, ",\"img_per_s\":%.1f,\"data_wait\":%.4f",
                  l->img_per_s, l->data_wait);
    if (strcmp(type, "epoch") == 0) {
        add(line, &n, "val_loss", 9, l->val_loss);
        add(line, &n, "val_acc", 9, l->val_acc);
        add(line, &n, "eer", 9, l->eer);
        add(line, &n, "auc", 9, l->auc);
    }
    n += snprintf(line + n, sizeof line - (size_t)n, "}\n");
    for (ssize_t put, at = 0; at < n; at += put) /* of half a line the next try says why */
        if ((put = write(log->fd, line + at, (size_t)(n - at))) <= 0)
            return fv_err_errno(FV_EIO, "%s: cannot write", log->path);
    return fv_track_add(log->track, line, (size_t)n - 1);
}

int fv_runlog_step(struct fv_runlog *log, const struct fv_runlog_line *l)
{
    return append(log, "step", l);
}

int fv_runlog_epoch(struct fv_runlog *log, const struct fv_runlog_line *l)
{
    return append(log, "epoch", l);
}

int fv_runlog_sync(struct fv_runlog *log)
{
    return fdatasync(log->fd) < 0 ? fv_err_errno(FV_EIO, "%s: cannot flush", log->path) : 0;
}

void fv_runlog_close(struct fv_runlog **log)
{
    if (!*log)
        return;
    if ((*log)->fd >= 0)
        close((*log)->fd);
    fv_track_close(&(*log)->track);
    free((*log)->path);
    free(*log);
    *log = NULL;
}
