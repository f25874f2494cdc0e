/* SPDX-License-Identifier: MIT */
/* The schedules, one row each at the end.
 *
 * The formulas are those of torch.optim.lr_scheduler, evaluated at every step with a fractional epoch. Where
 * torch finds the number of restarts by int(log(x, t_mult)), which rounds down one too far at some exact powers
 * (log(243, 3) is 4.999...), the restarts are counted here.
 */
#include "trainer/run/schedule.h"

#include "common/err.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static double half_cosine(double high, double low, double share)
{
    return low + (high - low) * (1 + cos(pi * share)) / 2;
}

static double constant_rate(const struct fv_schedule_settings *s, double t)
{
    (void)t;
    return s->lr;
}

static double cosine_rate(const struct fv_schedule_settings *s, double t)
{
    double length = s->epochs - s->warmup;
    return half_cosine(s->lr, s->eta_min, length > 0 ? fmin(t / length, 1) : 1);
}

static double cosine_restarts_rate(const struct fv_schedule_settings *s, double t)
{
    double start = 0, period = s->t0;
    if (s->t_mult <= 1)
        return half_cosine(s->lr, s->eta_min, fmod(t, period) / period);
    while (t >= start + period) {
        start += period;
        period *= s->t_mult;
    }
    return half_cosine(s->lr, s->eta_min, (t - start) / period);
}

/* clang-format off */
#define ROWS(ROW) \
    ROW("constant", "the same rate throughout", constant_rate) \
    ROW("cosine", "half a cosine from lr down to eta-min over the run", cosine_rate) \
    ROW("cosine-restarts", "half cosines of t0, t0 * t-mult, ... epochs, each starting at lr again", \
        cosine_restarts_rate)
#define AS_SCHEDULE(name, help, rate) &(const struct fv_schedule){name, help, rate},
#define AS_NAME(name, help, rate) name,
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

double fv_schedule_rate(const struct fv_schedule *sched, const struct fv_schedule_settings *s,
                        uint64_t step, uint64_t steps_per_epoch)
{
    double t = (double)step / (double)steps_per_epoch;
    if (t < s->warmup)
        return s->lr * fmin((double)(step + 1) / (s->warmup * (double)steps_per_epoch), 1);
    return sched->rate(s, t - s->warmup);
}
