/* SPDX-License-Identifier: MIT */
#include "tools/train/train_report.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/eval/eval_figures.h"
#include "tools/eval/eval_images.h"
#include "tools/report/verification.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct again {
    const struct train_sources *src;
    struct eval_images images;
    float *emb;
    uint32_t *image; /* (images.n) ids in the order of delivery */
    uint32_t *a, *b; /* (pairs) labels */
    double *score;   /* (pairs) */
    uint8_t *same;   /* (pairs) */
    struct fv_pair *pair;
    struct roc_curve curve;
};

static int allocate(struct again *g, int dim)
{
    const size_t n = g->src->data.pairs;

    g->emb = malloc((size_t)g->images.n * (size_t)dim * sizeof *g->emb);
    g->image = malloc(((size_t)g->images.n + 1) * sizeof *g->image);
    g->a = malloc(n * sizeof *g->a);
    g->b = malloc(n * sizeof *g->b);
    g->score = malloc(n * sizeof *g->score);
    g->same = malloc(n);
    g->pair = calloc(n, sizeof *g->pair);
    return g->emb && g->image && g->a && g->b && g->score && g->same && g->pair
               ? FV_OK
               : fv_err(FV_ENOMEM, "out of memory for %zu pairs", n);
}

static void free_all(struct again *g)
{
    eval_images_free(&g->images);
    free(g->emb);
    free(g->image);
    free(g->a);
    free(g->b);
    free(g->score);
    free(g->same);
    free(g->pair);
    fv_roc_free(&g->curve.roc);
}

/* From places in the order of delivery back to images and whom they show. */
static int name_pairs(struct again *g)
{
    const struct fv_train_data *d = &g->src->data;
    struct fv_store_image one;
    uint32_t n = 0;

    for (uint64_t i = 0; n < g->images.n; i++) {
        FV_TRY(fv_store_image(g->src->store, i, &one));
        if (g->images.splits >> one.split & 1)
            g->image[n++] = (uint32_t)i;
    }
    for (size_t i = 0; i < d->pairs; i++) {
        const struct fv_index_pair *p = &d->pair[i];
        g->pair[i] = (struct fv_pair){.a = g->image[p->a], .b = g->image[p->b], .same = p->same};
        g->same[i] = p->same;
        FV_TRY(fv_store_image(g->src->store, g->pair[i].a, &one));
        g->a[i] = one.label;
        FV_TRY(fv_store_image(g->src->store, g->pair[i].b, &one));
        g->b[i] = one.label;
    }
    return FV_OK;
}

static int score(struct again *g, struct fv_model *model, int64_t batch)
{
    const struct fv_train_data *d = &g->src->data;
    const int dim = fv_model_net(model)->embedding;

    g->images = (struct eval_images){.store = g->src->store, .splits = g->src->verify_splits};
    FV_TRY(eval_images_place(&g->images));
    FV_TRY(allocate(g, dim));
    FV_TRY(name_pairs(g));
    FV_TRY(eval_images_embed(&g->images, model, 0, batch, g->emb));
    fv_score_pairs(g->emb, dim, d->pair, d->pairs, g->score);
    g->curve.name = "trained net";
    return fv_roc_make(&g->curve.roc, g->score, g->same, d->pairs);
}

static int add_figures(struct again *g, const struct fv_train_settings *s, struct fv_model *model,
                       struct eval_figures *figures, struct results *r)
{
    const struct eval_scores scores = {.score = g->score,
                                       .same = g->same,
                                       .n = g->src->data.pairs,
                                       .a = g->a,
                                       .b = g->b,
                                       .identities = (uint32_t)fv_store_info(g->src->store)->labels,
                                       .threads = (int)s->threads};

    eval_figures_defaults(figures);
    figures->seed = s->seed;
    FV_TRY(eval_figures_check(figures));
    results_string(r, "model", fv_model_info(model));
    return eval_figures_add_all(r, figures, &g->curve.roc, &scores);
}

static int write_page(struct again *g, const char *folder, const char *checkpoint,
                      const struct fv_train_settings *s, struct fv_model *model)
{
    char *page = fv_format("%s/report.html", folder), *log = fv_format("%s/log.jsonl", folder);
    struct eval_figures figures;
    struct results r = {0};
    char *rows = NULL;

    int rc = page && log ? FV_OK : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0)
        rc = add_figures(g, s, model, &figures, &r);
    if (rc >= 0) {
        rows = report_rows(&r);
        struct report_verification v = {.checkpoint = checkpoint,
                                        .model = fv_model_info(model),
                                        .store = g->src->store,
                                        .curve = &g->curve,
                                        .curves = 1,
                                        .pair = g->pair,
                                        .score = g->score,
                                        .same = g->same,
                                        .pairs = g->src->data.pairs,
                                        .embedding = g->emb,
                                        .image = g->image,
                                        .images = g->images.n,
                                        .dim = fv_model_net(model)->embedding,
                                        .figures = rows,
                                        .settings = g->src->data.settings_text,
                                        .log = log};
        report_take_interval(&v, &r);
        rc = report_verification(page, &v);
    }
    results_free(&r);
    free(rows);
    free(page);
    free(log);
    return rc;
}

int train_report_write(const char *folder, const struct train_sources *src,
                       const struct fv_train_settings *s, int64_t batch)
{
    struct again g = {.src = src};
    struct fv_model *model = NULL;
    char *checkpoint = fv_format("%s/best_ver.safetensors", folder);

    int rc = checkpoint ? FV_OK : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0 && src->data.pairs > 0 && access(checkpoint, R_OK) == 0) {
        rc = fv_model_open(&model, checkpoint, s->backend, (int)s->threads, (int)batch);
        if (rc >= 0)
            rc = score(&g, model, batch);
        if (rc >= 0)
            rc = write_page(&g, folder, checkpoint, s, model);
        fv_model_close(&model);
        free_all(&g);
    }
    free(checkpoint);
    return rc;
}
