/* SPDX-License-Identifier: MIT */
/* NumPy's .npy: "\x93NUMPY", version, length of the header, a Python dictionary of type, order and shape, the
 * numbers (numpy.lib.format). Versions 1, 2 and 3; numbers of both byte orders; rows first (C) or columns first
 * (Fortran); one or two dimensions. Nothing of it is executed, and nothing but plain numbers is read.
 */
#ifndef FV_TRAINER_NPY_H
#define FV_TRAINER_NPY_H

#include <stddef.h>
#include <stdint.h>

struct fv_npy {
    size_t rows, columns; /* of one dimension: columns 1 */
    int dims;             /* 1 or 2 */
    /* how a number is stored */
    char kind; /* 'f', 'i', 'u', 'b' */
    int bytes, big_endian, fortran;
    const unsigned char *data; /* a view into the file's bytes */
};

/* file: all n bytes of it, which outlive the view. FV_ECORRUPT, or FV_EUNSUPPORTED for a type of number that is no
 * number (structures, text, objects). */
int fv_npy_parse(struct fv_npy *out, const void *file, size_t n, const char *path);
/* One number. Integers beyond 2^53 are rounded. */
double fv_npy_at(const struct fv_npy *a, size_t row, size_t column);
/* The same as text, of integers exact: what tells labels apart. */
enum { FV_NPY_TEXT = 32 };
void fv_npy_text(const struct fv_npy *a, size_t row, size_t column, char text[FV_NPY_TEXT]);
/* Writes (rows, columns) little-endian float32, rows first, whole or not at all. */
int fv_npy_write(const char *path, const float *v, size_t rows, size_t columns);

#endif
