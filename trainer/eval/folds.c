/* SPDX-License-Identifier: MIT */
/* The other folds' scores are sorted anew for each fold: ten sorts of a list that has thousands of pairs. */
#include "trainer/eval/folds.h"

#include "common/err.h"
#include "trainer/eval/metrics.h"

#include <math.h>
#include <stdlib.h>

static void stratify(uint16_t *fold, const uint8_t *same, size_t n, const size_t count[2],
                     uint32_t folds)
{
    size_t at[2] = {0, 0};

    for (size_t i = 0; i < n; i++) {
        const int kind = same[i] != 0;
        fold[i] = (uint16_t)((uint64_t)at[kind]++ * folds / count[kind]);
    }
}

void fv_folds_consecutive(uint16_t *fold, size_t n, uint32_t folds)
{
    const size_t size = n / folds, longer = n % folds;

    for (size_t i = 0; i < n; i++)
        fold[i] = (uint16_t)(i < longer * (size + 1) ? i / (size + 1) : (i - longer) / size);
}

int fv_folds_make(uint16_t *fold, const uint8_t *same, size_t n, uint32_t folds)
{
    size_t count[2] = {0, 0};
    unsigned kinds = 3, seen = 0;

    for (size_t i = 0; i < n; i++)
        count[same[i] != 0]++;
    if (folds < 2 || folds > UINT16_MAX || count[0] < folds || count[1] < folds)
        return fv_err(FV_EINVAL,
                      "%zu genuine and %zu impostor pairs cannot be divided into %u folds",
                      count[1], count[0], folds);
    fv_folds_consecutive(fold, n, folds);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && fold[i] != fold[i - 1]) {
            kinds &= seen;
            seen = 0;
        }
        seen |= 1u << (same[i] != 0);
    }
    if ((kinds & seen) == 3)
        return FV_FOLDS_CONSECUTIVE;
    stratify(fold, same, n, count, folds);
    return FV_FOLDS_STRATIFIED;
}

/* The ROC of all pairs but those of one fold; room holds the scores and kinds. */
struct room {
    double *score;
    uint8_t *same;
};

static int others_roc(const struct fv_fold_set *s, uint32_t fold, const struct room *room,
                      struct fv_roc *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        if (s->fold[i] != fold) {
            room->score[n] = s->score[i];
            room->same[n++] = s->same[i];
        }
    const int rc = fv_roc_make(out, room->score, room->same, n);
    return rc == FV_EINVAL
               ? fv_err(rc, "the folds other than %u of %u: %s", fold + 1, s->folds, fv_err_text())
               : rc;
}

/* Decisions of one fold at a threshold, by kind. */
struct decisions {
    uint64_t match[2], all[2];
};

static struct decisions decide(const struct fv_fold_set *s, uint32_t fold, double threshold)
{
    struct decisions d = {{0, 0}, {0, 0}};

    for (size_t i = 0; i < s->n; i++)
        if (s->fold[i] == fold) {
            const int kind = s->same[i] != 0;
            d.all[kind]++;
            d.match[kind] += s->score[i] >= threshold;
        }
    return d;
}

struct fv_fold_mean fv__fold_mean(const double *x, uint32_t n)
{
    struct fv_fold_mean m = {0};
    double square = 0;

    for (uint32_t i = 0; i < n; i++)
        m.mean += x[i] / n;
    for (uint32_t i = 0; i < n; i++)
        square += (x[i] - m.mean) * (x[i] - m.mean);
    m.std_population = sqrt(square / n);
    m.std_error = n > 1 ? sqrt(square / (n - 1) / n) : NAN;
    return m;
}

typedef int visit_fold(const struct fv_fold_set *s, uint32_t fold, const struct fv_roc *others,
                       void *ctx);

static int each_fold(const struct fv_fold_set *s, visit_fold *visit, void *ctx)
{
    const struct room room = {malloc((s->n + 1) * sizeof *room.score), malloc(s->n + 1)};
    int rc =
        room.score && room.same ? FV_OK : fv_err(FV_ENOMEM, "out of memory for %zu scores", s->n);

    for (uint32_t f = 0; f < s->folds && rc >= 0; f++) {
        struct fv_roc roc;
        rc = others_roc(s, f, &room, &roc);
        if (rc >= 0) {
            rc = visit(s, f, &roc, ctx);
            fv_roc_free(&roc);
        }
    }
    free(room.score);
    free(room.same);
    return rc;
}

struct accuracies {
    double *accuracy, *threshold;
};

static int visit_accuracy(const struct fv_fold_set *s, uint32_t fold, const struct fv_roc *others,
                          void *ctx)
{
    const struct accuracies *a = ctx;
    struct fv_best best;

    fv_roc_best(others, &best);
    const struct decisions d = decide(s, fold, best.threshold);
    const uint64_t n = d.all[0] + d.all[1];
    if (n == 0)
        return fv_err(FV_EINVAL, "fold %u of %u has no pairs", fold + 1, s->folds);
    a->accuracy[fold] = (double)(d.match[1] + d.all[0] - d.match[0]) / (double)n;
    a->threshold[fold] = best.threshold;
    return FV_OK;
}

int fv_folds_accuracy(const struct fv_fold_set *s, struct fv_fold_mean *out, double *accuracy,
                      double *threshold)
{
    double *own = calloc(2 * (size_t)s->folds + 1, sizeof *own);
    struct accuracies a = {accuracy ? accuracy : own, threshold ? threshold : own + s->folds};
    const int rc = own ? each_fold(s, visit_accuracy, &a)
                       : fv_err(FV_ENOMEM, "out of memory for %u folds", s->folds);

    if (rc >= 0)
        *out = fv__fold_mean(a.accuracy, s->folds);
    free(own);
    return rc;
}

struct vals {
    double fmr, *val, far_sum;
};

static int visit_val(const struct fv_fold_set *s, uint32_t fold, const struct fv_roc *others,
                     void *ctx)
{
    struct vals *v = ctx;
    struct fv_tpr t;

    fv_roc_tpr(others, v->fmr, &t);
    const struct decisions d = decide(s, fold, t.threshold);
    if (d.all[0] == 0 || d.all[1] == 0)
        return fv_err(FV_EINVAL, "fold %u of %u has no %s pairs: VAL@FAR needs both kinds in each",
                      fold + 1, s->folds, d.all[0] == 0 ? "impostor" : "genuine");
    v->val[fold] = (double)d.match[1] / (double)d.all[1];
    v->far_sum += (double)d.match[0] / (double)d.all[0];
    return FV_OK;
}

int fv_folds_val(const struct fv_fold_set *s, double fmr, struct fv_fold_val *out)
{
    struct vals v = {.fmr = fmr, .val = calloc((size_t)s->folds + 1, sizeof *v.val)};
    const int rc = v.val ? each_fold(s, visit_val, &v)
                         : fv_err(FV_ENOMEM, "out of memory for %u folds", s->folds);

    if (rc >= 0)
        *out = (struct fv_fold_val){fv__fold_mean(v.val, s->folds), v.far_sum / s->folds};
    free(v.val);
    return rc;
}
