/* SPDX-License-Identifier: MIT */
/* The loop of training.
 *
 * A step's result is read when the next batch is at hand, so that a backend may work while the loader is waited
 * for; with a backend that lets results be read late, when the next step has been given, so that it never waits for
 * us. What resuming needs is all in run->snap: a checkpoint is that and nothing else, and no clock reading gets
 * into it. At the end of an epoch the log comes first and "last" comes last: whenever the process dies, resuming
 * finds a checkpoint, drops the log behind it and does the rest again, to the same bytes.
 */
#include "trainer/run/train_run.h"

#include "trainer/run/end_note.h"
#include "trainer/run/ranks.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

atomic_int fv_train_stop;

enum {
    NOT_FINITE_LIMIT = 10, /* steps in a row after which training ends */
    LOG_STEPS = 50,        /* a line of the log every so many steps or */
    LOG_SECONDS = 10       /* so many seconds, whichever comes first */
};

/* Checkpoints. */

double fv__run_rate(const struct fv_run *run, uint64_t step)
{
    return fv_schedule_rate(run->schedule, &run->course, step, run->snap.steps_per_epoch);
}

static double epochs_done(const struct fv_run *run, uint64_t step)
{
    return (double)step / (double)run->snap.steps_per_epoch;
}

/* The step to give next: those before have been read, or are under way. */
static uint64_t step_due(const struct fv_run *run)
{
    return run->snap.at.step + (uint64_t)run->pending;
}

/* Which part of an accumulated step that step is. */
static int part_of(const struct fv_run *run, uint64_t step)
{
    return (int)(step % (uint64_t)run->s->accumulate);
}

/* Takes the net's numbers out of the program. Those of a diverged net get no further. */
int fv__run_fetch(struct fv_run *run)
{
    struct fv_snapshot *snap = &run->snap;
    FV_TRY(run->backend->params_get(run->program, snap->arena));
    for (int i = 0; i < FV_STATES; i++)
        if (snap->state[i])
            FV_TRY(run->backend->state_get(run->program, (enum fv_state)i, snap->state[i]));
    snap->half_step = part_of(run, snap->at.step) > 0;
    if (snap->at.broken &&
        snap->state[FV_STATE_SUM]) /* a file holds no NaN: that the sum is one is noted beside it */
        memset(snap->state[FV_STATE_SUM], 0, run->net->params * sizeof(float));
    snap->lr = fv__run_rate(run, snap->at.step);
    return fv__snapshot_check(snap, run->folder);
}

static int write_last(struct fv_run *run)
{
    const uint64_t t = fv_trace_begin("checkpoint");
    char *path = fv_format("%s/last.safetensors", run->folder);
    int rc = path ? fv__snapshot_write(path, &run->snap) : fv_err(FV_ENOMEM, "out of memory");
    free(path);
    fv_trace_end("checkpoint", t);
    return rc;
}

int fv__run_wrote(const struct fv_run *run, int rc)
{
    char text[FV_ERR_TEXT_MAX];
    if (rc != FV_EIO || run->saves == 0)
        return rc;
    fv_err_save(text);
    return fv_err(rc,
                  "%s; the checkpoint before this one is whole: make room, and go on with --resume",
                  text);
}

int fv__run_save(struct fv_run *run)
{
    int rc = 0;
    if (fv_comm_rank(run->d->comm) == 0) {
        rc = fv_runlog_sync(run->log);
        if (rc == 0)
            rc = write_last(run);
    }
    if (rc < 0)
        return fv__run_wrote(run, rc);
    run->saves++;
    run->saved_ns = fv_now_ns();
    return 0;
}

/* Steps. */

const char fv__run_remedy[] = "lower --lr, or let it rise slowly with --warmup 1";

static int note_not_finite(struct fv_run *run, uint64_t step)
{
    struct fv_progress_state *at = &run->snap.at;
    char where[224] = "";
    if (++at->not_finite > 1 && at->not_finite < NOT_FINITE_LIMIT)
        return 0;
    fv__diagnose_not_finite(run->backend, run->program, run->net, where, sizeof where);
    if (at->not_finite >= NOT_FINITE_LIMIT)
        return fv_err(FV_EBACKEND,
                      "step %llu: loss or gradients were not finite %d times in a row%s%s; the "
                      "checkpoints in %s are those from before: %s",
                      (unsigned long long)step, NOT_FINITE_LIMIT, *where ? ", now first in " : "",
                      where, run->folder, fv__run_remedy);
    fv_say(run->report, FV_LEVEL_WARN,
           "step %llu: loss or gradients are not finite%s%s; this step changed no weight (%s)",
           (unsigned long long)step, *where ? ", first in " : "", where, fv__run_remedy);
    return 0;
}

