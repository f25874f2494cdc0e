/* SPDX-License-Identifier: MIT */
/* Heads and losses inside nets, on one backend: against PyTorch's numbers, against difference quotients of ref's
 * loss, and what a step, an evaluation and a bad batch promise.
 *
 *     test_heads BACKEND TOLERANCE GOLDEN
 */
#include "golden_text.h"

#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 6, SIZE = 12, CLASSES = 5, MOST = 2048 };
static const float half[3] = {.5f, .5f, .5f};

static const char *backend_name, *golden_path;
static double tolerance;

struct rig {
    struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
    float *arena, *grad;
    uint8_t pixels[16 * SIZE * SIZE * 3];
    int32_t label[16], label_mix[16];
    float lambda[16];
    struct fv_batch batch;
};

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static void start(struct rig *r, const char *backend, int n)
{
    must(fv_backend_open(backend, &(struct fv_device_settings){.threads = 1}, &r->backend,
                         &r->device));
    must(r->backend->compile(r->device, r->net, n, 1, NULL, &r->program));
    r->arena = calloc(r->net->params + r->net->buffers, sizeof(float));
    r->grad = calloc(r->net->params, sizeof(float));
    r->batch = (struct fv_batch){.n = n,
                                 .capacity = n,
                                 .height = r->net->size,
                                 .width = r->net->size,
                                 .pixels = r->pixels,
                                 .label = r->label,
                                 .label_mix = r->label_mix,
                                 .lambda = r->lambda};
}

static struct fv_arch_settings settings(const char *loss)
{
    return (struct fv_arch_settings){.size = SIZE,
                                     .classes = CLASSES,
                                     .stem = "auto",
                                     .mean = {.5f, .5f, .5f},
                                     .std = {.25f, .25f, .25f},
                                     .loss = loss};
}

/* tiny with this loss, off its initial weights, on images of noise. */
static void open_rig(struct rig *r, const char *backend, const char *loss)
{
    const struct fv_arch_settings s = settings(loss);
    struct fv_rng rng = fv_rng_at(3, 0, 0, FV_RNG_TEST);
    memset(r, 0, sizeof *r);
    must(fv_net_build(&r->net, "tiny", &s));
    start(r, backend, N);
    fv_net_init(r->net, 11, r->arena);
    for (size_t i = 0; i < r->net->params + r->net->buffers; i++)
        r->arena[i] += (float)fv_rng_uniform(&rng, .05, .1);
    for (size_t i = 0; i < sizeof r->pixels; i++)
        r->pixels[i] = (uint8_t)fv_rng_below(&rng, 256);
    for (int i = 0; i < N; i++) {
        r->label[i] = r->label_mix[i] = i / 2;
        r->lambda[i] = 1;
        if (r->net->loss.soft && i > 1) {
            r->label_mix[i] = (i + 1) % CLASSES;
            r->lambda[i] = .25f * (float)(i % 4);
        }
    }
    must(r->backend->params_set(r->program, r->arena));
}

static void close_rig(struct rig *r)
{
    r->backend->release(&r->program);
    r->backend->close(&r->device);
    fv_net_free(&r->net);
    free(r->arena);
    free(r->grad);
}

static struct fv_step_result step(struct rig *r, const struct fv_optim *o)
{
    struct fv_step_result result;
    must(r->backend->step(r->program, &r->batch, o));
    must(r->backend->result(r->program, &result));
    return result;
}

static const char *const specs[] = {
    "ce(smooth=0.1)",
    "arcface(s=10,m=0.3)",
    "cosface(s=10)+0.5*ce",
    "combined(m1=1.2,s=8)",
    "adaface(s=10)",
    "triplet(margin=1)",
    "ce+0.3*triplet(mine=semi-hard,margin=2)+0.05*center",
    "arcface(s=10)+0.1*center",
};
enum { SPECS = sizeof specs / sizeof specs[0] };

