/* SPDX-License-Identifier: MIT */
#include "tools/eval/gallery_hunt.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const gallery_pools[] = {"max", "mean", NULL};
const char *const gallery_ties[] = {"optimistic", "pessimistic", NULL};

/* --- images and people ---------------------------------------------------------------------------- */

static int open_sets(struct gallery_hunt *h)
{
    const struct gallery_settings *s = h->s;
    const struct fv_templates *t = s->templates ? &h->templates : NULL;

    if (s->templates)
        FV_TRY(fv_templates_read(&h->templates, h->images.store, s->templates));
    FV_TRY(gallery_set_open(&h->set[HUNT_GALLERY], h->images.store, t, s->gallery, NULL, 1));
    FV_TRY(
        gallery_set_open(&h->set[HUNT_PROBES], h->images.store, t, s->probes, s->probe_labels, 0));
    if (s->dev)
        FV_TRY(gallery_set_open(&h->set[HUNT_DEV], h->images.store, t, s->dev, s->dev_labels, 0));
    for (size_t i = 0; i < h->templates.images; i++)
        FV_TRY(eval_images_want(&h->images, h->templates.image[i].image));
    for (int k = 0; k < HUNT_SETS && !t; k++)
        for (size_t i = 0; i < h->set[k].n; i++)
            FV_TRY(eval_images_want(&h->images, h->set[k].id[i]));
    return eval_images_place(&h->images);
}

/* The identities of all sets under one numbering, which the gallery begins. Those of whom nothing is said have the
 * reject label for the moment. */
static int number(struct gallery_hunt *h, const struct fv_rows *all, uint32_t *label)
{
    size_t at = 0;

    FV_TRY(fv_rows_labels(all, label, &h->labels));
    h->identity = calloc((size_t)h->labels + 1, sizeof *h->identity);
    if (!h->identity)
        return fv_err(FV_ENOMEM, "out of memory for %u identities", h->labels);
    for (int k = 0; k < HUNT_SETS; k++) {
        h->label[k] = malloc((h->set[k].n + 1) * sizeof *label);
        if (!h->label[k])
            return fv_err(FV_ENOMEM, "out of memory for labels");
        memcpy(h->label[k], label + at, h->set[k].n * sizeof *label);
        for (size_t i = 0; i < h->set[k].n; i++, at++)
            if (!h->identity[label[at]])
                h->identity[label[at]] = all->identity[at];
        if (k == HUNT_GALLERY)
            while (h->identity[h->identities])
                h->identities++;
    }
    return FV_OK;
}

static int number_people(struct gallery_hunt *h)
{
    size_t n = 0;

    for (int k = 0; k < HUNT_SETS; k++)
        n += h->set[k].n;
    const char **identity = calloc(n + 1, sizeof *identity);
    uint32_t *label = malloc((n + 1) * sizeof *label);
    int rc = identity && label ? FV_OK : fv_err(FV_ENOMEM, "out of memory for labels");
    n = 0;
    for (int k = 0; k < HUNT_SETS && rc >= 0; k++)
        for (size_t i = 0; i < h->set[k].n && rc >= 0; i++) {
            const char *who = h->set[k].identity[i];
            if (k == HUNT_GALLERY && (!who || strcmp(who, h->s->reject) == 0))
                rc = fv_err(FV_EINVAL, "gallery: %s: %s", h->set[k].name[i],
                            who ? "its identity is the reject label: choose another with --reject"
                                : "nothing says whom it shows");
            identity[n++] = who ? who : h->s->reject;
        }
    const struct fv_rows all = {.n = n, .identity = identity};
    if (rc >= 0)
        rc = number(h, &all, label);
    free(identity);
    free(label);
    return rc;
}

/* --- vectors -------------------------------------------------------------------------------------- */

static int pool_templates(const struct gallery_hunt *h, const float *emb, int dim, float **pooled)
{
    struct fv_pool_item *item = malloc((h->templates.images + 1) * sizeof *item);

    *pooled = malloc((h->templates.n + 1) * (size_t)dim * sizeof **pooled);
    int rc = item && *pooled ? FV_OK
                             : fv_err(FV_ENOMEM, "out of memory for %zu templates", h->templates.n);
    for (size_t i = 0; i < h->templates.images && rc >= 0; i++) {
        const struct fv_template_image *t = &h->templates.image[i];
        item[i] = (struct fv_pool_item){h->images.position[t->image], t->template, t->media};
    }
    if (rc >= 0)
        rc = fv_pool_templates(emb, dim, item, h->templates.images, *pooled);
    free(item);
    return rc;
}

