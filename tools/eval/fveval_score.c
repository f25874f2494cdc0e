/* SPDX-License-Identifier: MIT */
/* fveval score: judges embeddings that anything made, without a model. Three questions: pairs that a list names, pairs
 * that lie beside each other, and all against all. */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "common/report.h"
#include "store/store.h"
#include "tools/command.h"
#include "tools/eval/eval_net.h"
#include "tools/eval/eval_protocol.h"
#include "tools/eval/score_csv.h"
#include "tools/eval/score_input.h"
#include "tools/report/roc_plot.h"
#include "tools/results.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct score_settings {
    const char *pairs, *format, *same, *names, *names_b, *labels, *labels_b, *scores, *roc;
    const char *backend;
    int64_t threads, keep, seed;
    int all, json, quiet;
};

#define FIELD(f) offsetof(struct score_settings, f)
/* clang-format off */
static const struct fv_opt score_opts[] = {
    {"pairs", 'p', FV_OPT_STRING, 0, FIELD(pairs), "FILE", "pairs by the rows' names, or by their numbers from 0",
     0, 0, NULL},
    {"pairs-format", 0, FV_OPT_STRING, 0, FIELD(format), "NAME", "of that list; auto: as it looks", 0, 0, NULL},
    {"same", 0, FV_OPT_STRING, 0, FIELD(same), "FILE", "0 or 1 a pair (text or .npy), of row i of A and row i of B; "
     "of A alone: of rows 2i and 2i + 1", 0, 0, NULL},
    {"all", 0, FV_OPT_FLAG, 0, FIELD(all), NULL, "all of A against each other, or against all of B", 0, 0, NULL},
    {"labels", 0, FV_OPT_STRING, 0, FIELD(labels), "FILE", "for --all: one identity a row (text or .npy)", 0, 0, NULL},
    {"labels-b", 0, FV_OPT_STRING, 0, FIELD(labels_b), "FILE", "the same of B", 0, 0, NULL},
    {"names", 0, FV_OPT_STRING, 0, FIELD(names), "FILE", "names of A's rows, and identities; unset: A.names.csv, if "
     "there is one", 0, 0, NULL},
    {"names-b", 0, FV_OPT_STRING, 0, FIELD(names_b), "FILE", "the same of B", 0, 0, NULL},
    {"scores", 0, FV_OPT_STRING, 0, FIELD(scores), "FILE", "write every pair with its score as CSV", 0, 0, NULL},
    {"roc", 0, FV_OPT_STRING, 0, FIELD(roc), "FILE", "draw the ROC as PNG (by gnuplot)", 0, 0, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "chooses what the bootstrap draws", 0, 0, NULL},
    {"keep", 0, FV_OPT_INT, 0, FIELD(keep), "N", "for --all: highest scores of each kind that are kept exactly",
     1, 1 << 28, NULL},
    {"backend", 0, FV_OPT_STRING, 0, FIELD(backend), "NAME", "for --all: what computes scores; cpu: the processors; "
     "cuda: a GPU (has not run on one)", 0, 0, NULL},
    {"threads", 'j', FV_OPT_INT, 0, FIELD(threads), "N", "0: one per processor", 0, 256, NULL},
    EVAL_OUTPUT_OPTS(),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_score_cmd = {
    .name = "fveval score",
    .summary = "Judges embeddings from .npy files, whatever made them.",
    .usage = "A.npy [B.npy] --pairs LIST | --same FILE | --all [options]",
    .write_notes = eval_protocol_list,
    .notes = "A score is the cosine. Arrays are (images, embedding) of any type of number; rows "
             "need not "
             "have unit\nlength. Pair lists are those of 'fveval pairs'.\n\n"
             "  fveval score faces.npy --pairs pairs.txt --names names.txt\n"
             "  fveval score first.npy second.npy --same issame.npy\n"
             "  fveval score faces.npy --all --labels identities.txt",
    .min_args = 1,
    .max_args = 2,
};

struct score {
    const struct score_settings *s;
    const struct fv_report *report;
    struct score_input a, b;
    struct eval_figures *figures;
    struct eval_protocol *protocol;
    int two; /* b counts */
    struct fv_pairs pairs;
    double *score;
    uint8_t *same;
    uint32_t *who[2]; /* identities of the two sides; NULL: unknown */
    uint32_t identities;
};

static const struct score_input *second(const struct score *e)
{
    return e->two ? &e->b : &e->a;
}

/* --- pairs ---------------------------------------------------------------------------------------- */

static int list_pairs(struct score *e)
{
    const struct fv_name_list a = {e->a.path, e->a.rows.name, e->a.rows.n},
                              b = {second(e)->path, second(e)->rows.name, second(e)->rows.n};

    return fv_pairs_read_names(&e->pairs, &a, &b, e->s->pairs, e->s->format);
}

/* Both sides in one array of rows, for one that scores pairs of it. */
static int score_pairs(struct score *e)
{
    const int dim = e->a.vectors.dim;
    const struct score_input *b = second(e);

    e->score = malloc((e->pairs.n + 1) * sizeof *e->score);
    e->same = malloc(e->pairs.n + 1);
    if (!e->score || !e->same)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", e->pairs.n);
    for (size_t i = 0; i < e->pairs.n; i++) {
        const struct fv_pair *p = &e->pairs.pair[i];
        e->score[i] = fv_score_two(e->a.vectors.v + (size_t)p->a * (size_t)dim,
                                   b->vectors.v + (size_t)p->b * (size_t)dim, dim);
        e->same[i] = p->same;
    }
    return FV_OK;
}

static int write_scores(const struct score *e)
{
    struct fv_file f;
    int rc = FV_OK;

    FV_TRY(fv_file_create(&f, e->s->scores));
    score_csv_head(f.f, "image");
    for (size_t i = 0; i < e->pairs.n && rc >= 0; i++) {
        const struct fv_pair *p = &e->pairs.pair[i];
        rc = score_csv_pair(f.f, e->a.rows.name[p->a], second(e)->rows.name[p->b], p->same,
                            e->score[i]);
    }
    return fv_file_end(&f, rc);
}

/* Whom the two sides of each pair show, where names say it: by identities beside them, or folders. */
static int find_people(struct score *e)
{
    const struct score_input *b = second(e);

    const int rc = e->a.named && b->named
                       ? score_input_label(&e->a, e->two ? &e->b : NULL, NULL, NULL)
                       : FV_ENOTFOUND;
    if (rc == FV_ENOTFOUND && e->figures->bootstrap > 0)
        return fv_err(FV_EUSAGE,
                      "--bootstrap draws identities, and nothing says whom the rows show: --names "
                      "FILE with identities, or names with folders");
    if (rc == FV_ENOTFOUND)
        return FV_OK;
    FV_TRY(rc);
    for (int side = 0; side < 2; side++) {
        e->who[side] = malloc((e->pairs.n + 1) * sizeof *e->who[side]);
        if (!e->who[side])
            return fv_err(FV_ENOMEM, "out of memory for %zu pairs", e->pairs.n);
    }
    for (size_t i = 0; i < e->pairs.n; i++) {
        e->who[0][i] = e->a.label[e->pairs.pair[i].a];
        e->who[1][i] = b->label[e->pairs.pair[i].b];
    }
    e->identities = (uint32_t)(e->a.vectors.n + (e->two ? e->b.vectors.n : 0));
    return FV_OK;
}

static int add_figures(struct score *e, const struct fv_roc *roc, struct results *r)
{
    uint16_t *fold = malloc((e->pairs.n + 1) * sizeof *fold);
    const struct eval_scores scores = {.score = e->score,
                                       .same = e->same,
                                       .n = e->pairs.n,
                                       .a = e->who[0],
                                       .b = e->who[1],
                                       .identities = e->identities,
                                       .fold = fold,
                                       .folds = e->pairs.folds,
                                       .threads = (int)e->s->threads};

    if (!fold)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", e->pairs.n);
    for (size_t i = 0; i < e->pairs.n; i++)
        fold[i] = e->pairs.pair[i].fold;
    const int rc = eval_protocol_add(r, e->protocol, e->pairs.format, e->figures, roc, &scores);
    free(fold);
    return rc;
}

static int by_pairs(struct score *e, struct results *r, struct roc_curve *curve)
{
    FV_TRY(e->s->pairs ? list_pairs(e)
                       : score_input_neighbours(&e->pairs, &e->a, second(e), e->s->same));
    FV_TRY(score_pairs(e));
    FV_TRY(fv_roc_make(&curve->roc, e->score, e->same, e->pairs.n));
    if (e->pairs.format)
        results_string(r, "pairs_format", e->pairs.format);
    if (e->pairs.folds)
        results_int(r, "folds", e->pairs.folds, NULL);
    FV_TRY(find_people(e));
    FV_TRY(add_figures(e, &curve->roc, r));
    return e->s->scores ? write_scores(e) : FV_OK;
}

/* --- all against all ------------------------------------------------------------------------------ */

static void add_bounds(struct results *r, const struct fv_allpairs *p)
{
    results_int(r, "comparisons", p->comparisons, NULL);
    if (p->exact_from == -INFINITY)
        return;
    results_real(r, "bin_width", FV_ALLPAIRS_WIDTH, "%.2g, of scores below %.4f (FMR above %.2g)",
                 FV_ALLPAIRS_WIDTH, p->exact_from, p->exact_fmr);
    results_real(r, "exact_fmr", p->exact_fmr, "TPR at FMR up to %.2g is exact", p->exact_fmr);
    results_real(r, "eer_low", p->eer_low, "%.7f", p->eer_low);
    results_real(r, "eer_high", p->eer_high, "%.7f (the EER of unbinned scores lies between)",
                 p->eer_high);
    results_real(r, "auc_low", p->auc_low, "%.7f", p->auc_low);
    results_real(r, "auc_high", p->auc_high, "%.7f (the AUC too)", p->auc_high);
}

static int compare_all(struct score *e, const struct fv_allpairs_side *a,
                       const struct fv_allpairs_side *b, struct fv_allpairs *p)
{
    struct fv_allpairs_settings s = {
        .threads = (int)e->s->threads, .keep = (size_t)e->s->keep, .report = e->report};
    const struct fv_device_settings ds = {.dtype = "auto"};

    if (strcmp(e->s->backend, "cpu") == 0)
        return fv_allpairs_run(p, e->a.vectors.dim, a, b, &s);
    FV_TRY(fv_backend_open(e->s->backend, &ds, &s.backend, &s.device));
    const int rc = s.backend->columns_open
                       ? fv_allpairs_run(p, e->a.vectors.dim, a, b, &s)
                       : fv_err(FV_EUSAGE, "--backend %s: compares no embeddings; cpu and cuda do",
                                s.backend->name);
    s.backend->close(&s.device);
    return rc;
}

static int by_all(struct score *e, struct results *r, struct roc_curve *curve)
{
    struct fv_allpairs p;

    FV_TRY(score_input_label(&e->a, e->two ? &e->b : NULL, e->s->labels, e->s->labels_b));
    const struct fv_allpairs_side a = {e->a.vectors.v, e->a.label, e->a.vectors.n},
                                  b = {e->b.vectors.v, e->b.label, e->b.vectors.n};
    FV_TRY(compare_all(e, &a, e->two ? &b : NULL, &p));
    results_string(r, "labels", e->a.label_of);
    add_bounds(r, &p);
    curve->roc = p.roc; /* whose memory goes with it */
    return eval_figures_add_all(r, e->figures, &curve->roc, NULL);
}

/* --- the command ---------------------------------------------------------------------------------- */

static int check_settings(const struct score_settings *s, struct eval_figures *f,
                          struct eval_protocol *p, int files)
{
    if ((s->pairs != NULL) + (s->same != NULL) + s->all != 1)
        return fv_err(FV_EUSAGE, "give one of --pairs LIST, --same FILE and --all");
    if (!s->all && strcmp(s->backend, "cpu") != 0)
        return fv_err(FV_EUSAGE, "--backend is for --all");
    if (!s->all && (s->labels || s->labels_b))
        return fv_err(FV_EUSAGE, "--labels is for --all");
    if (s->all && s->scores)
        return fv_err(FV_EUSAGE, "--scores is for --pairs and --same");
    if (files < 2 && (s->names_b || s->labels_b))
        return fv_err(FV_EUSAGE, "%s is of a second .npy file, and there is one",
                      s->names_b ? "--names-b" : "--labels-b");
    if (s->all && p->name)
        return fv_err(FV_EUSAGE, "--protocol is for --pairs and --same");
    f->seed = s->seed;
    FV_TRY(eval_protocol_check(p, f));
    FV_TRY(eval_figures_check(f));
    if (s->all && (f->folds || f->bootstrap > 0))
        return fv_err(FV_EUSAGE, "--folds and --bootstrap are for --pairs and --same");
    if (s->all && !f->rule)
        return fv_err(FV_EUSAGE,
                      "--tpr val is for --pairs and --same: all against all has no folds");
    return FV_OK;
}

static int open_inputs(struct score *e, const struct fv_args *args)
{
    FV_TRY(score_input_open(&e->a, args->arg[0], e->s->names));
    e->two = args->n > 1;
    if (!e->two)
        return FV_OK;
    FV_TRY(score_input_open(&e->b, args->arg[1], e->s->names_b));
    if (e->a.vectors.dim != e->b.vectors.dim)
        return fv_err(FV_EINVAL, "%s has rows of %d numbers and %s of %d", e->a.path,
                      e->a.vectors.dim, e->b.path, e->b.vectors.dim);
    return FV_OK;
}

static int score(struct score *e, struct roc_curve *curve)
{
    struct results r = {0};

    results_int(&r, "images", e->a.vectors.n + (e->two ? e->b.vectors.n : 0), NULL);
    results_int(&r, "dimensions", (uint64_t)e->a.vectors.dim, NULL);
    const int rc = e->s->all ? by_all(e, &r, curve) : by_pairs(e, &r, curve);
    if (rc < 0) {
        results_free(&r);
        return rc;
    }
    fv_console_endline();
    results_print(&r, e->a.path, e->s->json);
    return e->s->roc ? roc_plot(e->s->roc, curve, 1) : FV_OK;
}

static void close_score(struct score *e)
{
    score_input_close(&e->a);
    score_input_close(&e->b);
    fv_pairs_free(&e->pairs);
    free(e->score);
    free(e->same);
    free(e->who[0]);
    free(e->who[1]);
}

int fveval_score(int argc, char **argv)
{
    struct score_settings s = {.format = "auto", .backend = "cpu", .keep = 1 << 18, .seed = 1};
    struct eval_figures figures;
    struct eval_protocol protocol = {NULL, NULL};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", score_opts, &s},
                                          {"figures", eval_figures_opts, &figures},
                                          {"protocol", eval_protocol_opts, &protocol},
                                          {"tracing", tool_trace_opts, &trace}};
    struct roc_curve curve = {.name = "embeddings"};
    struct score e = {.s = &s, .figures = &figures, .protocol = &protocol};
    struct fv_args args;

    eval_figures_defaults(&figures);
    int rc = tool_parse(&fveval_score_cmd, groups, 4, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(check_settings(&s, &figures, &protocol, args.n));
    FV_TRY(tool_trace_start(&trace));
    e.report = fv_console_report("fveval", s.quiet ? 1 : 2);
    rc = open_inputs(&e, &args);
    if (rc >= 0)
        rc = score(&e, &curve);
    close_score(&e);
    fv_roc_free(&curve.roc);
    return rc;
}
