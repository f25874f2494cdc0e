/* SPDX-License-Identifier: MIT */
/* See the header. That all ranks hold the same numbers follows from sums that are the same on all of them; it is
 * checked once an epoch all the same, since nothing else would notice a machine that computes wrongly, or a
 * backend that forgets to share something. */
#include "trainer/run/ranks.h"

#include "common/clock.h"
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

/* What goes round while rank 0 measures: not yet, once a second or a few times in --comm-timeout, then the measures. */
enum { DONE, RC, VAL_LOSS, VAL_ACC, EER, AUC, TOLD };

static void say_on(void *ctx, enum fv_level level, const char *text)
{
    fv_say(&((struct fv_run *)ctx)->fleeting, level, "%s", text);
}

/* That another rank has ended is heard at the end: the comm does not forget it. */
static void show_and_tell(void *ctx, const struct fv_progress *p)
{
    struct fv_run *run = ctx;
    struct fv_comm *c = run->d->comm;
    double told[TOLD] = {0};
    const uint64_t now = fv_now_ns();
    const double pause_s = fmin(1, c->timeout_s / 8);
    fv_progress(&run->fleeting, p);
    if ((double)(now - run->told_ns) * 1e-9 < pause_s)
        return;
    run->told_ns = now;
    (void)fv_comm_broadcast(c, told, sizeof told);
}

struct fv_report fv__ranks_report(struct fv_run *run)
{
    if (fv_comm_world(run->d->comm) == 1)
        return run->fleeting;
    run->told_ns = fv_now_ns();
    return (struct fv_report){run, say_on, show_and_tell};
}

int fv__ranks_share_measures(struct fv_run *run, struct fv_runlog_line *l, int *rc)
{
    struct fv_comm *c = run->d->comm;
    double told[TOLD] = {1, *rc, l->val_loss, l->val_acc, l->eer, l->auc};
    if (fv_comm_world(c) == 1)
        return 0;
    do
        FV_TRY(fv_comm_broadcast(c, told, sizeof told));
    while (told[DONE] == 0);
    *rc = (int)told[RC];
    l->val_loss = told[VAL_LOSS];
    l->val_acc = told[VAL_ACC];
    l->eer = told[EER];
    l->auc = told[AUC];
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