static int gather(struct gallery_hunt *h, const float *emb, int dim)
{
    const size_t row = (size_t)dim;

    for (int k = 0; k < HUNT_SETS; k++) {
        h->v[k] = malloc((h->set[k].n + 1) * row * sizeof **h->v);
        if (!h->v[k])
            return fv_err(FV_ENOMEM, "out of memory for %zu embeddings", h->set[k].n);
        for (size_t i = 0; i < h->set[k].n; i++) {
            const uint32_t id = h->set[k].id[i];
            memcpy(h->v[k] + i * row, emb + (h->templates.n ? id : h->images.position[id]) * row,
                   row * sizeof *emb);
        }
    }
    return FV_OK;
}

static int embed(struct gallery_hunt *h)
{
    const int dim = fv_model_net(h->net.model)->embedding;
    float *emb, *pooled = NULL;
    int rc = eval_net_embed(&h->net, &h->images, &emb);

    if (rc >= 0 && h->templates.n)
        rc = pool_templates(h, emb, dim, &pooled);
    if (rc >= 0)
        rc = gather(h, pooled ? pooled : emb, dim);
    free(emb);
    free(pooled);
    return rc;
}

/* --- answers -------------------------------------------------------------------------------------- */

static int answer_set(struct gallery_hunt *h, const struct fv_gallery *g, int k)
{
    const struct gallery_set *set = &h->set[k];

    h->answer[k] = calloc(set->n + 1, sizeof *h->answer[k]);
    if (!h->answer[k])
        return fv_err(FV_ENOMEM, "out of memory for %zu answers", set->n);
    for (size_t i = 0; i < set->n; i++)
        h->answer[k][i].truth = !set->identity[i]                ? FV_PROBE_UNKNOWN
                                : h->label[k][i] < g->identities ? h->label[k][i]
                                                                 : FV_PROBE_STRANGER;
    return set->n ? fv_model_search(h->net.model, g, h->v[k], set->n, h->answer[k]) : FV_OK;
}

static int answer(struct gallery_hunt *h, int dim)
{
    struct fv_gallery g = {h->v[HUNT_GALLERY], h->label[HUNT_GALLERY], h->set[HUNT_GALLERY].n,
                           h->identities, dim};
    float *mean = NULL;
    uint32_t *of = NULL;
    int rc = FV_OK;

    if (strcmp(h->s->pool, gallery_pools[1]) == 0) {
        mean = malloc(g.identities * (size_t)dim * sizeof *mean);
        of = malloc(g.identities * sizeof *of);
        rc = mean && of ? fv_gallery_mean(&g, mean, of)
                        : fv_err(FV_ENOMEM, "out of memory for %u templates", g.identities);
        g = (struct fv_gallery){mean, of, g.identities, g.identities, dim};
    }
    for (int k = HUNT_PROBES; k < HUNT_SETS && rc >= 0; k++)
        rc = answer_set(h, &g, k);
    free(mean);
    free(of);
    return rc;
}

const char *gallery_hunt_text(const struct gallery_hunt *h, const struct fv_answer *a)
{
    return (double)a->score >= h->threshold ? h->identity[a->best] : h->s->reject;
}

int gallery_hunt_pessimistic(const struct gallery_hunt *h)
{
    return strcmp(h->s->ties, gallery_ties[1]) == 0;
}

/* --- all of it ------------------------------------------------------------------------------------ */

int gallery_hunt_open(struct gallery_hunt *h, const struct gallery_settings *s,
                      const char *checkpoint)
{
    *h = (struct gallery_hunt){.s = s, .threshold = -INFINITY};
    int rc = eval_net_open(&h->net, &s->net, s->db);
    h->images.store = h->net.store;
    h->images.report = h->net.report;
    if (rc >= 0)
        rc = open_sets(h);
    if (rc >= 0)
        rc = number_people(h);
    return rc < 0 ? rc : eval_net_load(&h->net, checkpoint);
}

int gallery_hunt_answer(struct gallery_hunt *h)
{
    FV_TRY(embed(h));
    return answer(h, fv_model_net(h->net.model)->embedding);
}

void gallery_hunt_close(struct gallery_hunt *h)
{
    for (int k = 0; k < HUNT_SETS; k++) {
        gallery_set_close(&h->set[k]);
        free(h->v[k]);
        free(h->label[k]);
        free(h->answer[k]);
    }
    free(h->identity);
    fv_templates_free(&h->templates);
    eval_images_free(&h->images);
    eval_net_close(&h->net);
}
