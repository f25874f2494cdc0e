/* SPDX-License-Identifier: MIT */
#include "trainer/track/track.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/line_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct fv_track_form *const forms[] = {&fv_track_csv, &fv_track_tensorboard};
enum { FORMS = sizeof forms / sizeof forms[0] };

struct form_file {
    char *path;
    int fd;
    json_t *first;
    FILE *old; /* while it is made anew: what is in it, as long as that is the same */
    off_t same;
};

struct fv_track {
    struct form_file file[FORMS];
};

static int append(const struct form_file *file, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t put = write(file->fd, bytes, n);
        if (put <= 0)
            return fv_err_errno(FV_EIO, "%s: cannot write", file->path);
        bytes += put;
        n -= (size_t)put;
    }
    return 0;
}

/* What is in the file already stays; what lies behind goes. */
static int end_of_old(struct form_file *file)
{
    fclose(file->old);
    file->old = NULL;
    return ftruncate(file->fd, file->same) < 0 ? fv_err_errno(FV_EIO, "%s: cannot cut", file->path)
                                               : 0;
}

/* These bytes are the next of the file. */
static int put(struct form_file *file, const char *bytes, size_t n)
{
    size_t i = 0;
    if (!file->old)
        return append(file, bytes, n);
    while (i < n && getc_unlocked(file->old) == (unsigned char)bytes[i])
        i++;
    file->same += (off_t)i;
    if (i == n)
        return 0;
    FV_TRY(end_of_old(file));
    return append(file, bytes + i, n - i);
}

/* What a line adds to one form. */
static int add(struct form_file *file, const struct fv_track_form *form, json_t *o)
{
    char *bytes;
    size_t size;
    FILE *to = open_memstream(&bytes, &size);
    if (!to)
        return fv_err(FV_ENOMEM, "out of memory");
    if (form->write(to, o, file->first) && !file->first)
        file->first = json_incref(o);
    const int failed = ferror(to);
    int rc = fclose(to) == 0 && !failed ? 0 : fv_err(FV_ENOMEM, "out of memory");
    if (rc == 0)
        rc = put(file, bytes, size);
    free(bytes);
    return rc;
}

int fv_track_add(struct fv_track *t, const char *line, size_t n)
{
    json_t *o = json_loadb(line, n, 0, NULL);
    const json_t *step = json_object_get(o, "step");
    int rc = 0;
    for (int i = 0; rc == 0 && i < FORMS; i++)
        if (json_is_integer(step) && json_integer_value(step) >= 0)
            rc = add(&t->file[i], forms[i], o);
    json_decref(o);
    return rc;
}

/* The file is changed in place, so that a program that follows it goes on to do so. */
static int open_form(struct form_file *file, const struct fv_track_form *form, const char *folder)
{
    file->path = fv_format("%s/%s", folder, form->file);
    if (!file->path)
        return fv_err(FV_ENOMEM, "out of memory");
    file->fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file->fd >= 0)
        file->old = fopen(file->path, "re");
    return file->old ? 0 : fv_err_errno(FV_EIO, "%s: cannot open", file->path);
}

static int make_anew(struct fv_track *t, const char *log)
{
    struct fv_line_file l;
    int rc = fv_line_file_open(&l, log);
    while (rc >= 0 && (rc = fv_line_file_next(&l)) == 1)
        rc = l.ended ? fv_track_add(t, l.line, l.n) : 0;
    fv_line_file_close(&l);
    for (int i = 0; rc >= 0 && i < FORMS; i++)
        rc = t->file[i].old ? end_of_old(&t->file[i]) : 0;
    return rc;
}

int fv_track_open(struct fv_track **out, const char *folder, const char *log)
{
    struct fv_track *t = *out = calloc(1, sizeof *t);
    int rc = t ? 0 : fv_err(FV_ENOMEM, "out of memory");
    for (int i = 0; t && i < FORMS; i++)
        t->file[i].fd = -1;
    for (int i = 0; rc == 0 && i < FORMS; i++)
        rc = open_form(&t->file[i], forms[i], folder);
    if (rc == 0)
        rc = make_anew(t, log);
    if (rc < 0)
        fv_track_close(out);
    return rc;
}

void fv_track_close(struct fv_track **t)
{
    for (int i = 0; *t && i < FORMS; i++) {
        if ((*t)->file[i].old)
            fclose((*t)->file[i].old);
        if ((*t)->file[i].fd >= 0)
            close((*t)->file[i].fd);
        json_decref((*t)->file[i].first);
        free((*t)->file[i].path);
    }
    free(*t);
    *t = NULL;
}
