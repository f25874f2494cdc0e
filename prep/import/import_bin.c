/* SPDX-License-Identifier: MIT */
/* InsightFace's verification sets as held-out images with the list of their pairs.
 *
 * Pair i has the images pair<i>_a and pair<i>_b, numbered from 1. Who is shown is not known, only who is the
 * same: the two images of a genuine pair are one identity, pair<i>; those of an impostor pair are two, named
 * as the images are. A person of several pairs has several such names, so other pairs than those of the list
 * must not be made from this set.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/import/bin_pairs.h"
#include "prep/import/importer.h"
#include "prep/import/lfs.h"
#include "prep/photo/photo_file.h"
#include "prep/prep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES ((size_t)2 << 30)

/* The listing's source. */
struct pair_set {
    int fd;
    struct fv_bin_pairs bin;
};

static int recognise(const char *path)
{
    uint8_t p[4] = {0};
    const char *dot = strrchr(path, '.');
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, p, sizeof p, 0);
    if (fd >= 0)
        close(fd);
    /* a pickle: protocol 2 to 5, then a list, a mark or a frame */
    if (n < 4 || p[0] != 0x80 || p[1] < 2 || p[1] > 5 ||
        (p[2] != ']' && p[2] != '(' && p[2] != 0x95))
        return 0;
    return dot && strcmp(dot, ".bin") == 0 ? 90 : 50;
}

static int read_pairs(struct pair_set *set, const char *path, uint64_t *stamp)
{
    struct stat st;
    char *data;
    size_t n;
    set->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (set->fd < 0 || fstat(set->fd, &st) != 0)
        return fv_err_errno(errno == ENOENT ? FV_ENOTFOUND : FV_EIO, "%s: cannot open", path);
    if (fv__lfs_is_pointer_file(set->fd))
        return fv_err(FV_ECORRUPT, "%s: %s", path, FV_LFS_SENTENCE);
    *stamp = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    FV_TRY(fv_file_read(path, MAX_FILE_BYTES, &data, &n));
    int rc = fv__bin_parse(&set->bin, (const uint8_t *)data, n, path);
    free(data);
    return rc;
}

static int add_image(struct fv_listing *l, const struct pair_set *set, size_t image, uint64_t stamp)
{
    char name[40], identity[40];
    snprintf(name, sizeof name, "pair%05zu_%c", image / 2 + 1, "ab"[image % 2]);
    snprintf(identity, sizeof identity, "pair%05zu", image / 2 + 1);
    const struct fv_listed_photo photo = {
        .name = name,
        .at = set->bin.image[image].at,
        .bytes = set->bin.image[image].bytes,
        .stamp = stamp,
        .split = FV_SPLIT_HOLDOUT,
    };
    return fv__listing_add(l, set->bin.same[image / 2] ? identity : name, &photo);
}

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)s;
    uint64_t stamp = 0;
    size_t genuine = 0;
    FV_TRY(fv__listing_begin(out, path));
    struct pair_set *set = calloc(1, sizeof *set);
    if (!set)
        return fv_err(FV_ENOMEM, "out of memory for '%s'", path);
    set->fd = -1;
    out->source = set;
    FV_TRY(read_pairs(set, path, &stamp));
    for (size_t i = 0; i < 2 * set->bin.pairs; i++)
        FV_TRY(add_image(out, set, i, stamp));
    for (size_t i = 0; i < set->bin.pairs; i++)
        genuine += set->bin.same[i];
    fv_say(r, FV_LEVEL_INFO, "%s: %zu pairs, %zu of them genuine", path, set->bin.pairs, genuine);
    return fv__listing_end(out);
}

static int read_all(int fd, uint64_t at, uint8_t *to, size_t n, struct fv_refusal *why)
{
    while (n) {
        ssize_t k = pread(fd, to, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return fv__refuse(why, FV_REJECT_UNREADABLE, "%s",
                              k < 0 ? strerror(errno) : "the container has become shorter");
        to += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return 0;
}

static int read_image(const struct fv_listing *l, const struct fv_listed_photo *p, uint8_t **buf,
                      size_t *room, size_t *n, struct fv_refusal *why)
{
    const struct pair_set *set = l->source;
    if (p->bytes == 0)
        return fv__refuse(why, FV_REJECT_EMPTY, "%s", "");
    if (p->bytes > FV_PHOTO_MAX_BYTES)
        return fv__refuse(why, FV_REJECT_FILE_TOO_LARGE, "%" PRIu64 " bytes, at most %u", p->bytes,
                          FV_PHOTO_MAX_BYTES);
    if (p->bytes > *room) {
        uint8_t *more = realloc(*buf, (size_t)p->bytes);
        if (!more)
            return fv_err(FV_ENOMEM, "out of memory for an image of %" PRIu64 " bytes", p->bytes);
        *buf = more;
        *room = (size_t)p->bytes;
    }
    int rc = read_all(set->fd, p->at, *buf, (size_t)p->bytes, why);
    if (rc)
        return rc;
    long long bytes =
        set->bin.latin1 ? fv__bin_from_latin1(*buf, (size_t)p->bytes) : (long long)p->bytes;
    if (bytes < 0)
        return fv__refuse(why, FV_REJECT_BAD_RECORD, "%s", "no Latin-1 text where bytes are due");
    *n = (size_t)bytes;
    return 0;
}

/* The pair list, for fveval: in the order of the file, so that its folds are those of the set. */
static void write_pairs(const struct fv_listing *l, FILE *to)
{
    const struct pair_set *set = l->source;
    for (size_t i = 0; i < set->bin.pairs; i++)
        fprintf(to, "pair%05zu_a pair%05zu_b %d\n", i + 1, i + 1, set->bin.same[i]);
}

static void close_pairs(struct fv_listing *l)
{
    struct pair_set *set = l->source;
    if (set && set->fd >= 0)
        close(set->fd);
    if (set)
        fv__bin_free(&set->bin);
    free(set);
    l->source = NULL;
}

const struct fv_importer fv__import_bin = {
    .name = "bin",
    .help =
        "a verification set of InsightFace (lfw.bin): held-out images, and the list of their pairs",
    .recognise = recognise,
    .list = list,
    .read = read_image,
    .write_pairs = write_pairs,
    .close = close_pairs,
};
