/* SPDX-License-Identifier: MIT */
/* MXNet RecordIO as InsightFace, im2rec and fvprep export write it: train.rec, train.idx, property.
 *
 * InsightFace's record of key 0 is a header without a body, whose labels announce how many images there are;
 * behind the images come records without a body, one an identity, with ranges of keys. All of these numbers
 * are 32-bit floats, not exact above 2^24, so they are not needed here: an image is a record with a body,
 * its label is its own, its key is what train.idx says. Without train.idx the records are numbered as they
 * follow each other, which is what the keys are in files of these programs.
 *
 * An identity is named by its label in eight digits, so that label order is name order; a photo by its label
 * and its key. A folder may hold a container for each split: train.rec, val.rec, test.rec or holdout.rec. Their
 * photos' names then begin with that of the container. Without val.rec the seeded rule chooses among those of
 * train.rec.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/import/importer.h"
#include "prep/import/lfs.h"
#include "prep/import/rec_index.h"
#include "prep/import/recordio.h"
#include "prep/import/walk.h"
#include "prep/prep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *file, *prefix;
    int split;
} split_files[] = {
    {"train.rec", "train/", FV_SPLIT_TRAIN},
    {"val.rec", "val/", FV_SPLIT_VAL},
    {"test.rec", "test/", FV_SPLIT_HOLDOUT},
    {"holdout.rec", "holdout/", FV_SPLIT_HOLDOUT},
};
enum { TRAIN, VAL, CONTAINERS = sizeof split_files / sizeof *split_files };

/* The listing's source. A photo's place is the number of its container in the upper byte, then its own. */
struct containers {
    struct fv_rec_source rec[CONTAINERS];
};
enum { CONTAINER_SHIFT = 56 };
#define PLACE_MASK (((uint64_t)1 << CONTAINER_SHIFT) - 1)

/* One container on its way in. */
struct import {
    struct fv_listing *l;
    const struct fv_report *r;
    const char *path, *prefix;
    int split, number;
    struct fv_rec_source *rec;
    uint64_t stamp;
    uint8_t *buf;
    size_t room;
    uint64_t announced; /* images, by the header record; 0: it says nothing */
    uint64_t images;
};

/* --- the files ------------------------------------------------------------------------------------ */

static int ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n > k && strcmp(s + n - k, end) == 0;
}

static int is_there(const char *folder, const char *name)
{
    char *path = fv_format("%s/%s", folder, name);
    int yes = path && access(path, F_OK) == 0;
    free(path);
    return yes;
}

