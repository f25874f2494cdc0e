/* SPDX-License-Identifier: MIT */
/* 20 steps of every optimiser, with decay, clipping, accumulation, groups, frozen tensors and an average, against
 * torch.optim: golden/optim.txt, which golden/make_optim_golden.py writes.
 *
 *     test_golden_optim BACKEND TOLERANCE FILE
 *
 * A value may differ by the tolerance times its tensor's root mean square, or times itself if that is larger.
 */
#include "golden_net.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/backend.h"
#include "trainer/run/groups.h"
#include "trainer/run/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 8, BATCH_MAX = 8 };

static const char *backend_name;
static double tolerance;

struct run {
    FILE *f;
    int number, seed, size, classes, batch, steps;
    struct fv_optim optim;
    char lr_of[128], freeze[128], cycle[32];
    int decay_all;
    struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
    float *arena, *start, *lr_factor, *decay_factor;
    uint8_t *pixels;
    double worst;
};

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static void compare(struct run *r, const char *what, double got, double want, double rms)
{
    const double error = fabs(got - want) / fmax(fmax(rms, fabs(want)), 1e-30);
    if (!(error <= tolerance))
        fail_msg("case %d: %s: got %.9g, torch has %.9g: %.2g of the root mean square %.3g",
                 r->number, what, got, want, error, rms);
    r->worst = fmax(r->worst, error);
}

/* The settings of the next case; 0 at the end of the file. */
static int read_case(struct run *r)
{
    char net[32], kind[16];
    struct fv_optim *o = &r->optim;
    const int n = fscanf(r->f,
                         " case %d %31s %d %d %d %d %d %15s %lf %lf %d %lf %lf %lf %lf %d %lf %d "
                         "%lf %d %127s %127s %31s",
                         &r->number, net, &r->seed, &r->size, &r->classes, &r->batch, &r->steps,
                         kind, &o->lr, &o->momentum, &o->nesterov, &o->beta1, &o->beta2, &o->eps,
                         &o->weight_decay, &o->decoupled, &o->clip_norm, &o->parts, &o->ema_decay,
                         &r->decay_all, r->lr_of, r->freeze, r->cycle);
    if (n == EOF)
        return 0;
    assert_int_equal(n, 23);
    assert_in_range(r->batch, 1, BATCH_MAX);
    must(fv_optim_find(&o->kind, kind));
    must(golden_build(&r->net, net, r->size, r->classes));
    return 1;
}

static void open_run(struct run *r)
{
    const size_t numbers = r->net->params + r->net->buffers, tensors = (size_t)r->net->tensors;
    const struct fv_group_settings g = {.lr_of = strcmp(r->lr_of, "-") ? r->lr_of : NULL,
                                        .freeze = strcmp(r->freeze, "-") ? r->freeze : NULL,
                                        .decay_all = r->decay_all};
    must(fv_backend_open(backend_name, &(struct fv_device_settings){.threads = 2}, &r->backend,
                         &r->device));
    must(r->backend->compile(r->device, r->net, r->batch, 1, NULL, &r->program));
    r->arena = calloc(numbers, sizeof(float));
    r->start = calloc(numbers, sizeof(float));
    r->lr_factor = calloc(tensors, sizeof(float));
    r->decay_factor = calloc(tensors, sizeof(float));
    r->pixels = calloc((size_t)r->batch, (size_t)(r->size * r->size) * 3);
    golden_fill(r->net, (uint32_t)r->seed, r->start);
    must(r->backend->params_set(r->program, r->start));
    must(fv__groups_fill(&g, r->net, r->lr_factor, r->decay_factor));
    r->optim.lr_factor = r->lr_factor;
    r->optim.decay_factor = r->decay_factor;
}

static void close_run(struct run *r)
{
    r->backend->release(&r->program);
    r->backend->close(&r->device);
    fv_net_free(&r->net);
    free(r->arena);
    free(r->start);
    free(r->lr_factor);
    free(r->decay_factor);
    free(r->pixels);
}

/* torch.optim.lr_scheduler.OneCycleLR over all steps, its settings as they are by default but for the momenta. */
static void follow_cycle(const struct run *r, int step, struct fv_optim *o)
{
    struct fv_schedule_settings s = {
        .lr = o->lr, .epochs = 1, .pct_start = 0.3, .div_factor = 25, .final_div_factor = 1e4};
    const struct fv_schedule *cycle;
    if (strcmp(r->cycle, "-") == 0)
        return;
    must(fv_schedule_find(&cycle, "one-cycle"));
    must(fv_schedule_read_momentum(&s, r->cycle));
    const uint64_t at = (uint64_t)step, steps = (uint64_t)r->steps;
    o->lr = fv_schedule_rate(cycle, &s, at, steps);
    double *momentum = o->kind == FV_OPTIM_SGD ? &o->momentum : &o->beta1;
    *momentum = fv_schedule_momentum(cycle, &s, at, steps, NAN);
}

