/* SPDX-License-Identifier: MIT */
/* fveval pairs: scores a list of image pairs with one or several checkpoints and reports what the scores say, beside
 * two baselines on request: pixels alone, and the same net untrained.
 *
 * Of several checkpoints the score is the mean of their cosines, which is also the cosine of their unit embeddings
 * joined end to end.
 */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "common/report.h"
#include "store/store.h"
#include "tools/command.h"
#include "tools/eval/dev_threshold.h"
#include "tools/eval/eval_net.h"
#include "tools/eval/eval_protocol.h"
#include "tools/eval/eval_report.h"
#include "tools/eval/pair_set.h"
#include "tools/report/roc_plot.h"
#include "tools/results.h"
#include "trainer/trainer.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct eval_settings {
    const char *db, *pairs, *format, *templates, *weights, *dev_pairs, *dev_by, *scores, *roc,
        *report;
    int64_t n, seed;
    int baselines;
    struct eval_net_settings net;
};

#define FIELD(f) offsetof(struct eval_settings, f)
/* clang-format off */
static const struct fv_opt pairs_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE",
     "the data set that holds the images; a list with commas is one", 0, 0, NULL},
    {"pairs", 'p', FV_OPT_STRING, 0, FIELD(pairs), "FILE", "pair list; unset: over held-out identities", 0, 0, NULL},
    {"pairs-format", 0, FV_OPT_STRING, 0, FIELD(format), "NAME", "of that list; auto: as it looks", 0, 0, NULL},
    {"templates", 0, FV_OPT_STRING, 0, FIELD(templates), "FILE", "'image template media' (IJB): the list pairs "
     "templates", 0, 0, NULL},
    {"template-weights", 0, FV_OPT_STRING, 0, FIELD(weights), "FILE", "'image ... score' (IJB): an image counts by its "
     "detector's score and the length of its embedding, as InsightFace has it", 0, 0, NULL},
    {"dev-pairs", 0, FV_OPT_STRING, 0, FIELD(dev_pairs), "FILE", "a list on which a threshold is chosen, which is then "
     "applied to the pairs", 0, 0, NULL},
    {"dev-by", 0, FV_OPT_STRING, 0, FIELD(dev_by), "RULE", "eer, accuracy or fmr=RATE, of that list", 0, 0, NULL},
    {"count", 'n', FV_OPT_INT, 0, FIELD(n), "N", "pairs to make when no list is given", 2, 1e8, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "chooses those pairs, the untrained weights and what the bootstrap "
     "draws", 0, 0, NULL},
    {"baselines", 0, FV_OPT_FLAG, 0, FIELD(baselines), NULL, "also by pixels and by the untrained net", 0, 0, NULL},
    {"scores", 0, FV_OPT_STRING, 0, FIELD(scores), "FILE", "write every pair with its score as CSV", 0, 0, NULL},
    {"roc", 0, FV_OPT_STRING, 0, FIELD(roc), "FILE", "draw the ROC as PNG (by gnuplot)", 0, 0, NULL},
    {"report", 0, FV_OPT_STRING, FV_OPT_TRANSIENT, FIELD(report), "FILE",
     "write an HTML page: figures, curves, hardest pairs with pictures", 0, 0, NULL},
    EVAL_NET_OPTS,
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

/* What the library can read. */
static void write_notes(FILE *to)
{
    const char *name, *help;

    fputs("A pair list is one of these, found out from its lines (or --pairs-format):\n", to);
    for (size_t i = 0; fv_pairs_format(i, &name, &help); i++)
        fprintf(to, "  %-6s %s\n", name, help);
    eval_protocol_list(to);
}

const struct fv_command fveval_pairs_cmd = {
    .name = "fveval pairs",
    .summary = "Scores pairs of images with trained nets: EER, AUC, TPR at fixed FMR, accuracy, "
               "with confidence intervals.",
    .usage = "CHECKPOINT... --db FILE [options]",
    .write_notes = write_notes,
    .notes =
        "Names need neither suffix nor first folder as long as they mean one image; a missing "
        "image "
        "is an\n"
        "error. With --templates, --pairs is 'template1 template2 0|1' and compares templates: the "
        "sum over\n"
        "media of the mean embedding of each.\n\n"
        "  fveval pairs runs/faces-1/best_ver.safetensors --db faces.lmdb --baselines --roc "
        "roc.png\n"
        "  fveval pairs best.safetensors --db lfw.lmdb --pairs pairs.txt --flip\n"
        "  fveval pairs a.safetensors b.safetensors --db faces.lmdb --fpr 1e-3,0.01 --dev-pairs "
        "dev.txt",
    .min_args = 1,
    .max_args = FV_OPT_MAX_ARGS,
};

struct eval {
    const struct eval_settings *s;
    struct eval_figures *figures;
    struct eval_protocol *protocol;
    const struct fv_args *checkpoints;
    struct eval_net net; /* with the first checkpoint: the untrained net is made like it */
    struct pair_set set;
    double threshold; /* of the development list */
    struct eval_report report;
};

