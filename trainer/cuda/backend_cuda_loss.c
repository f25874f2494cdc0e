/* SPDX-License-Identifier: MIT */
/* The loss: each term by its kernels, one after another, adding to the gradients of what several of them read.
 *
 * What a term keeps from step to step lies among the running statistics. A number (of adaface) is written beside the
 * batch's statistics and taken over with those; the centres of classes follow by a kernel of their own. Neither
 * happens in a step that is not finite. */
#include "trainer/cuda/backend_cuda_update.h"

#include "common/err.h"
#include "trainer/cuda/hyper.h"

#include <string.h>

static const enum fv_low_role read_as[FV_LOSS_INPUTS] = {FV_LOW_Y, FV_LOW_COSINES,
                                                         FV_LOW_EMBEDDING};
static const enum fv_low_role gradient_as[FV_LOSS_INPUTS] = {FV_LOW_DX, FV_LOW_DCOSINES,
                                                             FV_LOW_DEMBEDDING};

/* A term on its way to its kernels. */
struct term {
    const struct fv__cuda_update *u;
    const struct fv_loss_term *t;
    int number, add; /* add: an earlier term has written the gradient */
    float *items;
};

/* Floats between two rows of an operand. */
static int stride_of(const struct fv__cuda_update *u, enum fv_low_role role)
{
    return (int)(u->l->buffer[u->op->arg[role]].bytes / sizeof(float) / (size_t)u->l->batch);
}

static float *statistic(const struct term *t, enum fv_low_space space, int which)
{
    const int tensor = fv_net_loss_state(t->u->p->net, t->number, which);
    return (float *)(void *)t->u->p->space[space] + t->u->l->slot[tensor].offset;
}

/* Over class scores */

static int norm_moments(const struct term *t)
{
    const struct fv_k_norm_moments m = {.norm = t->u->arg[FV_LOW_NORM],
                                        .margin = &t->u->settings->margin[t->number],
                                        .hyper = &t->u->settings->hyper,
                                        .mean = statistic(t, FV_LOW_RUNNING, 0),
                                        .deviation = statistic(t, FV_LOW_RUNNING, 1),
                                        .new_mean = statistic(t, FV_LOW_BATCHSTAT, 0),
                                        .new_deviation = statistic(t, FV_LOW_BATCHSTAT, 1)};
    return fv_k_norm_moments(&m, t->u->stream);
}

static int over_scores(const struct term *t)
{
    const struct fv__cuda_update *u = t->u;
    const int scores = fv_loss_scores(t->t), by_norm = t->t->loss->reads & FV_LOSS_READS_NORMS;
    const struct fv_k_loss l = {.scores = u->arg[read_as[scores]],
                                .rows = u->l->batch,
                                .classes = u->p->net->classes,
                                .stride = stride_of(u, read_as[scores]),
                                .label = u->arg[FV_LOW_LABEL],
                                .label_mix = u->arg[FV_LOW_LABEL_MIX],
                                .lambda = u->arg[FV_LOW_LAMBDA],
                                .margin = &u->settings->margin[t->number],
                                .norm = by_norm ? u->arg[FV_LOW_NORM] : NULL,
                                .mean = by_norm ? statistic(t, FV_LOW_BATCHSTAT, 0) : NULL,
                                .deviation = by_norm ? statistic(t, FV_LOW_BATCHSTAT, 1) : NULL,
                                .hyper = &u->settings->hyper,
                                .control = u->control,
                                .gradient = u->arg[gradient_as[scores]],
                                .items = t->items,
                                .hits = t->number == u->p->net->loss.scored ? u->arg[FV_LOW_HITS]
                                                                            : NULL,
                                .add_gradient = t->add};
    if (by_norm)
        FV_TRY(norm_moments(t));
    return fv_k_loss(&l, u->stream);
}

/* Over embeddings */

static int run_center(const struct term *t)
{
    const struct fv__cuda_update *u = t->u;
    const int tensor = fv_net_loss_state(u->p->net, t->number, 0);
    const struct fv_k_center c = {.embedding = u->arg[FV_LOW_EMBEDDING],
                                  .rows = u->l->batch,
                                  .dim = u->p->net->embedding,
                                  .stride = stride_of(u, FV_LOW_EMBEDDING),
                                  .centre_stride = u->l->slot[tensor].c,
                                  .label = u->arg[FV_LOW_LABEL],
                                  .label_mix = u->arg[FV_LOW_LABEL_MIX],
                                  .lambda = u->arg[FV_LOW_LAMBDA],
                                  .centre = statistic(t, FV_LOW_RUNNING, 0),
                                  .weight = (float)t->t->weight,
                                  .hyper = &u->settings->hyper,
                                  .control = u->control,
                                  .gradient = u->arg[FV_LOW_DEMBEDDING],
                                  .items = t->items,
                                  .add_gradient = t->add};
    return fv_k_center(&c, u->stream);
}

