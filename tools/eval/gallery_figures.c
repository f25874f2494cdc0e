/* SPDX-License-Identifier: MIT */
#include "tools/eval/gallery_figures.h"

#include "common/err.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the figures, of these answers or of a replicate ---------------------------------------------- */

enum { RANKS = 4, RATES = 3, FIGURES = RANKS + RATES + 2 };
enum { TPIR = RANKS, ACCURACY = TPIR + RATES, WITHOUT };

static const struct {
    uint32_t rank;
    const char *key, *interval;
} ranks[RANKS] = {{1, "rank_1", "rank_1_interval"},
                  {5, "rank_5", "rank_5_interval"},
                  {10, "rank_10", "rank_10_interval"},
                  {20, "rank_20", "rank_20_interval"}};
static const struct {
    double fpir;
    const char *key, *interval;
} rates[RATES] = {{0.1, "tpir_at_fpir_0.1", "tpir_at_fpir_0.1_interval"},
                  {0.01, "tpir_at_fpir_0.01", "tpir_at_fpir_0.01_interval"},
                  {0.001, "tpir_at_fpir_0.001", "tpir_at_fpir_0.001_interval"}};

struct conventions {
    int pessimistic;
    double threshold;
};

static void measure(const struct fv_answer *a, size_t n, void *ctx, double *figure)
{
    const struct conventions *c = ctx;
    const struct fv_probes p = fv_gallery_count(a, n);
    struct fv_roc roc = {0};

    for (int i = 0; i < RANKS; i++)
        figure[i] = p.mated ? fv_gallery_cmc(a, n, ranks[i].rank, c->pessimistic) : NAN;
    const int both = p.mated && p.strangers && fv_gallery_roc(&roc, a, n, c->pessimistic) == FV_OK;
    for (int i = 0; i < RATES; i++) {
        struct fv_tpr t = {.tpr = NAN};
        if (both)
            fv_roc_tpr(&roc, rates[i].fpir, &t);
        figure[TPIR + i] = t.tpr;
    }
    fv_roc_free(&roc);
    figure[ACCURACY] = fv_gallery_accuracy(a, n, c->threshold);
    figure[WITHOUT] = fv_gallery_accuracy(a, n, -INFINITY);
}

/* --- intervals ------------------------------------------------------------------------------------ */

struct intervals {
    uint32_t people; /* 0: none were made */
    int64_t replicates;
    double level;
    struct fv_interval of[FIGURES];
};

/* Probes of whom something is said. A stranger without a name is a person of his own. */
static uint32_t take_people(const struct gallery_hunt *h, struct fv_gallery_sample *g,
                            struct fv_answer *answer, uint32_t *person)
{
    const struct gallery_set *set = &h->set[HUNT_PROBES];
    uint8_t *seen = calloc((size_t)h->labels + 1, 1);
    uint32_t people = 0;

    for (size_t i = 0; seen && i < set->n; i++) {
        const uint32_t label = h->label[HUNT_PROBES][i];
        const int nameless = set->identity[i] && strcmp(set->identity[i], h->s->reject) == 0;
        if (!set->identity[i])
            continue;
        person[g->n] = nameless ? h->labels + (uint32_t)i : label;
        answer[g->n++] = h->answer[HUNT_PROBES][i];
        people += nameless || !seen[label];
        seen[label] = 1;
    }
    free(seen);
    *g = (struct fv_gallery_sample){answer, person, g->n, h->labels + (uint32_t)set->n};
    return people;
}

static int make_intervals(struct intervals *out, const struct gallery_hunt *h,
                          struct conventions *c)
{
    enum { MANY = 100000, FEW_PEOPLE = 3 };
    const size_t n = h->set[HUNT_PROBES].n;
    struct fv_answer *answer = malloc((n + 1) * sizeof *answer);
    uint32_t *person = malloc((n + 1) * sizeof *person);
    struct fv_gallery_sample g = {0};
    struct fv_bootstrap_settings b;
    int rc = answer && person ? FV_OK : fv_err(FV_ENOMEM, "out of memory for intervals");

    *out = (struct intervals){.level = h->s->level};
    fv_bootstrap_defaults(&b);
    b.seed = (uint64_t)h->s->seed;
    b.level = h->s->level;
    b.replicates = h->s->bootstrap >= 0 ? h->s->bootstrap : n > MANY ? 200 : b.replicates;
    if (rc >= 0 && b.replicates > 0) {
        const uint32_t people = take_people(h, &g, answer, person);
        if (people >= FEW_PEOPLE) {
            rc = fv_gallery_bootstrap(&g, &b, measure, c, FIGURES, out->of);
            out->people = people;
            out->replicates = b.replicates;
        }
    }
    free(answer);
    free(person);
    return rc;
}

static void add_interval(struct results *r, const struct intervals *in, int figure, const char *key)
{
    const struct fv_interval *i = &in->of[figure];
    const int none = !(i->high > i->low);
    char text[120];

    if (in->people == 0)
        return;
    if (none)
        snprintf(text, sizeof text, "no interval: all replicates are alike");
    else
        snprintf(text, sizeof text, "%.4f to %.4f (%g %% over %u people)", i->low, i->high,
                 100 * in->level, in->people);
    results_heading(r, "", text);
    results_json(r, key,
                 none ? json_null()
                      : json_pack("{sf sf sf sI sI}", "low", i->low, "high", i->high, "level",
                                  in->level, "people", (json_int_t)in->people, "replicates",
                                  (json_int_t)in->replicates));
}

/* --- rows ----------------------------------------------------------------------------------------- */

