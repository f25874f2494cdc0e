/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/device_cuda.h"

#include "common/err.h"
#include "trainer/cuda/device_cuda_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fv__gpu_check(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return 0;
    (void)cudaGetLastError(); /* so that the next call does not report it again */
    return fv_err(e == cudaErrorMemoryAllocation ? FV_ENOMEM : FV_EBACKEND, "CUDA: %s: %s", what,
                  cudaGetErrorString(e));
}

/* The device */

static int count_devices(int *count)
{
    cudaError_t e = cudaGetDeviceCount(count);
    (void)cudaGetLastError();
    if (e == cudaErrorInsufficientDriver)
        return fv_err(FV_EUNSUPPORTED, "backend cuda: this machine has no NVIDIA driver, or one "
                                       "too old for this build: use --backend cpu");
    if (e == cudaErrorNoDevice || (e == cudaSuccess && *count == 0))
        return fv_err(FV_EUNSUPPORTED,
                      "backend cuda: this machine has no NVIDIA GPU: use --backend cpu");
    if (e != cudaSuccess)
        return fv_err(FV_EUNSUPPORTED, "backend cuda: %s: use --backend cpu",
                      cudaGetErrorString(e));
    return 0;
}

/* Two transfers a clock, as all of its kinds of memory make. */
static double peak_bytes_per_us(int index)
{
    int khz = 0, bits = 0;
    if (cudaDeviceGetAttribute(&khz, cudaDevAttrMemoryClockRate, index) != cudaSuccess ||
        cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, index) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    return 2.0 * khz * 1e-3 * bits / 8;
}

static int describe(struct fv_gpu *g, int index)
{
    struct cudaDeviceProp p;
    char device[128];
    FV_TRY(fv__gpu_check(cudaGetDeviceProperties(&p, index), "properties of the device"));
    g->index = index;
    g->major = p.major;
    g->minor = p.minor;
    g->bytes_per_us = peak_bytes_per_us(index);
    if (p.major * 10 + p.minor < 75)
        return fv_err(FV_EUNSUPPORTED, "backend cuda: %.80s is an sm_%d%d, sm_75 is the least",
                      p.name, p.major, p.minor);
    snprintf(device, sizeof device, "%.80s, sm_%d%d, %d SMs", p.name, p.major, p.minor,
             p.multiProcessorCount);
    FV_TRY(fv_cudnn_open(&g->cudnn, device));
    snprintf(g->name, sizeof g->name, "%.80s (sm_%d%d), cuDNN %zu.%zu.%zu", p.name, p.major,
             p.minor, g->cudnn->version / 10000, g->cudnn->version / 100 % 100,
             g->cudnn->version % 100);
    return 0;
}

static int open_device(struct fv_gpu *g, int index)
{
    int count = 0;
    FV_TRY(count_devices(&count));
    if (count == 1) /* a launcher that gives each process a GPU shows it that one */
        index = 0;
    if (index < 0 || index >= count)
        return fv_err(FV_EUNSUPPORTED, "backend cuda: there is no GPU %d, they are 0 .. %d", index,
                      count - 1);
    FV_TRY(fv__gpu_check(cudaSetDevice(index), "opening the device"));
    FV_TRY(describe(g, index));
    for (int i = 0; i < FV_GPU_STREAMS; i++)
        FV_TRY(fv__gpu_check(cudaStreamCreateWithFlags(&g->stream[i], cudaStreamNonBlocking),
                             "a stream"));
    g->cache = fv_plan_cache_folder();
    return fv__gpu_open_blas(g);
}

int fv_gpu_open(struct fv_gpu **out, int index)
{
    struct fv_gpu *g = *out = calloc(1, sizeof *g);
    if (!g)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    int rc = open_device(g, index);
    if (rc < 0)
        fv_gpu_close(out);
    return rc;
}

void fv_gpu_close(struct fv_gpu **out)
{
    if (!out || !*out)
        return;
    struct fv_gpu *g = *out;
    fv__gpu_leave_ranks(g);
    fv__gpu_close_convs(g);
    fv__gpu_close_blas(g);
    fv_cudnn_close(&g->cudnn);
    for (int i = 0; i < FV_GPU_STREAMS; i++)
        if (g->stream[i])
            cudaStreamDestroy(g->stream[i]);
    free(g->cache);
    free(g);
    *out = NULL;
}

const char *fv_gpu_name(const struct fv_gpu *g)
{
    return g->name;
}

int fv_gpu_has_bf16(const struct fv_gpu *g)
{
    return g->major >= 8;
}

int fv_gpu_memory(struct fv_gpu *g, size_t *free_bytes, size_t *total_bytes)
{
    (void)g;
    return fv__gpu_check(cudaMemGetInfo(free_bytes, total_bytes), "asking for free memory");
}

/* Memory */

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

int fv_gpu_alloc(struct fv_gpu *g, void **out, size_t bytes, const char *what)
{
    (void)g;
    *out = NULL;
    cudaError_t e = cudaMalloc(out, bytes ? bytes : 1);
    if (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return fv_err(FV_ENOMEM, "GPU memory: %.0f MiB for %s are not free", mib(bytes), what);
    }
    return fv__gpu_check(e, what);
}

