/* SPDX-License-Identifier: MIT */
/* How training goes, for people and for the log: what is said of a stretch of time, and when. */
#include "trainer/run/train_run.h"

#include "common/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ESTIMATE_STEPS = 20, ESTIMATE_SECONDS = 3, ESTIMATE_LONG_SECONDS = 30 };

void fv__meter_start(struct fv_run *run, struct fv_meter *m)
{
    const struct fv_batch_source *t = run->d->train;
    *m = (struct fv_meter){.since_ns = fv_now_ns(),
                           .waited_ns = t->waited_ns ? t->waited_ns(t->ctx) : 0};
}

void fv__meter_add(struct fv_meter *m, const struct fv_step_result *r)
{
    m->steps++;
    m->images += (uint64_t)r->n;
    if (r->finite) {
        m->finite_images += (uint64_t)r->n;
        m->loss_sum += r->loss * r->n;
        m->correct_sum += r->correct;
        fv__meter_add_terms(&m->terms, r);
    }
}

/* What is not finite, for want of triplets, is left out: sums go into checkpoints. */
void fv__meter_add_terms(struct fv_term_sums *sums, const struct fv_step_result *r)
{
    sums->images += (uint64_t)r->n;
    for (int t = 0; t < FV_LOSS_TERMS; t++)
        sums->term[t] += isfinite(r->term[t]) ? r->term[t] * r->n : 0;
    sums->distance += isfinite(r->distance) ? r->distance * r->n : 0;
    if (isfinite(r->active)) {
        sums->active += r->active * r->n;
        sums->active_images += (uint64_t)r->n;
    }
}

static int has_triplets(const struct fv_loss_spec *spec)
{
    for (int t = 0; t < spec->terms; t++)
        if (strcmp(spec->term[t].loss->name, "triplet") == 0)
            return 1;
    return 0;
}

void fv__meter_take_terms(const struct fv_run *run, const struct fv_term_sums *sums,
                          struct fv_runlog_line *l)
{
    const double n = sums->images ? (double)sums->images : NAN;
    const double active_n = sums->active_images ? (double)sums->active_images : NAN;
    l->spec = &run->net->loss;
    for (int t = 0; t < FV_LOSS_TERMS; t++)
        l->term[t] = sums->term[t] / n;
    if (has_triplets(l->spec)) {
        l->active = sums->active / active_n;
        l->distance = sums->distance / n;
    }
}

double fv__meter_seconds(const struct fv_meter *m)
{
    return (double)(fv_now_ns() - m->since_ns) * 1e-9 + 1e-9;
}

static double meter_wait(const struct fv_run *run, const struct fv_meter *m)
{
    const struct fv_batch_source *t = run->d->train;
    uint64_t waited = t->waited_ns ? t->waited_ns(t->ctx) - m->waited_ns : 0;
    return fmin((double)waited * 1e-9 / fv__meter_seconds(m), 1);
}

static double wall_time_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct fv_runlog_line fv__meter_line(const struct fv_run *run, const struct fv_meter *m,
                                     double loss_sum, double correct_sum, uint64_t images)
{
    const double n = images ? (double)images : NAN; /* no step had a finite loss: not measured */
    return (struct fv_runlog_line){.step = run->snap.at.step,
                                   .epoch = run->snap.at.epoch + 1,
                                   .time_s = wall_time_s(),
                                   .loss = loss_sum / n,
                                   .acc = run->net->logits_node < 0 ? NAN : correct_sum / n,
                                   .lr = run->lr,
                                   .img_per_s = (double)m->images / fv__meter_seconds(m),
                                   .data_wait = meter_wait(run, m),
                                   .active = NAN,
                                   .distance = NAN,
                                   .val_loss = NAN,
                                   .val_acc = NAN,
                                   .eer = NAN,
                                   .auc = NAN};
}

struct fv_runlog_line fv__meter_window(const struct fv_run *run)
{
    const struct fv_meter *m = &run->window;
    struct fv_runlog_line l = fv__meter_line(run, m, m->loss_sum, m->correct_sum, m->finite_images);
    fv__meter_take_terms(run, &m->terms, &l);
    return l;
}

