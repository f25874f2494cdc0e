/* SPDX-License-Identifier: MIT */
/* A trained net by itself: a checkpoint is enough to build it again, whatever trained it and wherever. */
#include "trainer/eval/evaluate.h"
#include "trainer/run/snapshot.h"
#include "trainer/trainer.h"

#include "common/err.h"
#include "common/fs.h"

#include <stdlib.h>

struct fv_model {
    struct fv_net *net;
    struct fv_device *device;
    struct fv_evaluator run;
    char *info;
};

/* Compiles the net and hands it its numbers. */
static int start(struct fv_model *m, const float *arena, const char *backend, int threads,
                 int batch)
{
    const struct fv_device_settings ds = {.threads = threads};
    const struct fv_backend *b;
    if (batch < 1)
        return fv_err(FV_EINVAL, "a batch of %d images", batch);
    FV_TRY(fv_backend_open(backend, &ds, &b, &m->device));
    m->run = (struct fv_evaluator){.backend = b, .net = m->net, .capacity = batch};
    FV_TRY(b->compile(m->device, m->net, batch, 0, NULL, &m->run.program));
    return b->params_set(m->run.program, arena);
}

static int describe(struct fv_model *m, const char *origin)
{
    m->info = fv_format("%s, %d px, %d classes, embedding of %d, %s, on %s (%s)", m->net->arch,
                        m->net->size, m->net->classes, m->net->embedding, origin,
                        m->run.backend->name, m->run.backend->info(m->device));
    return m->info ? 0 : fv_err(FV_ENOMEM, "out of memory");
}

static float *new_arena(const struct fv_net *net)
{
    float *arena = malloc((net->params + net->buffers) * sizeof *arena);
    if (!arena)
        fv_err(FV_ENOMEM, "out of memory for %zu weights", net->params + net->buffers);
    return arena;
}

static int open_trained(struct fv_model *m, const struct fv_st *st, const char *path,
                        const char *backend, int threads, int batch)
{
    struct fv_progress_state at;
    char origin[48];
    FV_TRY(fv__snapshot_net(st, path, &m->net));
    FV_TRY(fv__snapshot_progress(st, path, &at));
    float *arena = new_arena(m->net);
    int rc = arena ? fv__snapshot_weights(st, path, m->net, arena) : FV_ENOMEM;
    if (rc == 0)
        rc = start(m, arena, backend, threads, batch);
    free(arena);
    FV_TRY(rc);
    snprintf(origin, sizeof origin, "epoch %llu, step %llu", (unsigned long long)at.epoch,
             (unsigned long long)at.step);
    return describe(m, origin);
}

int fv_model_open(struct fv_model **out, const char *checkpoint, const char *backend, int threads,
                  int batch)
{
    struct fv_st *st;
    *out = NULL;
    FV_TRY(fv__snapshot_open(&st, checkpoint));
    struct fv_model *m = calloc(1, sizeof *m);
    int rc = m ? open_trained(m, st, checkpoint, backend, threads, batch)
               : fv_err(FV_ENOMEM, "out of memory");
    fv_st_close(&st);
    if (rc < 0)
        fv_model_close(&m);
    *out = m;
    return rc;
}

static int open_untrained(struct fv_model *m, const char *arch, const struct fv_arch_settings *a,
                          uint64_t seed, const char *backend, int threads, int batch)
{
    FV_TRY(fv_net_build(&m->net, arch, a));
    float *arena = new_arena(m->net);
    if (!arena)
        return FV_ENOMEM;
    fv_net_init(m->net, seed, arena);
    int rc = start(m, arena, backend, threads, batch);
    free(arena);
    FV_TRY(rc);
    return describe(m, "untrained");
}

int fv_model_open_untrained(struct fv_model **out, const char *arch,
                            const struct fv_arch_settings *a, uint64_t seed, const char *backend,
                            int threads, int batch)
{
    struct fv_model *m = calloc(1, sizeof *m);
    int rc = m ? open_untrained(m, arch, a, seed, backend, threads, batch)
               : fv_err(FV_ENOMEM, "out of memory");
    if (rc < 0)
        fv_model_close(&m);
    *out = m;
    return rc;
}

void fv_model_close(struct fv_model **m)
{
    if (!*m)
        return;
    if ((*m)->run.backend) {
        (*m)->run.backend->release(&(*m)->run.program);
        (*m)->run.backend->close(&(*m)->device);
    }
    fv_net_free(&(*m)->net);
    free((*m)->info);
    free(*m);
    *m = NULL;
}

const struct fv_net *fv_model_net(const struct fv_model *m)
{
    return m->net;
}

const char *fv_model_info(const struct fv_model *m)
{
    return m->info;
}

static int as_error(int rc)
{
    return rc == FV_EVAL_USELESS ? FV_EINVAL : rc;
}

int fv_model_embed(struct fv_model *m, const struct fv_batch_source *images, int flip, float *emb,
                   const struct fv_report *r)
{
    m->run.report = r;
    return as_error(fv__eval_embed(&m->run, images, flip, emb));
}

int fv_model_embed_raw(struct fv_model *m, const struct fv_batch_source *images, int flip,
                       float *emb, const struct fv_report *r)
{
    m->run.report = r;
    return as_error(fv__eval_embed_raw(&m->run, images, flip, emb));
}

int fv_model_classify(struct fv_model *m, const struct fv_batch_source *images, uint32_t *label,
                      const struct fv_report *r)
{
    m->run.report = r;
    return as_error(fv__eval_classes(&m->run, images, label));
}

int fv_model_accuracy(struct fv_model *m, const struct fv_batch_source *images, double *accuracy,
                      double *loss, const struct fv_report *r)
{
    m->run.report = r;
    return as_error(fv__eval_accuracy(&m->run, images, accuracy, loss));
}

double fv_score_two(const float *a, const float *b, int dim)
{
    double dot = 0;
    for (int k = 0; k < dim; k++)
        dot += (double)a[k] * (double)b[k];
    return dot;
}

void fv_score_pairs(const float *emb, int dim, const struct fv_index_pair *pair, size_t n,
                    double *score)
{
    for (size_t i = 0; i < n; i++)
        score[i] = fv_score_two(emb + (size_t)pair[i].a * (size_t)dim,
                                emb + (size_t)pair[i].b * (size_t)dim, dim);
}

int fv_model_search(const struct fv_model *m, const struct fv_gallery *g, const float *probe,
                    size_t n, struct fv_answer *answer)
{
    const struct fv_backend *b = m->run.backend;
    return b->columns_open ? fv_gallery_search_on(b, m->device, g, probe, n, answer)
                           : fv_gallery_search(g, probe, n, answer);
}
