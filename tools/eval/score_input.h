/* SPDX-License-Identifier: MIT */
/* Embeddings from files, with what their rows are called and whom they show. */
#ifndef FV_TOOLS_SCORE_INPUT_H
#define FV_TOOLS_SCORE_INPUT_H

#include "store/store.h"
#include "trainer/trainer.h"

struct score_input {
    const char *path;
    struct fv_vectors vectors;
    struct fv_rows rows;  /* named in a file, or by their numbers */
    int named;            /* by a file */
    uint32_t *label;      /* (n) when asked for */
    const char *label_of; /* where the labels came from, for people */
};

/* names: NULL: the file "NAME.names.csv" beside it, if there is one. */
int score_input_open(struct score_input *in, const char *path, const char *names);
void score_input_close(struct score_input *in);
/* Row i of a against row i of b, or, when b is a, row 2i against 2i + 1; path: 0 or 1 a pair, text or .npy. */
int score_input_neighbours(struct fv_pairs *out, const struct score_input *a,
                           const struct score_input *b, const char *path);
/* Fills in the labels of a, and of b unless it is NULL, by one numbering. files: one identity a row (text, or numbers
 * in a .npy); NULL: from the rows. */
int score_input_label(struct score_input *a, struct score_input *b, const char *file_a,
                      const char *file_b);

#endif
