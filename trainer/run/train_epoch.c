/* SPDX-License-Identifier: MIT */
/* The end of an epoch: what is measured, what of it is best so far, and what is written down in which order.
 *
 * With an average of the weights it is the average that is measured and kept as best. The program holds it only for
 * that long: training goes on with the weights.
 */
#include "trainer/run/train_run.h"

#include "trainer/run/ranks.h"
#include "trainer/run/traps.h"

#include "trainer/eval/evaluate.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
           (unsigned long long)run->snap.at.epoch + 1, fv_err_text(), fv__run_remedy);
    return 0;
}

static int measure(struct fv_run *run, struct fv_runlog_line *l)
{
    const struct fv_report report = fv__ranks_report(run);
    const struct fv_evaluator e = {.backend = run->backend,
                                   .program = run->program,
                                   .net = run->net,
                                   .capacity = run->d->train->batch,
                                   .report = &report};
    int rc = 0;
    if (run->d->val && run->net->logits_node >= 0)
        rc = without_measure(run, fv__eval_accuracy(&e, run->d->val, &l->val_acc, &l->val_loss));
    if (rc == 0 && run->d->verify)
        rc = without_measure(run, verify(run, &e, l));
    return rc;
}

/* Fills in what was measured. On failure nothing has changed yet. */
static int evaluate(struct fv_run *run, struct fv_runlog_line *l)
{
    const float *average = run->snap.state[FV_STATE_EMA];
    const uint64_t t = fv_trace_begin("evaluate");
    int rc = average ? run->backend->params_set(run->program, average) : 0;
    if (rc == 0)
        rc = measure(run, l);
    if (average) {
        const int back = run->backend->params_set(run->program, run->snap.arena);
        rc = back < 0 ? back : rc;
    }
    fv_trace_end("evaluate", t);
    return rc;
}

/* Rank 0 evaluates for all. */
static int evaluate_once(struct fv_run *run, struct fv_runlog_line *l)
{
    int rc = fv_comm_rank(run->d->comm) == 0 ? evaluate(run, l) : 0;
    if (rc < 0 && rc != FV_EINTR)
        return rc;
    FV_TRY(fv__ranks_share_measures(run, l, &rc));
    return rc == FV_EINTR ? fv_err(FV_EINTR, "interrupted") : rc;
}

static int keep_best(const struct fv_run *run, const char *name)
{
    char *path = fv_format("%s/%s.safetensors", run->folder, name);
    int rc = path ? fv__snapshot_write_model(path, &run->snap) : fv_err(FV_ENOMEM, "out of memory");
    free(path);
    return rc;
}

static void watch(struct fv_run *run, const struct fv_runlog_line *l)
{
    struct fv_progress_state *at = &run->snap.at;
    const double now = run->watched->of(l);
    if (at->watched_epoch == 0 ? isfinite(now)
                               : fv_measure_is_better(run->watched, now, at->watched_best)) {
        at->watched_epoch = at->epoch;
        at->watched_best = now;
    }
}

int fv__run_is_over(const struct fv_run *run)
{
    const struct fv_progress_state *at = &run->snap.at;
    const uint64_t patience = (uint64_t)run->s->patience;
    return patience > 0 && at->epoch - at->watched_epoch >= patience;
}

/* " (ce 1.92, triplet 0.31)", each before its weight; nothing of a loss that is one term. */
static void format_terms(const struct fv_runlog_line *l, char *text, size_t size)
{
    size_t n = 0;
    *text = '\0';
    for (int t = 0; l->spec->terms > 1 && t < l->spec->terms && n < size; t++)
        n += (size_t)snprintf(text + n, size - n, "%s%s %.3g", t ? ", " : " (",
                              l->spec->term[t].loss->name, l->term[t]);
    if (n > 0 && n < size)
        snprintf(text + n, size - n, ")");
}

static int digits(uint64_t n)
{
    return n < 10 ? 1 : 1 + digits(n / 10);
}

