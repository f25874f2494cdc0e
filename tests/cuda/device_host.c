/* SPDX-License-Identifier: MIT */
#include "tests/cuda/device_host.h"
#include "tests/cuda/device_host_gpu.h"

#include "common/err.h"
#include "trainer/cuda/emulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fv_device_host fv_device_host;

struct event {
    int stream;
    unsigned long at;
};

int fv_gpu_open(struct fv_gpu **out, int index)
{
    *out = NULL;
    if (fv_device_host.no_device || index != 0)
        return fv_err(FV_EUNSUPPORTED, "no device %d", index);
    struct fv_gpu *g = *out = calloc(1, sizeof *g);
    for (int i = 0; i < FV_GPU_STREAMS; i++)
        g->last[i] = &g->first[i];
    return 0;
}

void fv_gpu_close(struct fv_gpu **g)
{
    if (!*g)
        return;
    fv_comm_close(&(*g)->ranks);
    free(*g);
    *g = NULL;
}

const char *fv_gpu_name(const struct fv_gpu *g)
{
    (void)g;
    return "the host";
}

int fv_gpu_has_bf16(const struct fv_gpu *g)
{
    (void)g;
    return 1;
}

int fv_gpu_memory(struct fv_gpu *g, size_t *free_bytes, size_t *total_bytes)
{
    (void)g;
    *total_bytes = fv_device_host.limit ? fv_device_host.limit : (size_t)1 << 40;
    *free_bytes = *total_bytes - fv_device_host.on_device;
    return 0;
}

void host_may_not_be_captured(const struct fv_gpu *g)
{
    if (g->capturing)
        abort();
}

int host_recorded(struct fv_gpu *g, struct host_node n)
{
    if (!g->capturing)
        return 0;
    struct host_node *kept = malloc(sizeof *kept);
    *kept = n;
    kept->next = NULL;
    *g->capturing->last = kept;
    g->capturing->last = &kept->next;
    return 1;
}

/* Memory */

static int allocate(struct fv_gpu *g, void **out, size_t bytes, const char *what, int host)
{
    int i = 0;
    host_may_not_be_captured(g);
    if (!host && fv_device_host.limit && fv_device_host.on_device + bytes > fv_device_host.limit)
        return fv_err(FV_ENOMEM, "no memory for %s", what);
    while (i < HOST_BLOCKS && g->block[i].p)
        i++;
    if (i == HOST_BLOCKS)
        abort();
    *out = aligned_alloc(256, (bytes + 511) / 256 * 256);
    memset(*out, 0xff, bytes);
    g->block[i] = (struct host_block){*out, bytes, host};
    fv_device_host.allocated += bytes;
    fv_device_host.on_device += host ? 0 : bytes;
    return 0;
}

static void release(struct fv_gpu *g, void *p)
{
    host_may_not_be_captured(g);
    for (int i = 0; p && i < HOST_BLOCKS; i++)
        if (g->block[i].p == p) {
            fv_device_host.allocated -= g->block[i].bytes;
            fv_device_host.on_device -= g->block[i].host ? 0 : g->block[i].bytes;
            g->block[i].p = NULL;
            free(p);
            return;
        }
    if (p)
        abort(); /* never allocated, or freed twice */
}

int fv_gpu_alloc(struct fv_gpu *g, void **out, size_t bytes, const char *what)
{
    return allocate(g, out, bytes, what, 0);
}

void fv_gpu_free(struct fv_gpu *g, void *p)
{
    release(g, p);
}

int fv_gpu_host_alloc(struct fv_gpu *g, void **out, size_t bytes, const char *what)
{
    return allocate(g, out, bytes, what, 1);
}

void fv_gpu_host_free(struct fv_gpu *g, void *p)
{
    release(g, p);
}

int host_kind_of(const struct fv_gpu *g, const void *p)
{
    for (int i = 0; i < HOST_BLOCKS; i++)
        if (g->block[i].p && (const char *)p >= g->block[i].p &&
            (const char *)p < g->block[i].p + g->block[i].bytes)
            return g->block[i].host;
    return -1;
}

size_t host_room_at(const struct fv_gpu *g, const void *p)
{
    for (int i = 0; i < HOST_BLOCKS; i++)
        if (g->block[i].p && !g->block[i].host && (const char *)p >= g->block[i].p &&
            (const char *)p < g->block[i].p + g->block[i].bytes)
            return (size_t)(g->block[i].p + g->block[i].bytes - (const char *)p);
    return 0;
}

int fv_gpu_is_host(struct fv_gpu *g, const void *p)
{
    return host_kind_of(g, p) == 1;
}

/* Streams */

void *fv_gpu_stream(const struct fv_gpu *g, enum fv_gpu_stream s)
{
    (void)g;
    (void)s;
    return NULL;
}

static void ask(struct fv_gpu *g, int s, struct host_copy c)
{
    struct host_copy *kept = malloc(sizeof *kept);
    *kept = c;
    *g->last[s] = kept;
    g->last[s] = &kept->next;
    g->asked[s]++;
}

/* Whatever was asked of the stream up to that moment happens now. */
static void wait_for(struct fv_gpu *g, int s, unsigned long at)
{
    while (g->done[s] < at) {
        struct host_copy *c = g->first[s];
        g->first[s] = c->next;
        if (!c->next)
            g->last[s] = &g->first[s];
        memcpy(c->to, c->seen ? c->seen : c->from, c->bytes);
        free(c->seen);
        free(c);
        g->done[s]++;
    }
}

