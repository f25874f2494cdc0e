/* SPDX-License-Identifier: MIT */
/* MXNet RecordIO as InsightFace and im2rec write it: train.rec, train.idx, property.
 *
 * InsightFace's record of key 0 is a header without a body, whose labels announce how many images there are;
 * behind the images come records without a body, one an identity, with ranges of keys. All of these numbers
 * are 32-bit floats, not exact above 2^24, so they are not needed here: an image is a record with a body,
 * its label is its own, its key is what train.idx says. Without train.idx the records are numbered as they
 * follow each other, which is what the keys are in files of both programs.
 *
 * An identity is named by its label in eight digits, so that label order is name order; a photo by its label
 * and its key.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/importer.h"
#include "prep/lfs.h"
#include "prep/prep.h"
#include "prep/recordio.h"
#include "prep/table.h"
#include "prep/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    uint64_t key, at;
};

/* The listing's source. */
struct container {
    struct fv_rec_source rec;
};

struct import {
    struct fv_listing *l;
    const struct fv_report *r;
    struct container *c;
    uint64_t stamp;
    struct entry *entry; /* of train.idx, in order of their place */
    size_t entries;
    uint8_t *buf;
    size_t room;
    uint64_t announced; /* images, by the header record; 0: it says nothing */
    uint64_t images, bodiless;
};

/* --- the files ------------------------------------------------------------------------------------ */

static int ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n > k && strcmp(s + n - k, end) == 0;
}

/* The container that a folder holds: train.rec, or the only *.rec. NULL for none, or several. */
static char *find_in_folder(const char *path)
{
    char **name, *found = NULL;
    const char *best = NULL;
    size_t n, recs = 0;
    if (fv__walk_names(path, &name, &n) != 0)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!ends_with(name[i], ".rec"))
            continue;
        recs++;
        if (!best || strcmp(name[i], "train.rec") == 0)
            best = name[i];
    }
    if (recs == 1 || (recs > 1 && strcmp(best, "train.rec") == 0))
        found = fv_format("%s/%s", path, best);
    fv__walk_free_names(name, n);
    return found;
}

