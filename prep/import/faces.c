/* SPDX-License-Identifier: MIT */
/* Rows find their photos by a sorted table of names; lists of boxes have millions of rows. */
#include "prep/import/faces.h"

#include "common/err.h"
#include "common/fs.h"
#include "prep/import/list_columns.h"
#include "prep/photo/format.h"

#include <stdlib.h>
#include <string.h>

/* Length of a name without the suffix of an image. */
static size_t stem(const char *name)
{
    return fv__format_of_name(name) ? (size_t)(strrchr(name, '.') - name) : strlen(name);
}

/* By stem, then by the whole name. */
static int compare(const char *a, const char *b)
{
    size_t na = stem(a), nb = stem(b);
    int c = memcmp(a, b, na < nb ? na : nb);
    if (c)
        return c;
    if (na != nb)
        return na < nb ? -1 : 1;
    return strcmp(a + na, b + nb);
}

static int by_name(const void *a, const void *b)
{
    const struct fv_listed_photo *const *pa = a, *const *pb = b;
    return compare((*pa)->name, (*pb)->name);
}

/* The photo that a name means: one without a suffix is that of the first photo with its stem. */
static struct fv_listed_photo *find(struct fv_listed_photo **photo, size_t n, const char *name)
{
    size_t lo = 0, hi = n, length = strlen(name);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare(photo[mid]->name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == n)
        return NULL;
    const char *found = photo[lo]->name;
    if (strcmp(found, name) == 0)
        return photo[lo];
    return stem(name) == length && stem(found) == length && memcmp(found, name, length) == 0
               ? photo[lo]
               : NULL;
}

static int attach_row(struct fv_listing *l, struct fv_listed_photo *p, const struct fv_face *face)
{
    if (!face->has_box && !face->has_points)
        return 0;
    if (!p->face)
        return fv__listing_add_face(l, face, &p->face);
    struct fv_face *to = &l->face[p->face - 1];
    if (face->has_box) {
        to->has_box = 1;
        memcpy(to->box, face->box, sizeof to->box);
    }
    if (face->has_points) {
        to->has_points = 1;
        memcpy(to->point, face->point, sizeof to->point);
    }
    return 0;
}

static int attach_rows(struct fv_listing *l, struct fv_listed_photo **photo, struct fv_table *t,
                       const char *prefix, size_t *found, size_t *rows)
{
    struct fv_list_columns c;
    struct fv_face face;
    uint64_t count;
    int rc = fv__table_next(t);
    if (rc == 1 && t->fields == 1 && fv__parse_u64(t->field[0], &count))
        rc = fv__table_next(t); /* CelebA's lists begin with the number of their rows */
    if (rc == 0 || (rc == 1 && !fv__list_columns_of_faces(&c, t)))
        return fv_err(FV_ECORRUPT,
                      "%s: is no list of boxes or landmarks: a path and 4 or 10 numbers, or a "
                      "header that names the columns",
                      t->path);
    if (rc == 1 && c.header)
        rc = fv__table_next(t);
    for (; rc == 1; rc = fv__table_next(t)) {
        FV_TRY(fv__list_row_check(&c, t));
        FV_TRY(fv__list_row_face(&c, t, &face));
        char *name = fv_format("%s%s", prefix, t->field[c.path]);
        if (!name)
            return fv_err(FV_ENOMEM, "out of memory for a name");
        struct fv_listed_photo *p = find(photo, l->photos, name);
        free(name);
        ++*rows;
        if (p) {
            ++*found;
            FV_TRY(attach_row(l, p, &face));
        }
    }
    return rc;
}

int fv__faces_attach(struct fv_listing *l, const char *path, const char *prefix,
                     const struct fv_report *r, size_t *found)
{
    struct fv_table t;
    size_t rows = 0;
    *found = 0;
    FV_TRY(fv__table_open(&t, path));
    struct fv_listed_photo **photo = malloc((l->photos ? l->photos : 1) * sizeof *photo);
    int rc = photo ? 0 : fv_err(FV_ENOMEM, "out of memory for %zu names", l->photos);
    for (size_t i = 0; rc == 0 && i < l->photos; i++)
        photo[i] = &l->photo[i];
    if (rc == 0) {
        qsort(photo, l->photos, sizeof *photo, by_name);
        rc = attach_rows(l, photo, &t, prefix, found, &rows);
    }
    free(photo);
    fv__table_close(&t);
    if (rc == 0)
        fv_say(r, FV_LEVEL_INFO, "%s: %zu rows, %zu of them about the %zu photos", path, rows,
               *found, l->photos);
    return rc;
}
