/* SPDX-License-Identifier: MIT */
#include "tests/cuda/backend_pair.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/cuda/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void pair_must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

const char *pair_loss = "ce";

void pair_build(struct fv_net **net, const char *arch)
{
    const struct fv_arch_settings s = {.size = PAIR_SIZE,
                                       .classes = PAIR_CLASSES,
                                       .stem = "auto",
                                       .loss = pair_loss,
                                       .mean = {.5f, .4f, .3f},
                                       .std = {.2f, .25f, .3f}};
    pair_must(fv_net_build(net, arch, &s));
}

void pair_make_batch(struct pair_data *d, uint32_t seed, int n)
{
    *d = (struct pair_data){.b = {.capacity = PAIR_N,
                                  .height = PAIR_SIZE,
                                  .width = PAIR_SIZE,
                                  .pixels = d->pixels,
                                  .label = d->label,
                                  .label_mix = d->label_mix,
                                  .lambda = d->lambda,
                                  .image = d->image}};
    noise_fill(&d->b, seed, n, PAIR_CLASSES);
}

void pair_open_side(struct pair_side *s, const struct fv_backend *backend, const char *type,
                    const struct fv_net *net, int train, const float *arena)
{
    const struct fv_device_settings ds = {.dtype = type, .no_graph = 1};
    s->backend = backend;
    pair_must(backend->open(&s->device, &ds));
    pair_must(backend->compile(s->device, net, PAIR_N, train, NULL, &s->program));
    pair_must(backend->params_set(s->program, arena));
}

void pair_close_side(struct pair_side *s)
{
    s->backend->release(&s->program);
    s->backend->close(&s->device);
}

void pair_open(struct pair *p, const char *arch, const char *type)
{
    fv_device_host = (struct fv_device_host){.fused = fv_device_host.fused};
    pair_build(&p->net, arch);
    p->count = p->net->params + p->net->buffers;
    p->arena = malloc(p->count * sizeof(float));
    p->a = calloc(p->count, sizeof(float));
    p->b = calloc(p->count, sizeof(float));
    fv_net_init(p->net, 7, p->arena);
    pair_open_side(&p->cuda, &fv_backend_cuda, type, p->net, 1, p->arena);
    pair_open_side(&p->ref, &fv_backend_ref, NULL, p->net, 1, p->arena);
}

void pair_close(struct pair *p)
{
    pair_close_side(&p->cuda);
    pair_close_side(&p->ref);
    assert_int_equal(fv_device_host.allocated, 0);
    fv_net_free(&p->net);
    free(p->arena);
    free(p->a);
    free(p->b);
}

double pair_distance(const float *got, const float *want, size_t n)
{
    double d = 0, w = 0;
    for (size_t i = 0; i < n; i++) {
        d += pow((double)got[i] - (double)want[i], 2);
        w += pow((double)want[i], 2);
    }
    return sqrt(d) / (sqrt(w) + 1e-30);
}

void pair_near(const char *what, const float *got, const float *want, size_t n, double limit)
{
    const double d = pair_distance(got, want, n);
    if (!(d <= limit))
        fail_msg("%s: relative distance %g, limit %g", what, d, limit);
}

/* Both or neither are numbers. */
static void same(double got, double want)
{
    assert_true(isnan(want) ? isnan(got) : fabs(got - want) <= 1e-4 * fabs(want));
}

void pair_step(struct pair *p, const struct pair_data *d, const struct fv_optim *o, double limit)
{
    struct fv_step_result cuda, ref;
    pair_must(p->cuda.backend->step(p->cuda.program, &d->b, o));
    pair_must(p->ref.backend->step(p->ref.program, &d->b, o));
    pair_must(p->cuda.backend->result(p->cuda.program, &cuda));
    pair_must(p->ref.backend->result(p->ref.program, &ref));
    assert_int_equal(cuda.finite, 1);
    assert_int_equal(cuda.n, ref.n);
    assert_true(fabs(cuda.loss - ref.loss) <= limit * fabs(ref.loss));
    assert_true(fabs(cuda.correct - ref.correct) < 1e-5);
    for (int t = 0; t < p->net->loss.terms; t++)
        assert_true(fabs(cuda.term[t] - ref.term[t]) <= limit * fabs(ref.term[t]) + 1e-6);
    same(cuda.active, ref.active);
    same(cuda.distance, ref.distance);
    assert_true(fabs(cuda.grad_norm - ref.grad_norm) <= limit * fabs(ref.grad_norm));
}

void pair_compare_grads(struct pair *p, double limit)
{
    pair_must(p->cuda.backend->grads_get(p->cuda.program, p->a));
    pair_must(p->ref.backend->grads_get(p->ref.program, p->b));
    pair_near("gradients", p->a, p->b, p->net->params, limit);
}

void pair_compare_params(struct pair *p, double limit)
{
    pair_must(p->cuda.backend->params_get(p->cuda.program, p->a));
    pair_must(p->ref.backend->params_get(p->ref.program, p->b));
    pair_near("parameters", p->a, p->b, p->net->params, limit);
    pair_near("running statistics", p->a + p->net->params, p->b + p->net->params, p->net->buffers,
              limit);
}

void pair_compare_state(struct pair *p, enum fv_state which, double limit)
{
    pair_must(p->cuda.backend->state_get(p->cuda.program, which, p->a));
    pair_must(p->ref.backend->state_get(p->ref.program, which, p->b));
    pair_near("a state", p->a, p->b, fv_state_count(p->net, which), limit);
}

void pair_freeze(const struct pair *p, float *factor, const char *const *names)
{
    for (int t = 0; t < p->net->tensors; t++) {
        factor[t] = 1;
        for (int i = 0; names[i]; i++)
            if (strncmp(p->net->tensor[t].name, names[i], strlen(names[i])) == 0)
                factor[t] = 0;
    }
}
