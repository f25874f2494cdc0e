/* SPDX-License-Identifier: MIT */
/* The loop of training.
 *
 * A step's result is read when the next batch is at hand, so that a backend may work while the loader is waited
 * for. What resuming needs is all in run->snap: a checkpoint is that and nothing else, and no clock reading gets
 * into it. At the end of an epoch the log comes first and "last" comes last: whenever the process dies, resuming
 * finds a checkpoint, drops the log behind it and does the rest again, to the same bytes.
 */
#include "trainer/run/train_run.h"

#include "trainer/eval/evaluate.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/trace.h"

#include <math.h>
#include <stdlib.h>

volatile sig_atomic_t fv_train_stop;

enum {
    NOT_FINITE_LIMIT = 10, /* steps in a row after which training ends */
    LOG_STEPS = 50,        /* a line of the log every so many steps or */
    LOG_SECONDS = 10,      /* so many seconds, whichever comes first */
    ESTIMATE_STEPS = 10,
    ESTIMATE_SECONDS = 5
};

/* Meters: what the log and the progress line say of a stretch of time. */

static void meter_start(struct fv_run *run, struct fv_meter *m)
{
    const struct fv_batch_source *t = run->d->train;
    *m = (struct fv_meter){.since_ns = fv_now_ns(),
                           .waited_ns = t->waited_ns ? t->waited_ns(t->ctx) : 0};
}

static void meter_add(struct fv_meter *m, const struct fv_step_result *r)
{
    m->steps++;
    m->images += (uint64_t)r->n;
    if (r->finite) {
        m->finite_images += (uint64_t)r->n;
        m->loss_sum += r->loss * r->n;
        m->correct_sum += r->correct;
    }
}

static double meter_seconds(const struct fv_meter *m)
{
    return (double)(fv_now_ns() - m->since_ns) * 1e-9 + 1e-9;
}

static double meter_wait(const struct fv_run *run, const struct fv_meter *m)
{
    const struct fv_batch_source *t = run->d->train;
    uint64_t waited = t->waited_ns ? t->waited_ns(t->ctx) - m->waited_ns : 0;
    return fmin((double)waited * 1e-9 / meter_seconds(m), 1);
}

static struct fv_runlog_line meter_line(const struct fv_run *run, const struct fv_meter *m,
                                        double loss_sum, double correct_sum, uint64_t images)
{
    const double n = images ? (double)images : NAN; /* no step had a finite loss: not measured */
    return (struct fv_runlog_line){.step = run->snap.at.step,
                                   .epoch = run->snap.at.epoch + 1,
                                   .loss = loss_sum / n,
                                   .acc = correct_sum / n,
                                   .lr = run->lr,
                                   .img_per_s = (double)m->images / meter_seconds(m),
                                   .data_wait = meter_wait(run, m),
                                   .val_loss = NAN,
                                   .val_acc = NAN,
                                   .eer = NAN,
                                   .auc = NAN};
}

static void format_duration(char buf[24], double seconds)
{
    const unsigned s = (unsigned)fmin(seconds + 0.5, 3.6e8);
    if (s >= 3600)
        snprintf(buf, 24, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, 24, "%u:%02u", s / 60, s % 60);
}

/* Once, when the first steps have shown their speed. The very first is left out: it warms up. */
static void say_estimate(struct fv_run *run)
{
    const uint64_t step = run->snap.at.step, now = fv_now_ns();
    char epoch[24], rest[24];
    if (run->first_ns == 0) {
        run->first_ns = now;
        run->first_steps = step;
        return;
    }
    const double seconds = (double)(now - run->first_ns) * 1e-9;
    const double steps = (double)(step - run->first_steps);
    if (run->estimated || steps < ESTIMATE_STEPS || seconds < ESTIMATE_SECONDS)
        return;
    const uint64_t total = run->snap.epochs * run->snap.steps_per_epoch;
    format_duration(epoch, seconds / steps * (double)run->snap.steps_per_epoch);
    format_duration(rest, seconds / steps * (double)(total - step));
    fv_say(run->report, FV_LEVEL_INFO,
           "%.0f img/s: about %s an epoch, %s to the end, evaluation not counted",
           steps * run->d->train->batch / seconds, epoch, rest);
    run->estimated = 1;
}

