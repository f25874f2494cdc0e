/* SPDX-License-Identifier: MIT */
/* A backend against PyTorch: a few SGD steps and an inference pass, from golden/trainer_<case>.txt.
 *
 *     test_golden BACKEND TOLERANCE FILE...
 *
 * The golden numbers are exact to about 1e-7 and no ReLU or max-pool is near a branch (see
 * golden/make_trainer_golden.py), so a backend differs by its rounding alone. A value may differ by the tolerance
 * times the tensor's root mean square, or times the value itself if that is larger. For ref, which computes in
 * double, what remains is the rounding of results to fp32.
 *
 * The program has room for two images more than the batch has, and those are noise with labels out of range: they
 * must not count.
 */
#include "golden_net.h"
#include "golden_text.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 32, SPARE = 2, MAX_BATCH = 8, MAX_OUT = 512 };

static const char *backend_name;
static double tolerance;

struct run {
    FILE *f;
    struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
    float *arena, *grad, *out;
    uint8_t *pixels;
    int32_t label[MAX_BATCH + SPARE], label_mix[MAX_BATCH + SPARE];
    float lambda[MAX_BATCH + SPARE];
    int seed, size, classes, batch, steps;
    double worst;
};

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static void compare(struct run *r, const char *what, double got, double want, double rms)
{
    double error = fabs(got - want) / fmax(rms, fabs(want));
    if (!(error <= tolerance))
        fail_msg("%s: got %.9g, PyTorch has %.9g: %.2g of the root mean square %.3g", what, got,
                 want, error, rms);
    r->worst = fmax(r->worst, error);
}

/* A line of a word and `count` numbers, against `got`. */
static void compare_vector(struct run *r, const char *word, const float *got, int count)
{
    double want[MAX_BATCH * MAX_OUT], squares = 0;
    golden_expect(r->f, word);
    for (int i = 0; i < count; i++) {
        want[i] = golden_number(r->f);
        squares += want[i] * want[i];
    }
    for (int i = 0; i < count; i++)
        compare(r, word, (double)got[i], want[i], sqrt(squares / count));
}

static void open_run(struct run *r, const char *path)
{
    char name[64];
    *r = (struct run){.f = fopen(path, "r")};
    assert_non_null(r->f);
    assert_int_equal(fscanf(r->f, "#%*[^\n] case %63s %d %d %d %d %d", name, &r->seed, &r->size,
                            &r->classes, &r->batch, &r->steps),
                     6);
    assert_in_range(r->batch, 1, MAX_BATCH);
    must(golden_build(&r->net, name, r->size, r->classes));
    assert_in_range(r->net->embedding, 1, MAX_OUT);
    assert_in_range(r->net->classes, 1, MAX_OUT);
    must(fv_backend_open(backend_name, &(struct fv_device_settings){.threads = 2}, &r->backend,
                         &r->device));
    must(r->backend->compile(r->device, r->net, r->batch + SPARE, 1, NULL, &r->program));
    r->arena = calloc(r->net->params + r->net->buffers, sizeof(float));
    r->grad = calloc(r->net->params, sizeof(float));
    r->out = calloc((size_t)MAX_BATCH * MAX_OUT, sizeof(float));
    r->pixels = calloc((size_t)(r->batch + SPARE), (size_t)(r->size * r->size) * 3);
    golden_fill(r->net, (uint32_t)r->seed, r->arena);
    must(r->backend->params_set(r->program, r->arena));
    for (int i = 0; i < r->batch + SPARE; i++) {
        r->lambda[i] = (float[]){1, .25f, .625f, 1}[i % 4];
        r->label[i] = i < r->batch ? 3 * i % r->classes : -1;
        r->label_mix[i] = r->lambda[i] < 1 && i < r->batch ? (i + 1) % r->classes : r->label[i];
    }
}

