/* SPDX-License-Identifier: MIT */
#include "tests/cuda/device_host.h"
#include "tests/cuda/device_host_math.h"

#include "common/err.h"
#include "trainer/comm/comm.h"
#include "trainer/cuda/device_cuda.h"
#include "trainer/cuda/emulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

struct fv_device_host fv_device_host;

/* A copy that has been asked for; a download holds what it has seen. */
struct copy {
    void *to;
    const void *from;
    void *seen;
    size_t bytes;
    struct copy *next;
};
struct event {
    int stream;
    unsigned long at;
};
enum { BLOCKS = 256 };
struct graph;
struct fv_gpu {
    struct graph *capturing;
    struct fv_comm *ranks;
    struct copy *first[FV_GPU_STREAMS], **last[FV_GPU_STREAMS];
    unsigned long asked[FV_GPU_STREAMS], done[FV_GPU_STREAMS];
    struct block {
        char *p;
        size_t bytes;
        int host;
    } block[BLOCKS];
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

/* What would break a capture on a device, or be done once and not again with the graph. */
static void may_not_be_captured(const struct fv_gpu *g)
{
    if (g->capturing)
        abort();
}

/* Captured graphs: what was asked for, to be done again, with the arguments that it had. */

enum done_by { BY_KERNEL, BY_COPY, BY_ZERO, BY_DOWNLOAD, BY_CONV, BY_GEMM, BY_MEAN, BY_GATHER };
struct node {
    enum done_by by;
    struct fv_emulated *kernel;
    void *to;
    const void *from, *from2;
    size_t bytes;
    enum fv_low_dtype type;
    const struct fv_gpu_conv *conv;
    struct fv_low_op op;
    void *arg[FV_LOW_ROLES];
    struct fv_gpu_gemm gemm;
    struct node *next;
};
struct graph {
    struct node *first, **last;
};

/* 1 if a graph is being captured: then the work is in it, and not done. */
static int recorded(struct fv_gpu *g, struct node n)
{
    if (!g->capturing)
        return 0;
    struct node *kept = malloc(sizeof *kept);
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
    may_not_be_captured(g);
    if (!host && fv_device_host.limit && fv_device_host.on_device + bytes > fv_device_host.limit)
        return fv_err(FV_ENOMEM, "no memory for %s", what);
    while (i < BLOCKS && g->block[i].p)
        i++;
    if (i == BLOCKS)
        abort();
    *out = aligned_alloc(256, (bytes + 511) / 256 * 256);
    memset(*out, 0xff, bytes);
    g->block[i] = (struct block){*out, bytes, host};
    fv_device_host.allocated += bytes;
    fv_device_host.on_device += host ? 0 : bytes;
    return 0;
}

static void release(struct fv_gpu *g, void *p)
{
    may_not_be_captured(g);
    for (int i = 0; p && i < BLOCKS; i++)
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

static int kind_of(const struct fv_gpu *g,
                   const void *p) /* -1: foreign, 0: the device's, 1: pinned */
{
    for (int i = 0; i < BLOCKS; i++)
        if (g->block[i].p && (const char *)p >= g->block[i].p &&
            (const char *)p < g->block[i].p + g->block[i].bytes)
            return g->block[i].host;
    return -1;
}

/* Bytes of the device's memory from there on. */
static size_t room_at(const struct fv_gpu *g, const void *p)
{
    for (int i = 0; i < BLOCKS; i++)
        if (g->block[i].p && !g->block[i].host && (const char *)p >= g->block[i].p &&
            (const char *)p < g->block[i].p + g->block[i].bytes)
            return (size_t)(g->block[i].p + g->block[i].bytes - (const char *)p);
    return 0;
}

int fv_gpu_is_host(struct fv_gpu *g, const void *p)
{
    return kind_of(g, p) == 1;
}

/* Streams */

void *fv_gpu_stream(const struct fv_gpu *g, enum fv_gpu_stream s)
{
    (void)g;
    (void)s;
    return NULL;
}

static void ask(struct fv_gpu *g, int s, struct copy c)
{
    struct copy *kept = malloc(sizeof *kept);
    *kept = c;
    *g->last[s] = kept;
    g->last[s] = &kept->next;
    g->asked[s]++;
}

/* Whatever was asked of the stream up to that moment happens now. */
static void wait_for(struct fv_gpu *g, int s, unsigned long at)
{
    while (g->done[s] < at) {
        struct copy *c = g->first[s];
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
    may_not_be_captured(g);
    if (kind_of(g, to) != 0)
        abort();
    if (s == FV_GPU_WORK) /* kernels follow at once */
        memcpy(to, from_host, bytes);
    else
        ask(g, s, (struct copy){.to = to, .from = from_host, .bytes = bytes});
    return 0;
}

int fv_gpu_download(struct fv_gpu *g, enum fv_gpu_stream s, void *to_host, const void *from,
                    size_t bytes)
{
    if (kind_of(g, from) != 0 || (g->capturing && kind_of(g, to_host) != 1))
        abort(); /* a graph writes to memory that is there for as long as it */
    if (recorded(g, (struct node){.by = BY_DOWNLOAD, .to = to_host, .from = from, .bytes = bytes}))
        return 0;
    struct copy c = {.to = to_host, .seen = malloc(bytes + 1), .bytes = bytes};
    memcpy(c.seen, from, bytes);
    ask(g, s, c);
    return 0;
}

int fv_gpu_copy(struct fv_gpu *g, enum fv_gpu_stream s, void *to, const void *from, size_t bytes)
{
    (void)s;
    if (kind_of(g, to) != 0 || kind_of(g, from) != 0)
        abort();
    if (!recorded(g, (struct node){.by = BY_COPY, .to = to, .from = from, .bytes = bytes}))
        memcpy(to, from, bytes);
    return 0;
}

int fv_gpu_zero(struct fv_gpu *g, enum fv_gpu_stream s, void *p, size_t bytes)
{
    (void)s;
    if (kind_of(g, p) != 0)
        abort();
    if (!recorded(g, (struct node){.by = BY_ZERO, .to = p, .bytes = bytes}))
        memset(p, 0, bytes);
    return 0;
}

int fv_gpu_sync(struct fv_gpu *g, enum fv_gpu_stream s)
{
    may_not_be_captured(g);
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
    may_not_be_captured(g);
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
    recorded(ctx, (struct node){.by = BY_KERNEL, .kernel = launch});
}

int fv_gpu_capture_begin(struct fv_gpu *g)
{
    may_not_be_captured(g);
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

static int redo(struct fv_gpu *g, const struct node *n)
{
    switch (n->by) {
    case BY_KERNEL:
        return fv_emulate_replay(n->kernel);
    case BY_COPY:
        return fv_gpu_copy(g, FV_GPU_WORK, n->to, n->from, n->bytes);
    case BY_ZERO:
        return fv_gpu_zero(g, FV_GPU_WORK, n->to, n->bytes);
    case BY_DOWNLOAD:
        return fv_gpu_download(g, FV_GPU_WORK, n->to, n->from, n->bytes);
    case BY_CONV:
        return fv_gpu_conv_run(g, n->conv, &n->op, n->arg, n->to);
    case BY_GEMM:
        return fv_gpu_gemm_run(g, &n->gemm, n->from, n->from2, n->to);
    case BY_MEAN:
        return fv_gpu_ranks_mean(g, n->to, n->bytes, n->type);
    default:
        return fv_gpu_ranks_gather(g, n->from, n->to, n->bytes);
    }
}

int fv_gpu_graph_launch(struct fv_gpu *g, void *graph)
{
    may_not_be_captured(g);
    fv_device_host.graph_launches++;
    for (const struct node *n = ((const struct graph *)graph)->first; n; n = n->next)
        FV_TRY(redo(g, n));
    return 0;
}

void fv_gpu_graph_free(struct fv_gpu *g, void *graph)
{
    (void)g;
    struct graph *dead = graph;
    for (struct node *n = dead ? dead->first : NULL, *next; n; n = next) {
        next = n->next;
        free(n->kernel);
        free(n);
    }
    free(dead);
}

/* Convolutions */

struct fv_gpu_conv {
    enum fv_low_dtype type;
    size_t workspace;
};
static struct fv_gpu_conv plans[64];
static int plan_count;

int fv_gpu_conv_can(struct fv_gpu *g, const struct fv_low_query *q)
{
    (void)g;
    return fv_device_host.fused && q->dtype != FV_LOW_F32 &&
           (q->graph == FV_LOW_GRAPH_STATS || q->graph == FV_LOW_GRAPH_PROLOGUE_STATS ||
            q->graph == FV_LOW_GRAPH_WGRAD_PROLOGUE || q->graph == FV_LOW_GRAPH_DGRAD_BN);
}

int fv_gpu_conv_find(struct fv_gpu *g, const struct fv_low_op *op, enum fv_low_dtype type,
                     const struct fv_gpu_conv **out)
{
    may_not_be_captured(g);
    const struct fv_gpu_conv want = {type,
                                     512 + fv_device_host.workspace * (size_t)op->shape.n +
                                         (op->shape.n < 4 ? fv_device_host.short_workspace : 0)};
    int i = 0;
    while (i < plan_count && (plans[i].type != type || plans[i].workspace != want.workspace))
        i++;
    if (i == sizeof plans / sizeof plans[0])
        abort();
    if (i == plan_count)
        plans[plan_count++] = want;
    *out = &plans[i];
    return 0;
}

size_t fv_gpu_conv_workspace(const struct fv_gpu_conv *c)
{
    return c->workspace;
}

int fv_gpu_conv_slow(const struct fv_gpu *g, int i, char *text, size_t size)
{
    (void)g;
    (void)i;
    (void)text;
    (void)size;
    return 0;
}

const char *fv_gpu_conv_text(const struct fv_gpu_conv *c)
{
    (void)c;
    return "loops";
}

int fv_gpu_conv_run(struct fv_gpu *g, const struct fv_gpu_conv *c, const struct fv_low_op *op,
                    void *const arg[FV_LOW_ROLES], void *workspace)
{
    struct node n = {.by = BY_CONV, .conv = c, .op = *op, .to = workspace};
    memcpy(n.arg, arg, sizeof n.arg);
    if (room_at(g, workspace) < fv_gpu_conv_workspace(c))
        abort();
    if (recorded(g, n))
        return 0;
    memset(workspace, 0xff, fv_gpu_conv_workspace(c));
    fv_device_host.convs++;
    fv_device_host.fused_convs += op->graph != FV_LOW_GRAPH_PLAIN;
    host_convolution(op, c->type, arg);
    return 0;
}

int fv_gpu_gemm_run(struct fv_gpu *g, const struct fv_gpu_gemm *s, const void *a, const void *b,
                    void *c)
{
    if (!recorded(g, (struct node){.by = BY_GEMM, .gemm = *s, .from = a, .from2 = b, .to = c}))
        host_product(s, a, b, c);
    return 0;
}

/* Ranks: processes that meet by TCP, at a port that rank 0 found. */

int fv_gpu_ranks_id(unsigned char id[FV_GPU_ID_BYTES])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        abort();
    close(fd);
    snprintf((char *)id, FV_GPU_ID_BYTES, "%d", ntohs(a.sin_port));
    return 0;
}

static void set_number(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

int fv_gpu_ranks_join(struct fv_gpu *g, const unsigned char id[FV_GPU_ID_BYTES], int rank,
                      int ranks, const struct fv_gpu_patience *patience)
{
    (void)patience; /* what it waits by has a limit of its own */
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", (const char *)id, 1);
    set_number("RANK", rank);
    set_number("WORLD_SIZE", ranks);
    return fv_comm_open(&g->ranks, &(struct fv_comm_settings){.kind = "tcp", .timeout_s = 30});
}

int fv_gpu_ranks_mean(struct fv_gpu *g, void *p, size_t count, enum fv_low_dtype type)
{
    if (kind_of(g, p) != 0)
        abort();
    if (recorded(g, (struct node){.by = BY_MEAN, .to = p, .bytes = count, .type = type}))
        return 0;
    float *v = host_widened(p, type, count);
    fv_device_host.sums++;
    int rc = fv_comm_sum_floats(g->ranks, v, count);
    for (size_t i = 0; i < count; i++)
        host_store(p, type, i, (double)v[i] / fv_comm_world(g->ranks));
    free(v);
    return rc;
}

int fv_gpu_ranks_gather(struct fv_gpu *g, const float *mine, float *all, size_t count)
{
    if (room_at(g, all) < count * sizeof *all * (size_t)fv_comm_world(g->ranks))
        abort();
    if (recorded(g, (struct node){.by = BY_GATHER, .to = all, .from = mine, .bytes = count}))
        return 0;
    return fv_comm_gather(g->ranks, mine, count * sizeof *mine, all);
}

int fv_gpu_ranks_check(struct fv_gpu *g)
{
    return fv_comm_watch(g->ranks);
}

void fv_gpu_ranks_abort(struct fv_gpu *g)
{
    fv_device_host.stuck = 0;
    fv_comm_abort(&g->ranks, "aborted");
}