/* What was measured, and whether that, or what, is best so far. */
static void say_epoch(struct fv_run *run, const struct fv_runlog_line *l, int best_cls,
                      int best_ver)
{
    const struct fv_progress_state *at = &run->snap.at;
    char terms[128], acc[32] = "", cls[64] = "", ver[96] = "", left[64] = "",
                     rest[FV_METER_DURATION];
    char best[32] = "best";
    const double left_s = fv__run_is_over(run) ? 0 : fv__meter_left_s(run);
    format_terms(l, terms, sizeof terms);
    if (isfinite(l->acc))
        snprintf(acc, sizeof acc, "  acc %.1f %%", l->acc * 100);
    if (!best_cls)
        snprintf(best, sizeof best, "best %.2f", at->best_acc * 100);
    if (isfinite(l->val_acc))
        snprintf(cls, sizeof cls, "  val %.2f %% (%s)", l->val_acc * 100, best);
    snprintf(best, sizeof best, "best");
    if (!best_ver)
        snprintf(best, sizeof best, "best %.2f", at->best_eer * 100);
    if (isfinite(l->eer))
        snprintf(ver, sizeof ver, "  EER %.2f %% (%s)  AUC %.4f", l->eer * 100, best, l->auc);
    if (left_s >= 1)
        snprintf(left, sizeof left, "  %s%s left", run->s->patience > 0 ? "at most " : "",
                 fv__meter_duration(rest, left_s));
    fv_say(run->report, FV_LEVEL_INFO,
           "epoch %*llu/%llu  loss %.3f%s%s%s%s  %.0f img/s  wait %.0f %%%s",
           digits(run->snap.epochs), (unsigned long long)l->epoch,
           (unsigned long long)run->snap.epochs, l->loss, terms, acc, cls, ver, l->img_per_s,
           l->data_wait * 100, left);
}

static void watch_traps(struct fv_run *run, const struct fv_runlog_line *l, double seconds)
{
    char words[320];
    if (!run->said_validation && run->d->val &&
        fv__trap_validation(l->epoch, l->acc, l->val_acc, run->d->val->images_per_epoch,
                            run->net->classes, words, sizeof words)) {
        run->said_validation = 1;
        fv_say(run->report, FV_LEVEL_WARN, "epoch %llu: %s", (unsigned long long)l->epoch, words);
    }
    if (!run->said_wait && fv__trap_wait(l->data_wait, seconds, words, sizeof words)) {
        run->said_wait = 1;
        fv_say(run->report, FV_LEVEL_WARN, "epoch %llu: %s", (unsigned long long)l->epoch, words);
    }
}

int fv__run_finish_epoch(struct fv_run *run)
{
    struct fv_progress_state *at = &run->snap.at;
    const double seconds = fv__meter_seconds(&run->epoch);
    struct fv_runlog_line l =
        fv__meter_line(run, &run->epoch, at->loss_sum, at->correct_sum, at->images);
    l.lr = fv__run_rate(run, at->step - 1);
    fv__meter_take_terms(run, &at->terms, &l);
    FV_TRY(fv__run_fetch(run));
    FV_TRY(fv__ranks_check(run));
    FV_TRY(evaluate_once(run, &l));

    const int best_cls = isfinite(l.val_acc) && (at->cls_epoch == 0 || l.val_acc > at->best_acc);
    const int best_ver = isfinite(l.eer) && (at->ver_epoch == 0 || l.eer < at->best_eer ||
                                             (l.eer == at->best_eer && l.auc > at->best_auc));
    at->epoch++;
    at->images = 0;
    at->loss_sum = at->correct_sum = 0;
    at->terms = (struct fv_term_sums){0};
    if (best_cls) {
        at->cls_epoch = at->epoch;
        at->best_acc = l.val_acc;
    }
    if (best_ver) {
        at->ver_epoch = at->epoch;
        at->best_eer = l.eer;
        at->best_auc = l.auc;
    }
    watch(run, &l);
    if (run->log) {
        int rc = fv_runlog_epoch(run->log, &l);
        if (rc == 0 && best_cls)
            rc = keep_best(run, "best_cls");
        if (rc == 0 && best_ver)
            rc = keep_best(run, "best_ver");
        FV_TRY(fv__run_wrote(run, rc));
    }
    say_epoch(run, &l, best_cls, best_ver);
    watch_traps(run, &l, seconds);
    FV_TRY(fv__run_save(run));
    if (run->log && run->d->epoch_done)
        run->d->epoch_done(run->d->epoch_ctx);
    return 0;
}
