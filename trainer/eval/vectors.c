/* SPDX-License-Identifier: MIT */
#include "trainer/eval/vectors.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/eval/npy.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VECTORS_LIMIT ((size_t)64 << 30) /* bytes of a file */

/* --- reading -------------------------------------------------------------------------------------- */

static int take_row(struct fv_vectors *out, const struct fv_npy *a, size_t row, double *x,
                    const char *path)
{
    float *v = out->v + row * (size_t)out->dim;
    double square = 0;

    for (int k = 0; k < out->dim; k++) {
        x[k] = fv_npy_at(a, row, (size_t)k);
        square += x[k] * x[k];
    }
    double norm = sqrt(square);
    if (!isfinite(norm) || norm < 1e-12)
        return fv_err(FV_EINVAL, "%s: row %zu has no direction (norm %g)", path, row, norm);
    if (fabs(norm - 1) <= FLT_EPSILON)
        norm = 1;
    for (int k = 0; k < out->dim; k++)
        v[k] = (float)(x[k] / norm);
    return FV_OK;
}

static int take_rows(struct fv_vectors *out, const struct fv_npy *a, const char *path)
{
    if (a->dims != 2 || a->rows == 0 || a->columns == 0 || a->columns > 1 << 20)
        return fv_err(FV_EINVAL, "%s: is no array of embeddings: its shape is %zu x %zu", path,
                      a->rows, a->columns);
    if (a->rows > UINT32_MAX)
        return fv_err(FV_EINVAL, "%s: has %zu rows, and 2^32 - 1 is the most", path, a->rows);
    out->n = a->rows;
    out->dim = (int)a->columns;
    out->v = malloc(a->rows * a->columns * sizeof *out->v);
    double *x = malloc(a->columns * sizeof *x);
    int rc =
        out->v && x ? FV_OK : fv_err(FV_ENOMEM, "%s: out of memory for %zu rows", path, out->n);
    for (size_t i = 0; i < out->n && rc >= 0; i++)
        rc = take_row(out, a, i, x, path);
    free(x);
    return rc;
}

int fv_vectors_read(struct fv_vectors *out, const char *path)
{
    struct fv_npy a;
    char *file;
    size_t n;

    *out = (struct fv_vectors){0};
    FV_TRY(fv_file_read(path, VECTORS_LIMIT, &file, &n));
    int rc = fv_npy_parse(&a, file, n, path);
    if (rc >= 0)
        rc = take_rows(out, &a, path);
    free(file);
    if (rc < 0)
        fv_vectors_free(out);
    return rc;
}

void fv_vectors_free(struct fv_vectors *v)
{
    free(v->v);
    *v = (struct fv_vectors){0};
}

/* An array of one number a row, whose bytes are *file. */
static int open_column(struct fv_npy *a, char **file, const char *path)
{
    size_t bytes;

    FV_TRY(fv_file_read(path, VECTORS_LIMIT, file, &bytes));
    int rc = fv_npy_parse(a, *file, bytes, path);
    if (rc >= 0 && a->columns != 1)
        rc = fv_err(FV_EINVAL, "%s: has %zu columns, and one number a row is wanted", path,
                    a->columns);
    if (rc < 0)
        free(*file);
    return rc;
}

int fv_numbers_read(double **out, size_t *n, const char *path)
{
    struct fv_npy a;
    char *file;

    *out = NULL;
    FV_TRY(open_column(&a, &file, path));
    *n = a.rows;
    *out = malloc((a.rows + 1) * sizeof **out);
    for (size_t i = 0; *out && i < a.rows; i++)
        (*out)[i] = fv_npy_at(&a, i, 0);
    free(file);
    return *out ? FV_OK : fv_err(FV_ENOMEM, "%s: out of memory for %zu numbers", path, *n);
}

int fv_numbers_read_rows(struct fv_rows *out, const char *path)
{
    struct fv_npy a;
    char *file, *text = NULL, one[FV_NPY_TEXT];
    size_t bytes = 0;

    *out = (struct fv_rows){0};
    FV_TRY(open_column(&a, &file, path));
    FILE *f = open_memstream(&text, &bytes);
    for (size_t i = 0; f && i < a.rows; i++) {
        fv_npy_text(&a, i, 0, one);
        fprintf(f, "%s\n", one);
    }
    free(file);
    int rc = f && fclose(f) == 0 ? FV_OK : fv_err(FV_ENOMEM, "%s: out of memory", path);
    if (rc >= 0)
        rc = fv__rows_parse(out, path, text, bytes);
    free(text);
    return rc;
}

