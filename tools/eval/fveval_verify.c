/* SPDX-License-Identifier: MIT */
/* fveval verify: do two photographs show one person? The answer says what it rests on. */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/opt.h"
#include "common/report.h"
#include "tools/command.h"
#include "tools/eval/photo_question.h"
#include "tools/results.h"

#include <stdlib.h>
#include <string.h>

struct verify_settings {
    const char *model, *db;
    int aligned;
    struct eval_net_settings net;
};

#define FIELD(f) offsetof(struct verify_settings, f)
/* clang-format off */
static const struct fv_opt verify_opts[] = {
    {"model", 'm', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(model), "FILE", "the checkpoint", 0, 0, NULL},
    {"db", 'd', FV_OPT_STRING, 0, FIELD(db), "FILE",
     "the data set as whose images the photos are framed, and on whose pairs the threshold rests", 0, 0, NULL},
    {"aligned", 0, FV_OPT_FLAG, 0, FIELD(aligned), NULL, "the photos are cut to the face as the data set's are",
     0, 0, NULL},
    EVAL_NET_OPTS,
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_verify_cmd = {
    .name = "fveval verify",
    .summary = "Says whether two photographs show one person, and what that rests on.",
    .usage = "A.jpg B.jpg --model CHECKPOINT [--db FILE] [options]",
    .notes = "The photos are decoded and framed as 'fvprep pack' does it, with the settings that "
             "the data set "
             "records.\nWithout --db: the largest square around the centre, and no threshold.\n\n"
             "  fveval verify a.jpg b.jpg --model best_ver.safetensors --db faces.lmdb",
    .min_args = 2,
    .max_args = 2,
};

static int compare(const struct verify_settings *s, const struct photo_question *q)
{
    const struct eval_net *net = &q->net;
    const int dim = fv_model_net(net->model)->embedding;
    struct eval_images im = {.store = q->photos.store, .report = net->report};
    float *emb = NULL;
    struct results r = {0};

    const int rc = eval_net_embed_splits(net, &im, "all", &emb);
    if (rc >= 0) {
        results_string(&r, "model", fv_model_info(net->model));
        results_string(&r, "framing", q->photos.framing);
        calibration_judge(&r, &q->calibration, fv_score_two(emb, emb + dim, dim));
        fv_console_endline();
        results_print(&r, s->model, s->net.json);
    }
    free(emb);
    eval_images_free(&im);
    return rc;
}

int fveval_verify(int argc, char **argv)
{
    struct verify_settings s = {.net = EVAL_NET_DEFAULTS};
    struct calibration_settings cs;
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", verify_opts, &s},
                                          {"threshold", calibration_opts, &cs},
                                          {"tracing", tool_trace_opts, &trace}};
    struct photo_question q;
    struct fv_args args;

    calibration_defaults(&cs);
    int rc = tool_begin(&fveval_verify_cmd, groups, 3, argc, argv, &args);
    if (rc)
        return rc;
    rc = photo_question_open(&q, &s.net, s.db, s.model, args.arg, 2, s.aligned, &cs);
    if (rc >= 0)
        rc = compare(&s, &q);
    photo_question_close(&q);
    return rc;
}
