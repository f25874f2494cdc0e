/* SPDX-License-Identifier: MIT */
/* fveval submit: scores pairs, or classifies images, whose answers are kept by others, in the layout in which they want
 * them. */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/opt.h"
#include "common/report.h"
#include "store/store.h"
#include "tools/command.h"
#include "tools/eval/eval_net.h"
#include "tools/eval/gallery_spec.h"
#include "tools/eval/submission_help.h"
#include "tools/results.h"

#include <stdlib.h>
#include <string.h>

struct submit_settings {
    const char *db, *pairs, *images, *classes, *layout, *output;
    struct eval_net_settings net;
};

#define FIELD(f) offsetof(struct submit_settings, f)
/* clang-format off */
static const struct fv_opt submit_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE",
     "the data set that holds the images; a list with commas is one", 0, 0, NULL},
    {"pairs", 'p', FV_OPT_STRING, 0, FIELD(pairs), "FILE", "'path1 path2' a line, or CSV: img1, img2",
     0, 0, NULL},
    {"images", 'i', FV_OPT_STRING, 0, FIELD(images), "SPEC", "instead of pairs: images to classify", 0, 0, NULL},
    {"classes", 0, FV_OPT_STRING, 0, FIELD(classes), "FILE", "the data set that the net was trained on, which names "
     "its classes; unset: --db", 0, 0, NULL},
    {"submission", 0, FV_OPT_STRING, 0, FIELD(layout), "NAME",
     "layout of the file; unset: hw2p2-f24, of images hw2p2-s22-class", 0, 0, NULL},
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "FILE", "the file to hand in", 0, 0, NULL},
    EVAL_NET_OPTS,
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

static void write_notes(FILE *to)
{
    fputs("What --images names: split:val (a split of the data set), folder:PATH (images whose "
          "names begin so), or a file with\none name a line, in whose order they are handed in.\n\n"
          "Layouts of --submission ('fveval gallery' has those of identities):\n",
          to);
    submission_list(to, 1u << FV_SUBMISSION_SCORES | 1u << FV_SUBMISSION_CLASSES, 15);
}

const struct fv_command fveval_submit_cmd = {
    .name = "fveval submit",
    .summary = "Scores pairs, or classifies images, without answers into a file to hand in.",
    .usage = "CHECKPOINT --db FILE --pairs LIST | --images SPEC -o FILE [options]",
    .write_notes = write_notes,
    .notes =
        "  fveval submit best.safetensors --db faces.lmdb --pairs test_pairs.txt -o "
        "submission.csv\n  fveval submit best_cls.safetensors --db test.lmdb --images order.txt "
        "--classes faces.lmdb -o submission.csv",
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
        score[i] = eval_images_score(im, emb, dim, t->a[i], t->b[i]);
    free(emb);
    return rc;
}

static int report(const struct submit_settings *s, const struct eval_net *net, const char *what,
                  size_t n)
{
    struct results r = {0};

    results_string(&r, "model", fv_model_info(net->model));
    results_int(&r, what, n, NULL);
    results_string(&r, "submission", s->output);
    fv_console_endline();
    results_print(&r, s->db, s->net.json);
    return FV_OK;
}

static int submit_pairs(const struct submit_settings *s, const struct fv_trials *t,
                        struct eval_images *im, const struct eval_net *net)
{
    double *score = malloc((t->n + 1) * sizeof *score);
    const struct fv_submission out = {
        .n = t->n, .first = t->first, .second = t->second, .score = score};

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
    free(score);
    return rc < 0 ? rc : report(s, net, "pairs", t->n);
}

static int score_pairs(const struct submit_settings *s, struct eval_images *im,
                       struct eval_net *net, const char *checkpoint)
{
    struct fv_trials trials = {0};
    int rc = fv_trials_read(&trials, net->store, s->pairs);

    if (rc >= 0)
        rc = eval_net_load(net, checkpoint);
    if (rc >= 0)
        rc = submit_pairs(s, &trials, im, net);
    fv_trials_free(&trials);
    return rc;
}

