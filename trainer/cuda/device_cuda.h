/* SPDX-License-Identifier: MIT */
/* The device as the CUDA backend sees it: memory, streams, events, captured graphs, convolutions, matrix products and
 * the sum over ranks. No header of CUDA is in here, and the backend includes none: so its own logic also runs, in
 * tests, on a stand-in for this interface that computes on the host (tests/cuda/device_host.c).
 *
 * Addresses are the device's unless a name says host. One thread uses a device at a time. Whatever is enqueued on a
 * stream is done in order; streams run beside each other but for events.
 */
#ifndef FV_TRAINER_CUDA_DEVICE_CUDA_H
#define FV_TRAINER_CUDA_DEVICE_CUDA_H

#include "trainer/cuda/lower.h"

struct fv_gpu;
enum fv_gpu_stream { FV_GPU_WORK, FV_GPU_COPY, FV_GPU_COMM, FV_GPU_STREAMS };

/* FV_EUNSUPPORTED, with the reason in one sentence, where there is no driver, no device, or none of that number. */
int fv_gpu_open(struct fv_gpu **out, int index);
void fv_gpu_close(struct fv_gpu **g);            /* accepts NULL */
const char *fv_gpu_name(const struct fv_gpu *g); /* "NVIDIA H200 (sm_90), cuDNN 9.19.0" */
int fv_gpu_has_bf16(const struct fv_gpu *g);     /* sm_80 and later */
int fv_gpu_memory(struct fv_gpu *g, size_t *free_bytes, size_t *total_bytes);

/* `what` names it in FV_ENOMEM's sentence. Both kinds of memory are aligned to 256 bytes, their contents unspecified;
 * the host's can be read and written by the device while the host goes on. */
int fv_gpu_alloc(struct fv_gpu *g, void **out, size_t bytes, const char *what);
void fv_gpu_free(struct fv_gpu *g, void *p); /* accepts NULL, as all of these */
int fv_gpu_host_alloc(struct fv_gpu *g, void **out, size_t bytes, const char *what);
void fv_gpu_host_free(struct fv_gpu *g, void *p);
/* Whether the device can read this host memory at any time (it was allocated so). */
int fv_gpu_is_host(struct fv_gpu *g, const void *p);

void *fv_gpu_stream(const struct fv_gpu *g,
                    enum fv_gpu_stream s); /* what kernels are launched on */
int fv_gpu_upload(struct fv_gpu *g, enum fv_gpu_stream s, void *to, const void *from_host,
                  size_t bytes);
int fv_gpu_download(struct fv_gpu *g, enum fv_gpu_stream s, void *to_host, const void *from,
                    size_t bytes);
int fv_gpu_copy(struct fv_gpu *g, enum fv_gpu_stream s, void *to, const void *from, size_t bytes);
int fv_gpu_zero(struct fv_gpu *g, enum fv_gpu_stream s, void *p, size_t bytes);
int fv_gpu_sync(struct fv_gpu *g, enum fv_gpu_stream s); /* waits for all that was enqueued */

/* An event is a moment of a stream. */
int fv_gpu_event_new(struct fv_gpu *g, void **out, int timed);
void fv_gpu_event_free(struct fv_gpu *g, void *event);
int fv_gpu_event_record(struct fv_gpu *g, void *event, enum fv_gpu_stream s);
int fv_gpu_event_wait(struct fv_gpu *g, void *event, enum fv_gpu_stream s); /* the stream waits */
int fv_gpu_event_sync(struct fv_gpu *g, void *event);                       /* the host waits */
int fv_gpu_event_done(struct fv_gpu *g, void *event); /* 1 if that moment is past; does not wait */
int fv_gpu_event_ms(struct fv_gpu *g, void *from, void *to, double *ms); /* of timed ones */

/* Between begin and end, what is enqueued on FV_GPU_WORK, and on streams that wait for it and that it waits for, is
 * recorded and not done. */
int fv_gpu_capture_begin(struct fv_gpu *g);
int fv_gpu_capture_end(struct fv_gpu *g, void **graph);
int fv_gpu_graph_launch(struct fv_gpu *g, void *graph); /* on FV_GPU_WORK */
void fv_gpu_graph_free(struct fv_gpu *g, void *graph);

/* Convolutions. A plan belongs to the device and lives as long. */
struct fv_gpu_conv;
/* Whether a graph other than the plain one can be had, and is not slower than what it would replace. */
int fv_gpu_conv_can(struct fv_gpu *g, const struct fv_low_query *q);
/* Number i of those that are slower: 1 and "data gradient+relu+bn fp16 ...: 60 us, 52 us without"; 0 behind the last.
 */
int fv_gpu_conv_slow(const struct fv_gpu *g, int i, char *text, size_t size);
/* For an op of kind CONV, CONV_DGRAD or CONV_WGRAD; FV_EUNSUPPORTED names the shape that has none. */
int fv_gpu_conv_find(struct fv_gpu *g, const struct fv_low_op *op, enum fv_low_dtype type,
                     const struct fv_gpu_conv **out);
size_t fv_gpu_conv_workspace(const struct fv_gpu_conv *c);
/* "engine 62, 41 us, timed"; until the next call */
const char *fv_gpu_conv_text(const struct fv_gpu_conv *c);
/* arg: the op's operands by role. On FV_GPU_WORK. */
int fv_gpu_conv_run(struct fv_gpu *g, const struct fv_gpu_conv *c, const struct fv_low_op *op,
                    void *const arg[FV_LOW_ROLES], void *workspace);

/* c (m, n) = a' b', all row by row: a' is a (m, k), or with ta the transpose of a (k, m); b' is b (k, n), or with tb
 * the transpose of b (n, k). a and b are of one type, sums are fp32. fp32 is not rounded to less. */
struct fv_gpu_gemm {
    int m, n, k, ta, tb;
    enum fv_low_dtype type, c_type;
};
int fv_gpu_gemm_run(struct fv_gpu *g, const struct fv_gpu_gemm *s, const void *a, const void *b,
                    void *c);

/* Several ranks, a GPU each. id: FV_GPU_ID_BYTES that rank 0 makes and every rank is given. */
enum { FV_GPU_ID_BYTES = 128 };
int fv_gpu_ranks_id(unsigned char id[FV_GPU_ID_BYTES]);
/* Joining, and the sums, may have to wait for other ranks before anything is enqueued. Meanwhile, and when something
 * fails, `ask` says whether to go on: 0, or an error with its sentence, by which the ranks are given up. */
struct fv_gpu_patience {
    int (*ask)(void *ctx, uint64_t waited_ns);
    void *ctx; /* for as long as there are sums */
};
int fv_gpu_ranks_join(struct fv_gpu *g, const unsigned char id[FV_GPU_ID_BYTES], int rank,
                      int ranks, const struct fv_gpu_patience *patience);
/* Replaces each of `count` numbers by its mean over the ranks, on FV_GPU_COMM. Collective. */
int fv_gpu_ranks_mean(struct fv_gpu *g, void *p, size_t count, enum fv_low_dtype type);
/* all (ranks, count) gets everybody's `count` floats, on FV_GPU_COMM. Collective. */
int fv_gpu_ranks_gather(struct fv_gpu *g, const float *mine, float *all, size_t count);
/* Waits for nothing: FV_EIO if a sum can no longer come about. */
int fv_gpu_ranks_check(struct fv_gpu *g);
/* Ends sums that are under way, so that what waits for them on the device goes on, in a moment; there can be no
 * more. */
void fv_gpu_ranks_abort(struct fv_gpu *g);

#endif
