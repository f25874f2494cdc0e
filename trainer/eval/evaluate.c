/* SPDX-License-Identifier: MIT */
/* A pass asks the source for its batches in order and puts them through the program in pieces that fit it.
 * Sums are in double and in the order of images, so the size of a batch doesn't change a result's last bit.
 */
#include "trainer/eval/evaluate.h"

#include "common/err.h"
#include "trainer/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pass {
    const struct fv_evaluator *e;
    const struct fv_batch_source *images;
    const char *what;
    int useless; /* the failure was the net's */
    uint64_t done;
    /* Takes one piece of a batch, items from .. from + n - 1; `done` images came before it. */
    int (*piece)(struct pass *p, const struct fv_batch *b, int from, int n);
    float *logits;
    int64_t hits;
    double loss;
    int flip, raw;
    uint8_t *mirror;
    float *emb, *emb_mirror;
    uint32_t *label;
};

static int run_batch(struct pass *p, const struct fv_batch *b)
{
    if (p->done + (uint64_t)b->n > p->images->images_per_epoch)
        return fv_err(FV_EINVAL, "%s: more images came than the %llu announced", p->what,
                      (unsigned long long)p->images->images_per_epoch);
    for (int from = 0; from < b->n; from += p->e->capacity) {
        int n = b->n - from < p->e->capacity ? b->n - from : p->e->capacity;
        FV_TRY(p->piece(p, b, from, n));
        p->done += (uint64_t)n;
    }
    return 0;
}

static int run_pass(struct pass *p)
{
    const struct fv_batch_source *src = p->images;
    const struct fv_net *net = p->e->net;
    if (src->height != net->size || src->width != net->size)
        return fv_err(FV_EINVAL, "%s: images of %dx%d pixels do not fit a net for %d", p->what,
                      src->width, src->height, net->size);
    FV_TRY(src->seek(src->ctx, 0));
    const struct fv_batch *b;
    int rc;
    while ((rc = src->next(src->ctx, &b)) > 0) {
        rc = run_batch(p, b);
        src->release(src->ctx);
        FV_TRY(rc);
        if (fv_train_stop)
            return fv_err(FV_EINTR, "interrupted");
        struct fv_progress progress = {p->what, "img", p->done, src->images_per_epoch, NULL};
        fv_progress(p->e->report, &progress);
    }
    FV_TRY(rc);
    /* A row of embeddings, or a label, is an image's; accuracy is of those that came. */
    if ((p->emb || p->label) && p->done != src->images_per_epoch)
        return fv_err(FV_EINVAL, "%s: %llu images came, %llu were announced", p->what,
                      (unsigned long long)p->done, (unsigned long long)src->images_per_epoch);
    return 0;
}

static const uint8_t *pixels_at(const struct fv_batch *b, int i)
{
    return b->pixels + (size_t)i * (size_t)b->height * (size_t)b->width * 3;
}

static int best_class(const float *z, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        best = z[c] > z[best] ? c : best;
    return best;
}

static int accuracy_piece(struct pass *p, const struct fv_batch *b, int from, int n)
{
    const struct fv_evaluator *e = p->e;
    const int classes = e->net->classes;
    const double scale = e->net->logit_scale;
    FV_TRY(e->backend->eval(e->program, pixels_at(b, from), n, NULL, p->logits));
    for (int i = 0; i < n; i++) {
        const float *z = p->logits + (size_t)i * (size_t)classes;
        const int label = b->label[from + i];
        if (label < 0 || label >= classes)
            return fv_err(FV_EINVAL, "%s: image %u has label %d, the net knows %d", p->what,
                          b->image[from + i], label, classes);
        const int best = best_class(z, classes);
        double sum = 0;
        for (int c = 0; c < classes; c++)
            sum += exp(scale * ((double)z[c] - (double)z[best]));
        p->useless = !isfinite(sum);
        if (p->useless)
            return fv_err(FV_EINVAL, "%s: the logits of image %u are not finite", p->what,
                          b->image[from + i]);
        p->hits += best == label;
        p->loss += log(sum) + scale * ((double)z[best] - (double)z[label]);
    }
    return 0;
}

int fv__eval_accuracy(const struct fv_evaluator *e, const struct fv_batch_source *images,
                      double *accuracy, double *loss)
{
    struct pass p = {.e = e, .images = images, .what = "validation", .piece = accuracy_piece};
    p.logits = malloc((size_t)e->capacity * (size_t)e->net->classes * sizeof *p.logits);
    int rc = p.logits ? run_pass(&p) : fv_err(FV_ENOMEM, "validation: out of memory");
    free(p.logits);
    if (rc == 0 && p.done == 0)
        rc = fv_err(FV_ENOTFOUND, "validation: there are no images");
    if (rc == 0) {
        *accuracy = (double)p.hits / (double)p.done;
        *loss = p.loss / (double)p.done;
    }
    return p.useless ? FV_EVAL_USELESS : rc;
}

