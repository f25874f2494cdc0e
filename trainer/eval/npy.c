/* SPDX-License-Identifier: MIT */
#include "trainer/eval/npy.h"

#include "common/err.h"
#include "common/fs.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- the header ----------------------------------------------------------------------------------- */

/* The dictionary as text that need not end in a NUL. */
struct cursor {
    const char *p, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n'))
        c->p++;
}

static int take(struct cursor *c, char what)
{
    skip_blanks(c);
    if (c->p == c->end || *c->p != what)
        return 0;
    c->p++;
    return 1;
}

/* A quoted text without escapes, which no key or type has: 1, or 0. */
static int take_text(struct cursor *c, struct cursor *text)
{
    skip_blanks(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"'))
        return 0;
    const char quote = *c->p++;
    const char *end = memchr(c->p, quote, (size_t)(c->end - c->p));
    if (!end)
        return 0;
    *text = (struct cursor){c->p, end};
    c->p = end + 1;
    return 1;
}

static int text_is(const struct cursor *t, const char *what)
{
    return (size_t)(t->end - t->p) == strlen(what) && memcmp(t->p, what, strlen(what)) == 0;
}

static int take_word(struct cursor *c, const char *word)
{
    skip_blanks(c);
    const size_t n = strlen(word);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
        return 0;
    c->p += n;
    return 1;
}

static int take_size(struct cursor *c, size_t *value)
{
    skip_blanks(c);
    if (c->p == c->end || *c->p < '0' || *c->p > '9')
        return 0;
    for (*value = 0; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
        if (*value > (SIZE_MAX - 9) / 10)
            return 0;
        *value = *value * 10 + (size_t)(*c->p - '0');
    }
    c->p += c->p < c->end && *c->p == 'L'; /* a long, as Python 2 wrote it */
    return 1;
}

/* "(3, 4)", "(3,)" */
static int take_shape(struct cursor *c, struct fv_npy *out)
{
    size_t side[2] = {1, 1}, n;

    if (!take(c, '('))
        return 0;
    while (!take(c, ')')) {
        if (!take_size(c, &n) || out->dims == 2)
            return 0;
        side[out->dims++] = n;
        if (!take(c, ','))
            return take(c, ')') ? (out->rows = side[0], out->columns = side[1], 1) : 0;
    }
    out->rows = side[0];
    out->columns = side[1];
    return 1;
}

/* "<f4", ">i8", "|b1" */
static int read_type(struct fv_npy *out, const struct cursor *t, const char *path)
{
    static const char known[][4] = {"f2", "f4", "f8", "i1", "i2", "i4",
                                    "i8", "u1", "u2", "u4", "u8", "b1"};
    struct cursor type = *t;

    if (type.p < type.end && strchr("<>|=", *type.p))
        out->big_endian = *type.p++ == '>';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_is(&type, known[i])) {
            out->kind = known[i][0];
            out->bytes = known[i][1] - '0';
            return FV_OK;
        }
    return fv_err(FV_EUNSUPPORTED,
                  "%s: holds '%.*s', which are not numbers of 1 to 8 bytes: save it with "
                  "a.astype('float32')",
                  path, (int)(t->end - t->p < 40 ? t->end - t->p : 40), t->p);
}

enum { HAS_TYPE = 1, HAS_ORDER = 2, HAS_SHAPE = 4, HAS_ALL = 7 };

/* One "key: value"; adds to *has. 1, 0 when it is none, or an error. */
static int read_entry(struct fv_npy *out, struct cursor *c, unsigned *has, const char *path)
{
    struct cursor key, text;

    if (!take_text(c, &key) || !take(c, ':'))
        return 0;
    if (text_is(&key, "descr")) {
        if (!take_text(c, &text))
            return fv_err(FV_EUNSUPPORTED, "%s: holds structures and not numbers", path);
        FV_TRY(read_type(out, &text, path));
        *has |= HAS_TYPE;
    } else if (text_is(&key, "fortran_order")) {
        out->fortran = take_word(c, "True");
        if (!out->fortran && !take_word(c, "False"))
            return 0;
        *has |= HAS_ORDER;
    } else if (text_is(&key, "shape") && !(*has & HAS_SHAPE)) {
        if (!take_shape(c, out))
            return 0;
        *has |= HAS_SHAPE;
    } else {
        return 0;
    }
    return 1;
}

static int read_header(struct fv_npy *out, struct cursor c, const char *path)
{
    unsigned has = 0;
    int rc = take(&c, '{');

    while (rc > 0 && !take(&c, '}')) {
        rc = read_entry(out, &c, &has, path);
        if (rc > 0 && !take(&c, ',')) {
            rc = take(&c, '}');
            break;
        }
    }
    if (rc < 0)
        return rc;
    if (rc == 0 || has != HAS_ALL || out->dims == 0)
        return fv_err(FV_ECORRUPT,
                      "%s: its header is not that of an array of one or two dimensions", path);
    return FV_OK;
}