static void close_run(struct run *r)
{
    fclose(r->f);
    r->backend->release(&r->program);
    r->backend->close(&r->device);
    fv_net_free(&r->net);
    free(r->arena);
    free(r->grad);
    free(r->out);
    free(r->pixels);
}

static void take_step(struct run *r, int step)
{
    const struct fv_optim optim = {
        .lr = (double)0.05f, .momentum = (double)0.9f, .weight_decay = (double)5e-4f};
    struct fv_batch b = {.n = r->batch,
                         .capacity = r->batch + SPARE,
                         .height = r->size,
                         .width = r->size,
                         .pixels = r->pixels,
                         .label = r->label,
                         .label_mix = r->label_mix,
                         .lambda = r->lambda};
    struct fv_step_result result;
    golden_images((uint32_t)r->seed, step, (r->batch + SPARE) * r->size * r->size * 3, r->pixels);
    must(r->backend->step(r->program, &b, &optim));
    must(r->backend->result(r->program, &result));
    assert_int_equal(result.n, r->batch);
    assert_true(result.finite);
    golden_expect(r->f, "loss");
    compare(r, "loss", result.loss, golden_number(r->f), 0);
    golden_expect(r->f, "correct");
    assert_true(fabs(result.correct - golden_number(r->f)) < 1e-6);
    if (r->backend->node_get) {
        must(r->backend->node_get(r->program, r->net->logits_node, 0, r->out));
        compare_vector(r, "logits", r->out, r->batch * r->classes);
    } else {
        assert_int_equal(fscanf(r->f, " logits%*[^\n]"), 0);
    }
    if (step == 0)
        must(r->backend->grads_get(r->program, r->grad));
}

static void compare_tensor(struct run *r, const char *kind, const struct fv_tensor *t,
                           const float *arena)
{
    double squares = 0;
    golden_expect(r->f, kind);
    golden_expect(r->f, t->name);
    for (size_t i = 0; i < t->count; i++)
        squares += (double)arena[t->offset + i] * (double)arena[t->offset + i];
    double rms = golden_number(r->f);
    compare(r, t->name, sqrt(squares / (double)t->count), rms, rms);
    for (size_t j = 0; j < SAMPLES; j++) {
        size_t i = (2 * j + 1) * t->count / (2 * SAMPLES);
        compare(r, t->name, (double)arena[t->offset + i], golden_number(r->f), rms);
    }
}

static void equal_to_pytorch(void **state)
{
    struct run r;
    float *embedding;
    open_run(&r, *state);
    for (int step = 0; step < r.steps; step++)
        take_step(&r, step);
    golden_images((uint32_t)r.seed, r.steps, (r.batch + SPARE) * r.size * r.size * 3, r.pixels);
    embedding = calloc((size_t)r.batch * (size_t)r.net->embedding, sizeof *embedding);
    must(r.backend->eval(r.program, r.pixels, r.batch, embedding, r.out));
    compare_vector(&r, "embedding", embedding, r.batch * r.net->embedding);
    compare_vector(&r, "logits", r.out, r.batch * r.classes);
    free(embedding);
    must(r.backend->params_get(r.program, r.arena));
    for (int i = 0; i < r.net->tensors; i++)
        if (!r.net->tensor[i].buffer)
            compare_tensor(&r, "grad", &r.net->tensor[i], r.grad);
    for (int i = 0; i < r.net->tensors; i++)
        compare_tensor(&r, "value", &r.net->tensor[i], r.arena);
    print_message("largest difference %.2g\n", r.worst);
    close_run(&r);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[8];
    size_t n = 0;
    if (argc < 4 || argc > 3 + 8)
        return 2;
    backend_name = argv[1];
    tolerance = strtod(argv[2], NULL);
    for (int i = 3; i < argc; i++)
        tests[n++] = (struct CMUnitTest){
            .name = argv[i], .test_func = equal_to_pytorch, .initial_state = argv[i]};
    return _cmocka_run_group_tests("golden", tests, n, NULL, NULL);
}
