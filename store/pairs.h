/* SPDX-License-Identifier: MIT */
/* Pair lists: which two images are compared, and whether they show one person.
 *
 * Text form, one pair a line: "path1 path2 1" for genuine (one identity), "path1 path2 0" for impostor;
 * paths are source names as kept in the store. Names with blanks are written with tabs between the three
 * fields. Lines that are empty or begin with '#' are skipped; before a name that begins with '#' stands a
 * tab. Lists of other forms are read too: store/pair_readers.c has them.
 */
#ifndef FV_STORE_PAIRS_H
#define FV_STORE_PAIRS_H

#include <stddef.h>
#include <stdint.h>

struct fv_store;
struct fv_templates;

struct fv_pair {
    uint32_t a, b; /* image ids; or places of templates */
    uint16_t fold; /* 0 .. folds-1 */
    uint8_t same;
};

struct fv_pairs {
    struct fv_pair *pair; /* (n) */
    size_t n, genuine;
    uint32_t folds;     /* of the protocol; 0: it has none */
    const char *format; /* of the list that was read */
};

/* A balanced list over one split: n/2 genuine pairs spread evenly over the identities that have two
 * images, n/2 impostor pairs over distinct identities; no pair twice, no image with itself. A function of
 * (seed, labels, images) only. Fewer come back when the data has fewer genuine pairs; the list stays
 * balanced. FV_ENOTFOUND says what is missing (for example: no held-out identities). */
int fv_pairs_make(struct fv_pairs *out, const struct fv_store *s, int split, size_t n,
                  uint64_t seed);
/* Reads a list and finds its images (store/pair_names.h says how). Names file and line of the first thing
 * wrong; a missing image is wrong. format: a name of the table below; NULL or "auto": as the list looks. */
int fv_pairs_read(struct fv_pairs *out, struct fv_store *s, const char *path, const char *format);
/* Names without a data set, of vectors that came from elsewhere: a pair's images are places in these. */
struct fv_name_list {
    const char *origin; /* for sentences */
    const char *const *name;
    size_t n;
};
/* As fv_pairs_read; first names are of a, second ones of b. */
int fv_pairs_read_names(struct fv_pairs *out, const struct fv_name_list *a,
                        const struct fv_name_list *b, const char *path, const char *format);
/* A list of templates by their numbers: "number1 number2 0|1". */
int fv_pairs_read_templates(struct fv_pairs *out, const struct fv_templates *t, const char *path);
/* Rows of the table of formats: 1, or 0 after the last. */
int fv_pairs_format(size_t i, const char **name, const char **help);
/* FV_EEXIST when path is the data set. */
int fv_pairs_write(const struct fv_pairs *p, const struct fv_store *s, const char *path);
void fv_pairs_free(struct fv_pairs *p); /* accepts a zeroed one */

#endif