int fv_gpu_upload(struct fv_gpu *g, enum fv_gpu_stream s, void *to, const void *from_host,
                  size_t bytes)
{
    host_may_not_be_captured(g);
    if (host_kind_of(g, to) != 0)
        abort();
    if (s == FV_GPU_WORK) /* kernels follow at once */
        memcpy(to, from_host, bytes);
    else
        ask(g, s, (struct host_copy){.to = to, .from = from_host, .bytes = bytes});
    return 0;
}

int fv_gpu_download(struct fv_gpu *g, enum fv_gpu_stream s, void *to_host, const void *from,
                    size_t bytes)
{
    if (host_kind_of(g, from) != 0 || (g->capturing && host_kind_of(g, to_host) != 1))
        abort(); /* a graph writes to memory that is there for as long as it */
    if (host_recorded(g, (struct host_node){
                             .by = HOST_BY_DOWNLOAD, .to = to_host, .from = from, .bytes = bytes}))
        return 0;
    struct host_copy c = {.to = to_host, .seen = malloc(bytes + 1), .bytes = bytes};
    memcpy(c.seen, from, bytes);
    ask(g, s, c);
    return 0;
}

int fv_gpu_copy(struct fv_gpu *g, enum fv_gpu_stream s, void *to, const void *from, size_t bytes)
{
    (void)s;
    if (host_kind_of(g, to) != 0 || host_kind_of(g, from) != 0)
        abort();
    if (!host_recorded(
            g, (struct host_node){.by = HOST_BY_COPY, .to = to, .from = from, .bytes = bytes}))
        memcpy(to, from, bytes);
    return 0;
}

int fv_gpu_zero(struct fv_gpu *g, enum fv_gpu_stream s, void *p, size_t bytes)
{
    (void)s;
    if (host_kind_of(g, p) != 0)
        abort();
    if (!host_recorded(g, (struct host_node){.by = HOST_BY_ZERO, .to = p, .bytes = bytes}))
        memset(p, 0, bytes);
    return 0;
}

int fv_gpu_sync(struct fv_gpu *g, enum fv_gpu_stream s)
{
    host_may_not_be_captured(g);
    wait_for(g, s, g->asked[s]);
    return 0;
}

int fv_gpu_event_new(struct fv_gpu *g, void **out, int timed)
{
    (void)g;
    (void)timed;
    *out = calloc(1, sizeof(struct event));
    return 0;
}

void fv_gpu_event_free(struct fv_gpu *g, void *event)
{
    (void)g;
    free(event);
}

int fv_gpu_event_record(struct fv_gpu *g, void *event, enum fv_gpu_stream s)
{
    *(struct event *)event = (struct event){s, g->asked[s]};
    return 0;
}

int fv_gpu_event_sync(struct fv_gpu *g, void *event)
{
    const struct event *e = event;
    host_may_not_be_captured(g);
    wait_for(g, e->stream, e->at);
    return 0;
}

int fv_gpu_event_done(struct fv_gpu *g, void *event)
{
    (void)g;
    (void)event;
    return !fv_device_host.stuck;
}

int fv_gpu_event_wait(struct fv_gpu *g, void *event, enum fv_gpu_stream s)
{
    (void)s;
    return g->capturing ? 0 : fv_gpu_event_sync(g, event);
}

int fv_gpu_event_ms(struct fv_gpu *g, void *from, void *to, double *ms)
{
    (void)g;
    (void)from;
    (void)to;
    *ms = 1;
    return 0;
}

static void take_kernel(void *ctx, void *stream, struct fv_emulated *launch)
{
    (void)stream;
    host_recorded(ctx, (struct host_node){.by = HOST_BY_KERNEL, .kernel = launch});
}

int fv_gpu_capture_begin(struct fv_gpu *g)
{
    host_may_not_be_captured(g);
    g->capturing = calloc(1, sizeof *g->capturing);
    g->capturing->last = &g->capturing->first;
    fv_emulate_record(take_kernel, g);
    return 0;
}

int fv_gpu_capture_end(struct fv_gpu *g, void **graph)
{
    fv_emulate_record(NULL, NULL);
    *graph = g->capturing;
    g->capturing = NULL;
    return 0;
}

static int redo(struct fv_gpu *g, const struct host_node *n)
{
    switch (n->by) {
    case HOST_BY_KERNEL:
        return fv_emulate_replay(n->kernel);
    case HOST_BY_COPY:
        return fv_gpu_copy(g, FV_GPU_WORK, n->to, n->from, n->bytes);
    case HOST_BY_ZERO:
        return fv_gpu_zero(g, FV_GPU_WORK, n->to, n->bytes);
    case HOST_BY_DOWNLOAD:
        return fv_gpu_download(g, FV_GPU_WORK, n->to, n->from, n->bytes);
    case HOST_BY_CONV:
        return fv_gpu_conv_run(g, n->conv, &n->op, n->arg, n->to);
    case HOST_BY_GEMM:
        return fv_gpu_gemm_run(g, &n->gemm, n->from, n->from2, n->to);
    case HOST_BY_MEAN:
        return fv_gpu_ranks_mean(g, n->to, n->bytes, n->type);
    default:
        return fv_gpu_ranks_gather(g, n->from, n->to, n->bytes);
    }
}

int fv_gpu_graph_launch(struct fv_gpu *g, void *graph)
{
    host_may_not_be_captured(g);
    fv_device_host.graph_launches++;
    for (const struct host_node *n = ((const struct host_graph *)graph)->first; n; n = n->next)
        FV_TRY(redo(g, n));
    return 0;
}

void fv_gpu_graph_free(struct fv_gpu *g, void *graph)
{
    (void)g;
    struct host_graph *dead = graph;
    for (struct host_node *n = dead ? dead->first : NULL, *next; n; n = next) {
        next = n->next;
        free(n->kernel);
        free(n);
    }
    free(dead);
}
