/* SPDX-License-Identifier: MIT */
/* The schedules, one row each at the end.
 *
 * The formulas are those of torch.optim.lr_scheduler in closed form, and of InsightFace's PolynomialLRWarmup. Where
 * torch finds the number of restarts by int(log(x, t_mult)), which rounds down one too far at some exact powers
 * (log(243, 3) is 4.999...), the restarts are counted here.
 */
#include "trainer/run/schedule.h"

#include "common/err.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

typedef const struct fv_schedule_settings *settings;
typedef const struct fv_schedule_time *when;

static double half_cosine(double high, double low, double share)
{
    return low + (high - low) * (1 + cos(pi * share)) / 2;
}

static double constant_rate(settings s, when t)
{
    (void)t;
    return s->lr;
}

static double cosine_rate(settings s, when t)
{
    const double length = s->epochs - s->warmup;
    return half_cosine(s->lr, s->eta_min, length > 0 ? fmin(t->epochs / length, 1) : 1);
}

static double cosine_restarts_rate(settings s, when t)
{
    double start = 0, period = s->t0;
    if (s->t_mult <= 1)
        return half_cosine(s->lr, s->eta_min, fmod(t->epochs, period) / period);
    while (t->epochs >= start + period) {
        start += period;
        period *= s->t_mult;
    }
    return half_cosine(s->lr, s->eta_min, (t->epochs - start) / period);
}

static double step_rate(settings s, when t)
{
    int passed = 0;
    while (passed < s->milestones && t->run >= s->milestone[passed])
        passed++;
    return s->lr * pow(s->gamma, passed);
}

static double polynomial_rate(settings s, when t)
{
    const double left = t->steps > 0 ? 1 - t->step / t->steps : 0;
    return s->lr * pow(fmax(left, 0), s->power);
}

/* From `first` to `middle` and on to `last`. The first phase ends at step pct_start * steps - 1, the second at the last
 * step; with fewer than two steps to rise in torch divides by zero or worse, and here the rise is left out. */
static double cycle(settings s, when t, double first, double middle, double last)
{
    const double top = s->pct_start * t->steps - 1, end = t->steps - 1;
    if (t->step <= top && top > 0)
        return half_cosine(middle, first, 1 - t->step / top);
    return half_cosine(middle, last, end > top ? fmin((t->step - top) / (end - top), 1) : 1);
}

static double one_cycle_rate(settings s, when t)
{
    const double first = s->lr / s->div_factor;
    return cycle(s, t, first, s->lr, first / s->final_div_factor);
}

/* Low where the rate is high. */
static double one_cycle_momentum(settings s, when t)
{
    return cycle(s, t, s->momentum_high, s->momentum_low, s->momentum_high);
}

/* Reaches the full rate in its last step. */
static double rising(settings s, double step, double steps)
{
    return s->lr * fmin((step + 1) / steps, 1);
}

/* Reaches it in the step after that. */
static double rising_from_zero(settings s, double step, double steps)
{
    return s->lr * fmin(step / steps, 1);
}

/* clang-format off */
#define ROWS(ROW) \
    ROW("constant", "the same rate throughout", constant_rate, rising, " warmup ", NULL) \
    ROW("cosine", "half a cosine from lr down to eta-min over the run", cosine_rate, rising, \
        " warmup eta-min schedule-by ", NULL) \
    ROW("cosine-restarts", "half cosines of t0, t0 * t-mult, ... epochs, each starting at lr again", \
        cosine_restarts_rate, rising, " warmup eta-min schedule-by t0 t-mult ", NULL) \
    ROW("step", "times gamma at each milestone", step_rate, rising, " warmup schedule-by milestones gamma ", NULL) \
    ROW("polynomial", "from lr down to zero by (1 - done)^power; the warm-up begins at zero (InsightFace's)", \
        polynomial_rate, rising_from_zero, " warmup schedule-by power ", NULL) \
    ROW("one-cycle", "a half cosine up to lr in pct-start of the run and one down (torch's OneCycleLR); no warm-up", \
        one_cycle_rate, NULL, " schedule-by pct-start div-factor final-div-factor cycle-momentum ", \
        one_cycle_momentum)
#define AS_SCHEDULE(...) &(const struct fv_schedule){__VA_ARGS__},
#define AS_NAME(name, ...) name,
const struct fv_schedule *const fv_schedules[] = {ROWS(AS_SCHEDULE) NULL};
const char *const fv_schedule_names[] = {ROWS(AS_NAME) NULL};
/* clang-format on */