/* --- what the scores say -------------------------------------------------------------------------- */

static int choose_threshold(struct eval *e, struct results *r)
{
    const struct pair_list *dev = &e->set.dev;
    struct fv_roc roc;

    int rc = fv_roc_make(&roc, dev->score, dev->same, dev->pairs.n);
    if (rc < 0)
        return fv_err(rc, "%s: %s", e->s->dev_pairs, fv_err_text());
    rc = dev_threshold_choose(&e->threshold, e->s->dev_by, &roc, r);
    fv_roc_free(&roc);
    return rc;
}

static void add_pairs(struct results *r, const struct pair_set *s)
{
    if (s->test.pairs.format)
        results_string(r, "pairs_format", s->test.pairs.format);
    if (s->test.pairs.folds)
        results_int(r, "folds", s->test.pairs.folds, NULL);
    if (s->templates.n)
        results_int(r, "templates", s->templates.n, "%zu of %zu images", s->templates.n,
                    s->templates.images);
}

static int make_roc(const struct eval *e, struct roc_curve *curve, const char *name)
{
    curve->name = name;
    return fv_roc_make(&curve->roc, e->set.test.score, e->set.test.same, e->set.test.pairs.n);
}

/* One checkpoint adds its share to the scores, and its own EER to the table of several. */
static int add_checkpoint(struct eval *e, struct fv_model *model, int number, struct results *r,
                          json_t *all)
{
    static char label[FV_OPT_MAX_ARGS][16];
    const int n = e->checkpoints->n;
    const struct pair_list *l = &e->set.test;
    struct fv_roc roc;
    struct fv_eer eer;

    if (n == 1) {
        results_string(r, "model", fv_model_info(model));
        return pair_set_score_model(&e->set, model, e->s->net.flip, e->s->net.batch);
    }
    FV_TRY(pair_set_score_model(&e->set, model, e->s->net.flip, e->s->net.batch));
    pair_set_sum(&e->set, 1.0 / n);
    FV_TRY(fv_roc_make(&roc, l->score, l->same, l->pairs.n));
    fv_roc_eer(&roc, &eer);
    snprintf(label[number], sizeof label[number], "model_%d", number + 1);
    char *text = fv_format("%s; alone: EER %.4f", fv_model_info(model), eer.eer);
    results_heading(r, label[number], text ? text : "");
    free(text);
    json_array_append_new(all, json_pack("{s:o s:o s:f s:f}", "file",
                                         results_json_text(e->checkpoints->arg[number]), "model",
                                         results_json_text(fv_model_info(model)), "eer", eer.eer,
                                         "auc", fv_roc_auc(&roc)));
    fv_roc_free(&roc);
    return FV_OK;
}

static int score_all(struct eval *e, struct results *r)
{
    json_t *all = json_array();
    int rc = all ? FV_OK : fv_err(FV_ENOMEM, "out of memory");

    for (int i = 0; i < e->checkpoints->n && rc >= 0; i++) {
        struct fv_model *other = NULL, **model = i == 0 ? &e->net.model : &other;
        rc = eval_net_load_other(&e->net, e->checkpoints->arg[i], model);
        if (rc >= 0)
            rc = add_checkpoint(e, *model, i, r, all);
        fv_model_close(&other);
    }
    if (rc < 0 || e->checkpoints->n == 1) {
        json_decref(all);
        return rc;
    }
    pair_set_take_sum(&e->set);
    results_int(r, "ensemble", (uint64_t)e->checkpoints->n, "%d nets, the mean of their scores",
                e->checkpoints->n);
    results_json(r, "models", all);
    return FV_OK;
}

static int score_untrained(struct eval *e, const struct fv_net *net)
{
    struct fv_arch_settings a = {.size = net->size,
                                 .classes = net->classes,
                                 .stem = "auto",
                                 .embedding = net->embedding_asked};
    struct fv_model *model = NULL;

    memcpy(a.mean, net->node[0].mean, sizeof a.mean);
    memcpy(a.std, net->node[0].std, sizeof a.std);
    int rc = fv_model_open_untrained(&model, net->arch, &a, (uint64_t)e->s->seed, e->s->net.backend,
                                     (int)e->s->net.threads, (int)e->s->net.batch);
    if (rc >= 0)
        rc = pair_set_score_model(&e->set, model, e->s->net.flip, e->s->net.batch);
    fv_model_close(&model);
    return rc;
}

static int baselines(struct eval *e, const struct fv_net *net, struct results *r,
                     struct roc_curve *curve, int *n)
{
    FV_TRY(pair_set_score_pixels(&e->set));
    FV_TRY(make_roc(e, &curve[*n], "pixels alone"));
    eval_figures_add_baseline(r, "pixels_auc", "pixels_eer", &curve[*n].roc);
    ++*n;
    FV_TRY(score_untrained(e, net));
    FV_TRY(make_roc(e, &curve[*n], "untrained net"));
    eval_figures_add_baseline(r, "untrained_auc", "untrained_eer", &curve[*n].roc);
    ++*n;
    return FV_OK;
}