/* What the optimiser made of a step, by its result and its part. */
static void count_update(struct fv_run *run, const struct fv_step_result *r, int part)
{
    struct fv_progress_state *at = &run->snap.at;
    const int last = part + 1 == (int)run->s->accumulate;
    if (last && r->finite)
        at->updates++;
    at->broken = last ? 0 : (part > 0 && at->broken) || !r->finite;
}

static int write_window(struct fv_run *run)
{
    const struct fv_meter *w = &run->window;
    if (w->steps < LOG_STEPS && fv__meter_seconds(w) < LOG_SECONDS)
        return 0;
    const struct fv_runlog_line l = fv__meter_window(run);
    if (run->log)
        FV_TRY(fv__run_wrote(run, fv_runlog_step(run->log, &l)));
    fv_trace_counter("loss", l.loss);
    fv__meter_start(run, &run->window);
    return 0;
}

/* Standing still needs class scores to be told by, and a margin that stands still itself. */
static void watch_loss(struct fv_run *run, const struct fv_step_result *r)
{
    const struct fv_loss_spec *spec = &run->net->loss;
    const unsigned long long step = run->snap.at.step;
    char words[320];
    if (spec->scored < 0 || fv__loss_is_warming(spec, epochs_done(run, step)))
        fv__stuck_start(&run->stuck);
    else if (fv__stuck_add(&run->stuck, spec, r, run->net->classes, words, sizeof words))
        fv_say(run->report, FV_LEVEL_WARN, "step %llu: %s", step, words);
    if (fv__loss_watch_add(&run->watch, spec, r, words, sizeof words))
        fv_say(run->report, FV_LEVEL_WARN, "step %llu: %s", step, words);
}

/* Reads what became of the oldest step under way. */
static int collect_one(struct fv_run *run)
{
    struct fv_progress_state *at = &run->snap.at;
    struct fv_step_result r;
    FV_TRY(
        (run->pending > 1 ? run->backend->result_before : run->backend->result)(run->program, &r));
    run->pending--;
    run->wanted |= r.wanted;
    count_update(run, &r, part_of(run, at->step));
    run->lr = fv__run_rate(run, at->step);
    at->step++;
    fv__meter_add(&run->window, &r);
    fv__meter_add(&run->epoch, &r);
    if (r.rescaled)
        return 0;
    if (!r.finite)
        return note_not_finite(run, at->step);
    at->not_finite = 0;
    at->images += (uint64_t)r.n;
    at->loss_sum += r.loss * r.n;
    at->correct_sum += r.correct;
    fv__meter_add_terms(&at->terms, &r);
    FV_TRY(write_window(run));
    watch_loss(run, &r);
    fv__meter_say(run);
    return 0;
}

/* Until at most `most` are under way. */
static int collect(struct fv_run *run, int most)
{
    while (run->pending > most)
        FV_TRY(collect_one(run));
    return 0;
}

static int check_batch(const struct fv_run *run, const struct fv_batch *b)
{
    if (b->ticket != step_due(run))
        return fv_err(FV_EINVAL, "the loader gave batch %llu where %llu was due",
                      (unsigned long long)b->ticket, (unsigned long long)step_due(run));
    return fv__diagnose_labels(b, run->net->classes);
}

static double momentum_of(const struct fv_run *run, uint64_t step, double usual)
{
    return fv_schedule_momentum(run->schedule, &run->course, step, run->snap.steps_per_epoch,
                                usual);
}

/* Several ranks tell each other what they want with each step, and act on it when they have read the result. */
static int is_alone(const struct fv_run *run)
{
    return fv_comm_world(run->d->comm) == 1;
}

/* What this process wants by now: a signal has come, the time has. */
static unsigned wants(const struct fv_run *run)
{
    const uint64_t every_ns = (uint64_t)ceil(run->s->save_every * 60e9);
    const int save =
        fv_comm_rank(run->d->comm) == 0 && every_ns > 0 && fv_now_ns() - run->saved_ns >= every_ns;
    return (fv_train_stop ? FV__WANT_STOP : 0u) | (save ? FV__WANT_SAVE : 0u);
}

