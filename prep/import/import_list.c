/* SPDX-License-Identifier: MIT */
/* A list of photos: a row names a photo's file and its label, and perhaps its split and where the face is.
 * Paths begin at the list's folder, or at --root, or at "/". A folder stands for the photos.csv in it when that
 * has a column "packed_as": so what fvprep export wrote is packed under the names that it had.
 */
#include "prep/import/import_list.h"

#include "common/err.h"
#include "common/fs.h"
#include "prep/import/importer.h"
#include "prep/import/list_columns.h"
#include "prep/import/walk.h"
#include "prep/photo/format.h"
#include "prep/prep.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_named_like_a_list(const char *path)
{
    static const char *const suffixes[] = {".txt", ".lst", ".csv", ".tsv", ".list"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcasecmp(dot, suffixes[i]) == 0)
            return 1;
    return 0;
}

/* How well a file looks like a list; *c tells its columns. */
static int recognise_file(const char *path, struct fv_list_columns *c)
{
    struct fv_table t;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || fv__table_open(&t, path) < 0)
        return 0;
    int fits = fv__table_next(&t) == 1 && fv__list_columns_of_photos(c, &t) &&
               (c->header || fv__format_of_name(t.field[c->path]));
    fv__table_close(&t);
    return !fits ? 0 : is_named_like_a_list(path) ? 80 : 40;
}

/* The list itself, or that of a folder which fvprep export wrote; NULL when out of memory. */
static char *find_list(const char *path)
{
    if (fv_is_folder(path))
        return fv_format("%s/%s", path, FV_LIST_OF_EXPORT);
    return strdup(path);
}

static int recognise(const char *path)
{
    struct fv_list_columns c = {.packed_as = -1};
    char *list = find_list(path);
    int certain = list ? recognise_file(list, &c) : 0;
    if (list && strcmp(list, path) != 0 && c.packed_as < 0)
        certain = 0; /* somebody else's photos.csv */
    free(list);
    return certain;
}

/* The folder that paths begin at. */
static char *find_root(const char *path, const struct fv_import_settings *s, const char *first)
{
    const char *slash = strrchr(path, '/');
    if (*first == '/')
        return strdup("/");
    if (s->root)
        return strdup(s->root);
    return !slash ? strdup(".") : fv_format("%.*s", slash > path ? (int)(slash - path) : 1, path);
}

static int take_row(struct fv_listing *l, const struct fv_list_columns *c, const struct fv_table *t,
                    const char *prefix, int otherwise)
{
    struct fv_face face;
    uint32_t number = 0;
    int split;
    FV_TRY(fv__list_row_check(c, t));
    FV_TRY(fv__list_row_split(c, t, &split));
    FV_TRY(fv__list_row_face(c, t, &face));
    if (face.has_box || face.has_points)
        FV_TRY(fv__listing_add_face(l, &face, &number));
    char *rel = fv_format("%s%s", prefix, t->field[c->path]);
    if (!rel)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    int rc = fv__walk_listed(l, t->field[c->label], rel,
                             c->packed_as < 0 ? NULL : t->field[c->packed_as],
                             split == FV_SPLIT_BY_RULE ? otherwise : split, number);
    free(rel);
    return rc;
}

/* From the current row on. */
static int take_rows(struct fv_listing *l, const struct fv_list_columns *c, struct fv_table *t,
                     const char *prefix, int otherwise)
{
    int rc = 1, absolute = *t->field[c->path] == '/';
    for (; rc == 1; rc = fv__table_next(t)) {
        if (fv_prep_stop)
            return fv_err(FV_EINTR, "interrupted");
        if (c->path < t->fields && (*t->field[c->path] == '/') != absolute)
            return fv__table_err(t, "paths that begin with '/' and paths that do not are mixed");
        FV_TRY(take_row(l, c, t, prefix, otherwise));
    }
    return rc;
}

/* Comes to the first row that means a photo: 1, or 0 when there is none. */
static int begin_rows(struct fv_list_columns *c, struct fv_table *t)
{
    int rc = fv__table_next(t);
    if (rc == 0 || (rc == 1 && !fv__list_columns_of_photos(c, t)))
        return fv_err(FV_ECORRUPT,
                      "%s: is no list of photos: a path and a label in each row, or a header that "
                      "names the columns",
                      t->path);
    if (rc == 1 && c->header)
        rc = fv__table_next(t);
    return rc == 1 && fv__list_row_check(c, t) < 0 ? FV_ECORRUPT : rc;
}

/* The prefix under which the photo of the current row is there; the first one when it is under none. */
static const char *find_prefix(const struct fv_listing *l, const char *const *prefix,
                               const char *name)
{
    for (int i = 0; prefix[i]; i++) {
        char *path = fv_format("%s/%s%s", l->root, prefix[i], name);
        int there = path && access(path, F_OK) == 0;
        free(path);
        if (there)
            return prefix[i];
    }
    return prefix[0];
}

int fv__list_add(struct fv_listing *l, const char *path, const char *const *prefix, int split)
{
    struct fv_table t;
    struct fv_list_columns c;
    FV_TRY(fv__table_open(&t, path));
    int rc = begin_rows(&c, &t);
    if (rc == 1)
        rc = take_rows(l, &c, &t, find_prefix(l, prefix, t.field[c.path]), split);
    fv__table_close(&t);
    return rc;
}

static int begin_listing(struct fv_listing *l, const char *path, const char *first,
                         const struct fv_import_settings *s)
{
    char *root = find_root(path, s, first);
    int rc = root ? fv__listing_begin(l, root) : fv_err(FV_ENOMEM, "out of memory for a path");
    free(root);
    return rc;
}

static int list_file(struct fv_listing *out, const char *path, const struct fv_import_settings *s)
{
    struct fv_table t;
    struct fv_list_columns c;
    FV_TRY(fv__table_open(&t, path));
    int rc = begin_rows(&c, &t);
    if (rc == 1)
        rc = begin_listing(out, path, t.field[c.path], s);
    else if (rc == 0)
        rc = fv_err(FV_ENOTFOUND, "%s: names no photo", path);
    if (rc == 0)
        rc = take_rows(out, &c, &t, "", FV_SPLIT_BY_RULE);
    fv__table_close(&t);
    return rc < 0 ? rc : fv__listing_end(out);
}

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)r;
    char *file = find_list(path);
    int rc = file ? list_file(out, file, s) : fv_err(FV_ENOMEM, "out of memory for a path");
    free(file);
    return rc;
}

const struct fv_importer fv__import_list = {
    .name = "list",
    .help =
        "a text, CSV, TSV or .lst file with the path and the label of each photo; or a folder that "
        "fvprep export wrote",
    .recognise = recognise,
    .list = list,
};
