/* SPDX-License-Identifier: MIT */
/* Photos are gathered in one array, each with the name of its identity, and sorted once at the end: that
 * costs less than a table of identities, and lists come sorted as a rule.
 */
#include "prep/import/listing.h"

#include "common/err.h"
#include "prep/import/importer.h"

#include <stdlib.h>
#include <string.h>

/* Names live in large blocks: millions of them are allocated and freed at once. */
struct fv_text_block {
    struct fv_text_block *next;
    size_t used, room;
    char text[];
};
enum { TEXT_BLOCK = 64 * 1024 };

static const char *keep_text(struct fv_listing *l, const char *s)
{
    size_t n = strlen(s) + 1;
    struct fv_text_block *b = l->text;
    if (!b || b->room - b->used < n) {
        size_t room = n > TEXT_BLOCK ? n : TEXT_BLOCK;
        if (!(b = malloc(sizeof *b + room)))
            return NULL;
        *b = (struct fv_text_block){.next = l->text, .room = room};
        l->text = b;
    }
    char *kept = b->text + b->used;
    b->used += n;
    return memcpy(kept, s, n);
}

/* Room for one more element of *array. */
static int grow(void *array, size_t n, size_t *room, size_t each)
{
    void **a = array;
    if (n < *room)
        return 0;
    size_t more = *room ? *room * 2 : 64;
    void *p = realloc(*a, more * each);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for the list of %zu files", n);
    *a = p;
    *room = more;
    return 0;
}

int fv__listing_begin(struct fv_listing *l, const char *root)
{
    *l = (struct fv_listing){.root = strdup(root)};
    if (!l->root)
        return fv_err(FV_ENOMEM, "out of memory for the path '%s'", root);
    for (size_t n = strlen(l->root); n > 1 && l->root[n - 1] == '/'; n--)
        l->root[n - 1] = 0;
    return 0;
}

int fv__listing_add(struct fv_listing *l, const char *identity, const struct fv_listed_photo *p)
{
    FV_TRY(grow(&l->photo, l->photos, &l->photo_room, sizeof *l->photo));
    struct fv_listed_photo *to = &l->photo[l->photos];
    const char *last = l->photos ? to[-1].identity : NULL;
    *to = *p;
    to->identity = last && strcmp(last, identity) == 0 ? last : keep_text(l, identity);
    if (p->name)
        to->name = keep_text(l, p->name);
    if (p->path)
        to->path = keep_text(l, p->path);
    if (!to->identity || (p->name && !to->name) || (p->path && !to->path))
        return fv_err(FV_ENOMEM, "out of memory for the names of %zu photos", l->photos);
    l->photos++;
    return 0;
}

int fv__listing_add_face(struct fv_listing *l, const struct fv_face *face, uint32_t *number)
{
    FV_TRY(grow(&l->face, l->faces, &l->face_room, sizeof *l->face));
    l->face[l->faces++] = *face;
    *number = (uint32_t)l->faces;
    return 0;
}

static int note(struct fv_listing *l, struct fv_notes *to, const char *name, enum fv_reject why,
                const char *detail)
{
    FV_TRY(grow(&to->at, to->n, &to->room, sizeof *to->at));
    struct fv_note *e = &to->at[to->n];
    if (!(e->name = keep_text(l, name)))
        return fv_err(FV_ENOMEM, "out of memory for the list of refused files");
    fv__refuse(&e->reason, why, "%s", detail);
    to->n++;
    return 0;
}

int fv__listing_refuse(struct fv_listing *l, const char *name, enum fv_reject why,
                       const char *detail)
{
    return note(l, &l->refused, name, why, detail);
}

int fv__listing_ignore(struct fv_listing *l, const char *name, enum fv_reject why)
{
    return note(l, &l->ignored, name, why, "");
}

/* --- the end -------------------------------------------------------------------------------------- */

/* By identity, then by name; one without a name comes first. */
static int in_order(const void *pa, const void *pb)
{
    const struct fv_listed_photo *a = pa, *b = pb;
    int c = a->identity == b->identity ? 0 : strcmp(a->identity, b->identity);
    if (c)
        return c;
    if (!a->name || !b->name)
        return (a->name != NULL) - (b->name != NULL);
    return strcmp(a->name, b->name);
}

