/* SPDX-License-Identifier: MIT */
/* A checkpoint is one safetensors file: weights and buffers under torchvision's names, what else is as
 * large as they are under their names with a prefix (snapshot.h), everything else (settings, progress, best metrics)
 * as __metadata__ strings.
 *
 * Layout (https://github.com/huggingface/safetensors): u64 little-endian length N, N bytes of JSON, then the
 * tensors' bytes, without holes. The reader checks every offset against the file before it touches a byte.
 */
#ifndef FV_TRAINER_CHECKPOINT_H
#define FV_TRAINER_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

struct fv_st_tensor {
    const char *name;
    const char *dtype; /* "F32", "I64" */
    int ndim;
    int64_t dim[8];
    const void *data;
    size_t bytes;
};

struct fv_st_meta {
    const char *key, *value;
};

/* Writes, replaces and syncs as one act. Same content in the same order, same bytes. Within the file the tensors
 * of wider types come first, so that each lies aligned to its type. */
int fv_st_write(const char *path, const struct fv_st_tensor *t, int tensors,
                const struct fv_st_meta *m, int metas);

struct fv_st;
int fv_st_open(struct fv_st **out, const char *path);
/* The same on bytes in memory, from malloc: they belong to the reader from here on, whatever is returned. */
int fv_st_parse(struct fv_st **out, char *bytes, size_t n, const char *origin);
void fv_st_close(struct fv_st **st);
/* Views valid until close. In files of other programs data may lie unaligned: copy, don't cast. FV_ENOTFOUND
 * names the tensor. */
int fv_st_tensor(const struct fv_st *st, const char *name, struct fv_st_tensor *out);
/* In the file's order; FV_ENOTFOUND at the end. */
int fv_st_tensor_at(const struct fv_st *st, int i, struct fv_st_tensor *out);
const char *fv_st_meta(const struct fv_st *st, const char *key); /* NULL if absent */
/* In the file's order; FV_ENOTFOUND at the end. */
int fv_st_meta_at(const struct fv_st *st, int i, struct fv_st_meta *out);

#endif