/* The container that a folder holds: train.rec, or the only *.rec. NULL for none, or several. Free it. */
static char *find_in_folder(const char *folder)
{
    char **name, *found = NULL;
    const char *only = NULL;
    size_t n, recs = 0;
    if (is_there(folder, split_files[TRAIN].file))
        return fv_format("%s/%s", folder, split_files[TRAIN].file);
    if (fv__walk_names(folder, &name, &n) != 0)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (ends_with(name[i], ".rec") && recs++ == 0)
            only = name[i];
    if (recs == 1)
        found = fv_format("%s/%s", folder, only);
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

static int open_container(struct import *im)
{
    struct stat st;
    int fd = im->rec->fd = open(im->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fv_err_errno(errno == ENOENT ? FV_ENOTFOUND : FV_EIO, "%s: cannot open", im->path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return fv_err(FV_EIO, "%s: is not a file", im->path);
    if (fv__lfs_is_pointer_file(fd))
        return fv_err(FV_ECORRUPT, "%s: %s", im->path, FV_LFS_SENTENCE);
    im->rec->bytes = (uint64_t)st.st_size;
    im->stamp = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    return 0;
}

/* --- the records ---------------------------------------------------------------------------------- */

static int refuse(struct import *im, uint64_t key, enum fv_reject why, const char *detail)
{
    char name[64];
    snprintf(name, sizeof name, "%srecord %" PRIu64, im->prefix, key);
    return fv__listing_refuse(im->l, name, why, detail);
}

static int refuse_record(struct import *im, uint64_t key, uint64_t at, const char *what)
{
    char detail[FV_REFUSAL_DETAIL];
    snprintf(detail, sizeof detail, "the record at byte %" PRIu64 " %s", at, what);
    return refuse(im, key, FV_REJECT_BAD_RECORD, detail);
}

static int add_image(struct import *im, uint64_t key, uint64_t at, const struct fv_rec *rec,
                     const struct fv_rec_image *image)
{
    char identity[32], name[80];
    double label = image->label;
    if (!(label >= 0 && label < 4294967296.0 && label == floor(label))) {
        snprintf(name, sizeof name, "%g", label);
        return refuse(im, key, FV_REJECT_BAD_LABEL, name);
    }
    snprintf(identity, sizeof identity, "%08.0f", label);
    snprintf(name, sizeof name, "%s%s/%010" PRIu64, im->prefix, identity, key);
    const struct fv_listed_photo photo = {
        .name = name,
        .at = (uint64_t)im->number << CONTAINER_SHIFT | at,
        .bytes = rec->bytes,
        .stamp = im->stamp,
        .split = (int8_t)im->split,
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
    int rc = fv__rec_read(im->rec, at, FV_REC_LABEL_BYTES, &im->buf, &im->room, &rec);
    if (rc == 1)
        FV_TRY(refuse_record(im, key, at, rec.why));
    if (rc)
        return rc;
    *end = rec.end;
    size_t have = rec.bytes < FV_REC_LABEL_BYTES ? (size_t)rec.bytes : FV_REC_LABEL_BYTES;
    if (!fv__rec_parse(&image, im->buf, have, rec.bytes))
        return refuse_record(im, key, at, "holds no image record");
    if (image.body < rec.bytes)
        return add_image(im, key, at, &rec, &image);
    note_header(im, key, &image);
    return 0;
}

static int take_indexed(struct import *im, const struct fv_rec_index *x)
{
    uint64_t end;
    for (size_t i = 0; i < x->n; i++) {
        if (fv_prep_stop)
            return fv_err(FV_EINTR, "interrupted");
        if (i % 4096 == 0)
            fv_progress(im->r, &(struct fv_progress){"list", "records", i, x->n, NULL});
        int rc = take_record(im, x->entry[i].key, x->entry[i].at, &end);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* After a damaged record the next one is found by its magic number. */
static int take_in_sequence(struct import *im)
{
    uint64_t at = 0, bytes = im->rec->bytes;
    for (uint64_t key = 0; at < bytes; key++) {
        uint64_t end = 0;
        if (fv_prep_stop)
            return fv_err(FV_EINTR, "interrupted");
        if (key % 4096 == 0)
            fv_progress(im->r, &(struct fv_progress){"list", "MB", at >> 20, bytes >> 20, NULL});
        int rc = take_record(im, key, at, &end);
        if (rc == 1)
            rc = fv__rec_resync(im->rec, at + 4, &end);
        if (rc < 0)
            return rc;
        at = end;
    }
    return 0;
}

/* By the .idx file beside the container, where there is one. */
static int take_records(struct import *im)
{
    size_t n = strlen(im->path);
    char *path = ends_with(im->path, ".rec") ? fv_format("%.*sidx", (int)n - 3, im->path) : NULL;
    struct fv_rec_index x = {0};
    struct fv_table t;
    int rc, indexed = path && access(path, F_OK) == 0;
    if (indexed) {
        rc = fv__table_open(&t, path);
        if (rc == 0)
            rc = fv__rec_index_read(&x, &t, im->rec->bytes);
        fv__table_close(&t);
        if (rc == 0)
            rc = take_indexed(im, &x);
    } else {
        fv_say(im->r, FV_LEVEL_INFO, "%s: without an .idx file records are numbered as they come",
               im->path);
        rc = take_in_sequence(im);
    }
    fv__rec_index_free(&x);
    free(path);
    return rc;
}

static int take_container(struct import *im)
{
    FV_TRY(open_container(im));
    FV_TRY(take_records(im));
    if (im->announced && im->announced != im->images)
        fv_say(im->r, FV_LEVEL_WARN,
               "%s: its header announces %" PRIu64 " images, and %" PRIu64 " are there", im->path,
               im->announced, im->images);
    return 0;
}

/* --- the importer --------------------------------------------------------------------------------- */

static int add_container(struct fv_listing *l, const char *path, const char *prefix, int split,
                         int number, const struct fv_report *r)
{
    struct containers *c = l->source;
    struct import im = {.l = l,
                        .r = r,
                        .path = path,
                        .prefix = prefix,
                        .split = split,
                        .number = number,
                        .rec = &c->rec[number]};
    int rc = path ? take_container(&im) : fv_err(FV_ENOMEM, "out of memory for a path");
    free(im.buf);
    return rc;
}

/* train.rec and those beside it. */
static int add_splits(struct fv_listing *l, const char *folder, const struct fv_report *r)
{
    for (int i = 0; i < CONTAINERS; i++) {
        int split = split_files[i].split;
        if (!is_there(folder, split_files[i].file))
            continue;
        if (i == TRAIN && !is_there(folder, split_files[VAL].file))
            split = FV_SPLIT_BY_RULE;
        char *path = fv_format("%s/%s", folder, split_files[i].file);
        int rc = add_container(l, path, split_files[i].prefix, split, i, r);
        free(path);
        FV_TRY(rc);
    }
    return 0;
}

static int count_splits(const char *folder)
{
    int n = 0;
    for (int i = 0; i < CONTAINERS; i++)
        n += is_there(folder, split_files[i].file);
    return n;
}

/* property: the number of identities to train on, height and width. */
static void compare_with_property(const struct fv_listing *l, const char *folder,
                                  const struct fv_report *r)
{
    char *path = fv_format("%s/property", folder);
    struct fv_table t;
    uint64_t classes, found = 0;
    for (size_t i = 0; i < l->identities; i++)
        found += l->identity[i].count && l->photo[l->identity[i].first].split != FV_SPLIT_HOLDOUT;
    if (path && access(path, F_OK) == 0 && fv__table_open(&t, path) == 0) {
        if (fv__table_next(&t) == 1 && fv__parse_u64(t.field[0], &classes) && classes != found)
            fv_say(r, FV_LEVEL_WARN, "%s: %" PRIu64 " identities, but the records have %" PRIu64,
                   path, classes, found);
        fv__table_close(&t);
    }
    free(path);
}

static int begin(struct fv_listing *l, const char *path)
{
    FV_TRY(fv__listing_begin(l, path));
    struct containers *c = malloc(sizeof *c);
    if (!c)
        return fv_err(FV_ENOMEM, "out of memory for '%s'", path);
    for (int i = 0; i < CONTAINERS; i++)
        c->rec[i] = (struct fv_rec_source){-1, NULL, 0};
    l->source = c;
    return 0;
}

static int add_all(struct fv_listing *l, const char *path, const struct fv_report *r)
{
    if (!fv_is_folder(path))
        return add_container(l, path, "", FV_SPLIT_BY_RULE, 0, r);
    char *only = find_in_folder(path);
    int rc;
    if (!only)
        rc = fv_err(FV_ENOTFOUND, "'%s' holds no train.rec, or several other .rec files: name one",
                    path);
    else if (is_there(path, split_files[TRAIN].file) && count_splits(path) > 1)
        rc = add_splits(l, path, r);
    else
        rc = add_container(l, only, "", FV_SPLIT_BY_RULE, 0, r);
    free(only);
    return rc;
}

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)s;
    FV_TRY(begin(out, path));
    FV_TRY(add_all(out, path, r));
    FV_TRY(fv__listing_end(out));
    if (out->photos == 0)
        return fv_err(FV_ENOTFOUND, "%s: holds no record of an image", path);
    if (fv_is_folder(path))
        compare_with_property(out, path, r);
    return 0;
}

static int read_image(const struct fv_listing *l, const struct fv_listed_photo *p, uint8_t **buf,
                      size_t *room, size_t *n, struct fv_refusal *why)
{
    const struct containers *c = l->source;
    uint64_t at = p->at & PLACE_MASK;
    struct fv_rec rec;
    struct fv_rec_image image;
    int rc = fv__rec_read(&c->rec[p->at >> CONTAINER_SHIFT], at, FV_REC_MAX_BYTES, buf, room, &rec);
    if (rc == 1)
        return fv__refuse(why, FV_REJECT_BAD_RECORD, "the record at byte %" PRIu64 " %s", at,
                          rec.why);
    if (rc < 0)
        return rc;
    if (!fv__rec_parse(&image, *buf, (size_t)rec.bytes, rec.bytes) || image.body >= rec.bytes)
        return fv__refuse(why, FV_REJECT_BAD_RECORD,
                          "the record at byte %" PRIu64 " holds no image", at);
    *n = (size_t)rec.bytes - image.body;
    memmove(*buf, *buf + image.body, *n);
    return 0;
}

static void close_containers(struct fv_listing *l)
{
    struct containers *c = l->source;
    for (int i = 0; c && i < CONTAINERS; i++)
        if (c->rec[i].fd >= 0)
            close(c->rec[i].fd);
    free(c);
    l->source = NULL;
}

const struct fv_importer fv__import_recordio = {
    .name = "recordio",
    .help = "MXNet RecordIO: a .rec file, or a folder with train.rec, train.idx and property",
    .recognise = recognise,
    .list = list,
    .read = read_image,
    .close = close_containers,
};