static void show_progress(struct fv_run *run)
{
    const struct fv_progress_state *at = &run->snap.at;
    const struct fv_runlog_line l =
        meter_line(run, &run->epoch, at->loss_sum, at->correct_sum, at->images);
    char what[48], extra[160];
    snprintf(what, sizeof what, "epoch %llu/%llu", (unsigned long long)at->epoch + 1,
             (unsigned long long)run->snap.epochs);
    snprintf(extra, sizeof extra, "loss %.3f  acc %.1f %%  lr %.4g  %.0f img/s  wait %.0f %%",
             l.loss, l.acc * 100, l.lr, l.img_per_s, l.data_wait * 100);
    const struct fv_progress p = {what, "step", at->step - at->epoch * run->snap.steps_per_epoch,
                                  run->snap.steps_per_epoch, extra};
    fv_progress(run->report, &p);
}

/* Checkpoints. */

static double rate_at(const struct fv_run *run, uint64_t step)
{
    return fv_schedule_rate(run->schedule, &run->course, step, run->snap.steps_per_epoch);
}

/* Takes the net's numbers out of the program. Those of a diverged net get no further. */
static int fetch_state(struct fv_run *run)
{
    FV_TRY(run->backend->params_get(run->program, run->snap.arena));
    FV_TRY(run->backend->state_get(run->program, FV_STATE_FIRST, run->snap.momenta));
    run->snap.lr = rate_at(run, run->snap.at.step);
    return fv__snapshot_check(&run->snap, run->folder);
}

static int write_checkpoint(struct fv_run *run, const char *name)
{
    const uint64_t t = fv_trace_begin("checkpoint");
    char *path = fv_format("%s/%s.safetensors", run->folder, name);
    int rc = path ? fv__snapshot_write(path, &run->snap) : fv_err(FV_ENOMEM, "out of memory");
    free(path);
    fv_trace_end("checkpoint", t);
    return rc;
}

/* "last", of the state fetched. */
static int save_last(struct fv_run *run)
{
    FV_TRY(fv_runlog_sync(run->log));
    FV_TRY(write_checkpoint(run, "last"));
    run->saved_ns = fv_now_ns();
    return 0;
}

/* Steps. */

static const char remedy[] = "lower --lr, or let it rise slowly with --warmup 1";

static int note_not_finite(struct fv_run *run)
{
    struct fv_progress_state *at = &run->snap.at;
    if (++at->not_finite >= NOT_FINITE_LIMIT)
        return fv_err(FV_EBACKEND,
                      "step %llu: loss or gradients were not finite %d times in a row; the "
                      "checkpoints in %s are "
                      "those from before: %s",
                      (unsigned long long)at->step, NOT_FINITE_LIMIT, run->folder, remedy);
    if (at->not_finite == 1)
        fv_say(run->report, FV_LEVEL_WARN,
               "step %llu: loss or gradients are not finite; this step changed no weight (%s)",
               (unsigned long long)at->step, remedy);
    return 0;
}

/* Reads what became of the step under way, if there is one. */
static int collect(struct fv_run *run)
{
    struct fv_progress_state *at = &run->snap.at;
    struct fv_step_result r;
    if (!run->pending)
        return 0;
    FV_TRY(run->backend->result(run->program, &r));
    run->pending = 0;
    at->step++;
    meter_add(&run->window, &r);
    meter_add(&run->epoch, &r);
    if (!r.finite)
        return note_not_finite(run);
    at->not_finite = 0;
    at->images += (uint64_t)r.n;
    at->loss_sum += r.loss * r.n;
    at->correct_sum += r.correct;

    const struct fv_meter *w = &run->window;
    if (w->steps >= LOG_STEPS || meter_seconds(w) >= LOG_SECONDS) {
        const struct fv_runlog_line l =
            meter_line(run, w, w->loss_sum, w->correct_sum, w->finite_images);
        FV_TRY(fv_runlog_step(run->log, &l));
        fv_trace_counter("loss", l.loss);
        meter_start(run, &run->window);
    }
    say_estimate(run);
    show_progress(run);
    return 0;
}

