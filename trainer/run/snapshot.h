/* SPDX-License-Identifier: MIT */
/* What a checkpoint of fv holds, between the net and the safetensors file (internal to trainer/).
 *
 * Tensors: the net's own under their names, "<bn>.num_batches_tracked", "optim.<state>.<name>" for each vector that
 * the optimiser keeps, "grad.<name>" when gradients of half a step lie there, "ema.<name>" for the average. Metadata:
 * what it takes to build the net again, how far training is, what it was asked to do, and a digest of all of it.
 * Nothing in it depends on the clock, so that equal training gives equal bytes. A model is a checkpoint with nothing
 * but the net: its tensors are those that were measured, so with an average that.
 */
#ifndef FV_TRAINER_SNAPSHOT_H
#define FV_TRAINER_SNAPSHOT_H

#include "trainer/backend.h"
#include "trainer/net/net.h"
#include "trainer/run/checkpoint.h"

#include <stdint.h>

/* Of the loss's terms, each before its weight, and of triplets: sums over images, and over how many. Fewer have terms
 * if the epoch began in a program that did not keep these, and fewer triplets if batches had none. */
struct fv_term_sums {
    double term[FV_LOSS_TERMS], active, distance;
    uint64_t images, active_images;
};

/* How far training is. */
struct fv_progress_state {
    uint64_t step;  /* steps done since the run began */
    uint64_t epoch; /* epochs wholly done, evaluation included */
    /* seen since the last epoch was done, with the sums of their losses and hits: */
    uint64_t images;
    double loss_sum, correct_sum;
    struct fv_term_sums terms;
    uint64_t not_finite; /* the last so many steps had no finite loss */
    uint64_t cls_epoch;  /* the epoch with the best validation accuracy; 0: none yet */
    uint64_t ver_epoch;  /* the epoch with the lowest verification EER; 0: none yet */
    double best_acc, best_eer, best_auc;
    uint64_t updates; /* that the optimiser made */
    uint64_t broken;  /* 1: a part of the step that is being accumulated was not finite */
    /* of the measure that --patience watches: the epoch with the best, 0 for none yet, and what it was */
    uint64_t watched_epoch;
    double watched_best;
};

struct fv_snapshot {
    const struct fv_net *net;
    const char *stem;
    enum fv_optim_kind optim;
    float *arena;            /* params + buffers */
    float *state[FV_STATES]; /* fv_state_count of each; NULL: not kept */
    int half_step;           /* FV_STATE_SUM holds something */
    struct fv_progress_state at;
    uint64_t steps_per_epoch, epochs;
    double lr; /* of the next step */
    const char *settings, *data_id, *backend;
};

/* FV_EBACKEND, naming `path`, if a number of the net or a state is not finite. */
int fv__snapshot_check(const struct fv_snapshot *s, const char *path);
/* Write what has passed the check. */
int fv__snapshot_write(const char *path, const struct fv_snapshot *s);
int fv__snapshot_write_model(const char *path, const struct fv_snapshot *s);

/* Opens a file, and refuses what is no whole checkpoint of a version that this program reads. */
int fv__snapshot_open(struct fv_st **st, const char *path);
/* Each names the file and the thing that is missing or odd. */
int fv__snapshot_net(const struct fv_st *st, const char *path, struct fv_net **net);
int fv__snapshot_arena(const struct fv_st *st, const char *path, const struct fv_net *net,
                       float *arena);
/* The numbers to work with: the average where the file holds one. */
int fv__snapshot_weights(const struct fv_st *st, const char *path, const struct fv_net *net,
                         float *arena);
/* Fills those of s->state that are there, by s->net and s->optim. */
int fv__snapshot_states(const struct fv_st *st, const char *path, struct fv_snapshot *s);
int fv__snapshot_progress(const struct fv_st *st, const char *path, struct fv_progress_state *at);
/* The metadata of that name; FV_EVERSION with a sentence if it is absent. */
int fv__snapshot_text(const struct fv_st *st, const char *path, const char *key, const char **out);

/* snapshot_digest.c */
enum { FV_SNAPSHOT_DIGEST = 33 };
int fv__snapshot_digest(const struct fv_st_tensor *t, int tensors, const struct fv_st_meta *m,
                        int metas, char out[FV_SNAPSHOT_DIGEST]);
int fv__snapshot_digest_of(const struct fv_st *st, char out[FV_SNAPSHOT_DIGEST]);
int fv__snapshot_verify(const struct fv_st *st, const char *path);

#endif
