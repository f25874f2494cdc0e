/* SPDX-License-Identifier: MIT */
/* usage: interval_coverage [SETS [REPLICATES [THREADS]]]: the table of docs/metrics.md. */
#include "tests/trainer/coverage.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const int sets = argc > 1 ? atoi(argv[1]) : 1000, threads = argc > 3 ? atoi(argv[3]) : 0;
    const long replicates = argc > 2 ? atol(argv[2]) : 2000;

    printf("%d sets, %ld replicates: how many in 100 of the 95 %% intervals hold the truth (mean "
           "width)\n",
           sets, replicates);
    for (const struct coverage_case *c = coverage_cases; c->name; c++)
        for (int bca = 0; bca < 2; bca++) {
            struct coverage_count n;
            if (coverage_count(c, sets, replicates, bca, threads, &n) != 0)
                return 1;
            for (int k = 0; k < COVERAGE_FIGURES; k++)
                printf("%-28s %-10s %-15s identities %5.1f (%.4f)  pairs one by one %5.1f (%.4f)\n",
                       c->name, bca ? "BCa" : "percentile", coverage_names[k],
                       100.0 * n.of[k].over / sets, n.of[k].width_over / sets,
                       100.0 * n.of[k].naive / sets, n.of[k].width_naive / sets);
            fflush(stdout);
        }
    return 0;
}
