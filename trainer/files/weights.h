/* SPDX-License-Identifier: MIT */
/* The tensors of a file, whatever program wrote it: safetensors, or the zip that torch.save makes (.pth, .pt, .ckpt).
 *
 * The format is told by the first bytes and not by the name. Nothing of a file is executed. A view says where a
 * tensor's numbers lie and how far apart; fv_weight_read gives them as fp32 in C order.
 */
#ifndef FV_TRAINER_WEIGHTS_H
#define FV_TRAINER_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

enum { FV_WEIGHT_DIMS = 8 };
struct fv_weight {
    const char *name;
    const char *dtype; /* safetensors' names: "F64", "F32", "F16", "BF16", "I64", ... */
    int ndim;
    int64_t dim[FV_WEIGHT_DIMS], stride[FV_WEIGHT_DIMS]; /* in elements; strides are not negative */
    const uint8_t
        *data; /* every element that dim and stride reach lies in the file; may be unaligned */
};

struct fv_weights {
    struct fv_weight *weight; /* in the file's order */
    int weights;
    const char *kind;      /* "safetensors", "torch.save" */
    int is_checkpoint;     /* written by fvtrain */
    float mean[3], std[3]; /* of a checkpoint: how its net saw the colours */
    struct fv_st *st;      /* what the views point into: one of these */
    char *bytes;
    char **name;
    int names;
};

/* FV_ECORRUPT, FV_EUNSUPPORTED with what to do instead. Close it in either case. */
int fv_weights_open(struct fv_weights *w, const char *path);
/* The same on bytes from malloc, which it owns from here on. */
int fv_weights_parse(struct fv_weights *w, char *bytes, size_t n, const char *origin);
void fv_weights_close(struct fv_weights *w); /* accepts a zeroed one */

/* Product of the dimensions. */
size_t fv_weight_count(const struct fv_weight *t);
/* Into fv_weight_count floats. FV_EUNSUPPORTED for what is no floating-point type. */
int fv_weight_read(const struct fv_weight *t, float *out);

/* weights_pth.c; n bytes that begin as a zip does. */
int fv__weights_read_pth(struct fv_weights *w, const uint8_t *bytes, size_t n, const char *origin);
/* Appends one; NULL when out of memory. */
struct fv_weight *fv__weights_add(struct fv_weights *w);

#endif
