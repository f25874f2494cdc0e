/* SPDX-License-Identifier: MIT */
/* A data set on disk: one LMDB file of checksummed records, self-describing and read in place.
 *
 * Keys (the main table; integers big-endian so that LMDB's order is ours):
 *
 *   "fv"            settings: "FVSTORE1", then fixed little-endian fields, then "name = value" text
 *   "labels"        one entry a label: name, first image, image count, split
 *   "index"         one fixed-width entry an image: block, offset, length, label, split, hash of its content
 *   "names"         offsets and a pool of source names, in image order
 *   'B' + u32       blocks of about 1 MiB; a block is records back to back, each 8-byte aligned
 *   "dict"          absent, or the zstd dictionary of all records
 *   "complete"      present only when packing finished: counts, the digest of the content, checksums
 *
 * A record is a fixed header (XXH3-64 of all that follows it, XXH3-64 of its content, bytes of the payload,
 * width, height, codec) and its payload, one zstd frame of the content. store/record.h draws it to the byte.
 * LMDB puts a large value on whole 4 KiB pages, so records are grouped into blocks: the loss is half a page a
 * block, not an image.
 *
 * Images are ordered by label, then by source name. Labels 0 .. train_labels-1 are the identities that
 * training sees, in name order; the held-out ones follow, in name order. An image of a training
 * identity is in split TRAIN or VAL; all images of a held-out identity are in split HOLDOUT.
 */
#ifndef FV_STORE_STORE_H
#define FV_STORE_STORE_H

#include "common/report.h"
#include "store/dataset.h"
#include "store/jpeg_file.h"
#include "store/pairs.h"
#include "store/templates.h"
#include "store/trials.h"

#include <stddef.h>
#include <stdint.h>

/* Writing. Records must come in their final order; encoding may run on any number of threads. */
struct fv_store_settings {
    int height, width;
    const char *codec;          /* "pixels", "jpeg" */
    int quality;                /* 1 to 100, of a codec that loses some; 0: the codec's own */
    int level;                  /* zstd */
    const char *packed_with;    /* copied */
    const struct fv_dict *dict; /* of all records, outlives encoders; NULL: none */
};
struct fv_encoder; /* one per thread */
int fv_encoder_open(struct fv_encoder **out, const struct fv_store_settings *s);
void fv_encoder_close(struct fv_encoder **e);
size_t fv_encoder_bound(const struct fv_encoder *e);
/* One whole record into dst (at least bound bytes); returns its length in *n. */
int fv_encoder_write(struct fv_encoder *e, const uint8_t *rgb, uint8_t *dst, size_t *n);
/* Whether the codec stores files, so that one may be stored as it is. */
int fv_encoder_adopts(const struct fv_encoder *e);
/* As fv_encoder_write, of a whole image file, whose coded picture stays untouched while its metadata goes: it must be
 * upright sRGB without them. 1 when it cannot be stored as it is (another codec, size or kind of file, damage):
 * write its pixels then. */
int fv_encoder_adopt(struct fv_encoder *e, const uint8_t *file, size_t bytes, uint8_t *dst,
                     size_t *n);

/* A zstd dictionary: what the records of a data set have in common. Threads may share one. */
struct fv_dict;
/* Copies bytes and digests them, for writing at a zstd level and for reading; level 0: only for reading.
 * FV_ECORRUPT when they are no dictionary. */
int fv_dict_open(struct fv_dict **out, const void *bytes, size_t n, int level);
void fv_dict_close(struct fv_dict **d); /* accepts NULL */
/* Images to train one from: a hundred or so, spread over the data set. The same ones in the same order give the
 * same dictionary. */
struct fv_dict_samples;
int fv_dict_samples_open(struct fv_dict_samples **out);
void fv_dict_samples_close(struct fv_dict_samples **s); /* accepts NULL */
/* Adds the image of a record that was made without a dictionary. */
int fv_dict_samples_add(struct fv_dict_samples *s, const uint8_t *record, size_t n);
/* 1, and NULL in *out, when the samples are too few or too small to be worth one. */
int fv_dict_train(struct fv_dict **out, const struct fv_dict_samples *s, int level);

struct fv_store_writer;
/* Builds "<path>.part" and renames it on finish, so that <path> is always a whole data set. An existing
 * <path> is FV_EEXIST unless overwrite; a ".part" that an earlier run left behind is started anew. */
int fv_store_create(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s, int overwrite);
/* Goes on with the ".part" that an earlier run left behind, whatever ended it; the finished file has the bytes of
 * an uninterrupted run. The first *images_kept images need no records: put them again, in order, without. FV_ENOTFOUND
 * when nothing is left or it was begun with other settings, FV_ECORRUPT when it is damaged: each in a sentence,
 * and then fv_store_create starts anew. Without a dictionary in the settings, that of the earlier run is taken. */
int fv_store_resume(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s, int overwrite, uint64_t *images_kept);
/* fn is called before each commit, in the thread that puts, with the number of images that it makes durable: a
 * later fv_store_resume keeps one of the numbers told, the last or the one before it. A negative code from fn ends
 * the writing. */
void fv_store_on_commit(struct fv_store_writer *w, int (*fn)(void *ctx, uint64_t images),
                        void *ctx);
/* For a dictionary that the settings did not know yet; before the first record. */
int fv_store_set_dict(struct fv_store_writer *w, const struct fv_dict *dict);
/* The dictionary's bytes, NULL when there is none: fv_store_resume takes it over from the earlier run. Valid until
 * the writer is closed. */
const void *fv_store_writer_dict(const struct fv_store_writer *w, size_t *bytes);
/* Begins the next label; each needs at least one image. Names ascend among the training identities and
 * among the held-out ones, which follow. FV_EINVAL when the order is broken, FV_EEXIST when the name is
 * taken: after these the writer can go on. */
int fv_store_put_label(struct fv_store_writer *w, const char *name, int holdout);
/* Appends the next image, of the label put last. `record` comes from fv_encoder_write, or is NULL for one that
 * fv_store_resume kept; names ascend within a label and none comes twice. Errors as above. */
int fv_store_put(struct fv_store_writer *w, const uint8_t *record, size_t n, const char *name,
                 enum fv_split split);
/* Moves an image already put between training and validation: for rules that see all of an identity first. */
int fv_store_set_split(struct fv_store_writer *w, uint64_t image, enum fv_split split);
/* Of an image already put: the hash of its content. */
uint64_t fv_store_content(const struct fv_store_writer *w, uint64_t image);
/* Closes in any case; when it fails, an older <path> is as it was and the partial file can be resumed. */
int fv_store_finish(struct fv_store_writer **w);
void fv_store_abort(struct fv_store_writer **w);   /* leaves what was committed; accepts NULL */
void fv_store_discard(struct fv_store_writer **w); /* removes the partial file; accepts NULL */

/* Reads and checks every record, its content, the index, the labels and the digest. Bad records are reported by
 * name through r and counted in *bad; returns FV_ECORRUPT if there was any. The calling thread works too
 * and reports progress between its shares. */
int fv_store_verify(struct fv_store *s, int threads, const struct fv_report *r, uint64_t *bad);

#endif
