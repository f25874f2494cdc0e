/* SPDX-License-Identifier: MIT */
#include "tools/eval/eval_net.h"

#include "common/err.h"

#include <stdlib.h>

int eval_net_open(struct eval_net *e, const struct eval_net_settings *s, const char *db)
{
    *e = (struct eval_net){.s = s, .report = fv_console_report("fveval", s->quiet ? 1 : 2)};
    return db ? fv_store_open(&e->store, db) : FV_OK;
}

int eval_net_load(struct eval_net *e, const char *checkpoint)
{
    return eval_net_load_other(e, checkpoint, &e->model);
}

int eval_net_load_other(const struct eval_net *e, const char *checkpoint, struct fv_model **model)
{
    return fv_model_open(model, checkpoint, e->s->backend, (int)e->s->threads, (int)e->s->batch);
}

void eval_net_close(struct eval_net *e)
{
    fv_model_close(&e->model);
    fv_store_close(&e->store);
}

int eval_net_embed(const struct eval_net *e, const struct eval_images *im, float **emb)
{
    *emb = malloc((size_t)im->n * (size_t)fv_model_net(e->model)->embedding * sizeof **emb);
    const int rc = *emb ? eval_images_embed(im, e->model, e->s->flip, e->s->batch, *emb)
                        : fv_err(FV_ENOMEM, "out of memory for %u embeddings", im->n);
    if (rc < 0) {
        free(*emb);
        *emb = NULL;
    }
    return rc;
}

int eval_net_embed_splits(const struct eval_net *e, struct eval_images *im, const char *list,
                          float **emb)
{
    *emb = NULL;
    FV_TRY(eval_images_want_splits(im, list));
    return eval_net_embed(e, im, emb);
}
