/* SPDX-License-Identifier: MIT */
/* What the host does where a device has libraries: convolutions, matrix products, sums over ranks. */
#include "tests/cuda/device_host.h"
#include "tests/cuda/device_host_gpu.h"
#include "tests/cuda/device_host_math.h"

#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

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
    host_may_not_be_captured(g);
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
    struct host_node n = {.by = HOST_BY_CONV, .conv = c, .op = *op, .to = workspace};
    memcpy(n.arg, arg, sizeof n.arg);
    if (host_room_at(g, workspace) < fv_gpu_conv_workspace(c))
        abort();
    if (host_recorded(g, n))
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
    if (!host_recorded(
            g, (struct host_node){.by = HOST_BY_GEMM, .gemm = *s, .from = a, .from2 = b, .to = c}))
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
    if (host_kind_of(g, p) != 0)
        abort();
    if (host_recorded(
            g, (struct host_node){.by = HOST_BY_MEAN, .to = p, .bytes = count, .type = type}))
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
    if (host_room_at(g, all) < count * sizeof *all * (size_t)fv_comm_world(g->ranks))
        abort();
    if (host_recorded(
            g, (struct host_node){.by = HOST_BY_GATHER, .to = all, .from = mine, .bytes = count}))
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
