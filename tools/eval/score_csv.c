/* SPDX-License-Identifier: MIT */
#include "tools/eval/score_csv.h"

#include "common/err.h"
#include "trainer/trainer.h"

#include <stdlib.h>

void score_csv_head(FILE *f, const char *what)
{
    fprintf(f, "%s1,%s2,same,score\n", what, what);
}

int score_csv_pair(FILE *f, const char *a, const char *b, int same, double score)
{
    char *first, *second;

    FV_TRY(fv_rows_csv_text(&first, a));
    const int rc = fv_rows_csv_text(&second, b);
    if (rc >= 0)
        fprintf(f, "%s,%s,%d,%.17g\n", first, second, same, score);
    free(first);
    free(second);
    return rc;
}
