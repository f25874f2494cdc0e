/* SPDX-License-Identifier: MIT */
/* Embeddings in files: read from whatever made them, written for whatever takes them. */
#ifndef FV_TRAINER_VECTORS_H
#define FV_TRAINER_VECTORS_H

#include "trainer/eval/rows.h"

#include <stddef.h>

struct fv_vectors {
    size_t n;
    int dim;
    float *v; /* (n, dim), rows of unit length */
};

/* A .npy of two dimensions. Rows are divided by their length in double, but for those that are of unit length as far
 * as float32 can tell: these stay as they are, to the bit. FV_EINVAL names a row with a NaN or without a direction. */
int fv_vectors_read(struct fv_vectors *out, const char *path);
void fv_vectors_free(struct fv_vectors *v); /* accepts a zeroed one */

/* By the suffix: .npy (float32); .csv (name, identity where known, e0, e1, ...); .faiss (faiss.read_index makes an
 * IndexFlatIP of it). Whole or not at all. FV_EUSAGE lists the suffixes. */
int fv_vectors_write(const struct fv_vectors *v, const struct fv_rows *rows, const char *path);
/* As far as the suffix can be written. */
int fv_vectors_check_path(const char *path);
/* Form i: 1, its suffix and a sentence; 0 after the last. */
int fv_vectors_form(size_t i, const char **suffix, const char **help);

/* One number a row, of a .npy of one dimension or one column: (n), to free. */
int fv_numbers_read(double **out, size_t *n, const char *path);
/* The same as labels: rows whose names are these numbers, integers exact. */
int fv_numbers_read_rows(struct fv_rows *out, const char *path);

#endif