static int classes_piece(struct pass *p, const struct fv_batch *b, int from, int n)
{
    const struct fv_evaluator *e = p->e;
    const int classes = e->net->classes;
    FV_TRY(e->backend->eval(e->program, pixels_at(b, from), n, NULL, p->logits));
    for (int i = 0; i < n; i++) {
        const float *z = p->logits + (size_t)i * (size_t)classes;
        for (int c = 0; c < classes; c++)
            if (!isfinite(z[c])) {
                p->useless = 1;
                return fv_err(FV_EINVAL, "%s: the logits of image %u are not finite", p->what,
                              b->image[from + i]);
            }
        p->label[p->done + (uint64_t)i] = (uint32_t)best_class(z, classes);
    }
    return 0;
}

int fv__eval_classes(const struct fv_evaluator *e, const struct fv_batch_source *images,
                     uint32_t *label)
{
    struct pass p = {
        .e = e, .images = images, .what = "classes", .piece = classes_piece, .label = label};
    p.logits = malloc((size_t)e->capacity * (size_t)e->net->classes * sizeof *p.logits);
    const int rc = p.logits ? run_pass(&p) : fv_err(FV_ENOMEM, "classes: out of memory");
    free(p.logits);
    return p.useless ? FV_EVAL_USELESS : rc;
}

static void mirror_images(uint8_t *to, const uint8_t *from, int n, int height, int width)
{
    for (size_t row = 0; row < (size_t)n * (size_t)height;
         row++, to += 3 * width, from += 3 * width)
        for (int x = 0; x < width; x++)
            memcpy(to + 3 * x, from + 3 * (width - 1 - x), 3);
}

/* v = (v + w) / |v + w|, or v + w when raw; w may be NULL. */
static int finish(float *v, const float *w, int n, int raw, const char *what, uint32_t image)
{
    double square = 0;
    for (int i = 0; i < n; i++) {
        double x = (double)v[i] + (w ? (double)w[i] : 0);
        square += x * x;
    }
    double norm = sqrt(square);
    if (!isfinite(norm) || norm < 1e-12)
        return fv_err(FV_EINVAL, "%s: the embedding of image %u has no direction (norm %g)", what,
                      image, norm);
    norm = raw ? 1 : norm;
    for (int i = 0; i < n; i++)
        v[i] = (float)(((double)v[i] + (w ? (double)w[i] : 0)) / norm);
    return 0;
}

static int embed_piece(struct pass *p, const struct fv_batch *b, int from, int n)
{
    const struct fv_evaluator *e = p->e;
    const int dim = e->net->embedding;
    float *emb = p->emb + p->done * (size_t)dim;
    FV_TRY(e->backend->eval(e->program, pixels_at(b, from), n, emb, NULL));
    if (p->flip) {
        mirror_images(p->mirror, pixels_at(b, from), n, b->height, b->width);
        FV_TRY(e->backend->eval(e->program, p->mirror, n, p->emb_mirror, NULL));
    }
    int rc = 0;
    for (int i = 0; i < n && rc == 0; i++)
        rc = finish(emb + (size_t)i * (size_t)dim,
                    p->flip ? p->emb_mirror + (size_t)i * (size_t)dim : NULL, dim, p->raw, p->what,
                    b->image[from + i]);
    p->useless = rc < 0;
    return rc;
}

static int embed_all(const struct fv_evaluator *e, const struct fv_batch_source *images, int flip,
                     int raw, float *emb)
{
    struct pass p = {.e = e,
                     .images = images,
                     .what = "embeddings",
                     .piece = embed_piece,
                     .flip = flip,
                     .raw = raw,
                     .emb = emb};
    const size_t n = (size_t)e->capacity, side = (size_t)e->net->size;
    if (flip) {
        p.mirror = malloc(n * side * side * 3);
        p.emb_mirror = malloc(n * (size_t)e->net->embedding * sizeof *p.emb_mirror);
    }
    int rc = flip && !(p.mirror && p.emb_mirror) ? fv_err(FV_ENOMEM, "embeddings: out of memory")
                                                 : run_pass(&p);
    free(p.mirror);
    free(p.emb_mirror);
    return p.useless ? FV_EVAL_USELESS : rc;
}

int fv__eval_embed(const struct fv_evaluator *e, const struct fv_batch_source *images, int flip,
                   float *emb)
{
    return embed_all(e, images, flip, 0, emb);
}

int fv__eval_embed_raw(const struct fv_evaluator *e, const struct fv_batch_source *images, int flip,
                       float *emb)
{
    return embed_all(e, images, flip, 1, emb);
}