static double loss_with(struct rig *ref, size_t at, float value)
{
    const float kept = ref->arena[at];
    ref->arena[at] = value;
    must(ref->backend->params_set(ref->program, ref->arena));
    ref->arena[at] = kept;
    return step(ref, NULL).loss;
}

/* AdaFace holds the norms constant, so its loss is no function of what is below the head by its gradient alone. */
static int has_slope(const struct fv_net *net, const struct fv_tensor *t)
{
    return !t->buffer &&
           (!(net->loss.reads & FV_LOSS_READS_NORMS) || strcmp(t->name, "head.weight") == 0);
}

static void check_gradients(const char *loss)
{
    struct rig r, ref;
    open_rig(&r, backend_name, loss);
    open_rig(&ref, "ref", loss);
    step(&r, NULL);
    must(r.backend->grads_get(r.program, r.grad));
    for (int i = 0; i < r.net->tensors; i++) {
        const struct fv_tensor *t = &r.net->tensor[i];
        double squares = 0;
        if (!has_slope(r.net, t))
            continue;
        for (size_t k = 0; k < t->count; k++)
            squares += pow((double)r.grad[t->offset + k], 2);
        for (size_t k = 0; k < t->count; k += t->count / 6 + 1) {
            const size_t at = t->offset + k;
            const float up = r.arena[at] + 2e-6f, down = r.arena[at] - 2e-6f;
            const double slope =
                (loss_with(&ref, at, up) - loss_with(&ref, at, down)) / ((double)up - (double)down);
            const double size = fmax(sqrt(squares / (double)t->count), fabs(slope));
            if (!(fabs(slope - (double)r.grad[at]) <= tolerance * size))
                fail_msg("%s: %s[%zu]: gradient %.9g, difference quotient %.9g", loss, t->name, k,
                         (double)r.grad[at], slope);
        }
    }
    close_rig(&r);
    close_rig(&ref);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int i = 0; i < SPECS; i++)
        check_gradients(specs[i]);
}

/* One convolution over the whole image, and the heads. */
static void build_heads(struct rig *r, const char *loss, int n, int classes, int dim)
{
    int in[FV_LOSS_INPUTS] = {-1, -1, -1};
    memset(r, 0, sizeof *r);
    must(fv_net_new(&r->net, "heads"));
    struct fv_net *net = r->net;
    const int x = net->embedding_node =
        fv_net_conv(net, "conv", fv_net_input(net, 3, half, half), dim, 3, 1, 0, 1, 0);
    assert_int_equal(fv_net_set_loss(net, loss), 0);
    if (net->loss.reads & FV_LOSS_READS_LOGITS)
        in[FV_LOSS_LOGITS] = fv_net_fc(net, "fc", x, classes, 1);
    if (net->loss.reads & FV_LOSS_READS_COSINE)
        in[FV_LOSS_COSINE] = fv_net_cosine(net, "head", x, classes);
    if (net->loss.reads & (FV_LOSS_READS_EMBEDDING | FV_LOSS_READS_NORMS))
        in[FV_LOSS_EMBEDDING] = x;
    fv_net_loss_over(net, in, classes);
    must(fv_net_finish(net));
    start(r, backend_name, n);
}

static void read_line(struct rig *r, const char *key)
{
    double v[MOST];
    const int tensor = fv_net_find_tensor(r->net, key), n = golden_numbers(v, MOST);
    for (int i = 0; i < n; i++) {
        if (strcmp(key, "label") == 0)
            r->label[i] = (int32_t)v[i];
        else if (strcmp(key, "label_mix") == 0)
            r->label_mix[i] = (int32_t)v[i];
        else if (strcmp(key, "lambda") == 0)
            r->lambda[i] = (float)v[i];
        else if (strcmp(key, "pixels") == 0)
            r->pixels[i] = (uint8_t)v[i];
        else if (strcmp(key, "state") == 0)
            r->arena[r->net->params + (size_t)i] = (float)v[i];
        else if (tensor >= 0)
            r->arena[r->net->tensor[tensor].offset + (size_t)i] = (float)v[i];
    }
}