static int step(struct fv_run *run, const struct fv_batch *b)
{
    struct fv_optim optim = run->optim;
    const uint64_t due = step_due(run);
    if (optim.kind == FV_OPTIM_SGD)
        optim.momentum = momentum_of(run, due, optim.momentum);
    else
        optim.beta1 = momentum_of(run, due, optim.beta1);
    optim.lr = fv__run_rate(run, due);
    optim.updates = run->snap.at.updates; /* a backend that is read late counts by itself */
    optim.part = part_of(run, due);
    optim.wants = is_alone(run) ? 0 : wants(run);
    run->backend->set_epoch(run->program, epochs_done(run, due));
    FV_TRY(run->backend->step(run->program, b, &optim));
    run->pending++;
    return 0;
}

static int take_step(struct fv_run *run)
{
    const struct fv_batch_source *t = run->d->train;
    const struct fv_batch *b;
    uint64_t span = fv_trace_begin("wait for batch");
    int rc = t->next(t->ctx, &b);
    fv_trace_end("wait for batch", span);
    FV_TRY(rc);
    if (rc == 0)
        return fv_err(FV_EINVAL,
                      "the training images came to an end: their source must be endless");

    span = fv_trace_begin("step");
    rc = run->backend->prefetch ? run->backend->prefetch(run->program, b) : 0;
    if (rc == 0 && !run->late)
        rc = collect(run, 0);
    if (rc == 0)
        rc = check_batch(run, b);
    if (rc == 0 && !(run->wanted & FV__WANT_STOP))
        rc = step(run, b);
    t->release(t->ctx);
    if (rc == 0)
        rc = collect(run, 1);
    fv_trace_end("step", span);
    return rc;
}

static int train_epoch(struct fv_run *run)
{
    const uint64_t end = (run->snap.at.epoch + 1) * run->snap.steps_per_epoch;
    fv__meter_start(run, &run->window);
    fv__meter_start(run, &run->epoch);
    run->wanted = 0;
    while (step_due(run) < end && !(run->wanted & FV__WANT_STOP)) {
        FV_TRY(take_step(run));
        if (is_alone(run))
            run->wanted |= wants(run);
        if (run->wanted == FV__WANT_SAVE) {
            FV_TRY(collect(run, 0)); /* which may bring the same wish again */
            FV_TRY(fv__run_fetch(run));
            FV_TRY(fv__run_save(run));
            run->wanted &= ~(unsigned)FV__WANT_SAVE;
        }
    }
    FV_TRY(collect(run, 0));
    return run->wanted & FV__WANT_STOP ? fv_err(FV_EINTR, "interrupted") : 0;
}

static int go_round(struct fv_run *run)
{
    struct fv_progress_state *at = &run->snap.at;
    run->began_ns = fv_now_ns();
    run->began_step = at->step;
    while (at->epoch < run->snap.epochs && !fv__run_is_over(run)) {
        FV_TRY(train_epoch(run));
        FV_TRY(fv__run_finish_epoch(run));
        int stop = fv_train_stop;
        FV_TRY(fv__ranks_agree(run, &stop));
        if (stop && at->epoch < run->snap.epochs && !fv__run_is_over(run))
            return fv_err(FV_EINTR, "interrupted");
    }
    if (at->epoch < run->snap.epochs)
        fv_say(run->report, FV_LEVEL_INFO,
               "ended after epoch %llu: --patience-on %s has not been better since epoch %llu",
               (unsigned long long)at->epoch, run->watched->name,
               (unsigned long long)at->watched_epoch);
    return 0;
}

static void take_result(const struct fv_run *run, struct fv_train_result *out)
{
    const struct fv_progress_state *at = &run->snap.at;
    *out = (struct fv_train_result){.epochs = at->epoch,
                                    .cls_epoch = at->cls_epoch,
                                    .best_acc = at->best_acc,
                                    .ver_epoch = at->ver_epoch,
                                    .best_eer = at->best_eer,
                                    .best_auc = at->best_auc};
}

int fv_train_run(const struct fv_train_settings *s, const struct fv_train_data *d,
                 const char *folder, int resume, const struct fv_report *r)
{
    struct fv_run run;
    FV_TRY(fv__run_open(&run, s, d, folder, resume, r));
    int rc = run.log ? fv__end_note_begin(folder) : 0;
    if (rc == 0)
        rc = go_round(&run);
    if (rc == FV_EINTR) {
        int kept = collect(&run, 0);
        if (kept == 0)
            kept = fv__run_fetch(&run);
        if (kept == 0)
            kept = fv__run_save(&run);
        rc = kept < 0 ? kept
                      : fv_err(FV_EINTR, "interrupted after step %llu",
                               (unsigned long long)run.snap.at.step);
    }
    if (run.log)
        fv__end_note_write(folder, rc);
    if (rc == 0 && d->result)
        take_result(&run, d->result);
    fv__run_close(&run);
    return rc;
}
