/* SPDX-License-Identifier: MIT */
/* fveval identify: who of a data set is on a photograph? The nearest identities, each by its nearest image. */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/opt.h"
#include "common/report.h"
#include "tools/command.h"
#include "tools/eval/gallery_question.h"
#include "tools/eval/nearest.h"
#include "tools/eval/photo_question.h"
#include "tools/results.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(f) offsetof(struct gallery_question, f)
/* clang-format off */
static const struct fv_opt output_opts[] = {
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_identify_cmd = {
    .name = "fveval identify",
    .summary = "Names the people of a data set who look most like a photograph.",
    .usage = "PHOTO --gallery FILE --model CHECKPOINT [options]",
    .notes = "The score of a person is that of the nearest image. The threshold is of two images; "
             "among many people "
             "a\nchance match is as much more likely: 'fveval gallery' measures that.\n\n"
             "  fveval identify photo.jpg --gallery faces.lmdb --model best_ver.safetensors",
    .min_args = 1,
    .max_args = 1,
};

static int add_nearest(struct results *r, const struct gallery_question *s, struct fv_store *store,
                       const struct nearest *near)
{
    const uint64_t labels = fv_store_info(store)->labels;
    json_t *list = json_array();
    struct fv_store_label who;
    struct fv_store_image image;
    static char rank[NEAREST_TOP_MAX][12]; /* keys outlive the results */
    char text[640];

    for (uint64_t i = 0; i < labels && i < (uint64_t)s->top && near[i].score > -INFINITY; i++) {
        FV_TRY(fv_store_label(store, near[i].label, &who));
        FV_TRY(fv_store_image(store, near[i].image, &image));
        snprintf(rank[i], sizeof rank[i], "%d", (int)i + 1);
        snprintf(text, sizeof text, "%.4f  %.200s  (%.400s)", near[i].score, who.name, image.name);
        results_heading(r, rank[i], text);
        json_array_append_new(list, json_pack("{s:o, s:f, s:o}", "identity",
                                              results_json_text(who.name), "score", near[i].score,
                                              "image", results_json_text(image.name)));
    }
    results_json(r, "nearest", list);
    return FV_OK;
}

static int identify(const struct gallery_question *s, const struct photo_question *q)
{
    const struct eval_net *net = &q->net;
    struct eval_images known = {.store = net->store, .report = net->report},
                       asked = {.store = q->photos.store};
    struct nearest *near = malloc((fv_store_info(net->store)->labels + 1) * sizeof *near);
    float *emb = NULL, *photo = NULL;
    struct results r = {0};

    int rc = near ? eval_net_embed_splits(net, &asked, "all", &photo)
                  : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0)
        rc = eval_net_embed_splits(net, &known, s->split, &emb);
    if (rc >= 0)
        rc = nearest_rank(near, &known, emb, photo, fv_model_net(net->model)->embedding);
    if (rc >= 0) {
        results_string(&r, "model", fv_model_info(net->model));
        results_string(&r, "framing", q->photos.framing);
        rc = add_nearest(&r, s, net->store, near);
        calibration_judge(&r, &q->calibration, near[0].score);
        fv_console_endline();
        results_print(&r, s->gallery, s->net.json);
    }
    free(near);
    free(emb);
    free(photo);
    eval_images_free(&known);
    eval_images_free(&asked);
    return rc;
}

int fveval_identify(int argc, char **argv)
{
    struct gallery_question s = GALLERY_QUESTION_DEFAULTS;
    struct calibration_settings cs;
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", gallery_question_opts, &s},
                                          {"output", output_opts, &s},
                                          {"threshold", calibration_opts, &cs},
                                          {"tracing", tool_trace_opts, &trace}};
    struct photo_question q;
    struct fv_args args;

    calibration_defaults(&cs);
    int rc = tool_begin(&fveval_identify_cmd, groups, 4, argc, argv, &args);
    if (rc)
        return rc;
    rc = photo_question_open(&q, &s.net, s.gallery, s.model, args.arg, 1, s.aligned, &cs);
    if (rc >= 0)
        rc = identify(&s, &q);
    photo_question_close(&q);
    return rc;
}
