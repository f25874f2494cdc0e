/* SPDX-License-Identifier: MIT */
/* usage: interval_coverage [SETS [REPLICATES [THREADS [CASE [KIND]]]]]: the table of docs/metrics.md, or the part of it
 * of one case (the first letters of its name) and one kind of interval. */
#include "tests/trainer/coverage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    const int sets = argc > 1 ? atoi(argv[1]) : 1000, threads = argc > 3 ? atoi(argv[3]) : 0;
    const char *only = argc > 4 ? argv[4] : "", *const kinds[] = {"percentile", "BCa"};
    const long replicates = argc > 2 ? atol(argv[2]) : 2000;

    printf("%d sets, %ld replicates: how many in 100 of the 95 %% intervals hold the truth (mean "
           "width)\n",
           sets, replicates);
    for (const struct coverage_case *c = coverage_cases; c->name; c++)
        for (int bca = 0; bca < 2; bca++) {
            struct coverage_count n;
            if (strncmp(c->name, only, strlen(only)) != 0 ||
                (argc > 5 && strcmp(argv[5], kinds[bca]) != 0))
                continue;
            if (coverage_count(c, sets, replicates, bca, threads, &n) != 0)
                return 1;
            for (int k = 0; k < COVERAGE_FIGURES; k++)
                printf("%-28s %-10s %-15s identities %5.1f (%.4f)  pairs one by one %5.1f (%.4f)\n",
                       c->name, kinds[bca], coverage_names[k], 100.0 * n.of[k].over / sets,
                       n.of[k].width_over / sets, 100.0 * n.of[k].naive / sets,
                       n.of[k].width_naive / sets);
            fflush(stdout);
        }
    return 0;
}
