/* SPDX-License-Identifier: MIT */
/* See the header. That all ranks hold the same numbers follows from sums that are the same on all of them; it is
 * checked once an epoch all the same, since nothing else would notice a machine that computes wrongly, or a
 * backend that forgets to share something. */
#include "trainer/run/ranks.h"

#include "common/cpu.h"
#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int fv__ranks_threads(const struct fv_train_settings *s, const struct fv_comm *c)
{
    if (s->threads > 0 || fv_comm_world(c) == 1 || c->sharers == 1)
        return (int)s->threads;
    const int share = fv_cpu_count() / c->sharers;
    return share > 1 ? share : 1;
}

int fv__ranks_join(struct fv_run *run)
{
    struct fv_comm *c = run->d->comm;
    const char *text = run->d->settings_text, *data = run->d->data_id;
    const char *name = run->backend->name;
    if (fv_comm_world(c) == 1)
        return 0;
    if (!run->backend->set_comm)
        return fv_err(FV_EUNSUPPORTED,
                      "the backend %s works by itself: start one process, or take "
                      "another --backend",
                      name);
    FV_TRY(fv_comm_same(c, "the backends", name, strlen(name)));
    FV_TRY(fv_comm_same(c, "the settings", text, strlen(text)));
    FV_TRY(fv_comm_same(c, "the data sets", data, strlen(data)));
    FV_TRY(run->backend->set_comm(run->program, c, run->s->sync_bn));
    fv_say(run->report, FV_LEVEL_INFO,
           "%d processes (%s), %d of them on this machine; %d images each of a batch of %d%s",
           c->world, c->kind->name, c->local_world, run->d->train->batch,
           run->d->train->batch * c->world,
           run->s->sync_bn ? "; batch norms over all of them" : "");
    return 0;
}

int fv__ranks_share_start(struct fv_run *run)
{
    struct fv_comm *c = run->d->comm;
    struct fv_snapshot *snap = &run->snap;
    const struct fv_net *net = run->net;
    FV_TRY(fv_comm_broadcast(c, &snap->at, sizeof snap->at));
    FV_TRY(fv_comm_broadcast(c, snap->arena, (net->params + net->buffers) * sizeof(float)));
    for (int i = 0; i < FV_STATES; i++)
        if (snap->state[i])
            FV_TRY(fv_comm_broadcast(c, snap->state[i],
                                     fv_state_count(net, (enum fv_state)i) * sizeof(float)));
    return 0;
}

int fv__ranks_agree(struct fv_run *run, int *stop)
{
    double any = *stop != 0;
    FV_TRY(fv_comm_sum_doubles(run->d->comm, &any, 1));
    *stop = any > 0;
    return 0;
}

int fv__ranks_share_measures(struct fv_run *run, struct fv_runlog_line *l, int *rc)
{
    double told[5] = {l->val_loss, l->val_acc, l->eer, l->auc, *rc};
    struct fv_comm *c = run->d->comm;
    if (fv_comm_world(c) == 1)
        return 0;
    const double timeout_s = c->timeout_s;
    c->timeout_s = INFINITY; /* evaluation takes as long as it takes */
    int told_rc = fv_comm_broadcast(c, told, sizeof told);
    c->timeout_s = timeout_s;
    FV_TRY(told_rc);
    l->val_loss = told[0];
    l->val_acc = told[1];
    l->eer = told[2];
    l->auc = told[3];
    *rc = (int)told[4];
    return 0;
}

/* The first tensor of which rank r and rank 0 have other numbers; every rank asks. */
static int name_first(struct fv_run *run, const char *what, const float *v, size_t n)
{
    const struct fv_net *net = run->net;
    struct fv_comm *c = run->d->comm;
    uint64_t *all = malloc((size_t)c->world * sizeof *all);
    int rc = all ? 0 : fv_err(FV_ENOMEM, "out of memory");
    for (int t = 0; rc == 0 && t < net->tensors; t++) {
        const struct fv_tensor *o = &net->tensor[t];
        if (o->offset >= n)
            continue;
        const uint64_t mine = fv_comm_hash(0, v + o->offset, o->count * sizeof *v);
        rc = fv_comm_gather(c, &mine, sizeof mine, all);
        for (int r = 1; rc == 0 && r < c->world; r++)
            if (all[r] != all[0])
                rc = fv_err(FV_ECORRUPT,
                            "step %llu: %s '%s' is not the same on rank %d and rank 0: a machine "
                            "that computes wrongly? (the checkpoints in the run folder are from "
                            "before)",
                            (unsigned long long)run->snap.at.step, what, o->name, r);
    }
    free(all);
    return rc;
}

int fv__ranks_check(struct fv_run *run)
{
    const struct fv_snapshot *snap = &run->snap;
    const size_t count = run->net->params + run->net->buffers;
    if (fv_comm_world(run->d->comm) == 1)
        return 0;
    int rc = fv_comm_same(run->d->comm, "weights", snap->arena, count * sizeof(float));
    if (rc == FV_EINVAL)
        rc = name_first(run, "the tensor", snap->arena, count);
    for (int i = 0; rc == 0 && i < FV_STATES; i++) {
        const size_t n = fv_state_count(run->net, (enum fv_state)i);
        if (!snap->state[i])
            continue;
        rc = fv_comm_same(run->d->comm, "states", snap->state[i], n * sizeof(float));
        if (rc == FV_EINVAL)
            rc = name_first(run, "the optimiser's state of", snap->state[i], n);
    }
    return rc;
}
