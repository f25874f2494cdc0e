/* SPDX-License-Identifier: MIT */
/* fveval pairs: scores a list of image pairs with a checkpoint and reports what the scores say, beside two
 * baselines on request: pixels alone, and the same net untrained.
 */
#include "tools/fveval.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "common/report.h"
#include "store/store.h"
#include "tools/command.h"
#include "tools/eval_figures.h"
#include "tools/eval_images.h"
#include "tools/results.h"
#include "tools/roc_plot.h"
#include "trainer/trainer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct eval_settings {
    const char *db, *pairs, *format, *templates, *backend, *scores, *roc;
    int64_t n, seed, batch, threads;
    int flip, baselines, json, quiet;
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
    {"count", 'n', FV_OPT_INT, 0, FIELD(n), "N", "pairs to make when no list is given", 2, 1e8, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "chooses those pairs and the untrained weights", 0, 0, NULL},
    {"flip", 0, FV_OPT_FLAG, 0, FIELD(flip), NULL, "add the embedding of the mirror image", 0, 0, NULL},
    {"baselines", 0, FV_OPT_FLAG, 0, FIELD(baselines), NULL, "also by pixels and by the untrained net", 0, 0, NULL},
    {"scores", 0, FV_OPT_STRING, 0, FIELD(scores), "FILE", "write every pair with its score as CSV", 0, 0, NULL},
    {"roc", 0, FV_OPT_STRING, 0, FIELD(roc), "FILE", "draw the ROC as PNG (by gnuplot)", 0, 0, NULL},
    {"backend", 0, FV_OPT_STRING, 0, FIELD(backend), "NAME", "what computes", 0, 0, NULL},
    {"batch", 'b', FV_OPT_INT, 0, FIELD(batch), "N", "images in a batch", 1, 4096, NULL},
    {"threads", 'j', FV_OPT_INT, 0, FIELD(threads), "N", "threads of the backend; 0: one per processor", 0, 4096, NULL},
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print the result as JSON", 0, 0, NULL},
    {"quiet", 'q', FV_OPT_FLAG, 0, FIELD(quiet), NULL, "only the result, warnings and errors", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_pairs_cmd = {
    .name = "fveval pairs",
    .summary =
        "Scores pairs of images with a trained net: EER, AUC, TPR at fixed FMR, best threshold.",
    .usage = "CHECKPOINT --db FILE [options]",
    .min_args = 1,
    .max_args = 1,
};

struct eval {
    const struct eval_settings *s;
    struct fv_store *store;
    struct fv_pairs pairs;
    struct fv_templates templates; /* that are compared; none: images are */
    struct fv_pool_item *item;     /* (templates.images) */
    struct eval_images images;     /* that the pairs or templates use */
    struct fv_index_pair *pair;    /* (pairs.n) */
    double *score;                 /* (pairs.n) */
    uint8_t *same;                 /* (pairs.n) */
};

/* --- what is compared ----------------------------------------------------------------------------- */

static int find_splits(struct eval *e)
{
    for (size_t i = 0; i < e->templates.images; i++)
        FV_TRY(eval_images_want(&e->images, e->templates.image[i].image));
    for (size_t i = 0; i < e->pairs.n && !e->templates.n; i++) {
        FV_TRY(eval_images_want(&e->images, e->pairs.pair[i].a));
        FV_TRY(eval_images_want(&e->images, e->pairs.pair[i].b));
    }
    return FV_OK;
}

static int index_pairs(struct eval *e)
{
    e->pair = malloc(e->pairs.n * sizeof *e->pair);
    e->score = malloc(e->pairs.n * sizeof *e->score);
    e->same = malloc(e->pairs.n);
    e->item = malloc((e->templates.images + 1) * sizeof *e->item);
    if (!e->pair || !e->score || !e->same || !e->item)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", e->pairs.n);
    FV_TRY(find_splits(e));
    FV_TRY(eval_images_place(&e->images));
    for (size_t i = 0; i < e->pairs.n; i++) {
        const struct fv_pair *p = &e->pairs.pair[i];
        e->pair[i] = e->templates.n ? (struct fv_index_pair){p->a, p->b, p->same}
                                    : (struct fv_index_pair){e->images.position[p->a],
                                                             e->images.position[p->b], p->same};
        e->same[i] = p->same;
    }
    for (size_t i = 0; i < e->templates.images; i++) {
        const struct fv_template_image *t = &e->templates.image[i];
        e->item[i] = (struct fv_pool_item){e->images.position[t->image], t->template, t->media};
    }
    return FV_OK;
}

static int read_pairs(struct eval *e)
{
    const struct eval_settings *s = e->s;

    if (s->templates && (!s->pairs || strcmp(s->format, "auto") != 0))
        return fv_err(FV_EUSAGE, s->pairs ? "--templates and --pairs-format exclude each other"
                                          : "--templates needs --pairs, a list of their numbers");
    if (s->templates) {
        FV_TRY(fv_templates_read(&e->templates, e->store, s->templates));
        return fv_pairs_read_templates(&e->pairs, &e->templates, s->pairs);
    }
    if (s->pairs)
        return fv_pairs_read(&e->pairs, e->store, s->pairs, s->format);
    return fv_pairs_make(&e->pairs, e->store, FV_SPLIT_HOLDOUT, (size_t)s->n, (uint64_t)s->seed);
}

static int open_pairs(struct eval *e)
{
    FV_TRY(fv_store_open(&e->store, e->s->db));
    e->images.store = e->store;
    FV_TRY(read_pairs(e));
    return index_pairs(e);
}

static void close_eval(struct eval *e)
{
    fv_pairs_free(&e->pairs);
    fv_templates_free(&e->templates);
    fv_store_close(&e->store);
    free(e->item);
    eval_images_free(&e->images);
    free(e->pair);
    free(e->score);
    free(e->same);
}

/* --- scores --------------------------------------------------------------------------------------- */

/* Scores the pairs by one unit vector an image. */
static int score_vectors(struct eval *e, const float *v, int dim)
{
    float *pooled = NULL;
    int rc = FV_OK;

    if (e->templates.n) {
        pooled = malloc(e->templates.n * (size_t)dim * sizeof *pooled);
        rc = pooled ? fv_pool_templates(v, dim, e->item, e->templates.images, pooled)
                    : fv_err(FV_ENOMEM, "out of memory for %zu templates", e->templates.n);
    }
    if (rc >= 0)
        fv_score_pairs(pooled ? pooled : v, dim, e->pair, e->pairs.n, e->score);
    free(pooled);
    return rc;
}

static int score_with(struct eval *e, struct fv_model *model)
{
    const int dim = fv_model_net(model)->embedding;
    float *emb = malloc((size_t)e->images.n * (size_t)dim * sizeof *emb);

    int rc = emb ? eval_images_embed(&e->images, model, e->s->flip, e->s->batch, emb)
                 : fv_err(FV_ENOMEM, "out of memory for %u embeddings", e->images.n);
    if (rc >= 0)
        rc = score_vectors(e, emb, dim);
    free(emb);
    return rc;
}

static int score_by_pixels(struct eval *e)
{
    float *v = malloc((size_t)e->images.n * EVAL_PIXEL_DIM * sizeof *v);

    int rc = v ? eval_images_pixels(&e->images, v)
               : fv_err(FV_ENOMEM, "out of memory for %u images", e->images.n);
    if (rc >= 0)
        rc = score_vectors(e, v, EVAL_PIXEL_DIM);
    free(v);
    return rc;
}

static int score_untrained(struct eval *e, const struct fv_net *net, struct fv_roc *roc)
{
    struct fv_arch_settings a = {.size = net->size,
                                 .classes = net->classes,
                                 .stem = "auto",
                                 .embedding = net->embedding_asked};
    struct fv_model *model = NULL;

    memcpy(a.mean, net->node[0].mean, sizeof a.mean);
    memcpy(a.std, net->node[0].std, sizeof a.std);
    int rc = fv_model_open_untrained(&model, net->arch, &a, (uint64_t)e->s->seed, e->s->backend,
                                     (int)e->s->threads, (int)e->s->batch);
    if (rc >= 0)
        rc = score_with(e, model);
    fv_model_close(&model);
    return rc < 0 ? rc : fv_roc_make(roc, e->score, e->same, e->pairs.n);
}

/* --- what they say -------------------------------------------------------------------------------- */

static void write_name(FILE *f, const char *name)
{
    fputc('"', f);
    for (; *name; name++)
        fprintf(f, *name == '"' ? "\"\"" : "%c", *name);
    fputc('"', f);
}

/* What was compared: a template by its number, an image by its name. */
static void write_compared(FILE *f, const struct eval *e, uint32_t id)
{
    struct fv_store_image im;

    if (e->templates.n)
        fprintf(f, "%" PRIu64, e->templates.template[id].number);
    else if (fv_store_image(e->store, id, &im) == FV_OK)
        write_name(f, im.name);
}

static int write_scores(const struct eval *e)
{
    struct fv_file f;

    FV_TRY(fv_file_create(&f, e->s->scores));
    fprintf(f.f,
            e->templates.n ? "template1,template2,same,score\n" : "image1,image2,same,score\n");
    for (size_t i = 0; i < e->pairs.n; i++) {
        write_compared(f.f, e, e->pairs.pair[i].a);
        fputc(',', f.f);
        write_compared(f.f, e, e->pairs.pair[i].b);
        fprintf(f.f, ",%d,%.9g\n", e->same[i], e->score[i]);
    }
    return fv_file_commit(&f);
}

static void add_pairs(struct results *r, const struct eval *e)
{
    if (e->pairs.format)
        results_string(r, "pairs_format", e->pairs.format);
    if (e->pairs.folds)
        results_int(r, "folds", e->pairs.folds, NULL);
    if (e->templates.n)
        results_int(r, "templates", e->templates.n, "%zu of %zu images", e->templates.n,
                    e->templates.images);
}

static int baselines(struct eval *e, const struct fv_net *net, struct results *r,
                     struct roc_curve *curve, int *n)
{
    FV_TRY(score_by_pixels(e));
    FV_TRY(fv_roc_make(&curve[*n].roc, e->score, e->same, e->pairs.n));
    curve[*n].name = "pixels alone";
    eval_figures_add_baseline(r, "pixels_auc", "pixels_eer", &curve[*n].roc);
    ++*n;
    FV_TRY(score_untrained(e, net, &curve[*n].roc));
    curve[*n].name = "untrained net";
    eval_figures_add_baseline(r, "untrained_auc", "untrained_eer", &curve[*n].roc);
    ++*n;
    return FV_OK;
}

static int collect(struct eval *e, struct fv_model *model, struct results *r,
                   struct roc_curve *curve, int *n)
{
    FV_TRY(score_with(e, model));
    FV_TRY(fv_roc_make(&curve[0].roc, e->score, e->same, e->pairs.n));
    curve[0].name = "trained net";
    *n = 1;
    results_string(r, "model", fv_model_info(model));
    add_pairs(r, e);
    eval_figures_add(r, &curve[0].roc);
    if (e->s->scores)
        FV_TRY(write_scores(e)); /* now: the baselines take the place of the scores */
    return e->s->baselines ? baselines(e, fv_model_net(model), r, curve, n) : FV_OK;
}

/* The figures are printed before the picture is drawn: they took longer, and need no gnuplot. */
static int evaluate(struct eval *e, struct fv_model *model, struct roc_curve *curve)
{
    struct results r = {0};
    int n = 0;
    const int rc = collect(e, model, &r, curve, &n);

    if (rc < 0) {
        results_free(&r);
        return rc;
    }
    fv_console_endline();
    results_print(&r, e->s->db, e->s->json);
    return e->s->roc ? roc_plot(e->s->roc, curve, n) : FV_OK;
}

/* --help ends with what the library can read. */
static char *make_notes(void)
{
    const char *name, *help;
    char *notes = NULL;
    size_t size;
    FILE *f = open_memstream(&notes, &size);

    if (!f)
        return NULL;
    fputs("A pair list is one of these, found out from its lines (or --pairs-format):\n", f);
    for (size_t i = 0; fv_pairs_format(i, &name, &help); i++)
        fprintf(f, "  %-6s %s\n", name, help);
    fputs(
        "Names need neither suffix nor first folder as long as they mean one image; a missing "
        "image "
        "is an\n"
        "error. With --templates, --pairs is 'template1 template2 0|1' and compares templates: the "
        "sum over\n"
        "media of the mean embedding of each.\n\n"
        "  fveval pairs runs/faces-1/best_ver.safetensors --db faces.lmdb --baselines --roc "
        "roc.png\n"
        "  fveval pairs best.safetensors --db lfw.lmdb --pairs pairs.txt --flip",
        f);
    return fclose(f) == 0 ? notes : NULL;
}

static int print_help(const struct fv_opt_group groups[2])
{
    struct fv_command cmd = fveval_pairs_cmd;
    char *notes = make_notes();

    if (!notes)
        return fv_err(FV_ENOMEM, "out of memory");
    cmd.notes = notes;
    fv_opt_help(&cmd, groups, 2, stdout);
    free(notes);
    return FV_OK;
}

int fveval_pairs(int argc, char **argv)
{
    struct eval_settings s = {
        .format = "auto", .n = 6000, .seed = 1, .batch = 32, .backend = "auto"};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", pairs_opts, &s},
                                          {"tracing", tool_trace_opts, &trace}};
    struct roc_curve curve[3] = {{0}};
    struct fv_model *model = NULL;
    struct fv_args args;

    FV_TRY(fv_opt_parse(&fveval_pairs_cmd, groups, 2, argc, argv, &args));
    if (args.help)
        return print_help(groups);
    FV_TRY(tool_trace_start(&trace));
    struct eval e = {.s = &s, .images.report = fv_console_report("fveval", s.quiet ? 1 : 2)};
    int rc = open_pairs(&e);
    if (rc >= 0)
        rc = fv_model_open(&model, args.arg[0], s.backend, (int)s.threads, (int)s.batch);
    if (rc >= 0)
        rc = evaluate(&e, model, curve);
    fv_model_close(&model);
    close_eval(&e);
    for (int i = 0; i < 3; i++)
        fv_roc_free(&curve[i].roc);
    return rc;
}
