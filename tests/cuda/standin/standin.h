/* SPDX-License-Identifier: MIT */
/* CUDA's own libraries, played on the host: cudart, cuBLASLt, NCCL and cuDNN's backend interface, so that what calls
 * them runs unchanged where there is no GPU, with kernels in the emulator. A program links these objects before the
 * libraries' own.
 *
 * Nothing is done when it is asked for. A stream is a queue; what is in it is done when the host waits for something
 * (or asks often enough), in an order drawn from the seed among those that streams, events and captured graphs allow.
 * So what lacks an event, or uses a host buffer too early, ends in wrong bits. The device's memory begins as NaNs, can
 * be used by what is in the queues only, and ends where it ends: a host that touches it, and a kernel that leaves it,
 * end the program with a sentence. So does every breach of a rule that NVIDIA's documentation states. */
#ifndef FV_TESTS_STANDIN_H
#define FV_TESTS_STANDIN_H

#include <cuda_runtime_api.h>
#include <stddef.h>

/* To be set before the first call, or by the environment: FV_STANDIN="seed=3 sm=75 devices=2 memory=64". */
struct standin {
    unsigned long long seed;
    size_t memory_bytes; /* of the device */
    int devices;         /* 0: cudaErrorNoDevice */
    int sm;              /* 90: sm_90 */
    int no_driver;       /* cudaErrorInsufficientDriver */
    int no_algorithm;    /* cuBLASLt's heuristics find none */
    int lazy;            /* work is done when the host waits for it, and no other beside it */
    int patience_s;      /* so long is waited for what never comes; 0: 60 s */
    int stuck;           /* no event is seen to come, until a communicator is aborted */
};
extern struct standin standin;

/* Counts since the program began. */
struct standin_counts {
    unsigned long long kernels, copies, graph_launches, products, collectives, aborts;
};
extern struct standin_counts standin_counts;

/* run(ctx) is called in its turn of the stream, once; while the stream is captured it is recorded, and then called
 * once a launch of the graph. drop(ctx), if given, is called when it can run no more. `what` names it in sentences and
 * must live as long. */
void standin_enqueue(cudaStream_t s, void (*run)(void *ctx), void (*drop)(void *ctx), void *ctx,
                     const char *what);
/* From inside run: the device's clock, which events read, is that much later. All else takes 1 us. */
void standin_spend(double us);

/* Bytes of the device's memory from there on; 0 if it is not the device's. */
size_t standin_room_at(const void *p);
/* Bytes of pinned host memory from there on; 0 if it is not that. */
size_t standin_pinned_at(const void *p);

/* A rule of an interface was broken: prints it and aborts. */
_Noreturn void standin_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
