/* SPDX-License-Identifier: MIT */
/* Several processes that train one net: who there is, and sums over all of them.
 *
 * Every process calls the same functions in the same order with the same sizes. A result is the same bytes on all of
 * them, and the same again for the same number of processes: sums are made in a fixed order, over whatever carries
 * them. A NULL comm is a single process: each function then returns at once.
 *
 * A process that ends, fails or hangs ends the others: their next call returns FV_EIO with a sentence that says who it
 * was, and what it said. One thread of a process may use it at a time.
 */
#ifndef FV_TRAINER_COMM_H
#define FV_TRAINER_COMM_H

#include "common/opt.h"

#include <stddef.h>
#include <stdint.h>

struct fv_comm_kind;

struct fv_comm {
    const struct fv_comm_kind *kind;
    int rank, world;
    int local_rank, local_world; /* among the processes on this machine */
    int sharers; /* processes, this one counted, that may run on just the same processors */
    double timeout_s;
    uint64_t shifts; /* exchanges with the neighbours so far: each is a wait for them */
    void *scratch;
    size_t scratch_bytes;
};

struct fv_comm_settings {
    const char *kind; /* "auto", or one of fv_comm_kinds */
    double timeout_s; /* a process not heard of for so long is given up (default 300) */
};
extern const struct fv_opt fv_comm_opts[];
void fv_comm_defaults(struct fv_comm_settings *s);

/* Meets the others. "auto": MPI where an mpirun started this process, TCP where the environment says so in the way of
 * torchrun or Slurm, else a process by itself. FV_EUSAGE or FV_EUNSUPPORTED where the environment promises what this
 * build or command cannot keep. */
int fv_comm_open(struct fv_comm **out, const struct fv_comm_settings *s);
/* When all went well: waits for the others, then leaves them. Accepts NULL. */
void fv_comm_close(struct fv_comm **c);
/* When this process cannot go on: tells the others why, and ends them. Of kind mpi it does not return, since an
 * MPI program can end in no other way; say what there is to say before. Accepts NULL. */
void fv_comm_abort(struct fv_comm **c, const char *why);

static inline int fv_comm_rank(const struct fv_comm *c)
{
    return c ? c->rank : 0;
}
static inline int fv_comm_world(const struct fv_comm *c)
{
    return c ? c->world : 1;
}

/* v[i] becomes its sum over all processes. */
int fv_comm_sum_floats(struct fv_comm *c, float *v, size_t n);
int fv_comm_sum_doubles(struct fv_comm *c, double *v, size_t n);
/* Rank 0's bytes go to all. */
int fv_comm_broadcast(struct fv_comm *c, void *data, size_t bytes);
/* Rank r's bytes come to all + r * bytes, everywhere. For small things. */
int fv_comm_gather(struct fv_comm *c, const void *mine, size_t bytes, void *all);
int fv_comm_barrier(struct fv_comm *c);
/* Waits for nothing: FV_EIO if another process is known to have ended or failed. For who waits for something else that
 * such a process would never bring. */
int fv_comm_watch(struct fv_comm *c);
/* FV_EINVAL, naming the ranks, unless all give the same bytes; `what` is "the settings". */
int fv_comm_same(struct fv_comm *c, const char *what, const void *data, size_t bytes);

/* How bytes get to another process. A kind is one of these and a row in trainer/comm/meson.build. */
struct fv_comm_kind {
    const char *name, *help;
    /* Sets rank and world; on failure there is no *out. */
    int (*open)(struct fv_comm **out, const struct fv_comm_settings *s);
    void (*close)(struct fv_comm *c, const char *why); /* why: NULL, or what to tell the others */
    /* At the same time: `out` bytes to the next rank (the last one's is rank 0), `in` bytes from the one before. */
    int (*shift)(struct fv_comm *c, const void *send, size_t out, void *receive, size_t in);
    int (*watch)(
        struct fv_comm *c); /* fv_comm_watch; NULL: whoever started the processes ends them all */
};
extern const struct fv_comm_kind *const fv_comm_kinds[]; /* NULL-terminated */

/* A 64-bit FNV-1a of 32-bit words and what is left of bytes: to notice that two things differ. */
uint64_t fv_comm_hash(uint64_t seed, const void *data, size_t bytes);

#endif
