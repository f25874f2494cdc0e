/* SPDX-License-Identifier: MIT */
/* usage: roc_speed SCORES KINDS THREADS REPEATS: raw doubles and bytes; for tools/compare-metrics. Prints seconds
 * (processor, clock) of the fastest ROC with AUC and EER, these two, and the peak of memory in MB. */
#include "trainer/eval/metrics.h"
#include "trainer/eval/sort_scores.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *read_all(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        exit(1);
    *bytes = (size_t)ftell(f);
    rewind(f);
    void *p = malloc(*bytes + 1);
    if (!p || fread(p, 1, *bytes, f) != *bytes)
        exit(1);
    fclose(f);
    return p;
}

int main(int argc, char **argv)
{
    double processor = 1e9, wall = 1e9, auc = 0;
    struct fv_eer eer = {0};
    size_t bytes, n;
    struct rusage usage;

    if (argc != 5)
        return 2;
    double *score = read_all(argv[1], &bytes);
    uint8_t *same = read_all(argv[2], &n);
    if (bytes != 8 * n)
        return 1;
    for (int i = 0; i < atoi(argv[4]); i++) {
        const double p = seconds(CLOCK_PROCESS_CPUTIME_ID), w = seconds(CLOCK_MONOTONIC);
        struct fv_roc roc;
        if (fv__roc_make(&roc, score, same, n, atoi(argv[3])) != 0)
            return 1;
        auc = fv_roc_auc(&roc);
        fv_roc_eer(&roc, &eer);
        const double dp = seconds(CLOCK_PROCESS_CPUTIME_ID) - p, dw = seconds(CLOCK_MONOTONIC) - w;
        processor = dp < processor ? dp : processor;
        wall = dw < wall ? dw : wall;
        fv_roc_free(&roc);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%.4f %.4f %.17g %.17g %ld\n", processor, wall, auc, eer.eer, usage.ru_maxrss / 1024);
    free(score);
    free(same);
    return 0;
}
