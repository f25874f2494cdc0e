/* SPDX-License-Identifier: MIT */
#include "tools/bench/replay.h"

#include "common/err.h"
#include "tools/bench/batch_memory.h"

#include <stdlib.h>

struct replay {
    struct fv_batch_source source;
    struct fv_batch *batch; /* (n) */
    int n;
    uint64_t ticket;
};

static int next(void *ctx, const struct fv_batch **out)
{
    struct replay *r = ctx;
    struct fv_batch *b = &r->batch[r->ticket % (uint64_t)r->n];

    b->ticket = r->ticket;
    b->epoch = (uint32_t)(r->ticket / r->source.batches_per_epoch);
    b->step = (uint32_t)(r->ticket % r->source.batches_per_epoch);
    r->ticket++;
    *out = b;
    return 1;
}

static void release(void *ctx)
{
    (void)ctx;
}

static int seek(void *ctx, uint64_t ticket)
{
    ((struct replay *)ctx)->ticket = ticket;
    return FV_OK;
}

static uint64_t waited_ns(void *ctx)
{
    (void)ctx;
    return 0;
}

static int fill(struct replay *r, const struct fv_batch_source *from)
{
    for (int i = 0; i < r->n; i++) {
        const struct fv_batch *b;
        const int rc = from->next(from->ctx, &b);
        FV_TRY(rc);
        if (rc == 0)
            return fv_err(FV_EINVAL, "the data set has less than %d batches to replay", r->n);
        FV_TRY(batch_alloc(&r->batch[i], b->capacity, b->height, b->width));
        batch_copy(&r->batch[i], b);
        from->release(from->ctx);
    }
    return FV_OK;
}

int replay_open(struct replay **out, const struct fv_batch_source *from, int n)
{
    *out = NULL;
    struct replay *r = calloc(1, sizeof *r);
    if (!r)
        return fv_err(FV_ENOMEM, "out of memory");
    r->source = *from;
    r->source.ctx = r;
    r->source.next = next;
    r->source.release = release;
    r->source.seek = seek;
    r->source.waited_ns = waited_ns;
    r->n = n;
    r->batch = calloc((size_t)n, sizeof *r->batch);
    const int rc = r->batch ? fill(r, from) : fv_err(FV_ENOMEM, "out of memory");
    if (rc < 0)
        replay_close(&r);
    *out = r;
    return rc;
}

void replay_close(struct replay **replay)
{
    struct replay *r = *replay;

    if (!r)
        return;
    for (int i = 0; r->batch && i < r->n; i++)
        batch_free(&r->batch[i]);
    free(r->batch);
    free(r);
    *replay = NULL;
}

const struct fv_batch_source *replay_source(struct replay *r)
{
    return &r->source;
}
