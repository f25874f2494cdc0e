/* SPDX-License-Identifier: MIT */
/* Parts are in order, each by itself: so two merges, one of identities and in each of them one of images. */
#include "store/unite.h"
#include "common/err.h"

#include <stdlib.h>
#include <string.h>

struct merge {
    struct fv_union *u;
    struct fv_part *const *part;
    uint64_t *next;        /* (parts): the next label to be merged */
    uint64_t *image, *end; /* (parts): of the label at hand, what is left of it */
};

static int allocate(struct merge *m, size_t parts)
{
    struct fv_union *u = m->u;
    uint64_t labels = 0;

    m->next = calloc(3 * parts, sizeof *m->next);
    u->label_of = calloc(parts, sizeof *u->label_of);
    u->parts = parts;
    if (!m->next || !u->label_of)
        return fv_err(FV_ENOMEM, "out of memory");
    m->image = m->next + parts;
    m->end = m->image + parts;
    for (size_t k = 0; k < parts; k++) {
        labels += m->part[k]->info.labels;
        u->images += m->part[k]->info.images;
        u->label_of[k] = calloc(m->part[k]->info.labels, sizeof **u->label_of);
        if (!u->label_of[k])
            return fv_err(FV_ENOMEM, "out of memory");
    }
    if (u->images > UINT32_MAX)
        return fv_err(FV_EFULL, "%s and the others have %llu images: image ids go to 2^32",
                      m->part[0]->path, (unsigned long long)u->images);
    u->label = calloc(labels, sizeof *u->label);
    u->place = malloc(u->images * sizeof *u->place);
    return u->label && u->place
               ? FV_OK
               : fv_err(FV_ENOMEM, "out of memory for %llu images", (unsigned long long)u->images);
}

static const struct fv_part_label *label_at(const struct merge *m, size_t part)
{
    return &m->part[part]->label[m->next[part]];
}

/* The first name among the parts' next labels below their `end`; NULL when all are merged. */
static const char *first_label(const struct merge *m, const uint64_t *end)
{
    const char *first = NULL;

    for (size_t k = 0; k < m->u->parts; k++)
        if (m->next[k] < end[k] && (!first || strcmp(label_at(m, k)->name, first) < 0))
            first = label_at(m, k)->name;
    return first;
}

/* The part whose next image comes first; parts when none is left. */
static int first_image(const struct merge *m, size_t *part)
{
    const char *first = NULL;

    *part = m->u->parts;
    for (size_t k = 0; k < m->u->parts; k++) {
        if (m->image[k] == m->end[k])
            continue;
        const char *name = fv__part_name(m->part[k], m->image[k]);
        const int order = first ? strcmp(name, first) : -1;
        if (order == 0)
            return fv_err(FV_EINVAL, "%s and %s both have an image %s: give each photo to one",
                          m->part[*part]->path, m->part[k]->path, name);
        if (order < 0) {
            first = name;
            *part = k;
        }
    }
    return FV_OK;
}

/* All parts' images of the label that is merged now. */
static int merge_images(struct merge *m, uint64_t *images)
{
    for (;;) {
        size_t k;
        FV_TRY(first_image(m, &k));
        if (k == m->u->parts)
            return FV_OK;
        m->u->place[(*images)++] = (struct fv_place){(uint32_t)k, (uint32_t)m->image[k]++};
    }
}

/* Labels of one group, up to `end` in each part. */
static int merge_labels(struct merge *m, uint32_t holdout, const uint64_t *end, uint64_t *images)
{
    struct fv_union *u = m->u;

    for (const char *name; (name = first_label(m, end)) != NULL; u->labels++) {
        struct fv_part_label *l = &u->label[u->labels];
        *l = (struct fv_part_label){name, (uint32_t)*images, 0, holdout};
        for (size_t k = 0; k < u->parts; k++) {
            m->image[k] = m->end[k] = 0;
            if (m->next[k] == end[k] || strcmp(label_at(m, k)->name, name) != 0)
                continue;
            m->image[k] = label_at(m, k)->first;
            m->end[k] = m->image[k] + label_at(m, k)->count;
            u->label_of[k][m->next[k]++] = (uint32_t)u->labels;
        }
        FV_TRY(merge_images(m, images));
        l->count = (uint32_t)*images - l->first;
    }
    return FV_OK;
}

/* A part that has the label, in one of the groups. */
static const char *owner(const struct merge *m, const struct fv_part_label *l)
{
    for (size_t k = 0; k < m->u->parts; k++)
        for (uint64_t i = 0; i < m->part[k]->info.labels; i++)
            if (&m->u->label[m->u->label_of[k][i]] == l)
                return m->part[k]->path;
    return "";
}

static int check_apart(const struct merge *m)
{
    const struct fv_union *u = m->u;
    uint64_t trained, held;

    if (!fv__labels_in_both(u->label, u->train_labels, u->labels, &trained, &held))
        return FV_OK;
    return fv_err(FV_EINVAL,
                  "identity %s is trained on in %s and held out in %s: pack both by one rule",
                  u->label[held].name, owner(m, &u->label[trained]), owner(m, &u->label[held]));
}

static int merge(struct merge *m, uint64_t *end)
{
    uint64_t images = 0;

    for (size_t k = 0; k < m->u->parts; k++)
        end[k] = m->part[k]->info.train_labels;
    FV_TRY(merge_labels(m, 0, end, &images));
    m->u->train_labels = m->u->labels;
    for (size_t k = 0; k < m->u->parts; k++)
        end[k] = m->part[k]->info.labels;
    FV_TRY(merge_labels(m, 1, end, &images));
    return check_apart(m);
}

int fv__union_make(struct fv_union *u, struct fv_part *const *part, size_t parts)
{
    struct merge m = {.u = u, .part = part};
    uint64_t *end = calloc(parts, sizeof *end);

    int rc = allocate(&m, parts);
    if (rc >= 0)
        rc = end ? merge(&m, end) : fv_err(FV_ENOMEM, "out of memory");
    free(m.next);
    free(end);
    return rc;
}

void fv__union_free(struct fv_union *u)
{
    for (size_t k = 0; u->label_of && k < u->parts; k++)
        free(u->label_of[k]);
    free(u->label_of);
    free(u->label);
    free(u->place);
    *u = (struct fv_union){0};
}
