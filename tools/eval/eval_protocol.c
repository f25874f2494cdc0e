/* SPDX-License-Identifier: MIT */
#include "tools/eval/eval_protocol.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(f) offsetof(struct eval_protocol, f)
/* clang-format off */
const struct fv_opt eval_protocol_opts[] = {
    {"protocol", 0, FV_OPT_STRING, 0, FIELD(name), "NAME", "check that the list is that protocol's, and tell its "
     "figures", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

int eval_protocol_check(struct eval_protocol *p, struct eval_figures *f)
{
    struct eval_figures unset;

    if (!p->name)
        return FV_OK;
    FV_TRY(fv_protocol_find(&p->row, p->name));
    eval_figures_defaults(&unset);
    if (strcmp(f->fpr, unset.fpr) != 0 || strcmp(f->tpr, unset.tpr) != 0 || f->folds)
        return fv_err(
            FV_EUSAGE,
            "--protocol says which rates, by which rule, in which folds: leave out --fpr, --tpr "
            "and --folds");
    f->fpr = p->row->rates;
    f->tpr = p->row->rule;
    return FV_OK;
}

static void add_mean(struct results *r, const char *key, const struct fv_fold_mean *m, double far,
                     const struct fv_grid *grid, const char *what)
{
    const struct result_number number[] = {
        {"mean", m->mean}, {"std_population", m->std_population}, {"far", far}};

    results_object(r, key, number, far >= 0 ? 3 : 2,
                   "%.5f +- %.5f (%s%u thresholds of squared distances; +-: the population's std)",
                   m->mean, m->std_population, what, grid->steps);
}

/* InsightFace's figures, which publications quote. */
static int add_grid(struct results *r, const struct fv_fold_set *s)
{
    const double far = 1e-3;
    struct fv_fold_mean m;
    struct fv_fold_val v;
    char what[64];

    FV_TRY(fv_grid_accuracy(s, &fv_grid_insightface, &m));
    add_mean(r, "insightface_accuracy", &m, -1, &fv_grid_insightface, "");
    const int rc = fv_grid_val(s, &fv_grid_insightface_val, far, &v);
    if (rc == FV_EINVAL) { /* folds of one kind of pairs: the script divides by zero */
        results_string(r, "insightface_val", fv_err_text());
        return FV_OK;
    }
    FV_TRY(rc);
    snprintf(what, sizeof what, "VAL@FAR=%g, FAR %.5f; between ", far, v.far_mean);
    add_mean(r, "insightface_val", &v.val, v.far_mean, &fv_grid_insightface_val, what);
    return FV_OK;
}

static int add_with_folds(struct results *r, const struct eval_protocol *p, struct eval_figures *f,
                          const struct fv_roc *roc, const struct eval_scores *s, uint16_t *made)
{
    struct eval_scores with = *s;

    if (!with.folds) {
        fv_folds_consecutive(made, s->n, p->row->folds);
        with.fold = made;
        with.folds = p->row->folds;
        with.fold_origin = "of consecutive pairs";
    }
    const struct fv_fold_set set = {with.score, with.same, with.fold, with.n, with.folds};
    FV_TRY(eval_figures_add_all(r, f, roc, &with));
    return add_grid(r, &set);
}

int eval_protocol_add(struct results *r, const struct eval_protocol *p, const char *form,
                      struct eval_figures *f, const struct fv_roc *roc, const struct eval_scores *s)
{
    if (!p->row)
        return eval_figures_add_all(r, f, roc, s);
    FV_TRY(fv_protocol_check(p->row, form, roc->genuine, roc->impostor, s->fold ? s->folds : 0));
    results_string(r, "protocol", p->row->help);
    if (!p->row->folds)
        return eval_figures_add_all(r, f, roc, s);
    uint16_t *made = malloc((s->n + 1) * sizeof *made);
    const int rc = made ? add_with_folds(r, p, f, roc, s, made)
                        : fv_err(FV_ENOMEM, "out of memory for %zu pairs", s->n);
    free(made);
    return rc;
}

void eval_protocol_list(FILE *f)
{
    fputs("Protocols (--protocol):\n", f);
    for (const struct fv_protocol *p = fv_protocols; p->name; p++)
        fprintf(f, "  %-8s  %s\n", p->name, p->help);
}
