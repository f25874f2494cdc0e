/* SPDX-License-Identifier: MIT */
/* What a checkpoint of fv holds, between the net and the safetensors file (internal to trainer/).
 *
 * Tensors: the net's own under their names, "<bn>.num_batches_tracked", "optim.momentum.<name>". Metadata: what
 * it takes to build the net again, how far training is, and what it was asked to do. Nothing in it depends on the
 * clock, so that equal training gives equal bytes.
 */
#ifndef FV_TRAINER_SNAPSHOT_H
#define FV_TRAINER_SNAPSHOT_H

#include "trainer/net/net.h"
#include "trainer/run/checkpoint.h"

#include <stdint.h>

/* How far training is. */
struct fv_progress_state {
    uint64_t step;  /* steps done since the run began */
    uint64_t epoch; /* epochs wholly done, evaluation included */
    /* seen since the last epoch was done, with the sums of their losses and hits: */
    uint64_t images;
    double loss_sum, correct_sum;
    uint64_t not_finite; /* the last so many steps had no finite loss */
    uint64_t cls_epoch;  /* the epoch with the best validation accuracy; 0: none yet */
    uint64_t ver_epoch;  /* the epoch with the lowest verification EER; 0: none yet */
    double best_acc, best_eer, best_auc;
};

struct fv_snapshot {
    const struct fv_net *net;
    const char *stem;
    float *arena;   /* params + buffers */
    float *momenta; /* params */
    struct fv_progress_state at;
    uint64_t steps_per_epoch, epochs;
    double lr; /* of the next step */
    const char *settings, *data_id, *backend;
};

/* FV_EBACKEND, naming `path`, if a weight, statistic or momentum is not finite. */
int fv__snapshot_check(const struct fv_snapshot *s, const char *path);
/* Writes what has passed the check. */
int fv__snapshot_write(const char *path, const struct fv_snapshot *s);

/* Each names the file and the thing that is missing or odd. */
int fv__snapshot_net(const struct fv_st *st, const char *path, struct fv_net **net);
int fv__snapshot_arena(const struct fv_st *st, const char *path, const struct fv_net *net,
                       float *arena);
int fv__snapshot_momenta(const struct fv_st *st, const char *path, const struct fv_net *net,
                         float *momenta);
int fv__snapshot_progress(const struct fv_st *st, const char *path, struct fv_progress_state *at);
/* The metadata of that name; FV_EVERSION with a sentence if it is absent. */
int fv__snapshot_text(const struct fv_st *st, const char *path, const char *key, const char **out);

#endif
