/* SPDX-License-Identifier: MIT */
/* The forms in which pair lists come: each a row of the table in pair_format.c, its reader in pair_readers.c. */
#ifndef FV_STORE_PAIR_FORMAT_H
#define FV_STORE_PAIR_FORMAT_H

#include "store/pair_lines.h"
#include "store/pairs.h"

/* Who a list compares: images, or templates of them. */
struct fv_pair_names;
struct fv_templates;

struct fv_pair_reading {
    struct fv_lines lines;
    struct fv_pairs *out;
    size_t room;
    struct fv_pair_names *names;          /* of images; or NULL: */
    const struct fv_templates *templates; /* a name is a template's number */
    struct fv_pair_names *names_b;        /* of the second images; NULL: as the first */
};

struct fv_pair_format {
    const char *name, *help;
    /* 0 (no) to 100 (certainly). May read as many lines as it likes. */
    int (*recognise)(struct fv_lines *l);
    /* Adds every pair, or says which line is wrong. Sets out->folds where the format has some. */
    int (*read)(struct fv_pair_reading *r);
};

extern const struct fv_pair_format fv__pairs_list, fv__pairs_csv, fv__pairs_lfw, fv__pairs_rfw,
    fv__pairs_calfw;

/* A name as the format gives it: a field, or made from one. */
struct fv_pair_name {
    char text[4096];
};
/* FV_ECORRUPT when it is too long. */
int fv__pair_name(struct fv_pair_name *out, const struct fv_lines *l, const struct fv_field *f);

int fv__pairs_push(struct fv_pairs *p, size_t *room, struct fv_pair pair);
/* Resolves both and appends the pair: an error names the line. */
int fv__pairs_add(struct fv_pair_reading *r, const char *a, const char *b, int same, uint32_t fold);

/* fv_pairs_read on text in memory, of images or of templates (the other is NULL). */
int fv__pairs_parse(struct fv_pairs *out, struct fv_store *s, const struct fv_templates *t,
                    const char *path, const char *text, size_t n, const char *format);
/* The same with names. */
int fv__pairs_parse_names(struct fv_pairs *out, const struct fv_name_list *a,
                          const struct fv_name_list *b, const char *path, const char *text,
                          size_t n, const char *format);
/* fv_templates_read on text in memory. */
int fv__templates_parse(struct fv_templates *out, struct fv_store *s, const char *path,
                        const char *text, size_t n);

#endif
