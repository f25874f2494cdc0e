/* SPDX-License-Identifier: MIT */
/* One reader a form of pair list. What a list leaves out (folders, suffixes) is left to the names' resolution;
 * what contradicts its form is an error, since a protocol with other pairs than its own is another protocol.
 */
#include "common/err.h"
#include "store/pair_format.h"

#include <stdio.h>
#include <string.h>

/* --- list: fv's own, InsightFace's pairs_label.txt, HW2P2's text lists, IJB's template pairs -------------- */

enum { FIELDS = 3 };

static int next_of_list(struct fv_lines *l, struct fv_field f[FIELDS])
{
    while (fv__lines_next(l))
        if (*l->line != '#')
            return fv__lines_fields(l, fv__lines_separator(l), f, FIELDS);
    return 0;
}

static int recognise_list(struct fv_lines *l)
{
    struct fv_field f[FIELDS];

    return next_of_list(l, f) == FIELDS && (fv__field_is(&f[2], "0") || fv__field_is(&f[2], "1"))
               ? 50
               : 0;
}

/* 0 or 1, or an error. */
static int label_of(const struct fv_lines *l, const struct fv_field *f)
{
    if (fv__field_is(f, "1"))
        return 1;
    if (fv__field_is(f, "0"))
        return 0;
    return fv__lines_err(l, FV_ECORRUPT, "ends in '%.*s' where 1 (one person) or 0 belongs",
                         (int)(f->n < 80 ? f->n : 80), f->p);
}

static int add_fields(struct fv_pair_reading *r, const struct fv_field *a, const struct fv_field *b,
                      const struct fv_field *label)
{
    struct fv_pair_name first, second;
    const int same = label_of(&r->lines, label);

    FV_TRY(same);
    FV_TRY(fv__pair_name(&first, &r->lines, a));
    FV_TRY(fv__pair_name(&second, &r->lines, b));
    return fv__pairs_add(r, first.text, second.text, same, 0);
}

static int read_list(struct fv_pair_reading *r)
{
    struct fv_field f[FIELDS];
    int n;

    while ((n = next_of_list(&r->lines, f)) > 0) {
        if (n == 2)
            return fv__lines_err(&r->lines, FV_ECORRUPT,
                                 "is not 'path1 path2 0|1': without the answer there is nothing to "
                                 "measure");
        if (n != FIELDS)
            return fv__lines_err(&r->lines, FV_ECORRUPT, "is not 'path1 path2 0|1'");
        FV_TRY(add_fields(r, &f[0], &f[1], &f[2]));
    }
    return FV_OK;
}

const struct fv_pair_format fv__pairs_list = {
    .name = "list",
    .help = "path1 path2 0|1: fvprep pairs, InsightFace's pairs_label.txt, HW2P2",
    .recognise = recognise_list,
    .read = read_list,
};

/* --- csv: columns named by a header ------------------------------------------------------------------- */

enum { COLUMNS = 32 };

struct columns {
    int a, b, label;
};

/* Reads the header: 1 when it names all three. */
static int read_header(struct fv_lines *l, struct columns *c)
{
    static const char *const label[] = {"match", "label", "same", "issame", NULL};
    struct fv_field f[COLUMNS];

    if (!fv__lines_next(l))
        return 0;
    const int n = fv__lines_fields(l, ',', f, COLUMNS);
    if (n > COLUMNS)
        return 0;
    *c = (struct columns){fv__field_named(f, n, fv__pair_columns_first),
                          fv__field_named(f, n, fv__pair_columns_second),
                          fv__field_named(f, n, label)};
    return c->a >= 0 && c->b >= 0 && c->label >= 0;
}

static int recognise_csv(struct fv_lines *l)
{
    struct columns c;

    return read_header(l, &c) ? 90 : 0;
}

static int read_csv(struct fv_pair_reading *r)
{
    struct fv_field f[COLUMNS];
    struct columns c;

    if (!read_header(&r->lines, &c))
        return fv__lines_err(&r->lines, FV_ECORRUPT,
                             "is no header of a CSV pair list: columns img1, img2 and match");
    const int most = c.a > c.b ? (c.a > c.label ? c.a : c.label) : (c.b > c.label ? c.b : c.label);
    while (fv__lines_next(&r->lines)) {
        if (fv__lines_fields(&r->lines, ',', f, COLUMNS) <= most)
            return fv__lines_err(&r->lines, FV_ECORRUPT, "has fewer columns than the header");
        FV_TRY(add_fields(r, &f[c.a], &f[c.b], &f[c.label]));
    }
    return FV_OK;
}