/* Counts each identity's photos, dropping those without a name: they have said that it is there. */
static int gather_identities(struct fv_listing *l)
{
    size_t kept = 0;
    struct fv_listed_identity *id = NULL;
    for (size_t i = 0; i < l->photos; i++) {
        const struct fv_listed_photo p = l->photo[i];
        if (!id || strcmp(id->name, p.identity) != 0) {
            FV_TRY(grow(&l->identity, l->identities, &l->identity_room, sizeof *l->identity));
            id = &l->identity[l->identities++];
            *id = (struct fv_listed_identity){.name = p.identity, .first = kept};
        }
        if (!p.name)
            continue;
        l->photo[kept] = p;
        l->photo[kept++].identity = id->name;
        id->count++;
    }
    l->photos = kept;
    return 0;
}

/* 1 when the identity has a photo to train on. */
static int is_trained_on(const struct fv_listing *l, const struct fv_listed_identity *id)
{
    for (size_t i = 0; i < id->count; i++) {
        int split = l->photo[id->first + i].split;
        if (split == FV_SPLIT_TRAIN || split == FV_SPLIT_BY_RULE)
            return 1;
    }
    return 0;
}

static int settle_splits(struct fv_listing *l)
{
    size_t kept = 0, validating = 0;
    for (size_t i = 0; i < l->photos; i++)
        validating += l->photo[i].split == FV_SPLIT_VAL;
    for (size_t k = 0; k < l->identities; k++) {
        struct fv_listed_identity *id = &l->identity[k];
        const struct fv_listed_photo *p = &l->photo[id->first];
        int trained_on = is_trained_on(l, id);
        size_t first = kept, count = id->count;
        for (; count > 0; count--, p++) {
            if (trained_on && p->split == FV_SPLIT_HOLDOUT && validating) {
                FV_TRY(fv__listing_ignore(l, p->name, FV_IGNORE_TEST));
                continue;
            }
            l->photo[kept] = *p;
            if (!trained_on)
                l->photo[kept].split = FV_SPLIT_HOLDOUT;
            else if (p->split == FV_SPLIT_HOLDOUT)
                l->photo[kept].split = FV_SPLIT_VAL;
            kept++;
        }
        id->first = first;
        id->count = kept - first;
    }
    l->photos = kept;
    return 0;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The name that comes twice in `name` (n), which is sorted for that; NULL for none. */
static const char *find_twin(const char **name, size_t n)
{
    qsort(name, n, sizeof *name, name_order);
    for (size_t i = 1; i < n; i++)
        if (strcmp(name[i - 1], name[i]) == 0)
            return name[i];
    return NULL;
}

static int check_names(const struct fv_listing *l)
{
    size_t i = 1;
    while (i < l->photos && strcmp(l->photo[i - 1].name, l->photo[i].name) < 0)
        i++;
    if (i >= l->photos)
        return 0; /* ascending over all identities: the common case */
    const char **name = malloc(l->photos * sizeof *name);
    if (!name)
        return fv_err(FV_ENOMEM, "out of memory for the names of %zu photos", l->photos);
    for (i = 0; i < l->photos; i++)
        name[i] = l->photo[i].name;
    const char *twin = find_twin(name, l->photos);
    free(name);
    return twin ? fv_err(FV_ECORRUPT, "%s: '%s' is listed twice", l->root, twin) : 0;
}

int fv__listing_end(struct fv_listing *l)
{
    if (l->photos)
        qsort(l->photo, l->photos, sizeof *l->photo, in_order);
    FV_TRY(gather_identities(l));
    FV_TRY(check_names(l));
    return settle_splits(l);
}

const struct fv_face *fv__listing_face(const struct fv_listing *l, const struct fv_listed_photo *p)
{
    return p->face ? &l->face[p->face - 1] : NULL;
}

void fv__listing_free(struct fv_listing *l)
{
    if (l->importer && l->importer->close)
        l->importer->close(l);
    for (struct fv_text_block *b = l->text, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(l->identity);
    free(l->photo);
    free(l->face);
    free(l->refused.at);
    free(l->ignored.at);
    free(l->root);
    *l = (struct fv_listing){0};
}
