/* SPDX-License-Identifier: MIT */
/* Images in the order of their arrival, and a hash table of their numbers, at most half full. One person's photo twice
 * is a waste and only listed; one photo under two names is an error in the labels, and said aloud, until that would
 * drown all else.
 */
#include "prep/pack/duplicates.h"

#include "common/err.h"
#include "prep/import/plain_name.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED_ON_CONSOLE = 20, SLOTS_MIN = 1024 };

struct fv_seen {
    uint64_t content;
    const char *name, *identity;
};

int fv__duplicates_open(struct fv_duplicates *d, const char *path, const struct fv_report *report)
{
    *d = (struct fv_duplicates){.report = report};
    FV_TRY(fv_file_create_part(&d->file, path));
    fputs("# path\tearlier path\tidentity\n", d->file.f);
    return 0;
}

/* Where the content's number is, or the free slot where it belongs. Contents are hashes already. */
static uint32_t *find(const struct fv_duplicates *d, uint64_t content)
{
    size_t i = content & (d->slots - 1);
    while (d->slot[i] && d->seen[d->slot[i] - 1].content != content)
        i = (i + 1) & (d->slots - 1);
    return &d->slot[i];
}

static int grow(struct fv_duplicates *d)
{
    const size_t slots = d->slots ? 2 * d->slots : SLOTS_MIN;
    struct fv_seen *seen = realloc(d->seen, slots / 2 * sizeof *seen);
    uint32_t *slot = seen ? calloc(slots, sizeof *slot) : NULL;
    if (seen)
        d->seen = seen;
    if (!slot)
        return fv_err(FV_ENOMEM, "out of memory for the contents of %zu images", d->n);
    free(d->slot);
    d->slot = slot;
    d->slots = slots;
    for (size_t i = 0; i < d->n; i++)
        *find(d, d->seen[i].content) = (uint32_t)i + 1;
    return 0;
}

static int warn(const struct fv_duplicates *d, const char *name, const char *earlier)
{
    if (d->other > NAMED_ON_CONSOLE)
        return 0;
    if (d->other == NAMED_ON_CONSOLE) {
        fv_say(d->report, FV_LEVEL_WARN,
               "further pictures under two identities are only listed in %s", d->file.path);
        return 0;
    }
    char *a = fv__plain_name(name), *b = a ? fv__plain_name(earlier) : NULL;
    if (b)
        fv_say(d->report, FV_LEVEL_WARN, "%s: is the same picture as %s, of another identity", a,
               b);
    free(a);
    free(b);
    return b ? 0 : FV_ENOMEM;
}

static int list(struct fv_duplicates *d, const struct fv_listed_photo *photo,
                const struct fv_seen *earlier)
{
    int same = strcmp(photo->identity, earlier->identity) == 0;
    if (!same)
        FV_TRY(warn(d, photo->name, earlier->name));
    ++*(same ? &d->same : &d->other);
    FV_TRY(fv__plain_name_put(d->file.f, photo->name));
    fputc('\t', d->file.f);
    FV_TRY(fv__plain_name_put(d->file.f, earlier->name));
    fprintf(d->file.f, "\t%s\n", same ? "same" : "other");
    return 0;
}

/* The image of this content that was there before. Where there is none, NULL, and `image` is remembered. */
static int look_up(struct fv_duplicates *d, const struct fv_seen *image,
                   const struct fv_seen **earlier)
{
    *earlier = NULL;
    if (2 * d->n >= d->slots)
        FV_TRY(grow(d));
    uint32_t *slot = find(d, image->content);
    if (*slot) {
        *earlier = &d->seen[*slot - 1];
        return 0;
    }
    d->seen[d->n++] = *image;
    *slot = (uint32_t)d->n;
    return 0;
}

int fv__duplicates_add(struct fv_duplicates *d, uint64_t content,
                       const struct fv_listed_photo *photo)
{
    const struct fv_seen *earlier;
    FV_TRY(look_up(d, &(struct fv_seen){content, photo->name, photo->identity}, &earlier));
    return earlier ? list(d, photo, earlier) : 0;
}

int fv__duplicates_know(struct fv_duplicates *d, uint64_t content, const char *name,
                        const char *identity)
{
    const struct fv_seen *earlier;
    return look_up(d, &(struct fv_seen){content, name, identity}, &earlier);
}

int fv__duplicates_commit(struct fv_duplicates *d)
{
    return fv_file_commit(&d->file);
}

void fv__duplicates_close(struct fv_duplicates *d)
{
    fv_file_discard(&d->file);
    free(d->slot);
    free(d->seen);
    *d = (struct fv_duplicates){0};
}