int fv_npy_parse(struct fv_npy *out, const void *file, size_t n, const char *path)
{
    const unsigned char *p = file;
    size_t at = 10, length, count, bytes;

    *out = (struct fv_npy){0};
    if (n >= 4 && memcmp(p, "PK\x03\x04", 4) == 0)
        return fv_err(FV_EUNSUPPORTED,
                      "%s: is an archive (.npz) of arrays: save the one with the embeddings by "
                      "numpy.save('e.npy', numpy.load('%s')['NAME'])",
                      path, path);
    if (n < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
        return fv_err(FV_ECORRUPT, "%s: is no .npy file", path);
    if (p[6] < 1 || p[6] > 3)
        return fv_err(FV_EVERSION, "%s: is .npy of version %d, and 1 to 3 are read", path, p[6]);
    length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) {
        at = 12;
        if (n < at)
            return fv_err(FV_ECORRUPT, "%s: ends in its header", path);
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    }
    if (length > n - at)
        return fv_err(FV_ECORRUPT, "%s: ends in its header", path);
    FV_TRY(read_header(out, (struct cursor){(const char *)p + at, (const char *)p + at + length},
                       path));
    out->data = p + at + length;
    if (__builtin_mul_overflow(out->rows, out->columns, &count) ||
        __builtin_mul_overflow(count, (size_t)out->bytes, &bytes) || bytes > n - at - length)
        return fv_err(FV_ECORRUPT, "%s: ends before its %zu x %zu numbers do", path, out->rows,
                      out->columns);
    return FV_OK;
}

/* --- numbers -------------------------------------------------------------------------------------- */

/* IEEE 754 binary16. */
static double from_half(uint64_t bits)
{
    const int exponent = (int)(bits >> 10 & 31);
    const double fraction = (double)(bits & 1023), sign = bits >> 15 ? -1 : 1;

    if (exponent == 31)
        return fraction != 0 ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static double from_float(uint64_t bits, int bytes)
{
    const uint32_t low = (uint32_t)bits;
    double d;
    float f;

    if (bytes == 2)
        return from_half(bits);
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &bits, sizeof d);
    return bytes == 4 ? (double)f : d;
}

static uint64_t bits_at(const struct fv_npy *a, size_t row, size_t column)
{
    const size_t i = a->fortran ? column * a->rows + row : row * a->columns + column;
    const unsigned char *p = a->data + i * (size_t)a->bytes;
    uint64_t bits = 0;

    for (int k = 0; k < a->bytes; k++)
        bits |= (uint64_t)p[k] << 8 * (a->big_endian ? a->bytes - 1 - k : k);
    return bits;
}

static int64_t from_signed(uint64_t bits, int bytes)
{
    const int unused = 64 - 8 * bytes;
    return (int64_t)(bits << unused) >> unused;
}

double fv_npy_at(const struct fv_npy *a, size_t row, size_t column)
{
    const uint64_t bits = bits_at(a, row, column);

    if (a->kind == 'f')
        return from_float(bits, a->bytes);
    if (a->kind == 'i')
        return (double)from_signed(bits, a->bytes);
    return a->kind == 'b' ? bits != 0 : (double)bits;
}

void fv_npy_text(const struct fv_npy *a, size_t row, size_t column, char text[FV_NPY_TEXT])
{
    const uint64_t bits = bits_at(a, row, column);

    if (a->kind == 'i')
        snprintf(text, FV_NPY_TEXT, "%" PRId64, from_signed(bits, a->bytes));
    else if (a->kind == 'u')
        snprintf(text, FV_NPY_TEXT, "%" PRIu64, bits);
    else
        snprintf(text, FV_NPY_TEXT, "%.17g", fv_npy_at(a, row, column));
}

/* --- writing -------------------------------------------------------------------------------------- */

int fv_npy_write(const char *path, const float *v, size_t rows, size_t columns)
{
    enum { HEADER = 128 };
    unsigned char h[HEADER] = "\x93NUMPY\x01";
    struct fv_file f;

    memset(h + 10, ' ', sizeof h - 11);
    h[HEADER - 1] = '\n';
    h[8] = HEADER - 10;
    const int n =
        snprintf((char *)h + 10, HEADER - 11,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, columns);
    h[10 + n] = ' ';
    FV_TRY(fv_file_create(&f, path));
    fwrite(h, 1, sizeof h, f.f);
    fwrite(v, sizeof *v, rows * columns, f.f); /* little-endian, as every machine that fv is for */
    return fv_file_commit(&f);
}