const struct fv_pair_format fv__pairs_csv = {
    .name = "csv",
    .help = "a header with img1, img2 and match: HW2P2, fveval --scores",
    .recognise = recognise_csv,
    .read = read_csv,
};

/* --- lfw, rfw: people and the numbers of their images ------------------------------------------------- */

/* "name n1 n2" is one person's pair, "name1 n1 name2 n2" one of two people. */
struct people {
    struct fv_field name[2];
    uint64_t number[2];
    int same;
};

enum { NUMBER_MAX = 999999 };

/* Of the current line: 1, or 0 when it is no such line. */
static int parse_people(const struct fv_lines *l, struct people *p)
{
    struct fv_field f[4];
    const int n = fv__lines_fields(l, fv__lines_separator(l), f, 4);

    if (n != 3 && n != 4)
        return 0;
    *p = (struct people){.name = {f[0], n == 3 ? f[0] : f[2]}, .same = n == 3};
    return fv__field_number(&f[1], &p->number[0]) && fv__field_number(&f[n - 1], &p->number[1]) &&
           p->number[0] <= NUMBER_MAX && p->number[1] <= NUMBER_MAX;
}

/* A folder a person, images counted from 1: "name/name_0001", of whatever suffix. */
static int image_path(struct fv_pair_name *out, const struct fv_lines *l,
                      const struct fv_field *who, uint64_t number)
{
    const int n = (int)(who->n < sizeof out->text ? who->n : sizeof out->text);
    const int length = snprintf(out->text, sizeof out->text, "%.*s/%.*s_%04u", n, who->p, n, who->p,
                                (unsigned)number);

    if (length >= (int)sizeof out->text)
        return fv__lines_err(l, FV_ECORRUPT, "a name has more than %zu bytes",
                             sizeof out->text - 1);
    return FV_OK;
}

static int add_people(struct fv_pair_reading *r, const struct people *p, uint32_t fold)
{
    struct fv_pair_name first, second;

    FV_TRY(image_path(&first, &r->lines, &p->name[0], p->number[0]));
    FV_TRY(image_path(&second, &r->lines, &p->name[1], p->number[1]));
    return fv__pairs_add(r, first.text, second.text, p->same, fold);
}

static int no_people(const struct fv_lines *l)
{
    return fv__lines_err(l, FV_ECORRUPT, "is neither 'name n1 n2' nor 'name1 n1 name2 n2'");
}

/* The first line: folds and pairs of each kind in a fold, or only the latter. */
struct lfw_header {
    uint64_t folds, pairs;
};

static int read_lfw_header(struct fv_lines *l, struct lfw_header *h)
{
    struct fv_field f[2];

    if (!fv__lines_next(l))
        return 0;
    const int n = fv__lines_fields(l, fv__lines_separator(l), f, 2);
    *h = (struct lfw_header){.folds = 1};
    if (n < 1 || n > 2 || !fv__field_number(&f[n - 1], &h->pairs) ||
        (n == 2 && !fv__field_number(&f[0], &h->folds)))
        return 0;
    return h->folds > 0 && h->folds <= UINT16_MAX && h->pairs > 0 && h->pairs <= UINT32_MAX;
}

static int recognise_lfw(struct fv_lines *l)
{
    struct lfw_header h;
    struct people p;

    return read_lfw_header(l, &h) && fv__lines_next(l) && parse_people(l, &p) ? 90 : 0;
}

static int read_lfw(struct fv_pair_reading *r)
{
    struct fv_lines *l = &r->lines;
    struct lfw_header h;
    struct people p;

    if (!read_lfw_header(l, &h))
        return fv__lines_err(l, FV_ECORRUPT,
                             "is no first line of LFW: folds and pairs, or only pairs");
    const uint64_t all = 2 * h.folds * h.pairs;
    for (uint64_t i = 0; i < all; i++) {
        if (!fv__lines_next(l))
            return fv__lines_err(l, FV_ECORRUPT,
                                 "is the last one, and the first one promises %llu pairs, not %llu",
                                 (unsigned long long)all, (unsigned long long)i);
        if (!parse_people(l, &p))
            return no_people(l);
        if (p.same != (i / h.pairs % 2 == 0))
            return fv__lines_err(
                l, FV_ECORRUPT, "pairs %s: a fold is %llu pairs of one person, then as many of two",
                p.same ? "one person" : "two people", (unsigned long long)h.pairs);
        FV_TRY(add_people(r, &p, (uint32_t)(i / h.pairs / 2)));
    }
    if (fv__lines_next(l))
        return fv__lines_err(l, FV_ECORRUPT, "is one more than the first line promises");
    r->out->folds = h.folds > 1 ? (uint32_t)h.folds : 0;
    return FV_OK;
}