static int begins_with_magic(const char *path)
{
    uint8_t p[4] = {0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int yes = fd >= 0 && pread(fd, p, 4, 0) == 4 && memcmp(p, "\x0a\x23\xd7\xce", 4) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

static int recognise(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    if (S_ISREG(st.st_mode))
        return begins_with_magic(path) ? 95 : 0;
    char *rec = S_ISDIR(st.st_mode) ? find_in_folder(path) : NULL;
    int yes = rec && begins_with_magic(rec);
    free(rec);
    return yes ? 90 : 0;
}

static int open_container(struct import *im, const char *path)
{
    struct stat st;
    im->c->rec.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (im->c->rec.fd < 0)
        return fv_err_errno(errno == ENOENT ? FV_ENOTFOUND : FV_EIO, "%s: cannot open", path);
    if (fstat(im->c->rec.fd, &st) != 0 || !S_ISREG(st.st_mode))
        return fv_err(FV_EIO, "%s: is not a file", path);
    if (fv__lfs_is_pointer_file(im->c->rec.fd))
        return fv_err(FV_ECORRUPT, "%s: %s", path, FV_LFS_SENTENCE);
    im->c->rec.bytes = (uint64_t)st.st_size;
    im->stamp = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    return 0;
}

/* The file beside the container with another end in place of "rec". */
static char *beside(const char *path, const char *end)
{
    size_t n = strlen(path);
    return ends_with(path, ".rec") ? fv_format("%.*s%s", (int)n - 3, path, end) : NULL;
}

static int by_place(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static int read_entries(struct import *im, struct fv_table *t)
{
    size_t room = 0;
    int rc;
    while ((rc = fv__table_next(t)) == 1) {
        struct entry e;
        if (t->fields != 2 || !fv__parse_u64(t->field[0], &e.key) ||
            !fv__parse_u64(t->field[1], &e.at))
            return fv__table_err(t, "is no key and byte offset");
        if (e.at >= im->c->rec.bytes || e.at % 4)
            return fv__table_err(t,
                                 "byte %" PRIu64 " is no place in a container of %" PRIu64
                                 ": it was cut short, or this is the index of another one",
                                 e.at, im->c->rec.bytes);
        if (im->entries == room) {
            room = room ? room * 2 : 4096;
            struct entry *more = realloc(im->entry, room * sizeof *more);
            if (!more)
                return fv_err(FV_ENOMEM, "out of memory for %zu keys", room);
            im->entry = more;
        }
        im->entry[im->entries++] = e;
    }
    return rc;
}

static int check_entries(struct import *im, const char *path)
{
    if (im->entries == 0)
        return fv_err(FV_ECORRUPT, "%s: is empty: remove it to number the records as they come",
                      path);
    qsort(im->entry, im->entries, sizeof *im->entry, by_key);
    for (size_t i = 1; i < im->entries; i++)
        if (im->entry[i].key == im->entry[i - 1].key)
            return fv_err(FV_ECORRUPT, "%s: key %" PRIu64 " comes twice", path, im->entry[i].key);
    qsort(im->entry, im->entries, sizeof *im->entry, by_place);
    return 0;
}

/* train.idx into im->entry; 0 also when there is none. */
static int read_index(struct import *im, const char *rec_path)
{
    struct fv_table t;
    char *path = beside(rec_path, "idx");
    if (!path || access(path, F_OK) != 0) {
        fv_say(im->r, FV_LEVEL_INFO,
               "%s: no .idx file beside it: records are numbered as they come", rec_path);
        free(path);
        return 0;
    }
    int rc = fv__table_open(&t, path);
    if (rc == 0) {
        rc = read_entries(im, &t);
        fv__table_close(&t);
    }
    if (rc == 0)
        rc = check_entries(im, path);
    free(path);
    return rc;
}

/* --- the records ---------------------------------------------------------------------------------- */

static int refuse(struct import *im, uint64_t key, uint64_t at, const char *what)
{
    char name[64], detail[FV_REFUSAL_DETAIL];
    snprintf(name, sizeof name, "record %" PRIu64, key);
    snprintf(detail, sizeof detail, "the record at byte %" PRIu64 " %s", at, what);
    return fv__listing_refuse(im->l, name, FV_REJECT_BAD_RECORD, detail);
}

static int refuse_label(struct import *im, uint64_t key, float label)
{
    char name[64], detail[FV_REFUSAL_DETAIL];
    snprintf(name, sizeof name, "record %" PRIu64, key);
    snprintf(detail, sizeof detail, "%g", (double)label);
    return fv__listing_refuse(im->l, name, FV_REJECT_BAD_LABEL, detail);
}

static int add_image(struct import *im, uint64_t key, uint64_t at, const struct fv_rec *rec,
                     const struct fv_rec_image *image)
{
    char identity[32], name[64];
    double label = image->label;
    if (!(label >= 0 && label < 4294967296.0 && label == floor(label)))
        return refuse_label(im, key, image->label);
    snprintf(identity, sizeof identity, "%08.0f", label);
    snprintf(name, sizeof name, "%s/%010" PRIu64, identity, key);
    const struct fv_listed_photo photo = {
        .name = name,
        .at = at,
        .bytes = rec->bytes,
        .stamp = im->stamp,
        .split = FV_SPLIT_BY_RULE,
    };
    im->images++;
    return fv__listing_add(im->l, identity, &photo);
}

/* What the header record announces: the key behind the last image, exact as far as a float is. */
static void note_header(struct import *im, uint64_t key, const struct fv_rec_image *image)
{
    if (key == 0 && image->flag == 2 && image->label >= 1 && image->label < 16777216)
        im->announced = (uint64_t)image->label - 1;
}

/* 0, and *end where the next record begins; 1 when this one is damaged. */
static int take_record(struct import *im, uint64_t key, uint64_t at, uint64_t *end)
{
    struct fv_rec rec;
    struct fv_rec_image image;
    int rc = fv__rec_read(&im->c->rec, at, FV_REC_LABEL_BYTES, &im->buf, &im->room, &rec);
    if (rc == 1)
        FV_TRY(refuse(im, key, at, rec.why));
    if (rc)
        return rc;
    *end = rec.end;
    size_t have = rec.bytes < FV_REC_LABEL_BYTES ? (size_t)rec.bytes : FV_REC_LABEL_BYTES;
    if (!fv__rec_parse(&image, im->buf, have, rec.bytes))
        return refuse(im, key, at, "holds no image record");
    if (image.body < rec.bytes)
        return add_image(im, key, at, &rec, &image);
    im->bodiless++;
    note_header(im, key, &image);
    return 0;
}

static int take_indexed(struct import *im)
{
    uint64_t end;
    for (size_t i = 0; i < im->entries; i++) {
        if (fv_prep_stop)
            return fv_err(FV_EINTR, "interrupted");
        if (i % 4096 == 0)
            fv_progress(im->r, &(struct fv_progress){"list", "records", i, im->entries, NULL});
        int rc = take_record(im, im->entry[i].key, im->entry[i].at, &end);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* After a damaged record the next one is found by its magic number. */
static int take_in_sequence(struct import *im)
{
    const struct fv_rec_source *s = &im->c->rec;
    uint64_t at = 0;
    for (uint64_t key = 0; at < s->bytes; key++) {
        uint64_t end = 0;
        if (fv_prep_stop)
            return fv_err(FV_EINTR, "interrupted");
        if (key % 4096 == 0)
            fv_progress(im->r, &(struct fv_progress){"list", "MB", at >> 20, s->bytes >> 20, NULL});
        int rc = take_record(im, key, at, &end);
        if (rc == 1)
            rc = fv__rec_resync(s, at + 4, &end);
        if (rc < 0)
            return rc;
        at = end;
    }
    return 0;
}

/* --- what other files say ------------------------------------------------------------------------- */

/* property: the number of identities, height and width. */
static void compare_with_property(const struct import *im, const char *rec_path)
{
    const char *slash = strrchr(rec_path, '/');
    char *path = fv_format("%.*sproperty", slash ? (int)(slash - rec_path) + 1 : 0, rec_path);
    struct fv_table t;
    uint64_t classes;
    if (path && access(path, F_OK) == 0 && fv__table_open(&t, path) == 0) {
        if (fv__table_next(&t) == 1 && fv__parse_u64(t.field[0], &classes) &&
            classes != im->l->identities)
            fv_say(im->r, FV_LEVEL_WARN, "%s: %s identities, but the records have %zu", path,
                   t.field[0], im->l->identities);
        fv__table_close(&t);
    }
    free(path);
}

static void compare_with_header(const struct import *im)
{
    if (im->announced && im->announced != im->images)
        fv_say(im->r, FV_LEVEL_WARN,
               "%s: its header announces %" PRIu64 " images, and %" PRIu64 " are there",
               im->l->root, im->announced, im->images);
}

/* --- the importer --------------------------------------------------------------------------------- */

static int list_container(struct import *im, const char *path)
{
    FV_TRY(fv__listing_begin(im->l, path));
    if (!(im->c = malloc(sizeof *im->c)))
        return fv_err(FV_ENOMEM, "out of memory for '%s'", path);
    *im->c = (struct container){{-1, NULL, 0}};
    im->l->source = im->c;
    FV_TRY(open_container(im, path));
    FV_TRY(read_index(im, path));
    FV_TRY(im->entries ? take_indexed(im) : take_in_sequence(im));
    FV_TRY(fv__listing_end(im->l));
    if (im->l->photos == 0)
        return fv_err(FV_ENOTFOUND, "%s: holds no record of an image", path);
    compare_with_header(im);
    compare_with_property(im, path);
    return 0;
}

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)s;
    struct import im = {.l = out, .r = r};
    struct stat st;
    char *found = NULL;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && !(found = find_in_folder(path)))
        return fv_err(FV_ENOTFOUND,
                      "'%s' holds no train.rec, or several other .rec files: name one", path);
    int rc = list_container(&im, found ? found : path);
    free(found);
    free(im.entry);
    free(im.buf);
    return rc;
}

static int read_image(const struct fv_listing *l, const struct fv_listed_photo *p, uint8_t **buf,
                      size_t *room, size_t *n, struct fv_refusal *why)
{
    const struct container *c = l->source;
    struct fv_rec rec;
    struct fv_rec_image image;
    int rc = fv__rec_read(&c->rec, p->at, FV_REC_MAX_BYTES, buf, room, &rec);
    if (rc == 1)
        return fv__refuse(why, FV_REJECT_BAD_RECORD, "the record at byte %" PRIu64 " %s", p->at,
                          rec.why);
    if (rc < 0)
        return rc;
    if (!fv__rec_parse(&image, *buf, (size_t)rec.bytes, rec.bytes) || image.body >= rec.bytes)
        return fv__refuse(why, FV_REJECT_BAD_RECORD,
                          "the record at byte %" PRIu64 " holds no image", p->at);
    *n = (size_t)rec.bytes - image.body;
    memmove(*buf, *buf + image.body, *n);
    return 0;
}

static void close_container(struct fv_listing *l)
{
    struct container *c = l->source;
    if (c && c->rec.fd >= 0)
        close(c->rec.fd);
    free(c);
    l->source = NULL;
}

const struct fv_importer fv__import_recordio = {
    .name = "recordio",
    .help = "MXNet RecordIO: a .rec file, or a folder with train.rec, train.idx and property",
    .recognise = recognise,
    .list = list,
    .read = read_image,
    .close = close_container,
};
