/* SPDX-License-Identifier: MIT */
/* fveval submit: scores pairs whose answers are kept by others, in the layout in which they want them. */
#include "tools/fveval.h"

#include "common/err.h"
#include "common/opt.h"
#include "common/report.h"
#include "store/store.h"
#include "tools/command.h"
#include "tools/eval_net.h"
#include "tools/results.h"

#include <stdlib.h>
#include <string.h>

struct submit_settings {
    const char *db, *pairs, *layout, *output;
    struct eval_net_settings net;
};

#define FIELD(f) offsetof(struct submit_settings, f)
/* clang-format off */
static const struct fv_opt submit_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE",
     "the data set that holds the images; a list with commas is one", 0, 0, NULL},
    {"pairs", 'p', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(pairs), "FILE", "'path1 path2' a line, or CSV: img1, img2",
     0, 0, NULL},
    {"submission", 0, FV_OPT_STRING, 0, FIELD(layout), "NAME", "layout of the file", 0, 0, NULL},
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "FILE", "the file to hand in", 0, 0, NULL},
    EVAL_NET_OPTS,
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_submit_cmd = {
    .name = "fveval submit",
    .summary = "Scores pairs without answers into a file to hand in.",
    .usage = "CHECKPOINT --db FILE --pairs LIST -o FILE [options]",
    .min_args = 1,
    .max_args = 1,
};

static int score_trials(const struct eval_net *net, const struct fv_trials *t,
                        const struct eval_images *im, double *score)
{
    const int dim = fv_model_net(net->model)->embedding;
    float *emb;
    const int rc = eval_net_embed(net, im, &emb);

    for (size_t i = 0; i < t->n && rc >= 0; i++)
        score[i] = fv_score_two(emb + (size_t)im->position[t->a[i]] * (size_t)dim,
                                emb + (size_t)im->position[t->b[i]] * (size_t)dim, dim);
    free(emb);
    return rc;
}

static int submit(const struct submit_settings *s, const struct fv_trials *t,
                  struct eval_images *im, const struct eval_net *net)
{
    double *score = malloc((t->n + 1) * sizeof *score);
    const struct fv_submission out = {
        .n = t->n, .first = t->first, .second = t->second, .score = score};
    struct results r = {0};

    int rc = score ? FV_OK : fv_err(FV_ENOMEM, "out of memory for %zu pairs", t->n);
    for (size_t i = 0; i < t->n && rc >= 0; i++) {
        rc = eval_images_want(im, t->a[i]);
        if (rc >= 0)
            rc = eval_images_want(im, t->b[i]);
    }
    if (rc >= 0)
        rc = eval_images_place(im);
    if (rc >= 0)
        rc = score_trials(net, t, im, score);
    if (rc >= 0)
        rc = fv_submission_write(&out, s->layout, s->output);
    if (rc >= 0) {
        results_string(&r, "model", fv_model_info(net->model));
        results_int(&r, "pairs", t->n, NULL);
        results_string(&r, "submission", s->output);
        fv_console_endline();
        results_print(&r, s->db, s->net.json);
    }
    free(score);
    return rc;
}

static int print_help(const struct fv_opt_group *groups)
{
    struct fv_command cmd = fveval_submit_cmd;
    const char *name, *help;
    char *notes = NULL;
    size_t size;
    int scores;
    FILE *f = open_memstream(&notes, &size);

    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    fputs("Layouts of --submission ('fveval gallery' has those of identities):\n", f);
    for (size_t i = 0; fv_submission_layout(i, &name, &help, &scores); i++)
        if (scores)
            fprintf(f, "  %s  %s\n", name, help);
    fputs("\n  fveval submit best.safetensors --db faces.lmdb --pairs test_pairs.txt -o "
          "submission.csv",
          f);
    if (fclose(f) != 0)
        return fv_err(FV_ENOMEM, "out of memory");
    cmd.notes = notes;
    fv_opt_help(&cmd, groups, 2, stdout);
    free(notes);
    return FV_OK;
}

int fveval_submit(int argc, char **argv)
{
    struct submit_settings s = {.layout = "hw2p2-f24", .net = EVAL_NET_DEFAULTS};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", submit_opts, &s},
                                          {"tracing", tool_trace_opts, &trace}};
    struct eval_images im = {0};
    struct fv_trials trials = {0};
    struct eval_net net;
    struct fv_args args;

    FV_TRY(fv_opt_parse(&fveval_submit_cmd, groups, 2, argc, argv, &args));
    if (args.help)
        return print_help(groups);
    FV_TRY(fv_submission_check(s.layout, 1));
    FV_TRY(tool_trace_start(&trace));
    int rc = eval_net_open(&net, &s.net, s.db);
    im.store = net.store;
    im.report = net.report;
    if (rc >= 0)
        rc = fv_trials_read(&trials, net.store, s.pairs);
    if (rc >= 0)
        rc = eval_net_load(&net, args.arg[0]);
    if (rc >= 0)
        rc = submit(&s, &trials, &im, &net);
    fv_trials_free(&trials);
    eval_images_free(&im);
    eval_net_close(&net);
    return rc;
}