/* --- classes -------------------------------------------------------------------------------------- */

static int name_classes(const struct eval_images *im, const struct gallery_set *set,
                        const uint32_t *label, struct fv_store *names, const char **identity)
{
    struct fv_store_label who;

    for (size_t i = 0; i < set->n; i++) {
        FV_TRY(fv_store_label(names, label[im->position[set->id[i]]], &who));
        identity[i] = who.name;
    }
    return FV_OK;
}

static int submit_classes(const struct submit_settings *s, const struct gallery_set *set,
                          struct eval_images *im, const struct eval_net *net,
                          struct fv_store *names)
{
    const int classes = fv_model_net(net->model)->classes;

    if (fv_store_info(names)->train_labels != (uint64_t)classes)
        return fv_err(FV_EINVAL,
                      "the net knows %d classes, and %s has %llu training identities: name the "
                      "data set that it "
                      "was trained on with --classes",
                      classes, fv_store_path(names),
                      (unsigned long long)fv_store_info(names)->train_labels);
    for (size_t i = 0; i < set->n; i++)
        FV_TRY(eval_images_want(im, set->id[i]));
    FV_TRY(eval_images_place(im));
    uint32_t *label = malloc(((size_t)im->n + 1) * sizeof *label);
    const char **identity = calloc(set->n + 1, sizeof *identity);
    const struct fv_submission out = {.n = set->n, .first = set->name, .identity = identity};
    int rc = label && identity ? eval_images_classify(im, net->model, s->net.batch, label)
                               : fv_err(FV_ENOMEM, "out of memory for %zu images", set->n);
    if (rc >= 0)
        rc = name_classes(im, set, label, names, identity);
    if (rc >= 0)
        rc = fv_submission_write(&out, s->layout, s->output);
    free(label);
    free(identity);
    return rc < 0 ? rc : report(s, net, "images", set->n);
}

static int classify(const struct submit_settings *s, struct eval_images *im, struct eval_net *net,
                    const char *checkpoint)
{
    struct fv_store *names = NULL;
    struct gallery_set set = {0};
    int rc = gallery_set_open(&set, net->store, NULL, s->images, NULL, 0);

    if (rc >= 0 && s->classes)
        rc = fv_store_open(&names, s->classes);
    if (rc >= 0)
        rc = eval_net_load(net, checkpoint);
    if (rc >= 0)
        rc = submit_classes(s, &set, im, net, names ? names : net->store);
    fv_store_close(&names);
    gallery_set_close(&set);
    return rc;
}

/* --- the command ---------------------------------------------------------------------------------- */

static int check_settings(struct submit_settings *s)
{
    if (!s->pairs == !s->images)
        return fv_err(FV_EUSAGE, "give one of --pairs LIST and --images SPEC");
    if (s->pairs && s->classes)
        return fv_err(FV_EUSAGE, "--classes is for --images");
    if (s->images && s->net.flip)
        return fv_err(FV_EUSAGE, "--flip is of embeddings: classes are by the images as they are");
    if (!s->layout)
        s->layout = s->pairs ? "hw2p2-f24" : "hw2p2-s22-class";
    return fv_submission_check(s->layout, s->pairs ? FV_SUBMISSION_SCORES : FV_SUBMISSION_CLASSES);
}

int fveval_submit(int argc, char **argv)
{
    struct submit_settings s = {.net = EVAL_NET_DEFAULTS};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", submit_opts, &s},
                                          {"tracing", tool_trace_opts, &trace}};
    struct eval_images im = {0};
    struct eval_net net;
    struct fv_args args;

    int rc = tool_parse(&fveval_submit_cmd, groups, 2, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(check_settings(&s));
    FV_TRY(tool_trace_start(&trace));
    rc = eval_net_open(&net, &s.net, s.db);
    im.store = net.store;
    im.report = net.report;
    if (rc >= 0)
        rc = (s.pairs ? score_pairs : classify)(&s, &im, &net, args.arg[0]);
    eval_images_free(&im);
    eval_net_close(&net);
    return rc;
}