static void expect(const char *spec, const char *what, double got, double want, double size)
{
    if (!(fabs(got - want) <= tolerance * fmax(size, fabs(want))))
        fail_msg("%s: %s is %.9g, PyTorch has %.9g", spec, what, got, want);
}

static int expect_gradient(struct rig *r, const char *spec)
{
    const char *name = golden_word();
    const int tensor = fv_net_find_tensor(r->net, name);
    double want[MOST], squares = 0;
    const int n = golden_numbers(want, MOST);
    assert_true(tensor >= 0);
    for (int i = 0; i < n; i++)
        squares += want[i] * want[i];
    for (int i = 0; i < n; i++)
        expect(spec, name, (double)r->grad[r->net->tensor[tensor].offset + (size_t)i], want[i],
               sqrt(squares / n));
    return n;
}

static void read_case(void)
{
    struct rig r;
    struct fv_step_result result = {0};
    char spec[256];
    int size[3];
    size_t compared = 0;
    snprintf(spec, sizeof spec, "%s", golden_word());
    for (int i = 0; i < 3; i++)
        size[i] = atoi(golden_word());
    build_heads(&r, spec, size[0], size[1], size[2]);
    for (const char *key; strcmp(key = golden_key(), "end") != 0;) {
        double v[1];
        if (strcmp(key, "grad") == 0) {
            compared += (size_t)expect_gradient(&r, spec);
        } else if (strcmp(key, "correct") == 0) {
            golden_numbers(v, MOST);
            expect(spec, key, result.correct, v[0], 1);
        } else if (strcmp(key, "loss") == 0) {
            must(r.backend->params_set(r.program, r.arena));
            result = step(&r, NULL);
            must(r.backend->grads_get(r.program, r.grad));
            golden_numbers(v, MOST);
            expect(spec, key, result.loss, v[0], 0);
        } else {
            read_line(&r, key);
        }
    }
    assert_true(compared == r.net->params);
    close_rig(&r);
}

static void values_are_pytorchs(void **state)
{
    int cases = 0;
    (void)state;
    golden_lines_open(golden_path);
    for (const char *key; *(key = golden_key()); cases++) {
        assert_string_equal(key, "net");
        read_case();
    }
    golden_lines_close();
    assert_int_equal(cases, 9);
}

/* A step that counts moves the states, one that does not leaves them; both as the loss itself has it. */
static void states_follow_finite_steps(void **state)
{
    struct rig r;
    const char *const name[2] = {"head.batch_mean", "center.weight"};
    (void)state;
    open_rig(&r, backend_name, "adaface+0.01*center");
    float *after = calloc(r.net->params + r.net->buffers, sizeof(float));
    for (int finite = 0; finite < 2; finite++) {
        const struct fv_tensor *w = &r.net->tensor[fv_net_find_tensor(r.net, "head.weight")];
        const float kept = r.arena[w->offset];
        if (!finite)
            r.arena[w->offset] = NAN;
        must(r.backend->params_set(r.program, r.arena));
        assert_int_equal(step(&r, NULL).finite, finite);
        must(r.backend->params_get(r.program, after));
        r.arena[w->offset] = kept;
        for (int k = 0; k < 2; k++) {
            const struct fv_tensor *t = &r.net->tensor[fv_net_find_tensor(r.net, name[k])];
            assert_true(t->buffer);
            assert_int_equal(after[t->offset] != r.arena[t->offset], finite);
        }
    }
    free(after);
    close_rig(&r);
}

