/* SPDX-License-Identifier: MIT */
/* How often an interval holds the truth, on simulated sets whose truth has a closed form.
 *
 * Identity i has effects u_i, v_i ~ N(0, 1). An impostor pair (i, j) scores s (u_i + u_j) + e, a genuine pair of i
 * scores d + t v_i + e, each with its own e ~ N(0, r^2). A pair drawn from the population is then N(0, 2 s^2 + r^2) or
 * N(d, t^2 + r^2): a binormal ROC.
 */
#ifndef FV_TESTS_COVERAGE_H
#define FV_TESTS_COVERAGE_H

#include <stdint.h>

enum { COVERAGE_EER, COVERAGE_AUC, COVERAGE_TPR, COVERAGE_FIGURES };
extern const char *const coverage_names[COVERAGE_FIGURES];

struct coverage_case {
    const char *name;
    uint32_t identities;
    uint32_t genuine, impostor; /* pairs of each identity; impostor pairs with random others */
    double d, s, t, r;
};
extern const struct coverage_case coverage_cases[]; /* ends with name == NULL */

struct coverage_count {
    int sets;
    struct {
        int over, naive; /* sets whose interval holds the truth */
        double width_over, width_naive;
    } of[COVERAGE_FIGURES];
};

/* 0 when all went well. */
int coverage_count(const struct coverage_case *c, int sets, int64_t replicates, int bca,
                   int threads, struct coverage_count *out);

#endif
