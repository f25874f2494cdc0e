/* SPDX-License-Identifier: MIT */
#include "tools/eval/score_input.h"

#include "common/err.h"
#include "common/fs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ends_in(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcmp(path + n - m, suffix) == 0;
}

static int read_rows(struct score_input *in, const char *names)
{
    char *beside = NULL;

    if (!names) {
        const size_t n = strlen(in->path) - (ends_in(in->path, ".npy") ? 4 : 0);
        beside = fv_format("%.*s.names.csv", (int)n, in->path);
        if (!beside)
            return fv_err(FV_ENOMEM, "out of memory");
        names = access(beside, F_OK) == 0 ? beside : NULL;
    }
    in->named = names != NULL;
    int rc = names ? fv_rows_read(&in->rows, names) : fv_rows_number(&in->rows, in->vectors.n);
    if (rc >= 0 && in->rows.n != in->vectors.n)
        rc = fv_err(FV_EINVAL, "%s: has %zu names for the %zu rows of %s", names, in->rows.n,
                    in->vectors.n, in->path);
    free(beside);
    return rc;
}

int score_input_open(struct score_input *in, const char *path, const char *names)
{
    *in = (struct score_input){.path = path};
    FV_TRY(fv_vectors_read(&in->vectors, path));
    return read_rows(in, names);
}

void score_input_close(struct score_input *in)
{
    fv_vectors_free(&in->vectors);
    fv_rows_free(&in->rows);
    free(in->label);
    *in = (struct score_input){0};
}

/* --- pairs of neighbours -------------------------------------------------------------------------- */

/* One number a pair out of text or .npy. */
static int read_same(double **out, size_t *n, const char *path)
{
    struct fv_rows r;

    if (ends_in(path, ".npy"))
        return fv_numbers_read(out, n, path);
    FV_TRY(fv_rows_read(&r, path));
    *n = r.n;
    *out = malloc((r.n + 1) * sizeof **out);
    for (size_t i = 0; *out && i < r.n; i++)
        (*out)[i] = strcmp(r.name[i], "0") == 0 || strcmp(r.name[i], "1") == 0
                        ? (double)(r.name[i][0] - '0')
                        : NAN;
    fv_rows_free(&r);
    return *out ? FV_OK : fv_err(FV_ENOMEM, "out of memory for %zu pairs", *n);
}

static int make_pairs(struct fv_pairs *out, int two, const double *same, size_t n, const char *path)
{
    out->pair = malloc((n + 1) * sizeof *out->pair);
    if (!out->pair)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++) {
        if (same[i] != 0 && same[i] != 1)
            return fv_err(FV_ECORRUPT, "%s: line %zu: is neither 0 nor 1", path, i + 1);
        out->pair[i] = (struct fv_pair){.a = (uint32_t)(two ? i : 2 * i),
                                        .b = (uint32_t)(two ? i : 2 * i + 1),
                                        .same = same[i] == 1};
        out->genuine += same[i] == 1;
    }
    out->n = n;
    return FV_OK;
}

int score_input_neighbours(struct fv_pairs *out, const struct score_input *a,
                           const struct score_input *b, const char *path)
{
    const int two = a != b;
    const size_t want = two ? a->vectors.n : a->vectors.n / 2;
    double *same = NULL;
    size_t n = 0;

    if (two ? b->vectors.n != want : a->vectors.n % 2)
        return fv_err(FV_EINVAL, "%s: has %zu rows, which do not make pairs", b->path,
                      b->vectors.n);
    int rc = read_same(&same, &n, path);
    if (rc >= 0 && n != want)
        rc = fv_err(FV_EINVAL, "%s: has %zu lines for %zu pairs", path, n, want);
    if (rc >= 0)
        rc = make_pairs(out, two, same, n, path);
    free(same);
    return rc;
}

/* --- labels --------------------------------------------------------------------------------------- */

/* The identities of both sides one after the other, as rows that have no other use. */
struct identities {
    struct fv_rows all; /* its texts are others' */
    struct fv_rows read[2];
    int reads;
};

static int add_file(struct identities *ids, const struct score_input *in, const char *path)
{
    struct fv_rows *r = &ids->read[ids->reads++];

    FV_TRY(ends_in(path, ".npy") ? fv_numbers_read_rows(r, path) : fv_rows_read(r, path));
    if (r->n != in->vectors.n)
        return fv_err(FV_EINVAL, "%s: has %zu labels for the %zu rows of %s", path, r->n,
                      in->vectors.n, in->path);
    for (size_t i = 0; i < r->n; i++)
        ids->all.identity[ids->all.n++] = r->identity ? r->identity[i] : r->name[i];
    return FV_OK;
}

/* A file of names with identities, or names with folders. */
static int add_rows(struct identities *ids, struct score_input *in)
{
    if (!in->named)
        return fv_err(FV_EUSAGE,
                      "%s: nothing says whom its rows show: --labels FILE with one identity a row, "
                      "or --names FILE",
                      in->path);
    in->label_of = in->rows.identity ? "identities beside the names" : "folders of the names";
    FV_TRY(in->rows.identity ? FV_OK : fv_rows_folders(&in->rows));
    for (size_t i = 0; i < in->rows.n; i++)
        ids->all.identity[ids->all.n++] = in->rows.identity[i];
    return FV_OK;
}

static int add_side(struct identities *ids, struct score_input *in, const char *file)
{
    in->label_of = file;
    return file ? add_file(ids, in, file) : add_rows(ids, in);
}

static int give_labels(struct identities *ids, struct score_input *a, struct score_input *b)
{
    uint32_t *label = malloc((ids->all.n + 1) * sizeof *label), labels;

    if (!label)
        return fv_err(FV_ENOMEM, "out of memory for labels");
    const int rc = fv_rows_labels(&ids->all, label, &labels);
    a->label = label;
    if (rc < 0 || !b)
        return rc;
    b->label = malloc((b->vectors.n + 1) * sizeof *label);
    if (!b->label)
        return fv_err(FV_ENOMEM, "out of memory for labels");
    memcpy(b->label, label + a->vectors.n, b->vectors.n * sizeof *label);
    return FV_OK;
}

int score_input_label(struct score_input *a, struct score_input *b, const char *file_a,
                      const char *file_b)
{
    const size_t n = a->vectors.n + (b ? b->vectors.n : 0);
    struct identities ids = {
        .all = {.name = calloc(n + 1, sizeof(char *)), .identity = calloc(n + 1, sizeof(char *))}};

    int rc = ids.all.name && ids.all.identity ? FV_OK : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0)
        rc = add_side(&ids, a, file_a);
    if (rc >= 0 && b)
        rc = add_side(&ids, b, file_b);
    if (rc >= 0)
        rc = give_labels(&ids, a, b);
    fv_rows_free(&ids.all);
    for (int i = 0; i < ids.reads; i++)
        fv_rows_free(&ids.read[i]);
    return rc;
}