static int add_figures(struct eval *e, const struct fv_roc *roc, struct results *r)
{
    const struct pair_list *l = &e->set.test;
    struct eval_scores scores = {.score = l->score,
                                 .same = l->same,
                                 .n = l->pairs.n,
                                 .a = l->a,
                                 .b = l->b,
                                 .identities = e->set.identities,
                                 .fold = l->fold,
                                 .folds = l->pairs.folds,
                                 .threads = (int)e->s->net.threads};

    if (e->s->dev_pairs) {
        FV_TRY(choose_threshold(e, r));
        scores.threshold = &e->threshold;
    }
    return eval_protocol_add(r, e->protocol, l->pairs.format, e->figures, roc, &scores);
}

static int collect(struct eval *e, struct results *r, struct roc_curve *curve, int *n)
{
    FV_TRY(score_all(e, r));
    FV_TRY(make_roc(e, &curve[0], e->checkpoints->n > 1 ? "trained nets" : "trained net"));
    *n = 1;
    add_pairs(r, &e->set);
    FV_TRY(add_figures(e, &curve[0].roc, r));
    if (e->s->scores)
        FV_TRY(pair_set_write(&e->set,
                              e->s->scores)); /* now: the baselines take the place of the scores */
    if (e->s->report)
        FV_TRY(eval_report_keep(&e->report, &e->set, e->net.model));
    return e->s->baselines ? baselines(e, fv_model_net(e->net.model), r, curve, n) : FV_OK;
}

static int write_report(struct eval *e, const struct roc_curve *curve, int n)
{
    const struct fv_opt_group groups[] = {{"options", pairs_opts, (void *)e->s},
                                          {"figures", eval_figures_opts, e->figures},
                                          {"protocol", eval_protocol_opts, e->protocol}};
    char *settings = fv_opt_write_text(groups, 3);
    struct report_verification v = {.checkpoint = e->checkpoints->arg[0],
                                    .others = e->checkpoints->n - 1,
                                    .curve = curve,
                                    .curves = n,
                                    .settings = settings};
    const int rc = eval_report_write(&e->report, e->s->report, &v, &e->set);

    free(settings);
    return rc;
}

/* The figures are printed before anything is drawn: they took longer, and need no gnuplot. */
static int evaluate(struct eval *e, struct roc_curve *curve)
{
    struct results r = {0};
    int n = 0;
    const int rc = collect(e, &r, curve, &n);

    fv_model_close(&e->net.model);
    if (rc < 0) {
        results_free(&r);
        return rc;
    }
    if (e->s->report)
        eval_report_take_rows(&e->report, &r);
    fv_console_endline();
    results_print(&r, e->s->db, e->s->net.json);
    if (e->s->roc)
        FV_TRY(roc_plot(e->s->roc, curve, n));
    return e->s->report ? write_report(e, curve, n) : FV_OK;
}

/* What a command line says wrong is said before an image is read. */
static int check_usage(const struct eval_settings *s, struct eval_figures *f,
                       struct eval_protocol *p)
{
    double rate;

    f->seed = s->seed;
    FV_TRY(eval_protocol_check(p, f));
    FV_TRY(eval_figures_check(f));
    return dev_threshold_rule(s->dev_by, &rate);
}

int fveval_pairs(int argc, char **argv)
{
    enum { GROUPS = 4 };
    struct eval_settings s = {
        .format = "auto", .dev_by = "eer", .n = 6000, .seed = 1, .net = EVAL_NET_DEFAULTS};
    struct eval_figures figures;
    struct eval_protocol protocol = {NULL, NULL};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[GROUPS] = {{"options", pairs_opts, &s},
                                                {"figures", eval_figures_opts, &figures},
                                                {"protocol", eval_protocol_opts, &protocol},
                                                {"tracing", tool_trace_opts, &trace}};
    struct roc_curve curve[3] = {{0}};
    struct fv_args args;

    eval_figures_defaults(&figures);
    int rc = tool_parse(&fveval_pairs_cmd, groups, GROUPS, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(check_usage(&s, &figures, &protocol));
    FV_TRY(tool_trace_start(&trace));
    struct eval e = {.s = &s,
                     .figures = &figures,
                     .protocol = &protocol,
                     .checkpoints = &args,
                     .set.keeps = s.report != NULL};
    const struct pair_source from = {s.pairs,     s.format, s.templates, s.weights,
                                     s.dev_pairs, s.n,      s.seed};
    rc = eval_net_open(&e.net, &s.net, s.db);
    if (rc >= 0)
        rc = pair_set_open(&e.set, &e.net, &from);
    if (rc >= 0)
        rc = evaluate(&e, curve);
    eval_report_free(&e.report);
    pair_set_close(&e.set);
    eval_net_close(&e.net);
    for (int i = 0; i < 3; i++)
        fv_roc_free(&curve[i].roc);
    return rc;
}
