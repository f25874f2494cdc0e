/* SPDX-License-Identifier: MIT */
/* fveval gallery: who of the known people is on each of these photographs, or none of them. Closed set, open set, and
 * the file to hand in, from one pass over the images. */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "common/report.h"
#include "tools/command.h"
#include "tools/eval/gallery_figures.h"
#include "tools/eval/gallery_hunt.h"
#include "tools/eval/gallery_output.h"
#include "tools/eval/gallery_report.h"
#include "tools/eval/submission_help.h"

#include <stdlib.h>

#define FIELD(f) offsetof(struct gallery_settings, f)
/* clang-format off */
static const struct fv_opt gallery_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE",
     "the data set that holds the images; a list with commas is one", 0, 0, NULL},
    {"gallery", 'g', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(gallery), "SPEC", "the people who are known", 0, 0, NULL},
    {"probes", 'p', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(probes), "SPEC", "the images to be answered", 0, 0, NULL},
    {"probe-labels", 0, FV_OPT_STRING, 0, FIELD(probe_labels), "FILE", "who they are, one a line or column label",
     0, 0, NULL},
    {"dev", 0, FV_OPT_STRING, 0, FIELD(dev), "SPEC", "others, on which the threshold is chosen", 0, 0, NULL},
    {"dev-labels", 0, FV_OPT_STRING, 0, FIELD(dev_labels), "FILE", "who they are", 0, 0, NULL},
    {"threshold", 't', FV_OPT_REAL, 0, FIELD(threshold), "T", "reject scores below, instead of one chosen on --dev",
     -2, 2, NULL},
    {"reject", 0, FV_OPT_STRING, 0, FIELD(reject), "LABEL", "the answer for somebody who is not in the gallery",
     0, 0, NULL},
    {"pool", 0, FV_OPT_CHOICE, 0, FIELD(pool), "HOW", "of an identity's images the best one counts, or their mean",
     0, 0, gallery_pools},
    {"ties", 0, FV_OPT_CHOICE, 0, FIELD(ties), "HOW", "identities that score the same as the right one", 0, 0,
     gallery_ties},
    {"templates", 0, FV_OPT_STRING, 0, FIELD(templates), "FILE", "'image template media' (IJB): lists are of templates",
     0, 0, NULL},
    {"submission", 0, FV_OPT_STRING, 0, FIELD(layout), "NAME", "layout of the file to hand in", 0, 0, NULL},
    {"output", 'o', FV_OPT_STRING, 0, FIELD(output), "FILE", "that file", 0, 0, NULL},
    {"answers", 0, FV_OPT_STRING, 0, FIELD(answers), "FILE", "write every probe with its answer and score as CSV",
     0, 0, NULL},
    {"bootstrap", 0, FV_OPT_INT, 0, FIELD(bootstrap), "N", "replicates for intervals over people; 0: none; -1: 2000, "
     "or 200 for over 100000 probes", -1, 1e6, NULL},
    {"level", 0, FV_OPT_REAL, 0, FIELD(level), "X", "confidence of the intervals", 0.5, 0.9999, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "chooses the replicates", 0, 0, NULL},
    {"report", 0, FV_OPT_STRING, FV_OPT_TRANSIENT, FIELD(report), "FILE", "write a page with curves, pictures and "
     "figures: one HTML file", 0, 0, NULL},
    EVAL_NET_OPTS,
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

static void write_notes(FILE *to)
{
    fprintf(to, "%s\nLayouts of --submission:\n", gallery_spec_help);
    submission_list(to, 1u << FV_SUBMISSION_IDENTITIES, 0);
}

const struct fv_command fveval_gallery_cmd = {
    .name = "fveval gallery",
    .summary = "Finds people in a gallery: rank-1, CMC, TPIR at FPIR, a file to hand in.",
    .usage = "CHECKPOINT --db FILE --gallery SPEC --probes SPEC [options]",
    .write_notes = write_notes,
    .notes = "  fveval gallery best.safetensors --db faces.lmdb --gallery "
             "folder:verification/known \\\n"
             "      --dev folder:verification/unknown_dev --dev-labels verification_dev.csv \\\n"
             "      --probes folder:verification/unknown_test --submission hw2p2-f22 -o "
             "submission.csv",
    .min_args = 1,
    .max_args = 1,
};

static int hunt(struct gallery_hunt *h, const char *checkpoint)
{
    struct results r = {0};

    results_string(&r, "model", fv_model_info(h->net.model));
    int rc = gallery_hunt_answer(h);
    if (rc >= 0)
        rc = gallery_figures_add(h, &r);
    if (rc >= 0 && h->s->output)
        rc = gallery_output_submission(h);
    if (rc >= 0 && h->s->answers)
        rc = gallery_output_answers(h);
    char *rows = rc >= 0 && h->s->report ? report_rows(&r) : NULL;
    fv_console_endline();
    if (rc >= 0)
        results_print(&r, h->s->db, h->s->net.json);
    else
        results_free(&r);
    if (rc >= 0 && h->s->report)
        rc = gallery_report_write(h, checkpoint, rows, gallery_opts);
    free(rows);
    return rc;
}

static int check_settings(const struct gallery_settings *s)
{
    if (!s->layout != !s->output)
        return fv_err(FV_EUSAGE, "--submission NAME and --output FILE go together");
    if (s->dev_labels && !s->dev)
        return fv_err(FV_EUSAGE, "--dev-labels is of --dev, which is not given");
    return s->layout ? fv_submission_check(s->layout, FV_SUBMISSION_IDENTITIES) : FV_OK;
}

int fveval_gallery(int argc, char **argv)
{
    struct gallery_settings s = {.pool = gallery_pools[0],
                                 .ties = gallery_ties[0],
                                 .reject = "n000000",
                                 .threshold = -2,
                                 .level = 0.95,
                                 .bootstrap = -1,
                                 .seed = 1,
                                 .net = EVAL_NET_DEFAULTS};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", gallery_opts, &s},
                                          {"tracing", tool_trace_opts, &trace}};
    struct gallery_hunt h;
    struct fv_args args;

    int rc = tool_parse(&fveval_gallery_cmd, groups, 2, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(check_settings(&s));
    FV_TRY(tool_trace_start(&trace));
    rc = gallery_hunt_open(&h, &s, args.arg[0]);
    if (rc >= 0)
        rc = hunt(&h, args.arg[0]);
    gallery_hunt_close(&h);
    return rc;
}
