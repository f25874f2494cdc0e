/* SPDX-License-Identifier: MIT */
/* Pairs whose answer is not known: to be scored and handed in. Text, one pair a line, "path1 path2" (tabs where names
 * have blanks), or CSV with a header that has img1 and img2 (or image, path, file). Names are kept as the list has
 * them, since what is handed in repeats them. */
#ifndef FV_STORE_TRIALS_H
#define FV_STORE_TRIALS_H

#include <stddef.h>
#include <stdint.h>

struct fv_store;
struct fv_pair_names;

struct fv_trials {
    size_t n;
    uint32_t *a, *b;              /* (n) image ids */
    const char **first, **second; /* (n) names, into memory */
    char *memory;
};

/* Images are found as those of pair lists are. Names file and line of the first thing wrong. */
int fv_trials_read(struct fv_trials *out, struct fv_store *s, const char *path);
/* The same on text in memory. */
int fv__trials_parse(struct fv_trials *out, struct fv_pair_names *names, const char *path,
                     const char *text, size_t n);
void fv_trials_free(struct fv_trials *t); /* accepts a zeroed one */

#endif