/* Evaluation gives the cosines themselves, of the head that accuracy is counted by. */
static void evaluation_gives_cosines(void **state)
{
    struct rig r;
    float emb[N * 16], logits[N * CLASSES];
    (void)state;
    open_rig(&r, backend_name, "arcface(s=12)+ce");
    assert_true(r.net->logit_scale == 12);
    assert_int_equal(r.net->embedding, 16);
    must(r.backend->eval(r.program, r.pixels, N, emb, logits));
    const float *w = r.arena + r.net->tensor[fv_net_find_tensor(r.net, "head.weight")].offset;
    for (int i = 0; i < N; i++)
        for (int c = 0; c < CLASSES; c++) {
            double xw = 0, xx = 0, ww = 0;
            for (int k = 0; k < 16; k++) {
                xw += (double)emb[16 * i + k] * (double)w[16 * c + k];
                xx += pow((double)emb[16 * i + k], 2);
                ww += pow((double)w[16 * c + k], 2);
            }
            assert_true(fabs((double)logits[CLASSES * i + c] - xw / sqrt(xx * ww)) < 1e-6);
        }
    close_rig(&r);
}

static void margins_grow_with_the_epoch(void **state)
{
    struct rig r, plain;
    (void)state;
    open_rig(&r, backend_name, "arcface(s=10,m=0.5,warmup=2)");
    open_rig(&plain, backend_name, "arcface(s=10,m=0.25)");
    const double all = step(&r, NULL).loss, middle = step(&plain, NULL).loss;
    r.backend->set_epoch(r.program, 1);
    assert_true(fabs(step(&r, NULL).loss - middle) <= 1e-12 * middle);
    r.backend->set_epoch(r.program, 7);
    assert_true(step(&r, NULL).loss == all);
    assert_true(all > middle);
    close_rig(&r);
    close_rig(&plain);
}

static void what_has_no_meaning_is_refused(void **state)
{
    struct rig r;
    float logits[N * CLASSES];
    (void)state;
    open_rig(&r, backend_name, "triplet");
    assert_int_equal(r.net->logits_node, -1);
    assert_int_equal(r.backend->eval(r.program, r.pixels, N, NULL, logits), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "'triplet' alone has no class scores"));
    r.label_mix[0] = 3;
    r.lambda[0] = .5f;
    assert_int_equal(r.backend->step(r.program, &r.batch, NULL), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "leave cutmix and mixup out"));
    r.lambda[0] = 0; /* all of it is the other */
    must(r.backend->step(r.program, &r.batch, NULL));
    close_rig(&r);
}

static void every_architecture_has_every_head(void **state)
{
    (void)state;
    for (int i = 0; fv_archs[i]; i++)
        for (int k = 0; k < SPECS; k++) {
            struct fv_arch_settings s = settings(specs[k]);
            struct fv_net *net;
            s.size = 64;
            must(fv_net_build(&net, fv_archs[i]->name, &s));
            for (int a = 0; a < net->tensors; a++)
                for (int b = 0; b < a; b++)
                    assert_string_not_equal(net->tensor[a].name, net->tensor[b].name);
            fv_net_free(&net);
        }
    struct fv_arch_settings s = settings("ce+arc");
    struct fv_net *net;
    assert_int_equal(fv_net_build(&net, "tiny", &s), FV_EUSAGE);
}

static void steps_lower_every_loss(void **state)
{
    const struct fv_optim o = {.kind = FV_OPTIM_SGD, .lr = .02, .momentum = .9};
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        struct rig r;
        open_rig(&r, backend_name, specs[i]);
        const double first = step(&r, &o).loss;
        double last = first;
        for (int k = 0; k < 30; k++)
            last = step(&r, &o).loss;
        if (!(last < .8 * first))
            fail_msg("%s: from %g to %g in 30 steps", specs[i], first, last);
        close_rig(&r);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_pytorchs),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(states_follow_finite_steps),
        cmocka_unit_test(evaluation_gives_cosines),
        cmocka_unit_test(margins_grow_with_the_epoch),
        cmocka_unit_test(what_has_no_meaning_is_refused),
        cmocka_unit_test(every_architecture_has_every_head),
        cmocka_unit_test(steps_lower_every_loss),
    };
    if (argc != 4)
        return 2;
    backend_name = argv[1];
    tolerance = strtod(argv[2], NULL);
    golden_path = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
