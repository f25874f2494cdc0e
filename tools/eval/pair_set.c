/* SPDX-License-Identifier: MIT */
#include "tools/eval/pair_set.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/eval/score_csv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- what is compared ----------------------------------------------------------------------------- */

static int want_images(struct pair_set *s, const struct pair_list *l)
{
    for (size_t i = 0; i < l->pairs.n && !s->templates.n; i++) {
        FV_TRY(eval_images_want(&s->images, l->pairs.pair[i].a));
        FV_TRY(eval_images_want(&s->images, l->pairs.pair[i].b));
    }
    return FV_OK;
}

/* Whom a side of a pair shows: a template whom its first image shows. */
static int identity_of(const struct pair_set *s, uint32_t id, uint32_t *label)
{
    struct fv_store_image im;

    FV_TRY(fv_store_image(
        s->store, s->templates.n ? s->templates.image[s->templates.template[id].first].image : id,
        &im));
    *label = im.label;
    return FV_OK;
}

static int index_list(struct pair_set *s, struct pair_list *l)
{
    const size_t n = l->pairs.n;

    l->pair = malloc((n + 1) * sizeof *l->pair);
    l->score = malloc((n + 1) * sizeof *l->score);
    l->sum = calloc(n + 1, sizeof *l->sum);
    l->same = malloc(n + 1);
    l->fold = malloc((n + 1) * sizeof *l->fold);
    l->a = malloc((n + 1) * sizeof *l->a);
    l->b = malloc((n + 1) * sizeof *l->b);
    if (!l->pair || !l->score || !l->sum || !l->same || !l->fold || !l->a || !l->b)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++) {
        const struct fv_pair *p = &l->pairs.pair[i];
        l->pair[i] = s->templates.n ? (struct fv_index_pair){p->a, p->b, p->same}
                                    : (struct fv_index_pair){s->images.position[p->a],
                                                             s->images.position[p->b], p->same};
        l->same[i] = p->same;
        l->fold[i] = p->fold;
        FV_TRY(identity_of(s, p->a, &l->a[i]));
        FV_TRY(identity_of(s, p->b, &l->b[i]));
    }
    return FV_OK;
}

static int index_set(struct pair_set *s)
{
    for (size_t i = 0; i < s->templates.images; i++)
        FV_TRY(eval_images_want(&s->images, s->templates.image[i].image));
    FV_TRY(want_images(s, &s->test));
    FV_TRY(want_images(s, &s->dev));
    FV_TRY(eval_images_place(&s->images));
    FV_TRY(index_list(s, &s->test));
    FV_TRY(index_list(s, &s->dev));
    s->item = malloc((s->templates.images + 1) * sizeof *s->item);
    if (!s->item)
        return fv_err(FV_ENOMEM, "out of memory for %zu images", s->templates.images);
    for (size_t i = 0; i < s->templates.images; i++) {
        const struct fv_template_image *t = &s->templates.image[i];
        s->item[i] = (struct fv_pool_item){s->images.position[t->image], t->template, t->media};
    }
    s->identities = (uint32_t)fv_store_info(s->store)->labels;
    return FV_OK;
}

/* Every image of a template weighs something. */
static int read_weights(struct pair_set *s, const char *path)
{
    struct fv_store_image one;

    s->weight = malloc((fv_store_info(s->store)->images + 1) * sizeof *s->weight);
    if (!s->weight)
        return fv_err(FV_ENOMEM, "out of memory for weights");
    FV_TRY(fv_image_weights_read(s->weight, s->store, path));
    for (size_t i = 0; i < s->templates.images; i++)
        if (isnan(s->weight[s->templates.image[i].image])) {
            FV_TRY(fv_store_image(s->store, s->templates.image[i].image, &one));
            return fv_err(FV_EINVAL, "%s: does not say what %s weighs", path, one.name);
        }
    return FV_OK;
}

static int read_lists(struct pair_set *s, const struct pair_source *from)
{
    if (from->templates && (!from->pairs || strcmp(from->format, "auto") != 0))
        return fv_err(FV_EUSAGE, from->pairs
                                     ? "--templates and --pairs-format exclude each other"
                                     : "--templates needs --pairs, a list of their numbers");
    if (from->weights && !from->templates)
        return fv_err(FV_EUSAGE, "--template-weights is of --templates, which are not given");
    if (from->templates) {
        FV_TRY(fv_templates_read(&s->templates, s->store, from->templates));
        if (from->weights)
            FV_TRY(read_weights(s, from->weights));
        FV_TRY(fv_pairs_read_templates(&s->test.pairs, &s->templates, from->pairs));
        return from->dev ? fv_pairs_read_templates(&s->dev.pairs, &s->templates, from->dev) : FV_OK;
    }
    if (from->dev)
        FV_TRY(fv_pairs_read(&s->dev.pairs, s->store, from->dev, from->format));
    if (from->pairs)
        return fv_pairs_read(&s->test.pairs, s->store, from->pairs, from->format);
    return fv_pairs_make(&s->test.pairs, s->store, FV_SPLIT_HOLDOUT, (size_t)from->n,
                         (uint64_t)from->seed);
}

int pair_set_open(struct pair_set *s, const struct eval_net *net, const struct pair_source *from)
{
    s->store = s->images.store = net->store;
    s->images.report = net->report;
    FV_TRY(read_lists(s, from));
    return index_set(s);
}

static void free_list(struct pair_list *l)
{
    fv_pairs_free(&l->pairs);
    free(l->pair);
    free(l->score);
    free(l->sum);
    free(l->same);
    free(l->fold);
    free(l->a);
    free(l->b);
}

