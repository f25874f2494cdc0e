/* SPDX-License-Identifier: MIT */
#include "tools/eval/eval_report.h"

#include "common/err.h"
#include "common/fs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int eval_report_keep(struct eval_report *k, const struct pair_set *s, const struct fv_model *model)
{
    const struct eval_images *im = &s->images;
    const uint64_t all = fv_store_info(s->store)->images;
    const size_t bytes = s->test.pairs.n * sizeof *k->score;
    struct fv_store_image one;
    uint32_t n = 0;

    k->dim = fv_model_net(model)->embedding;
    k->model = strdup(fv_model_info(model));
    k->score = malloc(bytes);
    k->image = malloc(((size_t)im->n + 1) * sizeof *k->image);
    if (!k->score || !k->image || !k->model)
        return fv_err(FV_ENOMEM, "out of memory for the report");
    memcpy(k->score, s->test.score, bytes);
    for (uint64_t i = 0; i < all && n < im->n; i++) {
        FV_TRY(fv_store_image(s->store, i, &one));
        if (im->splits >> one.split & 1)
            k->image[n++] = (uint32_t)i;
    }
    return FV_OK;
}

void eval_report_take_rows(struct eval_report *k, const struct results *r)
{
    k->figures = report_rows(r);
    report_take_interval(&k->interval, r);
}

/* The log of the run that the checkpoint lies in; NULL when it lies in none. */
static char *log_beside(const char *checkpoint)
{
    const char *slash = strrchr(checkpoint, '/');
    char *log = slash ? fv_format("%.*s/log.jsonl", (int)(slash - checkpoint), checkpoint)
                      : strdup("log.jsonl");

    if (log && access(log, R_OK) != 0) {
        free(log);
        log = NULL;
    }
    return log;
}

int eval_report_write(struct eval_report *k, const char *path, struct report_verification *v,
                      const struct pair_set *s)
{
    k->log = log_beside(v->checkpoint);
    v->log = k->log;
    v->model = k->model;
    v->store = s->store;
    v->pair = s->templates.n ? NULL : s->test.pairs.pair;
    v->pairs = s->test.pairs.n;
    v->same = s->test.same;
    v->score = k->score;
    v->embedding = s->vectors;
    v->image = k->image;
    v->images = s->images.n;
    v->dim = k->dim;
    v->figures = k->figures;
    v->eer_low = k->interval.eer_low;
    v->eer_high = k->interval.eer_high;
    v->level = k->interval.level;
    return report_verification(path, v);
}

void eval_report_free(struct eval_report *k)
{
    free(k->score);
    free(k->image);
    free(k->model);
    free(k->figures);
    free(k->log);
    *k = (struct eval_report){0};
}