void fv_gpu_free(struct fv_gpu *g, void *p)
{
    (void)g;
    if (p)
        cudaFree(p);
}

int fv_gpu_host_alloc(struct fv_gpu *g, void **out, size_t bytes, const char *what)
{
    (void)g;
    *out = NULL;
    return fv__gpu_check(cudaHostAlloc(out, bytes ? bytes : 1, cudaHostAllocPortable), what);
}

void fv_gpu_host_free(struct fv_gpu *g, void *p)
{
    (void)g;
    if (p)
        cudaFreeHost(p);
}

int fv_gpu_is_host(struct fv_gpu *g, const void *p)
{
    struct cudaPointerAttributes a;
    (void)g;
    if (cudaPointerGetAttributes(&a, p) == cudaSuccess)
        return a.type == cudaMemoryTypeHost;
    (void)cudaGetLastError();
    return 0;
}

/* Streams */

void *fv_gpu_stream(const struct fv_gpu *g, enum fv_gpu_stream s)
{
    return g->stream[s];
}

int fv_gpu_upload(struct fv_gpu *g, enum fv_gpu_stream s, void *to, const void *from_host,
                  size_t bytes)
{
    return fv__gpu_check(
        cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, g->stream[s]), "an upload");
}

int fv_gpu_download(struct fv_gpu *g, enum fv_gpu_stream s, void *to_host, const void *from,
                    size_t bytes)
{
    return fv__gpu_check(
        cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, g->stream[s]), "a download");
}

int fv_gpu_copy(struct fv_gpu *g, enum fv_gpu_stream s, void *to, const void *from, size_t bytes)
{
    return fv__gpu_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, g->stream[s]),
                         "a copy");
}

int fv_gpu_zero(struct fv_gpu *g, enum fv_gpu_stream s, void *p, size_t bytes)
{
    return fv__gpu_check(cudaMemsetAsync(p, 0, bytes, g->stream[s]), "clearing memory");
}

int fv_gpu_sync(struct fv_gpu *g, enum fv_gpu_stream s)
{
    return fv__gpu_check(cudaStreamSynchronize(g->stream[s]), "the work on the device");
}

/* Events */

int fv_gpu_event_new(struct fv_gpu *g, void **out, int timed)
{
    cudaEvent_t e = NULL;
    (void)g;
    int rc = fv__gpu_check(
        cudaEventCreateWithFlags(&e, timed ? cudaEventDefault : cudaEventDisableTiming),
        "an event");
    *out = e;
    return rc;
}

void fv_gpu_event_free(struct fv_gpu *g, void *event)
{
    (void)g;
    if (event)
        cudaEventDestroy(event);
}

int fv_gpu_event_record(struct fv_gpu *g, void *event, enum fv_gpu_stream s)
{
    return fv__gpu_check(cudaEventRecord(event, g->stream[s]), "an event");
}

int fv_gpu_event_wait(struct fv_gpu *g, void *event, enum fv_gpu_stream s)
{
    return fv__gpu_check(cudaStreamWaitEvent(g->stream[s], event, 0), "an event");
}

int fv_gpu_event_sync(struct fv_gpu *g, void *event)
{
    (void)g;
    return fv__gpu_check(cudaEventSynchronize(event), "the work on the device");
}

int fv_gpu_event_done(struct fv_gpu *g, void *event)
{
    (void)g;
    const cudaError_t e = cudaEventQuery(event);
    if (e == cudaErrorNotReady) {
        (void)cudaGetLastError();
        return 0;
    }
    FV_TRY(fv__gpu_check(e, "the work on the device"));
    return 1;
}

int fv_gpu_event_ms(struct fv_gpu *g, void *from, void *to, double *ms)
{
    float f = 0;
    (void)g;
    int rc = fv__gpu_check(cudaEventElapsedTime(&f, from, to), "timing");
    *ms = (double)f;
    return rc;
}

/* Graphs. Another thread (a loader's) may call CUDA meanwhile. */

int fv_gpu_capture_begin(struct fv_gpu *g)
{
    return fv__gpu_check(
        cudaStreamBeginCapture(g->stream[FV_GPU_WORK], cudaStreamCaptureModeThreadLocal),
        "capturing a step");
}

int fv_gpu_capture_end(struct fv_gpu *g, void **out)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    *out = NULL;
    FV_TRY(fv__gpu_check(cudaStreamEndCapture(g->stream[FV_GPU_WORK], &graph), "capturing a step"));
    int rc = fv__gpu_check(cudaGraphInstantiate(&exec, graph, 0), "preparing a captured step");
    cudaGraphDestroy(graph);
    *out = exec;
    return rc;
}

int fv_gpu_graph_launch(struct fv_gpu *g, void *graph)
{
    return fv__gpu_check(cudaGraphLaunch(graph, g->stream[FV_GPU_WORK]), "a captured step");
}

void fv_gpu_graph_free(struct fv_gpu *g, void *graph)
{
    (void)g;
    if (graph)
        cudaGraphExecDestroy(graph);
}
