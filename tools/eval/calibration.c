/* SPDX-License-Identifier: MIT */
#include "tools/eval/calibration.h"

#include "common/err.h"
#include "tools/eval/eval_images.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(f) offsetof(struct calibration_settings, f)
/* clang-format off */
const struct fv_opt calibration_opts[] = {
    {"threshold", 't', FV_OPT_REAL, 0, FIELD(threshold), "T", "accept scores from here on; -2: by --fmr", -2, 2, NULL},
    {"fmr", 0, FV_OPT_REAL, 0, FIELD(fmr), "RATE", "the threshold's false match rate on pairs of the data set",
     0, 1, NULL},
    {"pairs", 'p', FV_OPT_STRING, 0, FIELD(pairs), "FILE", "those pairs; unset: over held-out identities", 0, 0, NULL},
    {"count", 'n', FV_OPT_INT, 0, FIELD(count), "N", "pairs to make when no list is given", 2, 1e8, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "chooses them", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

void calibration_defaults(struct calibration_settings *s)
{
    *s = (struct calibration_settings){.fmr = 0.01, .threshold = -2, .count = 6000, .seed = 1};
}

void calibration_close(struct calibration *c)
{
    fv_roc_free(&c->roc);
}

static int score_pairs(struct calibration *c, const struct fv_pairs *p,
                       const struct eval_images *im, const float *emb, int dim)
{
    double *score = malloc((p->n + 1) * sizeof *score);
    uint8_t *same = malloc(p->n + 1);
    int rc = score && same ? FV_OK : fv_err(FV_ENOMEM, "out of memory for %zu pairs", p->n);

    for (size_t i = 0; i < p->n && rc >= 0; i++) {
        const struct fv_pair *q = &p->pair[i];
        score[i] = eval_images_score(im, emb, dim, q->a, q->b);
        same[i] = q->same;
    }
    if (rc >= 0)
        rc = fv_roc_make(&c->roc, score, same, p->n);
    free(score);
    free(same);
    return rc;
}

static int count_on(struct calibration *c, const struct fv_pairs *p, struct eval_images *im,
                    const struct eval_net *net)
{
    float *emb;

    for (size_t i = 0; i < p->n; i++) {
        FV_TRY(eval_images_want(im, p->pair[i].a));
        FV_TRY(eval_images_want(im, p->pair[i].b));
    }
    FV_TRY(eval_images_place(im));
    FV_TRY(eval_net_embed(net, im, &emb));
    const int rc = score_pairs(c, p, im, emb, fv_model_net(net->model)->embedding);
    free(emb);
    return rc;
}

/* The pairs there are: 0 when there are none. */
static int find_pairs(struct fv_pairs *p, const struct calibration_settings *s,
                      struct fv_store *store)
{
    if (store && s->pairs)
        FV_TRY(fv_pairs_read(p, store, s->pairs, "auto"));
    else if (store && fv_store_info(store)->split_images[FV_SPLIT_HOLDOUT])
        FV_TRY(fv_pairs_make(p, store, FV_SPLIT_HOLDOUT, (size_t)s->count, (uint64_t)s->seed));
    return p->n > 0;
}

static void take_threshold(struct calibration *c, const struct calibration_settings *s,
                           const struct fv_store *store)
{
    struct fv_tpr t;

    c->threshold = s->threshold > -2 ? s->threshold : NAN;
    if (!c->roc.n) {
        snprintf(c->meaning, sizeof c->meaning, "%s",
                 s->threshold > -2
                     ? "given; not calibrated: what it means for this net nobody counted"
                     : "none: not calibrated, there are no pairs to count on (--db, --pairs)");
        return;
    }
    fv_roc_tpr(&c->roc, s->fmr, &t);
    if (s->threshold > -2) {
        snprintf(c->meaning, sizeof c->meaning, "given");
        return;
    }
    c->threshold =
        isfinite(t.threshold) ? t.threshold : nextafter(c->roc.point[1].threshold, INFINITY);
    snprintf(c->meaning, sizeof c->meaning,
             "FMR %.4g, TPR %.4f on %" PRIu64 " impostor and %" PRIu64 " genuine pairs of %s%s",
             t.fmr, t.tpr, c->roc.impostor, c->roc.genuine, fv_store_path(store),
             t.below_resolution ? "; below the resolution of the data"
             : t.unreliable     ? "; fewer than 30 false matches: unreliable"
                                : "");
}

int calibration_open(struct calibration *c, const struct calibration_settings *s,
                     const struct eval_net *net)
{
    struct eval_images im = {.store = net->store, .report = net->report};
    struct fv_pairs p = {0};

    *c = (struct calibration){.threshold = NAN};
    int rc = s->pairs && !net->store ? fv_err(FV_EUSAGE, "--pairs is of a data set: --db FILE")
                                     : find_pairs(&p, s, net->store);
    if (rc > 0)
        rc = count_on(c, &p, &im, net);
    if (rc >= 0)
        take_threshold(c, s, net->store);
    eval_images_free(&im);
    fv_pairs_free(&p);
    return rc < 0 ? rc : FV_OK;
}

void calibration_judge(struct results *r, const struct calibration *c, double score)
{
    size_t k = 0;

    results_real(r, "score", score, "%.4f", score);
    while (k + 1 < c->roc.n && c->roc.point[k + 1].threshold >= score)
        k++;
    if (c->roc.n) {
        const double fmr = (double)c->roc.point[k].fp / (double)c->roc.impostor,
                     tpr = (double)c->roc.point[k].tp / (double)c->roc.genuine;
        results_real(r, "impostors_as_high", fmr,
                     "%.4f (%" PRIu64 " of %" PRIu64 " pairs of two people)", fmr,
                     c->roc.point[k].fp, c->roc.impostor);
        results_real(r, "genuine_as_high", tpr,
                     "%.4f (%" PRIu64 " of %" PRIu64 " pairs of one person)", tpr,
                     c->roc.point[k].tp, c->roc.genuine);
    }
    if (isnan(c->threshold)) {
        results_string(r, "threshold", c->meaning);
        return;
    }
    results_real(r, "threshold", c->threshold, "%.4f (%s)", c->threshold, c->meaning);
    results_string(r, "same_person", score >= c->threshold ? "yes" : "no");
}