/* "40 s", "12 min", "3 h 20 min", "2 d 4 h" */
const char *fv__meter_duration(char text[FV_METER_DURATION], double seconds)
{
    const uint64_t s = (uint64_t)fmin(fmax(seconds, 0) + 0.5, 3e9), min = (s + 30) / 60,
                   h = min / 60;
    if (s < 90)
        snprintf(text, FV_METER_DURATION, "%llu s", (unsigned long long)s);
    else if (min < 90)
        snprintf(text, FV_METER_DURATION, "%llu min", (unsigned long long)min);
    else if (h < 48)
        snprintf(text, FV_METER_DURATION, "%llu h %llu min", (unsigned long long)h,
                 (unsigned long long)(min % 60));
    else
        snprintf(text, FV_METER_DURATION, "%llu d %llu h", (unsigned long long)(h / 24),
                 (unsigned long long)(h % 24));
    return text;
}

int fv__meter_estimate(const struct fv_run *run, double seconds, char *text, size_t n)
{
    const uint64_t step = run->snap.at.step, per_epoch = run->snap.steps_per_epoch;
    const double steps = (double)(step - run->first_steps);
    const int late = step > per_epoch;
    char epoch[FV_METER_DURATION], all[FV_METER_DURATION];
    if (seconds < ESTIMATE_SECONDS || (steps < ESTIMATE_STEPS && seconds < ESTIMATE_LONG_SECONDS))
        return 0;
    const double left = (double)(run->snap.epochs * per_epoch - step);
    const double epochs = late ? left / (double)per_epoch : (double)run->snap.epochs;
    snprintf(text, n, "%sabout %s for %s%.*f epoch%s (%s each, %.0f img/s; evaluation not counted)",
             run->s->patience > 0 ? "at most " : "",
             fv__meter_duration(all, seconds / steps * left), late ? "the last " : "", late, epochs,
             run->snap.epochs == 1 ? "" : "s",
             fv__meter_duration(epoch, seconds / steps * (double)per_epoch),
             steps * run->d->train->batch * fv_comm_world(run->d->comm) / seconds);
    return 1;
}

/* Once, when the first steps have shown their speed. The very first is left out: it warms up. */
static void say_estimate(struct fv_run *run)
{
    const uint64_t now = fv_now_ns();
    char words[160];
    if (run->first_ns == 0) {
        run->first_ns = now;
        run->first_steps = run->snap.at.step;
        return;
    }
    /* the line of a whole epoch has said it */
    run->estimated |= run->snap.at.epoch > run->began_step / run->snap.steps_per_epoch;
    if (run->estimated ||
        !fv__meter_estimate(run, (double)(now - run->first_ns) * 1e-9, words, sizeof words))
        return;
    fv_say(run->report, FV_LEVEL_INFO, "%s", words);
    run->estimated = 1;
}

double fv__meter_left_s(const struct fv_run *run)
{
    const uint64_t total = run->snap.epochs * run->snap.steps_per_epoch, step = run->snap.at.step;
    const double steps = (double)(step - run->began_step);
    return steps > 0 && step < total
               ? (double)(fv_now_ns() - run->began_ns) * 1e-9 / steps * (double)(total - step)
               : 0;
}

static void say_fleetingly(void *ctx, enum fv_level level, const char *text)
{
    fv_say(ctx, level, "%s", text);
}

static void show_fleetingly(void *ctx, const struct fv_progress *p)
{
    if (p->total > 0 && p->done >= p->total)
        fv_progress_clear(ctx);
    else
        fv_progress(ctx, p);
}

/* Training, validation and embeddings of an epoch end in one line, which says all of them. */
struct fv_report fv__meter_fleeting(const struct fv_report *r)
{
    return (struct fv_report){(void *)r, say_fleetingly, show_fleetingly};
}

static void show_progress(struct fv_run *run)
{
    const struct fv_progress_state *at = &run->snap.at;
    const struct fv_runlog_line l =
        fv__meter_line(run, &run->epoch, at->loss_sum, at->correct_sum, at->images);
    char what[48], extra[160], acc[32] = "";
    snprintf(what, sizeof what, "epoch %llu/%llu", (unsigned long long)at->epoch + 1,
             (unsigned long long)run->snap.epochs);
    if (isfinite(l.acc))
        snprintf(acc, sizeof acc, "  acc %.1f %%", l.acc * 100);
    /* a narrow terminal leaves out what stands last */
    snprintf(extra, sizeof extra, "loss %.3f  %.0f img/s  wait %.0f %%%s  lr %.4g", l.loss,
             l.img_per_s, l.data_wait * 100, acc, l.lr);
    const struct fv_progress p = {what, "step", at->step - at->epoch * run->snap.steps_per_epoch,
                                  run->snap.steps_per_epoch, extra};
    fv_progress(&run->fleeting, &p);
}

void fv__meter_say(struct fv_run *run)
{
    say_estimate(run);
    show_progress(run);
}
