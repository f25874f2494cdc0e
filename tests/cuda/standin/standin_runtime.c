/* SPDX-License-Identifier: MIT */
/* The device, its streams and events, copies, kernels of the emulator, and errors. */
#include "tests/cuda/standin/standin_inside.h"

#include "common/err.h"
#include "trainer/cuda/emulate.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENT = 0x45564e54 };

static _Thread_local cudaError_t last_error;

cudaError_t standin__error(cudaError_t e)
{
    if (e != cudaSuccess)
        last_error = e;
    return e;
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

const char *cudaGetErrorString(cudaError_t e)
{
    static const struct {
        cudaError_t e;
        const char *text;
    } row[] = {{cudaSuccess, "no error"},
               {cudaErrorInvalidValue, "invalid argument"},
               {cudaErrorMemoryAllocation, "out of memory"},
               {cudaErrorInsufficientDriver,
                "CUDA driver version is insufficient for CUDA runtime version"},
               {cudaErrorNoDevice, "no CUDA-capable device is detected"},
               {cudaErrorInvalidDevice, "invalid device ordinal"},
               {cudaErrorInvalidResourceHandle, "invalid resource handle"},
               {cudaErrorNotReady, "device not ready"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (row[i].e == e)
            return row[i].text;
    return "unrecognized error code";
}

/* Kernels */

static enum standin_step run_kernel(void *launch)
{
    if (fv_emulate_replay(launch) < 0)
        standin_fail("%s", fv_err_text());
    return STANDIN_DONE;
}

/* No kernel of ours takes the address of what only the host may use. The last word is none of the arguments. */
static void check_arguments(const struct fv_emulated *launch)
{
    size_t bytes = 0;
    const char *at = fv_emulate_arguments(launch, &bytes);
    pthread_attr_t a;
    void *stack = NULL;
    size_t stack_bytes = 0;
    if (pthread_getattr_np(pthread_self(), &a) == 0) {
        pthread_attr_getstack(&a, &stack, &stack_bytes);
        pthread_attr_destroy(&a);
    }
    for (size_t i = 0; i + 2 * sizeof(uintptr_t) <= bytes; i += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, at + i, sizeof word);
        if (word - (uintptr_t)stack < stack_bytes)
            standin_fail("kernel %s is given an address on the host's stack",
                         fv_emulate_name(launch));
    }
}

static void take_kernel(void *ctx, void *stream, struct fv_emulated *launch)
{
    (void)ctx;
    if (last_error != cudaSuccess)
        standin_fail("kernel %s is launched while \"%s\" stands: its launch would be said to fail",
                     fv_emulate_name(launch), cudaGetErrorString(last_error));
    standin__lock();
    check_arguments(launch);
    standin_counts.kernels++;
    standin__put(standin__queue(stream),
                 (struct standin_work){run_kernel, free, launch, fv_emulate_name(launch), NULL, 0});
    standin__unlock();
}

/* Settings */

static void read_setting(const char *name, const char *value)
{
    const unsigned long long v = strtoull(value, NULL, 10);
    if (strcmp(name, "seed") == 0)
        standin.seed = v;
    else if (strcmp(name, "sm") == 0)
        standin.sm = (int)v;
    else if (strcmp(name, "devices") == 0)
        standin.devices = (int)v;
    else if (strcmp(name, "memory") == 0)
        standin.memory_bytes = (size_t)v << 20;
    else if (strcmp(name, "lazy") == 0)
        standin.lazy = (int)v;
    else
        standin_fail("FV_STANDIN: no setting %s: they are seed, sm, devices, memory (MiB), lazy",
                     name);
}

static void settle(void)
{
    const char *text = getenv("FV_STANDIN");
    char copy[256] = "", *more = copy;
    snprintf(copy, sizeof copy, "%s", text ? text : "");
    for (char *word; (word = strtok_r(more, " ", &more));) {
        char *value = strchr(word, '=');
        if (!value)
            standin_fail("FV_STANDIN: %s has no value", word);
        *value = 0;
        read_setting(word, value + 1);
    }
    fv_emulate_record(take_kernel, NULL);
}

void standin__settle(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, settle);
}

/* Devices */

cudaError_t cudaGetDeviceCount(int *count)
{
    standin__settle();
    standin__lock();
    standin__unlock();
    *count = 0;
    if (standin.no_driver)
        return standin__error(cudaErrorInsufficientDriver);
    if (standin.devices == 0)
        return standin__error(cudaErrorNoDevice);
    *count = standin.devices;
    return cudaSuccess;
}

static cudaError_t need_device(int index)
{
    int count;
    const cudaError_t e = cudaGetDeviceCount(&count);
    return e != cudaSuccess || (index >= 0 && index < count)
               ? e
               : standin__error(cudaErrorInvalidDevice);
}

cudaError_t cudaSetDevice(int index)
{
    return need_device(index);
}

cudaError_t cudaGetDevice(int *index)
{
    *index = 0;
    return need_device(0);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int index)
{
    const cudaError_t e = need_device(index);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "Stand-in");
    p->major = standin.sm / 10;
    p->minor = standin.sm % 10;
    p->multiProcessorCount = 132;
    p->totalGlobalMem = standin.memory_bytes;
    return e;
}

