/* SPDX-License-Identifier: MIT */
/* Pairs with their scores as CSV: image1,image2,same,score, which 'fveval pairs --pairs' reads as a list again. */
#ifndef FV_TOOLS_SCORE_CSV_H
#define FV_TOOLS_SCORE_CSV_H

#include <stdio.h>

/* What is compared: "image", "template". */
void score_csv_head(FILE *f, const char *what);
/* FV_ENOMEM; what the disk would not take fv_file_end says. */
int score_csv_pair(FILE *f, const char *a, const char *b, int same, double score);

#endif
