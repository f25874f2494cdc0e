/* SPDX-License-Identifier: MIT */
#include "tests/trainer/coverage.h"

#include "common/rng.h"
#include "trainer/eval/intervals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const coverage_names[COVERAGE_FIGURES] = {"EER", "AUC", "TPR at FMR 0.1"};

const struct coverage_case coverage_cases[] = {
    {"many pairs of each identity", 150, 6, 12, 2.0, 0.5, 0.8, 0.7},
    {"few pairs of each identity", 600, 1, 1, 2.0, 0.5, 0.8, 0.7},
    {"little in common", 150, 6, 12, 2.0, 0.1, 0.2, 1.0},
    {NULL, 0, 0, 0, 0, 0, 0, 0},
};

static const double FMR = 0.1;

static void measure(const struct fv_roc *r, void *ctx, double *figure)
{
    struct fv_eer e;
    struct fv_tpr t;

    (void)ctx;
    fv_roc_eer(r, &e);
    fv_tpr_rules[1].at(r, FMR, &t); /* interp: a step of few impostors is biased */
    figure[COVERAGE_EER] = e.eer;
    figure[COVERAGE_AUC] = fv_roc_auc(r);
    figure[COVERAGE_TPR] = t.tpr;
}

static void truth_of(const struct coverage_case *c, double *figure)
{
    const double i = sqrt(2 * c->s * c->s + c->r * c->r), g = sqrt(c->t * c->t + c->r * c->r);

    figure[COVERAGE_EER] = fv_normal_below(-c->d / (i + g));
    figure[COVERAGE_AUC] = fv_normal_below(c->d / sqrt(i * i + g * g));
    figure[COVERAGE_TPR] = fv_normal_below((c->d - i * fv_normal_quantile(1 - FMR)) / g);
}

struct set {
    double *score, *u, *v;
    uint8_t *same;
    uint32_t *a, *b;
    size_t n;
};

static void add_pair(struct set *s, double score, uint32_t a, uint32_t b)
{
    s->score[s->n] = score;
    s->same[s->n] = a == b;
    s->a[s->n] = a;
    s->b[s->n++] = b;
}

static void simulate(const struct coverage_case *c, struct set *s, uint64_t number)
{
    struct fv_rng r = fv_rng_at(number, 0, 0, FV_RNG_TEST);

    s->n = 0;
    for (uint32_t i = 0; i < c->identities; i++) {
        s->u[i] = fv_rng_normal(&r);
        s->v[i] = fv_rng_normal(&r);
    }
    for (uint32_t i = 0; i < c->identities; i++) {
        for (uint32_t k = 0; k < c->genuine; k++)
            add_pair(s, c->d + c->t * s->v[i] + c->r * fv_rng_normal(&r), i, i);
        for (uint32_t k = 0; k < c->impostor; k++) {
            const uint32_t j = (i + 1 + fv_rng_below(&r, c->identities - 1)) % c->identities;
            add_pair(s, c->s * (s->u[i] + s->u[j]) + c->r * fv_rng_normal(&r), i, j);
        }
    }
}

static int holds(const struct fv_interval *i, double x)
{
    return i->low <= x && x <= i->high;
}

static int count_set(const struct coverage_case *c, const struct set *s,
                     const struct fv_bootstrap_settings *settings, struct coverage_count *out)
{
    const struct fv_pair_sample sample = {s->score, s->same, s->a, s->b, s->n, c->identities};
    struct fv_bootstrap_interval interval[COVERAGE_FIGURES];
    double truth[COVERAGE_FIGURES];

    truth_of(c, truth);
    const int rc = fv_bootstrap_pairs(&sample, settings, measure, NULL, COVERAGE_FIGURES, interval);
    for (int k = 0; k < COVERAGE_FIGURES && rc >= 0; k++) {
        out->of[k].over += holds(&interval[k].over, truth[k]);
        out->of[k].naive += holds(&interval[k].naive, truth[k]);
        out->of[k].width_over += interval[k].over.high - interval[k].over.low;
        out->of[k].width_naive += interval[k].naive.high - interval[k].naive.low;
    }
    out->sets++;
    return rc;
}

int coverage_count(const struct coverage_case *c, int sets, int64_t replicates, int bca,
                   int threads, struct coverage_count *out)
{
    const size_t n = (size_t)c->identities * (c->genuine + c->impostor);
    struct set s = {malloc(n * sizeof *s.score),
                    malloc(c->identities * sizeof *s.u),
                    malloc(c->identities * sizeof *s.v),
                    malloc(n),
                    malloc(n * sizeof *s.a),
                    malloc(n * sizeof *s.b),
                    0};
    struct fv_bootstrap_settings settings;
    int rc = s.score && s.u && s.v && s.same && s.a && s.b ? 0 : -1;

    fv_bootstrap_defaults(&settings);
    settings.replicates = replicates;
    settings.bca = bca;
    settings.threads = threads;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < sets && rc >= 0; i++) {
        settings.seed = (uint64_t)i + 1;
        simulate(c, &s, (uint64_t)i + 1);
        rc = count_set(c, &s, &settings, out);
    }
    free(s.score);
    free(s.u);
    free(s.v);
    free(s.same);
    free(s.a);
    free(s.b);
    return rc;
}
