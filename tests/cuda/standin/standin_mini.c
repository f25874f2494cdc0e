/* SPDX-License-Identifier: MIT */
/* As much of a CUDA runtime as tests of the stand-in for cuDNN alone need: memory that the host cannot touch, one queue
 * for all streams, events with a clock that only what runs moves on. */
#include "tests/cuda/standin/standin.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static size_t used_bytes;
struct standin standin = {.memory_bytes = (size_t)1 << 32, .devices = 1, .sm = 90};

void standin_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "stand-in: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    abort();
}

/* Memory: each piece on pages of its own, which are open only while the queue runs */

enum { ALIGN = 256, PAGE = 4096 };
static struct piece {
    char *at;
    size_t bytes, mapped;
    struct piece *next;
} * pieces;

static void open_memory(int yes)
{
    for (struct piece *p = pieces; p; p = p->next)
        mprotect(p->at, p->mapped, yes ? PROT_READ | PROT_WRITE : PROT_NONE);
}

size_t standin_room_at(const void *at)
{
    for (const struct piece *p = pieces; p; p = p->next)
        if ((const char *)at >= p->at && (const char *)at < p->at + p->bytes)
            return (size_t)(p->at + p->bytes - (const char *)at);
    return 0;
}

/* The queue */

static struct task {
    void (*run)(void *), (*drop)(void *);
    void *ctx;
    struct task *next;
} * first, **last = &first;
static double clock_us;
static cudaError_t sticky;

void standin_enqueue(cudaStream_t s, void (*run)(void *ctx), void (*drop)(void *ctx), void *ctx,
                     const char *what)
{
    (void)s;
    (void)what;
    struct task *t = malloc(sizeof *t);
    *t = (struct task){run, drop, ctx, NULL};
    *last = t;
    last = &t->next;
}

void standin_spend(double us)
{
    clock_us += us;
}

static void run_queue(void)
{
    open_memory(1);
    for (struct task *t; (t = first);) {
        first = t->next;
        t->run(t->ctx);
        if (t->drop)
            t->drop(t->ctx);
        free(t);
    }
    last = &first;
    open_memory(0);
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    *out = NULL;
    const size_t mapped = (bytes + PAGE) / PAGE * PAGE;
    if (bytes > standin.memory_bytes || used_bytes > standin.memory_bytes - bytes)
        return sticky = cudaErrorMemoryAllocation;
    struct piece *p = malloc(sizeof *p);
    char *at = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!p || at == MAP_FAILED)
        standin_fail("no memory left for the device's");
    memset(at, 0xff, mapped);
    *p = (struct piece){at, bytes, mapped, pieces};
    pieces = p;
    used_bytes += bytes;
    mprotect(at, mapped, PROT_NONE);
    *out = at;
    return cudaSuccess;
}

cudaError_t cudaFree(void *at)
{
    run_queue();
    for (struct piece **p = &pieces, *q; at && (q = *p); p = &q->next)
        if (q->at == at) {
            *p = q->next;
            used_bytes -= q->bytes;
            munmap(q->at, q->mapped);
            free(q);
            return cudaSuccess;
        }
    if (at)
        standin_fail("cudaFree of %p, which is no memory of the device's", at);
    return cudaSuccess;
}

struct set {
    void *to;
    int value;
    size_t bytes;
};

static void run_set(void *ctx)
{
    const struct set *s = ctx;
    memset(s->to, s->value, s->bytes);
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    if (standin_room_at(to) < bytes)
        standin_fail("cudaMemset of %zu bytes, of which %zu are the device's", bytes,
                     standin_room_at(to));
    struct set *s = malloc(sizeof *s);
    *s = (struct set){to, value, bytes};
    standin_enqueue(NULL, run_set, free, s, "cudaMemset");
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    const void *device = kind == cudaMemcpyHostToDevice ? to : from;
    if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToHost)
        standin_fail("cudaMemcpy of kind %d", (int)kind);
    if (standin_room_at(device) < bytes)
        standin_fail("cudaMemcpy of %zu bytes, of which %zu are the device's", bytes,
                     standin_room_at(device));
    run_queue();
    open_memory(1);
    memcpy(to, from, bytes);
    open_memory(0);
    return cudaSuccess;
}

/* Streams and events */

struct moment {
    double us;
    int recorded;
};

static void run_record(void *ctx)
{
    struct moment *m = ctx;
    m->us = clock_us;
    m->recorded = 1;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    struct moment *m = calloc(1, sizeof *m);
    *out = (cudaEvent_t)m;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    standin_enqueue(s, run_record, NULL, e, "an event");
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    (void)e;
    run_queue();
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    const struct moment *a = (struct moment *)from, *b = (struct moment *)to;
    if (!a->recorded || !b->recorded)
        return cudaErrorNotReady;
    *ms = (float)((b->us - a->us) * 1e-3);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    run_queue();
    free(e);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags;
    *out = malloc(1);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    run_queue();
    free(s);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    (void)s;
    run_queue();
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = standin.memory_bytes - used_bytes;
    *total_bytes = standin.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t e = sticky;
    sticky = cudaSuccess;
    return e;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "out of memory" : "another error";
}