/* --- writing -------------------------------------------------------------------------------------- */

static int write_npy(const struct fv_vectors *v, const struct fv_rows *rows, const char *path)
{
    (void)rows;
    return fv_npy_write(path, v->v, v->n, (size_t)v->dim);
}

static int write_csv_row(FILE *f, const struct fv_vectors *v, const struct fv_rows *rows, size_t i)
{
    char *text;

    FV_TRY(fv_rows_csv_text(&text, rows->name[i]));
    fputs(text, f);
    free(text);
    if (rows->identity) {
        FV_TRY(fv_rows_csv_text(&text, rows->identity[i]));
        fprintf(f, ",%s", text);
        free(text);
    }
    for (int k = 0; k < v->dim; k++)
        fprintf(f, ",%.9g", (double)v->v[i * (size_t)v->dim + (size_t)k]);
    fputc('\n', f);
    return FV_OK;
}

static int write_csv(const struct fv_vectors *v, const struct fv_rows *rows, const char *path)
{
    struct fv_file f;
    int rc = FV_OK;

    FV_TRY(fv_file_create(&f, path));
    fputs(rows->identity ? "name,identity" : "name", f.f);
    for (int k = 0; k < v->dim; k++)
        fprintf(f.f, ",e%d", k);
    fputc('\n', f.f);
    for (size_t i = 0; i < v->n && rc >= 0; i++)
        rc = write_csv_row(f.f, v, rows, i);
    return fv_file_end(&f, rc);
}

/* faiss/impl/index_write.cpp: write_index_header, then the codes as a vector of float. */
static int write_faiss(const struct fv_vectors *v, const struct fv_rows *rows, const char *path)
{
    const int64_t n = (int64_t)v->n, dummy = 1 << 20;
    const uint64_t floats = (uint64_t)v->n * (uint64_t)v->dim;
    const uint8_t trained = 1;
    const int32_t dim = v->dim, inner_product = 0;
    struct fv_file f;

    (void)rows;
    FV_TRY(fv_file_create(&f, path));
    fwrite("IxFI", 4, 1, f.f);
    fwrite(&dim, sizeof dim, 1, f.f);
    fwrite(&n, sizeof n, 1, f.f);
    fwrite(&dummy, sizeof dummy, 1, f.f);
    fwrite(&dummy, sizeof dummy, 1, f.f);
    fwrite(&trained, sizeof trained, 1, f.f);
    fwrite(&inner_product, sizeof inner_product, 1, f.f);
    fwrite(&floats, sizeof floats, 1, f.f);
    fwrite(v->v, sizeof *v->v, floats, f.f);
    return fv_file_commit(&f);
}

static const struct form {
    const char *suffix, *help;
    int (*write)(const struct fv_vectors *v, const struct fv_rows *rows, const char *path);
} forms[] = {
    {".npy", "NumPy, float32, (images, embedding)", write_npy},
    {".csv", "name, identity and the numbers of each image", write_csv},
    {".faiss", "a FAISS index of inner products: faiss.read_index", write_faiss},
};

int fv_vectors_form(size_t i, const char **suffix, const char **help)
{
    if (i >= sizeof forms / sizeof *forms)
        return 0;
    *suffix = forms[i].suffix;
    *help = forms[i].help;
    return 1;
}

static const struct form *form_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < sizeof forms / sizeof *forms; i++)
        if (strcasecmp(dot, forms[i].suffix) == 0)
            return &forms[i];
    return NULL;
}

int fv_vectors_check_path(const char *path)
{
    if (form_of(path))
        return FV_OK;
    return fv_err(FV_EUSAGE, "%s: embeddings are written as .npy, .csv or .faiss", path);
}

int fv_vectors_write(const struct fv_vectors *v, const struct fv_rows *rows, const char *path)
{
    FV_TRY(fv_vectors_check_path(path));
    return form_of(path)->write(v, rows, path);
}
