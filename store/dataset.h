/* SPDX-License-Identifier: MIT */
/* A data set as its readers see it: what is in it, and the pixels of an image. store/store.h says what lies on disk,
 * and writes it.
 *
 * A data set is one LMDB file of records, or several as one. fv_store_open proves them whole (their pages, and
 * their tables by their checksum), walks the block keys once and keeps their addresses; after that every read is
 * arithmetic in the memory map, without LMDB and without locks, so one handle serves any number of threads.
 * Pixels are trusted only after their record's checksum.
 *
 * Not for network file systems, and not across fork() (LMDB's own caveats).
 */
#ifndef FV_STORE_DATASET_H
#define FV_STORE_DATASET_H

#include "common/api.h"

#include <stddef.h>
#include <stdint.h>

enum fv_split { FV_SPLIT_TRAIN = 0, FV_SPLIT_VAL = 1, FV_SPLIT_HOLDOUT = 2, FV_SPLITS = 3 };
extern const char *const fv_split_names[]; /* "train", "val", "holdout", NULL */

struct fv_store;

struct fv_store_info {
    int version;
    size_t parts;            /* files */
    int height, width;       /* of every image; RGB, 8 bits */
    const char *codec;       /* "pixels", "jpeg" */
    const char *packed_with; /* "name = value" lines: how it was packed; of the first file */
    uint64_t images, labels;
    uint64_t train_labels; /* identities that training sees: labels 0 .. train_labels-1 */
    uint64_t split_images[FV_SPLITS];
    uint64_t record_bytes; /* all records, headers included */
    uint64_t file_bytes;
    uint64_t raw_bytes;  /* images * height * width * 3 */
    uint64_t dict_bytes; /* 0: no dictionary */
    uint64_t digest; /* of size, codec, contents, labels, splits, names; not of their compression */
};

struct fv_store_image {
    uint32_t label;
    enum fv_split split;
    uint32_t bytes;   /* of its record */
    uint64_t content; /* hash of what the codec made of it: equal ones are one picture */
    const char *name; /* source path relative to the photo folder; valid until close */
};

struct fv_store_label {
    const char *name; /* valid until close */
    uint64_t first, count;
    int holdout;
};

/* Opens for reading. FV_ECORRUPT, FV_EVERSION, or FV_ENOTFOUND naming the command that makes or
 * finishes it. One process may have a file open once: FV_EEXIST. "a.lmdb,b.lmdb" opens both as one. */
FV_API int fv_store_open(struct fv_store **out, const char *path);
/* Several files of one size and codec as one data set: identities, images, ids, labels and digest are those of one
 * file that holds all of them. FV_EINVAL when an image comes twice or an identity is trained on in one and held out
 * in another. */
int fv_store_open_many(struct fv_store **out, const char *const *paths, size_t n);
/* The files that such a path names; free *list. */
int fv_store_split_path(char ***list, size_t *n, const char *path);
/* The same path with an absolute one for each file, to free. FV_ENOTFOUND names the first that is missing. */
int fv_store_absolute_path(char **out, const char *path);
FV_API void fv_store_close(struct fv_store **store);
FV_API const struct fv_store_info *fv_store_info(const struct fv_store *s);
FV_API const char *fv_store_path(const struct fv_store *s);
FV_API int fv_store_image(const struct fv_store *s, uint64_t image, struct fv_store_image *out);
FV_API int fv_store_label(const struct fv_store *s, uint64_t label, struct fv_store_label *out);
/* Image id by source name: FV_ENOTFOUND names it. The first call builds a hash table of all names. */
FV_API int fv_store_find(struct fv_store *s, const char *name, uint64_t *image);
/* Hints the kernel that these images will be read soon. */
void fv_store_will_need(const struct fv_store *s, uint64_t first, uint64_t last);

/* Decoding: one decoder per thread; decoding allocates nothing. */
struct fv_decoder;
FV_API int fv_decoder_open(struct fv_decoder **out, const struct fv_store *s);
FV_API void fv_decoder_close(struct fv_decoder **d);
/* Checks the record and writes (height, width, 3) RGB to rgb. FV_ECORRUPT names file, image and what
 * was wrong. rgb must have room for height*width*3 + FV_DECODE_PAD bytes. */
#define FV_DECODE_PAD 64
FV_API int fv_decoder_read(struct fv_decoder *d, uint64_t image, uint8_t *rgb);

/* A part of a picture that was halved `shift` times in both directions: of its pixels, one of which stands for a square
 * of 2^shift by 2^shift, the last ones for what is left. */
struct fv_region {
    int shift, x, y, w, h;
};
enum { FV_REGION_SHIFT_MAX = 3 };
/* The side of a picture after that. */
static inline int fv_region_side(int side, int shift)
{
    return (side + (1 << shift) - 1) >> shift;
}
/* As fv_decoder_read, of what is wanted: *got is *want, or the whole picture as it is when the codec knows no parts.
 * (got->h, got->w, 3) to rgb, which needs the same room. FV_EINVAL unless *want lies within the picture. */
int fv_decoder_read_region(struct fv_decoder *d, uint64_t image, const struct fv_region *want,
                           uint8_t *rgb, struct fv_region *got);

#endif