static int choose_threshold(struct gallery_hunt *h, struct results *r)
{
    const struct fv_answer *a = h->answer[HUNT_DEV];
    const size_t n = h->set[HUNT_DEV].n;
    const int given = h->s->threshold > -2;
    double accuracy;

    h->threshold = given ? h->s->threshold : -INFINITY;
    if (h->s->dev) {
        const struct fv_probes p = fv_gallery_count(a, n);
        if (p.mated + p.strangers == 0)
            return fv_err(FV_EUSAGE,
                          "%s: nothing says who they are, so no threshold can be chosen: give "
                          "--dev-labels",
                          h->s->dev);
        if (given)
            accuracy = fv_gallery_accuracy(a, n, h->threshold);
        else
            FV_TRY(fv_gallery_threshold(a, n, &h->threshold, &accuracy));
        results_int(r, "dev_probes", n, "%zu (%" PRIu64 " in the gallery, %" PRIu64 " strangers)",
                    n, p.mated, p.strangers);
        results_real(r, "dev_accuracy", accuracy, "%.4f%s", accuracy,
                     given ? "" : " (the threshold is chosen on these: optimistic)");
    }
    if (h->threshold == -INFINITY)
        results_string(r, "threshold", "none: nobody is rejected");
    else
        results_real(r, "threshold", h->threshold, "%.4f", h->threshold);
    return FV_OK;
}

static void add_closed_set(const struct gallery_hunt *h, struct results *r, const double *figure,
                           const struct intervals *in)
{
    uint64_t tied = 0;

    for (int i = 0; i < RANKS; i++) {
        results_real(r, ranks[i].key, figure[i], "%.4f", figure[i]);
        add_interval(r, in, i, ranks[i].interval);
    }
    for (size_t i = 0; i < h->set[HUNT_PROBES].n; i++)
        tied += h->answer[HUNT_PROBES][i].equal > 0;
    if (tied)
        results_int(r, "tied_probes", tied, "%" PRIu64 " (%s)", tied, h->s->ties);
}

static int add_open_set(const struct gallery_hunt *h, struct results *r, const struct intervals *in)
{
    struct fv_roc roc;

    FV_TRY(fv_gallery_roc(&roc, h->answer[HUNT_PROBES], h->set[HUNT_PROBES].n,
                          gallery_hunt_pessimistic(h)));
    for (int i = 0; i < RATES; i++) {
        struct fv_tpr t;
        fv_roc_tpr(&roc, rates[i].fpir, &t);
        results_real(r, rates[i].key, t.tpr,
                     "%.4f (realised FPIR %.5f, %" PRIu64 " of %" PRIu64 " strangers%s)", t.tpr,
                     t.fmr, t.false_matches, roc.impostor,
                     t.below_resolution ? "; below the resolution of the data"
                     : t.unreliable     ? "; fewer than 30: unreliable"
                                        : "");
        add_interval(r, in, TPIR + i, rates[i].interval);
    }
    fv_roc_free(&roc);
    return FV_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Probes that are images (or templates) of the gallery: they find themselves, which says nothing. */
static int count_themselves(const struct gallery_hunt *h, struct results *r)
{
    const struct gallery_set *g = &h->set[HUNT_GALLERY], *p = &h->set[HUNT_PROBES];
    uint32_t *sorted = malloc((g->n + 1) * sizeof *sorted);
    uint64_t n = 0;

    if (!sorted)
        return fv_err(FV_ENOMEM, "out of memory for %zu images", g->n);
    memcpy(sorted, g->id, g->n * sizeof *sorted);
    qsort(sorted, g->n, sizeof *sorted, compare_ids);
    for (size_t i = 0; i < p->n; i++)
        n += bsearch(&p->id[i], sorted, g->n, sizeof *sorted, compare_ids) != NULL;
    free(sorted);
    if (n)
        results_int(r, "probes_of_the_gallery", n,
                    "%" PRIu64 " are in the gallery themselves: their answers say nothing", n);
    return FV_OK;
}

int gallery_figures_add(struct gallery_hunt *h, struct results *r)
{
    const struct fv_answer *a = h->answer[HUNT_PROBES];
    const size_t n = h->set[HUNT_PROBES].n;
    const struct fv_probes p = fv_gallery_count(a, n);
    struct conventions c = {.pessimistic = gallery_hunt_pessimistic(h)};
    struct intervals in;
    double figure[FIGURES];

    results_int(r, "gallery_images", h->set[HUNT_GALLERY].n, "%zu%s", h->set[HUNT_GALLERY].n,
                h->templates.n ? " templates" : "");
    results_int(r, "gallery_identities", h->identities, NULL);
    results_int(r, "probes", n,
                "%zu (%" PRIu64 " in the gallery, %" PRIu64 " strangers, %" PRIu64 " unknown)", n,
                p.mated, p.strangers, p.unknown);
    results_int(r, "mated", p.mated, NULL);
    results_int(r, "strangers", p.strangers, NULL);
    FV_TRY(count_themselves(h, r));
    FV_TRY(choose_threshold(h, r));
    if (p.mated + p.strangers == 0)
        return FV_OK;
    c.threshold = h->threshold;
    measure(a, n, &c, figure);
    FV_TRY(make_intervals(&in, h, &c));
    if (p.mated)
        add_closed_set(h, r, figure, &in);
    if (p.mated && p.strangers)
        FV_TRY(add_open_set(h, r, &in));
    results_real(r, "accuracy", figure[ACCURACY], "%.4f (right identities and rejections)",
                 figure[ACCURACY]);
    add_interval(r, &in, ACCURACY, "accuracy_interval");
    results_real(r, "accuracy_without_rejection", figure[WITHOUT], "%.4f", figure[WITHOUT]);
    add_interval(r, &in, WITHOUT, "accuracy_without_rejection_interval");
    return FV_OK;
}