const struct fv_pair_format fv__pairs_lfw = {
    .name = "lfw",
    .help = "pairs.txt, pairsDevTrain.txt and pairsDevTest.txt of LFW",
    .recognise = recognise_lfw,
    .read = read_lfw,
};

/* Lines of three fields alone may be another list's: one of four has to be among them. */
static int recognise_rfw(struct fv_lines *l)
{
    struct people p;

    while (fv__lines_next(l)) {
        if (!parse_people(l, &p))
            return 0;
        if (!p.same)
            return 80;
    }
    return 0;
}

/* A fold begins where pairs of one person follow pairs of two. Folds are said only where all are alike. */
static void find_folds(struct fv_pairs *p)
{
    size_t begin = 0, size = 0;
    uint32_t folds = 1;
    int alike = 1;

    for (size_t i = 1; i <= p->n; i++) {
        if (i < p->n && !(p->pair[i].same && !p->pair[i - 1].same))
            continue;
        size = size ? size : i - begin;
        alike &= i - begin == size && folds <= UINT16_MAX;
        begin = i;
        folds += i < p->n;
    }
    if (folds == 1 || !alike)
        return;
    for (size_t i = 0; i < p->n; i++)
        p->pair[i].fold = (uint16_t)(i / size);
    p->folds = folds;
}

static int read_rfw(struct fv_pair_reading *r)
{
    struct people p;

    while (fv__lines_next(&r->lines)) {
        if (!parse_people(&r->lines, &p))
            return no_people(&r->lines);
        FV_TRY(add_people(r, &p, 0));
    }
    find_folds(r->out);
    return FV_OK;
}

const struct fv_pair_format fv__pairs_rfw = {
    .name = "rfw",
    .help = "the lists of RFW: as LFW's, without the first line",
    .recognise = recognise_rfw,
    .read = read_rfw,
};

/* --- calfw: CALFW and CPLFW, two lines a pair --------------------------------------------------------- */

struct half {
    struct fv_field name;
    uint64_t label;
};

static int next_half(struct fv_lines *l, struct half *h)
{
    struct fv_field f[2];

    if (!fv__lines_next(l))
        return 0;
    if (fv__lines_fields(l, fv__lines_separator(l), f, 2) != 2 ||
        !fv__field_number(&f[1], &h->label))
        return fv__lines_err(l, FV_ECORRUPT, "is not 'image label'");
    h->name = f[0];
    return 1;
}

static int recognise_calfw(struct fv_lines *l)
{
    struct half a, b;
    uint64_t number;

    return next_half(l, &a) == 1 && next_half(l, &b) == 1 && a.label == b.label &&
                   !fv__field_number(&a.name, &number)
               ? 80
               : 0;
}

/* Ten folds: the n-th tenth of the pairs of one person, and the n-th of those of two. */
static void make_ten_folds(struct fv_pairs *p)
{
    enum { FOLDS = 10 };
    const size_t impostor = p->n - p->genuine;
    size_t at[2] = {0, 0};

    if (p->genuine == 0 || impostor == 0 || p->genuine % FOLDS || impostor % FOLDS)
        return;
    for (size_t i = 0; i < p->n; i++) {
        const int same = p->pair[i].same;
        p->pair[i].fold = (uint16_t)(at[same]++ / ((same ? p->genuine : impostor) / FOLDS));
    }
    p->folds = FOLDS;
}

/* The label is 0 for two people, and otherwise 1 (CPLFW) or the fold (CALFW), which follows from the order. */
static int read_calfw(struct fv_pair_reading *r)
{
    struct fv_lines *l = &r->lines;
    struct fv_pair_name first, second;
    struct half a, b;
    int rc;

    while ((rc = next_half(l, &a)) == 1) {
        FV_TRY(rc = next_half(l, &b));
        if (rc == 0)
            return fv__lines_err(l, FV_ECORRUPT, "is half a pair");
        if (a.label != b.label)
            return fv__lines_err(l, FV_ECORRUPT, "has label %llu, and the line before it %llu",
                                 (unsigned long long)b.label, (unsigned long long)a.label);
        FV_TRY(fv__pair_name(&first, l, &a.name));
        FV_TRY(fv__pair_name(&second, l, &b.name));
        FV_TRY(fv__pairs_add(r, first.text, second.text, a.label != 0, 0));
    }
    FV_TRY(rc);
    make_ten_folds(r->out);
    return FV_OK;
}

const struct fv_pair_format fv__pairs_calfw = {
    .name = "calfw",
    .help = "two lines 'image label' a pair: CALFW, CPLFW",
    .recognise = recognise_calfw,
    .read = read_calfw,
};
