/* SPDX-License-Identifier: MIT */
#include "trainer/track/track.h"

#include "common/err.h"
#include "common/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct fv_track_form *const forms[] = {&fv_track_csv, &fv_track_tensorboard};
enum { FORMS = sizeof forms / sizeof forms[0] };

struct fv_track {
    struct {
        char *path;
        int fd;
        json_t *first;
    } file[FORMS];
};

/* What these lines add to one form, in fresh memory. */
static int encode(struct fv_track *t, int form, const char *lines, size_t n, char **bytes,
                  size_t *size)
{
    FILE *to = open_memstream(bytes, size);
    if (!to)
        return fv_err(FV_ENOMEM, "out of memory");
    for (const char *line = lines, *end; n > 0 && (end = memchr(line, '\n', n)); line = end + 1) {
        json_t *o = json_loadb(line, (size_t)(end - line), 0, NULL);
        const json_t *step = json_object_get(o, "step");
        n -= (size_t)(end - line) + 1;
        if (json_is_integer(step) && json_integer_value(step) >= 0 &&
            forms[form]->write(to, o, t->file[form].first) && !t->file[form].first)
            t->file[form].first = json_incref(o);
        json_decref(o);
    }
    const int failed = ferror(to);
    if (fclose(to) == 0 && !failed)
        return 0;
    free(*bytes);
    return fv_err(FV_ENOMEM, "out of memory");
}

static int append(int fd, const char *path, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t put = write(fd, bytes, n);
        if (put <= 0)
            return fv_err_errno(FV_EIO, "%s: cannot write", path);
        bytes += put;
        n -= (size_t)put;
    }
    return 0;
}

/* How many of these bytes the file begins with. */
static size_t common_prefix(int fd, const char *bytes, size_t n)
{
    char block[4096];
    size_t same = 0;
    while (same < n) {
        const ssize_t got = pread(fd, block, sizeof block, (off_t)same);
        size_t i = 0;
        while (got > 0 && i < (size_t)got && same < n && block[i] == bytes[same]) {
            i++;
            same++;
        }
        if (got <= 0 || i < (size_t)got)
            break;
    }
    return same;
}

/* The file is changed in place, so that a program that follows it goes on to do so. */
static int open_form(struct fv_track *t, int form, const char *folder, const char *log, size_t n)
{
    char *bytes;
    size_t size;
    char *path = t->file[form].path = fv_format("%s/%s", folder, forms[form]->file);
    if (!path)
        return fv_err(FV_ENOMEM, "out of memory");
    const int fd = t->file[form].fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fv_err_errno(FV_EIO, "%s: cannot open", path);
    FV_TRY(encode(t, form, log, n, &bytes, &size));
    const size_t same = common_prefix(fd, bytes, size);
    int rc = ftruncate(fd, (off_t)same) < 0 ? fv_err_errno(FV_EIO, "%s: cannot cut", path) : 0;
    if (rc == 0)
        rc = append(fd, path, bytes + same, size - same);
    free(bytes);
    return rc;
}

int fv_track_open(struct fv_track **out, const char *folder, const char *log, size_t n)
{
    struct fv_track *t = *out = calloc(1, sizeof *t);
    int rc = t ? 0 : fv_err(FV_ENOMEM, "out of memory");
    for (int i = 0; t && i < FORMS; i++)
        t->file[i].fd = -1;
    for (int i = 0; rc == 0 && i < FORMS; i++)
        rc = open_form(t, i, folder, log, n);
    if (rc < 0)
        fv_track_close(out);
    return rc;
}

int fv_track_add(struct fv_track *t, const char *line, size_t n)
{
    for (int i = 0; i < FORMS; i++) {
        char *bytes;
        size_t size;
        FV_TRY(encode(t, i, line, n, &bytes, &size));
        const int rc = append(t->file[i].fd, t->file[i].path, bytes, size);
        free(bytes);
        FV_TRY(rc);
    }
    return 0;
}

void fv_track_close(struct fv_track **t)
{
    for (int i = 0; *t && i < FORMS; i++) {
        if ((*t)->file[i].fd >= 0)
            close((*t)->file[i].fd);
        json_decref((*t)->file[i].first);
        free((*t)->file[i].path);
    }
    free(*t);
    *t = NULL;
}