static int check_batch(const struct fv_run *run, const struct fv_batch *b)
{
    const int classes = run->net->classes;
    if (b->ticket != run->snap.at.step)
        return fv_err(FV_EINVAL, "the loader gave batch %llu where %llu was due",
                      (unsigned long long)b->ticket, (unsigned long long)run->snap.at.step);
    for (int i = 0; i < b->n; i++)
        if (b->label[i] < 0 || b->label[i] >= classes || b->label_mix[i] < 0 ||
            b->label_mix[i] >= classes)
            return fv_err(FV_EINVAL, "image %u has label %d, training knows %d identities",
                          b->image[i], b->label[i], classes);
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
    rc = collect(run);
    if (rc == 0)
        rc = check_batch(run, b);
    if (rc == 0) {
        run->lr = rate_at(run, run->snap.at.step);
        const struct fv_optim optim = {.lr = run->lr,
                                       .momentum = run->s->momentum,
                                       .weight_decay = run->s->weight_decay,
                                       .nesterov = run->s->nesterov,
                                       .decay_factor = run->decay_factor};
        rc = run->backend->step(run->program, b, &optim);
        run->pending = rc == 0;
    }
    t->release(t->ctx);
    fv_trace_end("step", span);
    return rc;
}

static int train_epoch(struct fv_run *run)
{
    const uint64_t end = (run->snap.at.epoch + 1) * run->snap.steps_per_epoch;
    const uint64_t every_ns = (uint64_t)(run->s->save_every * 60e9);
    meter_start(run, &run->window);
    meter_start(run, &run->epoch);
    while (run->snap.at.step + (uint64_t)run->pending < end) {
        FV_TRY(take_step(run));
        if (fv_train_stop)
            return fv_err(FV_EINTR, "interrupted");
        if (every_ns > 0 && fv_now_ns() - run->saved_ns >= every_ns) {
            FV_TRY(collect(run));
            FV_TRY(fetch_state(run));
            FV_TRY(save_last(run));
        }
    }
    return collect(run);
}

/* The end of an epoch. */

static int verify(struct fv_run *run, const struct fv_evaluator *e, struct fv_runlog_line *l)
{
    const struct fv_train_data *d = run->d;
    struct fv_roc roc;
    struct fv_eer eer;
    int rc = fv__eval_embed(e, d->verify, 0, run->emb);
    if (rc != 0)
        return rc;
    fv_score_pairs(run->emb, run->net->embedding, d->pair, d->pairs, run->score);
    FV_TRY(fv_roc_make(&roc, run->score, run->same, d->pairs));
    fv_roc_eer(&roc, &eer);
    l->eer = eer.eer;
    l->auc = fv_roc_auc(&roc);
    fv_roc_free(&roc);
    return 0;
}

/* A net with nothing to say about some image is no reason to end: it may learn to, and if training ended here it
 * would do so again whenever it is resumed. */
static int without_measure(struct fv_run *run, int rc)
{
    if (rc != FV_EVAL_USELESS)
        return rc;
    fv_say(run->report, FV_LEVEL_WARN, "epoch %llu not measured: %s (if this stays, %s)",
           (unsigned long long)run->snap.at.epoch + 1, fv_err_text(), remedy);
    return 0;
}

