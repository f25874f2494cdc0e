/* SPDX-License-Identifier: MIT */
/* From the options of training to what the loop works with: schedule, optimiser, the measure that is watched, and
 * which vectors a checkpoint keeps.
 */
#include "trainer/run/train_run.h"

#include "common/err.h"
#include "trainer/run/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int names(const char *uses, const char *option)
{
    char word[64];
    snprintf(word, sizeof word, " %s ", option);
    return strstr(uses, word) != NULL;
}

/* What an option is idle beside, as "--schedule constant", in text[n]; 0: nothing. */
static int idle_beside(const struct fv_run *run, const char *option, char *text, size_t n)
{
    const struct fv_train_settings *s = run->s;
    const struct fv_optim_rule *optim = &fv_optim_rules[run->optim.kind];
    int of_schedules = 0, of_optims = 0;
    for (int i = 0; fv_schedules[i]; i++)
        of_schedules |= names(fv_schedules[i]->uses, option);
    for (int i = 0; i < FV_OPTIM_KINDS; i++)
        of_optims |= names(fv_optim_rules[i].uses, option);
    if (of_schedules && !names(run->schedule->uses, option))
        return snprintf(text, n, "to --schedule %s", run->schedule->name);
    if (of_optims && !names(optim->uses, option))
        return snprintf(text, n, "to --optim %s", optim->name);
    if (strcmp(option, "patience-on") == 0 && s->patience == 0)
        return snprintf(text, n, "without --patience");
    if (strcmp(option, "init-bgr") == 0 && !s->init)
        return snprintf(text, n, "without --init");
    return 0;
}

/* Options that nothing of this run reads. One that was set says so; it does no harm. */
static void warn_of_idle_options(const struct fv_run *run)
{
    struct fv_train_settings fresh;
    fv_train_defaults(&fresh);
    for (const struct fv_opt *o = fv_train_opts; o->name; o++) {
        char now[96], usual[96], beside[64];
        fv_opt_format(o, run->s, now, sizeof now);
        fv_opt_format(o, &fresh, usual, sizeof usual);
        if (strcmp(now, usual) != 0 && idle_beside(run, o->name, beside, sizeof beside) > 0)
            fv_say(run->report, FV_LEVEL_WARN, "--%s%s%s says nothing %s", o->name,
                   o->type == FV_OPT_FLAG ? "" : " ", o->type == FV_OPT_FLAG ? "" : now, beside);
    }
}

int fv__run_choose_schedule(struct fv_run *run)
{
    const struct fv_train_settings *s = run->s;
    struct fv_schedule_settings *c = &run->course;
    FV_TRY(fv_schedule_find(&run->schedule, s->schedule));
    *c = (struct fv_schedule_settings){.lr = s->lr,
                                       .eta_min = s->eta_min,
                                       .epochs = (double)s->epochs,
                                       .warmup = s->warmup,
                                       .by_epoch = strcmp(s->schedule_by, "epoch") == 0,
                                       .t0 = (double)s->t0,
                                       .t_mult = (double)s->t_mult,
                                       .gamma = s->gamma,
                                       .power = s->power,
                                       .pct_start = s->pct_start,
                                       .div_factor = s->div_factor,
                                       .final_div_factor = s->final_div_factor};
    FV_TRY(fv_schedule_read_milestones(c, s->milestones));
    FV_TRY(fv_schedule_read_momentum(c, s->cycle_momentum));
    return fv_schedule_check(run->schedule, c);
}

int fv__run_choose_watched(struct fv_run *run)
{
    const struct fv_train_settings *s = run->s;
    FV_TRY(fv_measure_find(&run->watched, s->patience_on));
    if (s->patience > 0 && ((run->watched->needs_val && !run->d->val) ||
                            (run->watched->needs_pairs && !run->d->verify)))
        return fv_err(FV_EUSAGE,
                      "--patience-on %s: there are no %s to measure it with: pack the data with "
                      "fvprep pack %s, or watch something else",
                      s->patience_on, run->watched->needs_val ? "validation images" : "pairs",
                      run->watched->needs_val ? "--val" : "--holdout-ids");
    return 0;
}

/* The optimiser as the options have it, for the net that was built. */
int fv__run_choose_optim(struct fv_run *run)
{
    const struct fv_train_settings *s = run->s;
    const struct fv_group_settings g = {
        .lr_of = s->lr_of, .freeze = s->freeze, .decay_all = s->decay_all};
    run->lr_factor = calloc((size_t)run->net->tensors, sizeof *run->lr_factor);
    run->decay_factor = calloc((size_t)run->net->tensors, sizeof *run->decay_factor);
    if (!run->lr_factor || !run->decay_factor)
        return fv_err(FV_ENOMEM, "out of memory");
    run->optim = (struct fv_optim){.momentum = s->momentum,
                                   .nesterov = s->nesterov,
                                   .beta1 = s->beta1,
                                   .beta2 = s->beta2,
                                   .eps = s->eps,
                                   .weight_decay = s->weight_decay,
                                   .decoupled = s->decoupled_decay,
                                   .clip_norm = s->clip_norm,
                                   .ema_decay = s->ema,
                                   .parts = (int)s->accumulate,
                                   .lr_factor = run->lr_factor,
                                   .decay_factor = run->decay_factor};
    FV_TRY(fv_optim_find(&run->optim.kind, s->optim));
    return fv__groups_fill(&g, run->net, run->lr_factor, run->decay_factor);
}

void fv__run_say_optim(const struct fv_run *run)
{
    warn_of_idle_options(run);
    const size_t frozen = fv__groups_frozen(run->net, run->lr_factor);
    if (frozen > 0)
        fv_say(run->report, FV_LEVEL_INFO, "%.2f M of %.2f M parameters are frozen",
               (double)frozen * 1e-6, (double)run->net->params * 1e-6);
}

/* Which vectors a checkpoint keeps, empty yet. */
int fv__run_make_snapshot(struct fv_run *run)
{
    struct fv_snapshot *snap = &run->snap;
    snap->net = run->net;
    snap->stem = run->s->stem;
    snap->optim = run->optim.kind;
    snap->epochs = (uint64_t)run->s->epochs;
    snap->steps_per_epoch = run->d->train->batches_per_epoch;
    snap->settings = run->d->settings_text;
    snap->data_id = run->d->data_id;
    snap->backend = run->backend_info;
    snap->arena = calloc(run->net->params + run->net->buffers, sizeof(float));
    int ok = snap->arena != NULL;
    for (int i = 0; i < FV_STATES; i++) {
        const int wanted = i == FV_STATE_EMA   ? run->s->ema > 0
                           : i == FV_STATE_SUM ? run->s->accumulate > 1
                                               : i < fv_optim_rules[snap->optim].states;
        if (wanted)
            snap->state[i] = calloc(fv_state_count(run->net, (enum fv_state)i), sizeof(float));
        ok &= !wanted || snap->state[i];
    }
    return ok ? 0 : fv_err(FV_ENOMEM, "out of memory for a net of %zu weights", run->net->params);
}