static int run_triplet(const struct term *t)
{
    const struct fv__cuda_update *u = t->u;
    const struct fv_k_triplet k = {.embedding = u->arg[FV_LOW_EMBEDDING],
                                   .rows = u->l->batch,
                                   .dim = u->p->net->embedding,
                                   .stride = stride_of(u, FV_LOW_EMBEDDING),
                                   .label = u->arg[FV_LOW_LABEL],
                                   .label_mix = u->arg[FV_LOW_LABEL_MIX],
                                   .lambda = u->arg[FV_LOW_LAMBDA],
                                   .weight = (float)t->t->weight,
                                   .margin = (float)fv_loss_value(t->t, "margin"),
                                   .semi_hard = fv_loss_value(t->t, "mine") != 0,
                                   .squared = fv_loss_value(t->t, "squared") != 0,
                                   .soft = fv_loss_value(t->t, "soft") != 0,
                                   .unit = fv_loss_value(t->t, "unit") != 0,
                                   .hyper = &u->settings->hyper,
                                   .control = u->control,
                                   .work = u->scratch,
                                   .gradient = u->arg[FV_LOW_DEMBEDDING],
                                   .items = t->items,
                                   .add_gradient = t->add};
    return fv_k_triplet(&k, u->stream);
}

static size_t triplet_work(const struct fv_lowered *l, int stride)
{
    return fv_k_triplet_work(l->batch, stride) * sizeof(float);
}

static const struct kind {
    const char *name;
    int (*run)(const struct term *t);
    size_t (*work)(const struct fv_lowered *l, int stride); /* bytes of scratch; NULL: none */
} kinds[] = {{"center", run_center, NULL}, {"triplet", run_triplet, triplet_work}};

static const struct kind *kind_of(const struct fv_loss_term *t)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, t->loss->name) == 0)
            return &kinds[i];
    return NULL;
}

/* The whole */

int fv__cuda_check_loss(const struct fv_net *net)
{
    for (int i = 0; i < net->loss.terms; i++) {
        const struct fv_loss_term *t = &net->loss.term[i];
        struct fv_k_margin margin;
        if (fv_loss_scores(t) >= 0)
            FV_TRY(fv_k_margin_set(&margin, t, 0));
        else if (!kind_of(t))
            return fv_err(FV_EUNSUPPORTED, "backend cuda has no loss %s: use --backend cpu",
                          t->loss->name);
    }
    return 0;
}

size_t fv__cuda_loss_scratch(const struct fv_lowered *l)
{
    const int stride = (l->net->embedding + 7) / 8 * 8;
    size_t most = 0;
    for (int i = 0; i < l->net->loss.terms; i++) {
        const struct kind *k = kind_of(&l->net->loss.term[i]);
        const size_t bytes = k && k->work ? k->work(l, stride) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

int fv__cuda_set_margins(const struct fv_program *p, struct fv__cuda_settings *s)
{
    for (int i = 0; i < p->net->loss.terms; i++)
        if (fv_loss_scores(&p->net->loss.term[i]) >= 0)
            FV_TRY(fv_k_margin_set(&s->margin[i], &p->net->loss.term[i], p->epoch));
    return 0;
}

int fv__cuda_loss(const struct fv__cuda_update *u)
{
    const struct fv_loss_spec *spec = &u->p->net->loss;
    int written[FV_LOSS_INPUTS] = {0};
    for (int i = 0; i < spec->terms; i++) {
        const int scores = fv_loss_scores(&spec->term[i]);
        const int input = scores >= 0 ? scores : FV_LOSS_EMBEDDING;
        const struct term t = {.u = u,
                               .t = &spec->term[i],
                               .number = i,
                               .add = written[input],
                               .items = (float *)u->arg[FV_LOW_ITEMS] + i * u->l->batch};
        FV_TRY(scores >= 0 ? over_scores(&t) : kind_of(t.t)->run(&t));
        written[input] = 1;
    }
    return 0;
}

int fv__cuda_follow_classes(const struct fv__cuda_update *u)
{
    const struct fv_net *net = u->p->net;
    for (int i = 0; i < net->loss.terms; i++) {
        const struct fv_loss_term *t = &net->loss.term[i];
        if (strcmp(t->loss->name, "center") != 0)
            continue;
        const struct term of = {.u = u, .t = t, .number = i};
        const struct fv_low_slot *slot = &u->l->slot[fv_net_loss_state(net, i, 0)];
        const struct fv_k_center_follow f = {.embedding = u->arg[FV_LOW_EMBEDDING],
                                             .rows = u->l->batch,
                                             .dim = net->embedding,
                                             .stride = stride_of(u, FV_LOW_EMBEDDING),
                                             .centre_stride = slot->c,
                                             .label = u->arg[FV_LOW_LABEL],
                                             .label_mix = u->arg[FV_LOW_LABEL_MIX],
                                             .lambda = u->arg[FV_LOW_LAMBDA],
                                             .centre = statistic(&of, FV_LOW_RUNNING, 0),
                                             .alpha = (float)fv_loss_value(t, "alpha"),
                                             .hyper = &u->settings->hyper,
                                             .control = u->control};
        FV_TRY(fv_k_center_follow(&f, u->stream));
        FV_TRY(fv__cuda_mean_of_ranks(u->p, f.centre, slot->count, FV_LOW_F32));
    }
    return 0;
}