/* Fills in what was measured. On failure nothing has changed yet. */
static int evaluate(struct fv_run *run, struct fv_runlog_line *l)
{
    const struct fv_evaluator e = {.backend = run->backend,
                                   .program = run->program,
                                   .net = run->net,
                                   .capacity = run->d->train->batch,
                                   .report = run->report};
    const uint64_t t = fv_trace_begin("evaluate");
    int rc = 0;
    if (run->d->val)
        rc = without_measure(run, fv__eval_accuracy(&e, run->d->val, &l->val_acc, &l->val_loss));
    if (rc == 0 && run->d->verify)
        rc = without_measure(run, verify(run, &e, l));
    fv_trace_end("evaluate", t);
    return rc;
}

static void say_epoch(struct fv_run *run, const struct fv_runlog_line *l, int best_cls,
                      int best_ver)
{
    char cls[48] = "", ver[64] = "";
    if (isfinite(l->val_acc))
        snprintf(cls, sizeof cls, "  val %.2f %%%s", l->val_acc * 100, best_cls ? " (best)" : "");
    if (isfinite(l->eer))
        snprintf(ver, sizeof ver, "  EER %.2f %%%s  AUC %.4f", l->eer * 100,
                 best_ver ? " (best)" : "", l->auc);
    fv_say(run->report, FV_LEVEL_INFO,
           "epoch %llu/%llu  loss %.3f  acc %.1f %%%s%s  %.0f img/s  wait %.0f %%",
           (unsigned long long)l->epoch, (unsigned long long)run->snap.epochs, l->loss,
           l->acc * 100, cls, ver, l->img_per_s, l->data_wait * 100);
}

static int finish_epoch(struct fv_run *run)
{
    struct fv_progress_state *at = &run->snap.at;
    struct fv_runlog_line l =
        meter_line(run, &run->epoch, at->loss_sum, at->correct_sum, at->images);
    l.lr = rate_at(run, at->step - 1);
    FV_TRY(fetch_state(run));
    FV_TRY(evaluate(run, &l));

    const int best_cls = isfinite(l.val_acc) && (at->cls_epoch == 0 || l.val_acc > at->best_acc);
    const int best_ver = isfinite(l.eer) && (at->ver_epoch == 0 || l.eer < at->best_eer ||
                                             (l.eer == at->best_eer && l.auc > at->best_auc));
    at->epoch++;
    at->images = 0;
    at->loss_sum = at->correct_sum = 0;
    if (best_cls) {
        at->cls_epoch = at->epoch;
        at->best_acc = l.val_acc;
    }
    if (best_ver) {
        at->ver_epoch = at->epoch;
        at->best_eer = l.eer;
        at->best_auc = l.auc;
    }
    FV_TRY(fv_runlog_epoch(run->log, &l));
    if (best_cls)
        FV_TRY(write_checkpoint(run, "best_cls"));
    if (best_ver)
        FV_TRY(write_checkpoint(run, "best_ver"));
    say_epoch(run, &l, best_cls, best_ver);
    return save_last(run);
}

static int go_round(struct fv_run *run)
{
    while (run->snap.at.epoch < run->snap.epochs) {
        FV_TRY(train_epoch(run));
        FV_TRY(finish_epoch(run));
        if (fv_train_stop && run->snap.at.epoch < run->snap.epochs)
            return fv_err(FV_EINTR, "interrupted");
    }
    return 0;
}

int fv_train_run(const struct fv_train_settings *s, const struct fv_train_data *d,
                 const char *folder, int resume, const struct fv_report *r)
{
    struct fv_run run;
    FV_TRY(fv__run_open(&run, s, d, folder, resume, r));
    int rc = go_round(&run);
    if (rc == FV_EINTR) {
        int kept = collect(&run);
        if (kept == 0)
            kept = fetch_state(&run);
        if (kept == 0)
            kept = save_last(&run);
        rc = kept < 0 ? kept
                      : fv_err(FV_EINTR, "interrupted after step %llu",
                               (unsigned long long)run.snap.at.step);
    }
    fv__run_close(&run);
    return rc;
}
