/* SPDX-License-Identifier: MIT */
/* Between the parts of the stand-in: queues and what is in them, memory, and what is being captured. */
#ifndef FV_TESTS_STANDIN_INSIDE_H
#define FV_TESTS_STANDIN_INSIDE_H

#include "tests/cuda/standin/standin.h"

#include <stdint.h>

/* --- queues (standin_queue.c) --------------------------------------------------------------------------------- */

enum standin_step {
    STANDIN_DONE,
    STANDIN_MORE, /* something was done, and there is more */
    STANDIN_WAITS /* for another process */
};
struct standin_work {
    enum standin_step (*step)(void *ctx); /* called until STANDIN_DONE; then, in a graph, anew */
    void (*drop)(void *ctx);              /* or NULL */
    void *ctx;
    const char *what;
    int (*waits)(void *ctx); /* or NULL; 1: another call of step would only wait */
    int of_parts;            /* it runs others and touches no memory itself */
};

/* A moment of a queue: past once all before it is done. */
struct standin_mark {
    int references, past;
    double us; /* by the device's clock */
    struct CUstream_st *queue;
};
struct standin_mark *
standin__mark(struct CUstream_st *q);         /* of now; one reference is the caller's */
void standin__unmark(struct standin_mark *m); /* accepts NULL */
void standin__wait(struct CUstream_st *q, struct standin_mark *m); /* what comes into q waits */
void standin__put(struct CUstream_st *q, struct standin_work w);

/* A queue's head is an item; `captured` is what a capture knows of a stream (standin_capture.c). */
struct standin_item;
struct standin_nodes {
    int *node, count;
};
struct standin_capture;
struct CUstream_st {
    struct CUstream_st *next;
    struct standin_item *first, **last;
    int number, blocking, destroyed;
    uint64_t rank; /* the highest goes first */
    double us;
    struct standin_capture *capture; /* NULL: not captured */
    struct standin_nodes behind;     /* nodes that the next one waits for */
};
struct CUstream_st *standin__queue_new(int blocking);
struct CUstream_st *standin__queue(cudaStream_t s); /* checked; NULL is the default stream */
struct CUstream_st *standin__queues(void);          /* a list */

/* Works until m is past. */
void standin__reach(struct standin_mark *m);
void standin__reach_all(void);
/* A little work towards m, or none: what time brings. */
void standin__pass_time(struct standin_mark *m);
void standin__pass_time_for_all(void);

void standin__lock(void);           /* of everything; may be held twice */
extern void (*standin__view)(void); /* called when the lock has been taken, and before it is left */
void standin__unlock(void);
uint64_t standin__draw(uint64_t below);
const char *standin__doing(void); /* what runs now; NULL: the host */
void standin__run(const struct standin_work *w, enum standin_step *end);

/* --- memory (standin_memory.c) -------------------------------------------------------------------------------- */

void standin__open_memory(void); /* for what the queues do; may be nested */
void standin__close_memory(void);
/* Bytes that are taken, but for blocks of just `not_counted` bytes. */
void standin__memory(size_t *device, size_t *pinned, size_t not_counted);
/* "x" must be the device's for all its bytes. */
void standin__need_room(const void *p, size_t bytes, const char *what);

/* --- capture (standin_capture.c) ------------------------------------------------------------------------------ */

struct CUevent_st {
    struct standin_mark *mark;       /* NULL: never recorded */
    struct standin_capture *capture; /* recorded while capturing */
    unsigned long long capture_id;
    struct standin_nodes at;
    int timed;
    uint32_t magic;
};
/* 1 if the stream is captured: then the work is a node, and not queued. */
int standin__captured(struct CUstream_st *q, struct standin_work w);
int standin__capture_record(struct CUevent_st *e, struct CUstream_st *q); /* 1: done */
int standin__capture_wait(struct CUstream_st *q, struct CUevent_st *e);   /* 1: done */
/* `call` is not allowed while this thread captures. */
void standin__may_not_capture(const char *call);
int standin__captures(void); /* of any thread */

/* --- errors (standin_runtime.c) ------------------------------------------------------------------------------- */

cudaError_t standin__error(cudaError_t e); /* remembered for cudaGetLastError */
void standin__settle(void);                /* reads the environment, once */

#endif
