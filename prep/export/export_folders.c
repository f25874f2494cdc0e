/* SPDX-License-Identifier: MIT */
/* Image folders: train/IDENTITY/FILE, val/... and holdout/..., or IDENTITY/FILE with --flat. A file is called
 * what the image is called behind its identity, with the suffix of what it now is.
 *
 * That loses something: a name may have had another suffix or no identity in it, and flat folders have no
 * splits. So photos.csv beside the folders says of each file who it is, its split and under which name it was
 * packed, and packing the folder again reads that: then labels, splits, names and with pixels also the
 * digest are those of the set that was exported. Without photos.csv the folders stand for themselves.
 *
 * Names come from a file that somebody else may have made. No part of a path is empty, hidden or "..", and an
 * identity is one folder.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/export/export.h"
#include "prep/import/import_list.h"
#include "prep/photo/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAME_NAMES = 1000000 }; /* files that would have one name: more are no accident */

struct folders {
    const struct fv_export *e;
    FILE *list;
    char *list_path, *made; /* the folder that was made last */
};

static int folders_open(void **ctx, const struct fv_export *e)
{
    struct folders *f = calloc(1, sizeof *f);
    if (!(*ctx = f))
        return fv_err(FV_ENOMEM, "out of memory");
    f->e = e;
    f->list_path = fv_format("%s/" FV_LIST_OF_EXPORT, e->folder);
    if (!f->list_path)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    f->list = fopen(f->list_path, "wxe");
    if (!f->list)
        return fv_err_errno(FV_EIO, "%s: cannot create", f->list_path);
    fputs("path,identity,split,packed_as\n", f->list);
    return 0;
}

static void folders_close(void *ctx)
{
    struct folders *f = ctx;
    if (!f)
        return;
    if (f->list)
        fclose(f->list);
    free(f->list_path);
    free(f->made);
    free(f);
}

/* --- names ---------------------------------------------------------------------------------------- */

/* What stands behind the identity in a name; the whole name when its identity is not in it. */
static const char *behind_identity(const char *name, const char *identity)
{
    const size_t n = strlen(identity);
    for (const char *p = name; p; p = (p = strchr(p, '/')) ? p + 1 : NULL)
        if (strncmp(p, identity, n) == 0 && p[n] == '/' && p[n + 1])
            return p + n + 1;
    return name;
}

/* Bytes of a name without its suffix, where that is one of images. */
static size_t stem_bytes(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && fv__format_of_name(name) ? (size_t)(dot - name) : strlen(name);
}

/* In place. A slash goes too unless it divides folders. */
static void make_harmless(char *path, int has_folders)
{
    for (char *p = path; *p; p++) {
        const int begins = p == path || p[-1] == '/';
        if ((unsigned char)*p < ' ' || *p == 127 || (begins && (*p == '.' || *p == '/')) ||
            (*p == '/' && !has_folders))
            *p = '_';
    }
}

/* The n-th choice for an image's path below the folder; free it. */
static char *choose_path(const struct folders *f, const struct fv_export_image *im, int n)
{
    const char *rest = behind_identity(im->is.name, im->identity), *suffix = f->e->suffix;
    char *identity = strdup(im->identity), *file, *path = NULL;
    const int keep = fv__format_of_name(rest) == fv__format_of_name(suffix);
    char number[16] = "";
    if (n > 0)
        snprintf(number, sizeof number, "~%d", n);
    if (keep && n == 0)
        file = strdup(rest);
    else
        file = fv_format("%.*s%s%s", (int)stem_bytes(rest), rest, number, suffix);
    if (identity && file) {
        make_harmless(identity, 0);
        make_harmless(file, 1);
        path = fv_format("%s%s%s/%s", f->e->s->flat ? "" : fv_split_names[im->is.split],
                         f->e->s->flat ? "" : "/", identity, file);
    }
    free(identity);
    free(file);
    return path;
}

/* --- files ---------------------------------------------------------------------------------------- */

static int make_folder_of(struct folders *f, const char *full)
{
    const size_t n = (size_t)(strrchr(full, '/') - full);
    if (f->made && strlen(f->made) == n && memcmp(f->made, full, n) == 0)
        return 0;
    free(f->made);
    f->made = strndup(full, n);
    return f->made ? fv_mkdirs(f->made) : fv_err(FV_ENOMEM, "out of memory for a path");
}

/* 1 when there is such a file already. */
static int write_file(struct folders *f, const char *path, struct fv_span bytes)
{
    char *full = fv_format("%s/%s", f->e->folder, path);
    FILE *file = NULL;
    int rc = full ? make_folder_of(f, full) : fv_err(FV_ENOMEM, "out of memory for a path");
    if (rc == 0 && !(file = fopen(full, "wxe")))
        rc = errno == EEXIST ? 1 : fv_err_errno(FV_EIO, "%s: cannot create", full);
    if (file) {
        const int short_write = fwrite(bytes.p, 1, bytes.n, file) != bytes.n;
        if (fclose(file) != 0 || short_write)
            rc = fv_err_errno(FV_EIO, "%s: cannot write", full);
    }
    free(full);
    return rc;
}

/* A field in quotes when it needs them; names hold no line breaks. */
static void put_field(FILE *list, const char *s)
{
    if (!strpbrk(s, ",\" ")) {
        fputs(s, list);
        return;
    }
    putc('"', list);
    for (; *s; s++) {
        if (*s == '"')
            putc('"', list);
        putc(*s, list);
    }
    putc('"', list);
}

static int put_row(struct folders *f, const char *path, const struct fv_export_image *im)
{
    put_field(f->list, path);
    putc(',', f->list);
    put_field(f->list, im->identity);
    fprintf(f->list, ",%s,", fv_split_names[im->is.split]);
    put_field(f->list, im->is.name);
    putc('\n', f->list);
    return ferror(f->list) ? fv_err_errno(FV_EIO, "%s: cannot write", f->list_path) : 0;
}

static int folders_put(void *ctx, const struct fv_export_image *im)
{
    struct folders *f = ctx;
    int rc = 1;
    for (int n = 0; rc == 1 && n < SAME_NAMES; n++) {
        char *path = choose_path(f, im, n);
        rc = path ? write_file(f, path, im->file) : fv_err(FV_ENOMEM, "out of memory for a path");
        if (rc == 0)
            rc = put_row(f, path, im);
        free(path);
    }
    return rc == 1 ? fv_err(FV_EEXIST, "image %s: no name is left for its file", im->is.name) : rc;
}

static int folders_finish(void *ctx)
{
    struct folders *f = ctx;
    const int failed = ferror(f->list), unclosed = fclose(f->list);
    f->list = NULL;
    return failed || unclosed ? fv_err_errno(FV_EIO, "%s: cannot write", f->list_path) : 0;
}

const struct fv_export_format fv_export_format_folders = {
    .name = "folders",
    .help = "image folders and photos.csv, which packing them again reads",
    .takes_flat = 1,
    .open = folders_open,
    .put = folders_put,
    .finish = folders_finish,
    .close = folders_close,
};