void pair_set_close(struct pair_set *s)
{
    free_list(&s->test);
    free_list(&s->dev);
    fv_templates_free(&s->templates);
    free(s->item);
    free(s->weight);
    free(s->vectors);
    eval_images_free(&s->images);
}

/* --- scores --------------------------------------------------------------------------------------- */

static void sum_list(struct pair_list *l, double share)
{
    for (size_t i = 0; i < l->pairs.n; i++)
        l->sum[i] += share * l->score[i];
}

void pair_set_sum(struct pair_set *s, double share)
{
    sum_list(&s->test, share);
    sum_list(&s->dev, share);
}

void pair_set_take_sum(struct pair_set *s)
{
    memcpy(s->test.score, s->test.sum, s->test.pairs.n * sizeof *s->test.score);
    memcpy(s->dev.score, s->dev.sum, s->dev.pairs.n * sizeof *s->dev.score);
}

int pair_set_score_vectors(struct pair_set *s, const float *v, int dim)
{
    float *pooled = NULL;
    int rc = FV_OK;

    if (s->templates.n) {
        pooled = malloc(s->templates.n * (size_t)dim * sizeof *pooled);
        rc = pooled ? fv_pool_templates(v, dim, s->item, s->templates.images, pooled)
                    : fv_err(FV_ENOMEM, "out of memory for %zu templates", s->templates.n);
    }
    if (rc >= 0) {
        fv_score_pairs(pooled ? pooled : v, dim, s->test.pair, s->test.pairs.n, s->test.score);
        fv_score_pairs(pooled ? pooled : v, dim, s->dev.pair, s->dev.pairs.n, s->dev.score);
    }
    free(pooled);
    return rc;
}

static void make_unit(float *v, int dim)
{
    double square = 0;

    for (int k = 0; k < dim; k++)
        square += (double)v[k] * (double)v[k];
    for (int k = 0; k < dim; k++)
        v[k] = (float)((double)v[k] / sqrt(square));
}

/* Embeddings as the net gives them, times their weights; they themselves become of unit length. */
static int score_weighted(struct pair_set *s, float *emb, int dim)
{
    const uint64_t all = fv_store_info(s->store)->images;
    const size_t row = (size_t)dim;
    struct fv_store_image one;
    float *weighted = malloc((size_t)s->images.n * row * sizeof *weighted);
    int rc = weighted ? FV_OK : fv_err(FV_ENOMEM, "out of memory for %u embeddings", s->images.n);

    for (uint64_t i = 0; i < all && rc >= 0; i++) {
        rc = fv_store_image(s->store, i, &one);
        if (rc < 0 || !(s->images.splits >> one.split & 1))
            continue;
        float *v = emb + s->images.position[i] * row, *w = weighted + s->images.position[i] * row;
        for (size_t k = 0; k < row; k++)
            w[k] = isnan(s->weight[i]) ? 0 : v[k] * s->weight[i];
        make_unit(v, dim);
    }
    if (rc >= 0)
        rc = pair_set_score_vectors(s, weighted, dim);
    free(weighted);
    return rc;
}

int pair_set_score_model(struct pair_set *s, struct fv_model *model, int flip, int64_t batch)
{
    const int dim = fv_model_net(model)->embedding;
    float *emb = malloc((size_t)s->images.n * (size_t)dim * sizeof *emb);

    int rc = emb ? (s->weight ? eval_images_embed_raw : eval_images_embed)(&s->images, model, flip,
                                                                           batch, emb)
                 : fv_err(FV_ENOMEM, "out of memory for %u embeddings", s->images.n);
    if (rc >= 0)
        rc = s->weight ? score_weighted(s, emb, dim) : pair_set_score_vectors(s, emb, dim);
    if (rc >= 0 && s->keeps && !s->vectors)
        s->vectors = emb;
    else
        free(emb);
    return rc;
}

int pair_set_score_pixels(struct pair_set *s)
{
    float *v = malloc((size_t)s->images.n * EVAL_PIXEL_DIM * sizeof *v);

    int rc = v ? eval_images_pixels(&s->images, v)
               : fv_err(FV_ENOMEM, "out of memory for %u images", s->images.n);
    if (rc >= 0)
        rc = pair_set_score_vectors(s, v, EVAL_PIXEL_DIM);
    free(v);
    return rc;
}

/* --- as CSV ---------------------------------------------------------------------------------------- */

/* Of a template its number, in `digits`; of an image its name. */
static int name_compared(const struct pair_set *s, uint32_t id, char digits[24], const char **name)
{
    struct fv_store_image im;

    *name = digits;
    if (s->templates.n) {
        snprintf(digits, 24, "%" PRIu64, s->templates.template[id].number);
        return FV_OK;
    }
    FV_TRY(fv_store_image(s->store, id, &im));
    *name = im.name;
    return FV_OK;
}

static int write_pair(FILE *f, const struct pair_set *s, size_t i)
{
    const struct pair_list *l = &s->test;
    const char *a, *b;
    char digits[2][24];

    FV_TRY(name_compared(s, l->pairs.pair[i].a, digits[0], &a));
    FV_TRY(name_compared(s, l->pairs.pair[i].b, digits[1], &b));
    return score_csv_pair(f, a, b, l->same[i], l->score[i]);
}

int pair_set_write(const struct pair_set *s, const char *path)
{
    struct fv_file f;
    int rc = FV_OK;

    FV_TRY(fv_file_create(&f, path));
    score_csv_head(f.f, s->templates.n ? "template" : "image");
    for (size_t i = 0; i < s->test.pairs.n && rc >= 0; i++)
        rc = write_pair(f.f, s, i);
    return fv_file_end(&f, rc);
}