/* An H200's memory: 3201 MHz, 6144 bits. */
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int index)
{
    const cudaError_t e = need_device(index);
    if (attribute != cudaDevAttrMemoryClockRate && attribute != cudaDevAttrGlobalMemoryBusWidth)
        standin_fail("cudaDeviceGetAttribute: the stand-in does not know attribute %d",
                     (int)attribute);
    *value = attribute == cudaDevAttrMemoryClockRate ? 3201000 : 6144;
    return e;
}

/* Streams */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    standin__settle();
    standin__lock();
    *s = standin__queue_new(!(flags & cudaStreamNonBlocking));
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    if (q->number == 0 || q->capture)
        standin_fail("cudaStreamDestroy of the default stream, or of one that is captured");
    struct standin_mark *m = standin__mark(q);
    q->destroyed = 1; /* and gone with the last of its work */
    standin__unmark(m);
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    standin__settle();
    standin__lock();
    standin__may_not_capture("cudaStreamSynchronize");
    struct standin_mark *m = standin__mark(standin__queue(s));
    standin__reach(m);
    standin__unmark(m);
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t s)
{
    standin__lock();
    standin__may_not_capture("cudaStreamQuery");
    struct standin_mark *m = standin__mark(standin__queue(s));
    standin__pass_time(m);
    const int past = m->past;
    standin__unmark(m);
    standin__unlock();
    return past ? cudaSuccess : standin__error(cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize(void)
{
    standin__settle();
    standin__lock();
    standin__may_not_capture("cudaDeviceSynchronize");
    standin__reach_all();
    standin__unlock();
    return cudaSuccess;
}

/* Events */

static struct CUevent_st *event(cudaEvent_t e)
{
    if (!e || e->magic != EVENT)
        standin_fail("a call is given an event that is not there");
    return e;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    standin__settle();
    *out = calloc(1, sizeof **out);
    (*out)->timed = !(flags & cudaEventDisableTiming);
    (*out)->magic = EVENT;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    standin__lock();
    event(e)->magic = 0;
    standin__unmark(e->mark);
    free(e->at.node);
    free(e);
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    if (!standin__capture_record(event(e), q)) {
        standin__unmark(e->mark);
        e->mark = standin__mark(q);
    }
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags)
{
    (void)flags;
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    if (!standin__capture_wait(q, event(e)) && e->mark)
        standin__wait(q, e->mark);
    standin__unlock();
    return cudaSuccess;
}

static void need_outside(struct CUevent_st *e, const char *call)
{
    standin__may_not_capture(call);
    if (event(e)->capture)
        standin_fail("%s of an event that was recorded while its stream was captured", call);
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    standin__lock();
    need_outside(e, "cudaEventSynchronize");
    if (e->mark)
        standin__reach(e->mark);
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
    standin__lock();
    need_outside(e, "cudaEventQuery");
    if (e->mark && !standin.stuck)
        standin__pass_time(e->mark);
    const int past = !standin.stuck && (!e->mark || e->mark->past);
    standin__unlock();
    return past ? cudaSuccess : standin__error(cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    standin__lock();
    need_outside(from, "cudaEventElapsedTime");
    need_outside(to, "cudaEventElapsedTime");
    cudaError_t rc = cudaSuccess;
    if (!from->timed || !to->timed || !from->mark || !to->mark)
        rc = cudaErrorInvalidResourceHandle;
    else if (!from->mark->past || !to->mark->past)
        rc = cudaErrorNotReady;
    else
        *ms = (float)((to->mark->us - from->mark->us) * 1e-3);
    standin__unlock();
    return standin__error(rc);
}

/* Copies */

struct copy {
    void *to;
    const void *from;
    void *staged;
    size_t bytes;
};

static enum standin_step run_copy(void *ctx)
{
    const struct copy *c = ctx;
    memcpy(c->to, c->staged ? c->staged : c->from, c->bytes);
    return STANDIN_DONE;
}

static void drop_copy(void *ctx)
{
    struct copy *c = ctx;
    free(c->staged);
    free(c);
}

static void check_end(const void *p, size_t bytes, int device, int captured, const char *what)
{
    const size_t room = standin_room_at(p), pinned = standin_pinned_at(p);
    if (device)
        standin__need_room(p, bytes, what);
    else if (room)
        standin_fail("%s: the device's memory where the host's is said to be", what);
    else if (captured && !pinned)
        standin_fail("%s of pageable memory is captured", what);
    else if (pinned && pinned < bytes)
        standin_fail("%s needs %zu bytes of pinned memory, where %zu are", what, bytes, pinned);
}

/* What leaves pageable memory may be read before the call returns (a driver stages it), or as late as any other. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t s)
{
    static const char *const names[] = {"a copy on the host", "an upload", "a download",
                                        "a copy on the device"};
    if (kind > cudaMemcpyDeviceToDevice)
        standin_fail("cudaMemcpyDefault is not played");
    standin__settle();
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    const int captured = q->capture != NULL;
    check_end(to, bytes, kind & 1, captured, names[kind]);
    check_end(from, bytes, kind >= cudaMemcpyDeviceToHost, captured, names[kind]);
    if (bytes > 0) {
        struct copy *c = calloc(1, sizeof *c);
        *c = (struct copy){to, from, NULL, bytes};
        if (kind == cudaMemcpyHostToDevice && !standin_pinned_at(from) && standin__draw(2)) {
            c->staged = malloc(bytes);
            memcpy(c->staged, from, bytes);
        }
        standin_counts.copies++;
        standin__put(q, (struct standin_work){run_copy, drop_copy, c, names[kind], NULL, 0});
    }
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    standin__lock();
    standin__may_not_capture("cudaMemcpy");
    cudaMemcpyAsync(to, from, bytes, kind, NULL);
    cudaStreamSynchronize(NULL);
    standin__unlock();
    return cudaSuccess;
}

struct fill {
    void *to;
    int value;
    size_t bytes;
};

static enum standin_step run_fill(void *ctx)
{
    const struct fill *f = ctx;
    memset(f->to, f->value, f->bytes);
    return STANDIN_DONE;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t s)
{
    standin__settle();
    standin__lock();
    check_end(to, bytes, 1, 0, "clearing memory");
    if (bytes > 0) {
        struct fill *f = malloc(sizeof *f);
        *f = (struct fill){to, value, bytes};
        standin__put(standin__queue(s),
                     (struct standin_work){run_fill, free, f, "clearing memory", NULL, 0});
    }
    standin__unlock();
    return cudaSuccess;
}

/* Of the device's memory it does not wait either. */
cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    standin__lock();
    standin__may_not_capture("cudaMemset");
    standin__unlock();
    return cudaMemsetAsync(to, value, bytes, NULL);
}
