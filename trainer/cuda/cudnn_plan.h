/* SPDX-License-Identifier: MIT */
/* Which engine of cuDNN runs a graph, and with which knobs.
 *
 * cuDNN's heuristics (mode A, else its fallback) rank the engines; those are left out that round more than the
 * storage type does, that do not give the same bits each time, or that compile at run time (seconds each; where they
 * are all there is, plain graphs and kernels of our own are as fast). On a GPU the best few are timed; the winner's
 * engine and knobs go into a cache on disk, a file for each cuDNN version, device and graph. What is read back is a
 * number of an engine and of knobs, which cuDNN judges again: a damaged or foreign file costs a new choice and nothing
 * else.
 */
#ifndef FV_TRAINER_CUDA_CUDNN_PLAN_H
#define FV_TRAINER_CUDA_CUDNN_PLAN_H

#include "trainer/cuda/cudnn_graph.h"

enum { FV_PLAN_KNOBS = 48, FV_PLAN_CANDIDATES = 8 };

enum fv_plan_origin { FV_PLAN_HEURISTIC, FV_PLAN_TIMED, FV_PLAN_CACHED };

struct fv_plan_choice {
    int engine, knobs;
    struct fv_plan_knob {
        int type;
        int64_t value;
    } knob[FV_PLAN_KNOBS];
    double us; /* on the device; 0: not timed */
};

struct fv_cudnn_plan {
    struct fv_conv_key key;
    struct fv_plan_choice choice;
    enum fv_plan_origin from;
    size_t workspace;             /* bytes, 256-byte aligned */
    int offered;                  /* engine configurations that the heuristics gave, and */
    int compiled;                 /* how many of them would have been compiled at run time */
    struct fv__cudnn_graph graph; /* keeps all that the plan refers to */
    fv__cudnn_desc plan;
};

struct fv_plan_settings {
    const char *cache;      /* folder; NULL: none */
    size_t workspace_limit; /* bytes; 0: none */
};

/* FV_EUNSUPPORTED if no engine will do. */
int fv_cudnn_plan_find(struct fv_cudnn_plan **out, struct fv_cudnn *c,
                       const struct fv_conv_key *key, const struct fv_plan_settings *s);
void fv_cudnn_plan_free(struct fv_cudnn_plan **p); /* accepts NULL */
/* Enqueues it on the stream that the handle is bound to. arg[role] are device addresses, 16-byte aligned. */
int fv_cudnn_plan_run(struct fv_cudnn *c, const struct fv_cudnn_plan *p,
                      void *const arg[FV_CONV_ROLES], void *workspace);
int fv_cudnn_set_stream(struct fv_cudnn *c, void *stream);

/* $XDG_CACHE_HOME/fv/cudnn, or ~/.cache/fv/cudnn; NULL if neither is known. Free it. */
char *fv_plan_cache_folder(void);
/* The cache: 1 and *out, or 0 for what is not there or of no use. */
int fv_plan_cache_read(const char *folder, const struct fv_cudnn *c, const struct fv_conv_key *key,
                       struct fv_plan_choice *out);
int fv_plan_cache_write(const char *folder, const struct fv_cudnn *c, const struct fv_conv_key *key,
                        const struct fv_plan_choice *choice);
/* What is read back, from memory (also for fuzzing): 1 if it is a choice for that title. */
int fv__plan_cache_parse(const char *text, size_t n, const char *title, struct fv_plan_choice *out);

/* Internal: cudnn_time.c. Times the plan on the device with operands of its own. */
int fv__cudnn_time(struct fv_cudnn *c, const struct fv_cudnn_plan *p, double *us);

#endif
