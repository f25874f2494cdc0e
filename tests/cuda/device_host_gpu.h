/* SPDX-License-Identifier: MIT */
/* Between the files of the device that is the host. */
#ifndef FV_TESTS_DEVICE_HOST_GPU_H
#define FV_TESTS_DEVICE_HOST_GPU_H

#include "trainer/comm/comm.h"
#include "trainer/cuda/device_cuda.h"
#include "trainer/cuda/emulate.h"

/* A copy that has been asked for; a download holds what it has seen. */
struct host_copy {
    void *to;
    const void *from;
    void *seen;
    size_t bytes;
    struct host_copy *next;
};
enum { HOST_BLOCKS = 256 };
struct host_graph;
struct fv_gpu {
    struct host_graph *capturing;
    struct fv_comm *ranks;
    struct host_copy *first[FV_GPU_STREAMS], **last[FV_GPU_STREAMS];
    unsigned long asked[FV_GPU_STREAMS], done[FV_GPU_STREAMS];
    struct host_block {
        char *p;
        size_t bytes;
        int host;
    } block[HOST_BLOCKS];
};

/* Captured graphs: what was asked for, to be done again, with the arguments that it had. */
enum host_done_by {
    HOST_BY_KERNEL,
    HOST_BY_COPY,
    HOST_BY_ZERO,
    HOST_BY_DOWNLOAD,
    HOST_BY_CONV,
    HOST_BY_GEMM,
    HOST_BY_MEAN,
    HOST_BY_GATHER
};
struct host_node {
    enum host_done_by by;
    struct fv_emulated *kernel;
    void *to;
    const void *from, *from2;
    size_t bytes;
    enum fv_low_dtype type;
    const struct fv_gpu_conv *conv;
    struct fv_low_op op;
    void *arg[FV_LOW_ROLES];
    struct fv_gpu_gemm gemm;
    struct host_node *next;
};
struct host_graph {
    struct host_node *first, **last;
};

/* 1 if a graph is being captured: then the work is in it, and not done. */
int host_recorded(struct fv_gpu *g, struct host_node n);
/* What would break a capture on a device, or be done once and not again with the graph. */
void host_may_not_be_captured(const struct fv_gpu *g);
/* 0: the device's memory; 1: the host's that it reads by itself; -1: neither. Bytes of the device's from there on. */
int host_kind_of(const struct fv_gpu *g, const void *p);
size_t host_room_at(const struct fv_gpu *g, const void *p);

#endif