int fv_schedule_find(const struct fv_schedule **out, const char *name)
{
    char valid[128] = "";
    *out = NULL;
    for (int i = 0; fv_schedules[i]; i++) {
        if (strcmp(fv_schedules[i]->name, name) == 0) {
            *out = fv_schedules[i];
            return 0;
        }
        strncat(valid, i ? ", " : "", sizeof valid - strlen(valid) - 1);
        strncat(valid, fv_schedules[i]->name, sizeof valid - strlen(valid) - 1);
    }
    return fv_err(FV_ENOTFOUND, "there is no schedule '%s'; valid: %s", name, valid);
}

int fv_schedule_uses(const struct fv_schedule *sched, const char *option)
{
    char word[64];
    snprintf(word, sizeof word, " %s ", option);
    return strstr(sched->uses, word) != NULL;
}

int fv_schedule_read_milestones(struct fv_schedule_settings *s, const char *text)
{
    s->milestones = 0;
    for (const char *at = text ? text : ""; *at;) {
        char *end;
        const double epoch = strtod(at, &end);
        const double before = s->milestones ? s->milestone[s->milestones - 1] : 0;
        if (end == at || (*end && *end != ',') || (*end && !end[1]) || !isfinite(epoch))
            return fv_err(FV_EUSAGE,
                          "--milestones %s: epochs with commas between them, as 10,16,22", text);
        if (epoch <= before)
            return fv_err(FV_EUSAGE, "--milestones %s: epochs must rise, from above 0 on", text);
        if (s->milestones == FV_MILESTONES_MAX)
            return fv_err(FV_EUSAGE, "--milestones: more than %d of them", FV_MILESTONES_MAX);
        s->milestone[s->milestones++] = epoch;
        at = *end ? end + 1 : end;
    }
    return 0;
}

int fv_schedule_read_momentum(struct fv_schedule_settings *s, const char *text)
{
    char rest;
    s->momentum_low = s->momentum_high = 0;
    if (!text || !*text)
        return 0;
    if (sscanf(text, "%lf,%lf%c", &s->momentum_low, &s->momentum_high, &rest) != 2 ||
        !(s->momentum_low >= 0) || !(s->momentum_high >= s->momentum_low) ||
        !(s->momentum_high > 0 && s->momentum_high < 1))
        return fv_err(FV_EUSAGE,
                      "--cycle-momentum %s: two numbers from 0 to below 1 with a comma between "
                      "them, the lower first, "
                      "as 0.85,0.95",
                      text);
    return 0;
}

int fv_schedule_check(const struct fv_schedule *sched, const struct fv_schedule_settings *s)
{
    if (fv_schedule_uses(sched, "eta-min") && s->eta_min > s->lr)
        return fv_err(FV_EUSAGE, "--eta-min %g lies above --lr %g", s->eta_min, s->lr);
    if (fv_schedule_uses(sched, "warmup") && s->warmup > s->epochs)
        return fv_err(FV_EUSAGE, "--warmup %g is longer than --epochs %g", s->warmup, s->epochs);
    if (fv_schedule_uses(sched, "milestones") && s->milestones == 0)
        return fv_err(FV_EUSAGE,
                      "--schedule %s: at which epochs? --milestones 10,16,22 for example",
                      sched->name);
    return 0;
}

/* Where a step lies behind a warm-up of so many epochs. */
static struct fv_schedule_time time_of(settings s, uint64_t step, uint64_t steps_per_epoch,
                                       double warmup)
{
    const double per_epoch = (double)steps_per_epoch, now = (double)step / per_epoch;
    struct fv_schedule_time t = {.epochs = now - warmup, .run = now};
    if (s->by_epoch) {
        t.epochs = floor(t.epochs);
        t.run = floor(t.run);
    }
    t.step = s->by_epoch ? t.epochs : (double)step - warmup * per_epoch;
    t.steps = (s->epochs - warmup) * (s->by_epoch ? 1 : per_epoch);
    return t;
}

double fv_schedule_rate(const struct fv_schedule *sched, const struct fv_schedule_settings *s,
                        uint64_t step, uint64_t steps_per_epoch)
{
    const double per_epoch = (double)steps_per_epoch, warmup = sched->warmup ? s->warmup : 0;
    if ((double)step / per_epoch < warmup)
        return sched->warmup(s, (double)step, warmup * per_epoch);
    const struct fv_schedule_time t = time_of(s, step, steps_per_epoch, warmup);
    return sched->rate(s, &t);
}

double fv_schedule_momentum(const struct fv_schedule *sched, const struct fv_schedule_settings *s,
                            uint64_t step, uint64_t steps_per_epoch, double usual)
{
    if (!sched->momentum || s->momentum_high == 0)
        return usual;
    const struct fv_schedule_time t = time_of(s, step, steps_per_epoch, 0);
    return sched->momentum(s, &t);
}