static void take_step(struct run *r, int step, struct fv_step_result *result)
{
    int32_t label[BATCH_MAX];
    float lambda[BATCH_MAX];
    for (int i = 0; i < r->batch; i++) {
        label[i] = 3 * i % r->classes;
        lambda[i] = 1;
    }
    golden_images((uint32_t)r->seed, step, r->batch * r->size * r->size * 3, r->pixels);
    const struct fv_batch b = {.n = r->batch,
                               .capacity = r->batch,
                               .height = r->size,
                               .width = r->size,
                               .pixels = r->pixels,
                               .label = label,
                               .label_mix = label,
                               .lambda = lambda};
    struct fv_optim optim = r->optim;
    optim.part = step % r->optim.parts;
    optim.updates = (uint64_t)(step / r->optim.parts);
    follow_cycle(r, step, &optim);
    must(r->backend->step(r->program, &b, &optim));
    must(r->backend->result(r->program, result));
    assert_true(result->finite);
}

static void check_steps(struct run *r)
{
    for (int step = 0; step < r->steps; step++) {
        struct fv_step_result result;
        double want;
        take_step(r, step, &result);
        assert_int_equal(fscanf(r->f, " loss %lf", &want), 1);
        compare(r, "loss", result.loss, want, 0);
        if (r->optim.clip_norm > 0 && (step + 1) % r->optim.parts == 0) {
            assert_int_equal(fscanf(r->f, " norm %lf", &want), 1);
            compare(r, "norm", result.grad_norm, want, 0);
        }
    }
}

static void fetch(struct run *r, const char *kind)
{
    if (strcmp(kind, "value") == 0)
        must(r->backend->params_get(r->program, r->arena));
    else
        must(r->backend->state_get(r->program,
                                   strcmp(kind, "ema") == 0     ? FV_STATE_EMA
                                   : strcmp(kind, "first") == 0 ? FV_STATE_FIRST
                                                                : FV_STATE_SECOND,
                                   r->arena));
}

/* Rows of tensors up to "end". */
static int check_tensors(struct run *r)
{
    char kind[16], last[16] = "", name[64];
    int rows = 0;
    for (; fscanf(r->f, "%15s", kind) == 1 && strcmp(kind, "end") != 0; rows++) {
        double rms, want;
        if (strcmp(kind, last) != 0)
            fetch(r, strcpy(last, kind));
        assert_int_equal(fscanf(r->f, "%63s %lf", name, &rms), 2);
        const int t = fv_net_find_tensor(r->net, name);
        assert_true(t >= 0);
        const struct fv_tensor *tensor = &r->net->tensor[t];
        for (size_t j = 0; j < SAMPLES; j++) {
            const size_t at = tensor->offset + (2 * j + 1) * tensor->count / (2 * SAMPLES);
            assert_int_equal(fscanf(r->f, "%lf", &want), 1);
            compare(r, name, (double)r->arena[at], want, rms);
        }
    }
    return rows;
}

/* What is frozen has its bits, also in the average. */
static void check_frozen(struct run *r)
{
    for (int average = 0; average < 1 + (r->optim.ema_decay > 0); average++) {
        fetch(r, average ? "ema" : "value");
        for (int t = 0; t < r->net->tensors; t++) {
            const struct fv_tensor *tensor = &r->net->tensor[t];
            if (!tensor->buffer && r->lr_factor[t] == 0)
                assert_memory_equal(r->arena + tensor->offset, r->start + tensor->offset,
                                    tensor->count * sizeof(float));
        }
    }
}

static void optimisers_are_those_of_torch(void **state)
{
    struct run r = {.f = fopen(*state, "r")};
    int cases = 0;
    assert_non_null(r.f);
    assert_int_equal(fscanf(r.f, "#%*[^\n]"), 0);
    for (; read_case(&r); cases++) {
        open_run(&r);
        check_steps(&r);
        assert_true(check_tensors(&r) > 10);
        check_frozen(&r);
        close_run(&r);
        print_message("case %d: worst %.2g\n", r.number, r.worst);
        r.worst = 0;
    }
    assert_true(cases >= 17);
    fclose(r.f);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    backend_name = argv[1];
    tolerance = strtod(argv[2], NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(optimisers_are_those_of_torch, argv[3]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
