/* SPDX-License-Identifier: MIT */
/* Architectures against PyTorch: names and shapes of all tensors, one training step without update, inference.
 *
 *     test_golden_arch BACKEND TOLERANCE FILE...
 *
 * What is in the files is said in golden/make_arch_golden.py. Of a gradient there are the root mean square and two
 * projections on numbers of a hash: a wrong or misplaced number shows in them by its share of the root of the sum
 * of squares. Each may differ by the tolerance times the tensor's root mean square, for the shift of a batch norm
 * also that of its scale: another batch norm further on undoes most of a shift, so that its gradient is the small
 * difference of large sums. What is undone all is zero but for rounding, and is measured by the largest of all
 * tensors.
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

enum { MAX_BATCH = 8, CLASSES = 5, TICKET = 3 };

static const char *backend_name;
static double tolerance;

struct run {
    FILE *f;
    struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
    float *arena, *grad;
    uint8_t *pixels;
    char arch[32];
    int seed, size, batch, apart;
    double worst;
};

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static void compare(struct run *r, const char *what, double got, double want, double scale)
{
    double error = fabs(got - want) / scale;
    if (!(error <= tolerance))
        fail_msg("%s: %s: got %.9g, PyTorch has %.9g: %.2g of %.3g", r->arch, what, got, want,
                 error, scale);
    r->worst = fmax(r->worst, error);
}

static double rms(const float *x, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (double)x[i] * (double)x[i];
    return sqrt(squares / (double)count);
}

static double project(const struct run *r, const float *x, size_t count, uint32_t stream)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += golden_unit((uint32_t)r->seed, stream, (uint32_t)i) * (double)x[i];
    return sum / sqrt((double)count);
}

/* Root mean square and projections, against the next numbers of the file; differences count by the root mean square, by
 * `least` if that is larger, and by `largest` where it is zero beside that. Returns the root mean square. */
static double compare_digest(struct run *r, const char *what, const float *x, size_t count,
                             uint32_t stream, int projections, double least, double largest)
{
    double want = golden_number(r->f), scale = want < 1e-9 * largest ? largest : fmax(want, least);
    compare(r, what, rms(x, count), want, scale);
    for (int k = 0; k < projections; k++)
        compare(r, what, project(r, x, count, stream + (uint32_t)k), golden_number(r->f), scale);
    return want;
}

static void compare_logits(struct run *r, const float *got)
{
    double want[MAX_BATCH * CLASSES], squares = 0;
    int count = r->batch * CLASSES;
    golden_expect(r->f, "logits");
    for (int i = 0; i < count; i++) {
        want[i] = golden_number(r->f);
        squares += want[i] * want[i];
    }
    for (int i = 0; i < count; i++)
        compare(r, "logits", (double)got[i], want[i], sqrt(squares / count));
}

/* The kind of node that a tensor is of. */
static enum fv_node_kind kind_of(const struct fv_net *net, int tensor)
{
    for (int i = 0; i < net->nodes; i++)
        for (int k = 0; k < 4; k++)
            if (net->node[i].tensor[k] == tensor)
                return net->node[i].kind;
    return FV_NODE_KINDS;
}

static int ends_with(const char *s, const char *end)
{
    return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

static double initial(const struct run *r, int tensor, size_t k, double u)
{
    const struct fv_tensor *t = &r->net->tensor[tensor];
    enum fv_node_kind kind = kind_of(r->net, tensor);
    const int mobile = strcmp(r->arch, "mobilenet-v2") == 0;
    if (r->apart && kind == FV_NODE_BN && ends_with(t->name, "bias"))
        return (double)(float)(0.1 * u) + (k % 2 ? -1 : 1);
    if (ends_with(t->name, "running_mean") || ends_with(t->name, "bias"))
        return 0.1 * u;
    if (ends_with(t->name, "running_var"))
        return (double)(float)(1.0 + 0.2 * u) * (mobile ? 12 : 1);
    if (t->buffer)
        return 1;
    if (kind == FV_NODE_PRELU)
        return (double)(float)(1.0 + 0.2 * u) - 0.75;
    if (kind == FV_NODE_BN)
        return (double)(float)(1.0 + 0.2 * u) * (r->apart ? 0.35 : mobile ? 2.5 : 1);
    if (t->ndim == 2)
        return u * sqrt(3.0 / t->dim[1]);
    return u * sqrt(6.0 / (t->dim[1] * t->dim[2] * t->dim[3]));
}

static void fill(struct run *r)
{
    for (int i = 0; i < r->net->tensors; i++) {
        const struct fv_tensor *t = &r->net->tensor[i];
        for (size_t k = 0; k < t->count; k++)
            r->arena[t->offset + k] =
                (float)initial(r, i, k, golden_unit((uint32_t)r->seed, (uint32_t)i, (uint32_t)k));
    }
}

static void open_run(struct run *r, const char *path)
{
    char stem[16];
    int classes, embedding;
    *r = (struct run){.f = fopen(path, "r")};
    assert_non_null(r->f);
    assert_int_equal(fscanf(r->f, "#%*[^\n] case %31s %15s %d %d %d %d %d %d", r->arch, stem,
                            &r->size, &classes, &embedding, &r->batch, &r->apart, &r->seed),
                     8);
    assert_int_equal(classes, CLASSES);
    assert_in_range(r->batch, 1, MAX_BATCH);
    must(fv_net_build(&r->net, r->arch,
                      &(struct fv_arch_settings){.size = r->size,
                                                 .classes = classes,
                                                 .stem = stem,
                                                 .mean = {.5f, .5f, .5f},
                                                 .std = {.25f, .25f, .25f},
                                                 .embedding = embedding}));
    r->net->seed = (uint64_t)r->seed;
    must(fv_backend_open(backend_name, &(struct fv_device_settings){.threads = 2}, &r->backend,
                         &r->device));
    must(r->backend->compile(r->device, r->net, r->batch, 1, NULL, &r->program));
    r->arena = calloc(r->net->params + r->net->buffers, sizeof(float));
    r->grad = calloc(r->net->params, sizeof(float));
    r->pixels = calloc((size_t)r->batch, (size_t)(r->size * r->size) * 3);
    assert_true(r->arena && r->grad && r->pixels);
    fill(r);
    must(r->backend->params_set(r->program, r->arena));
}

static void close_run(struct run *r)
{
    fclose(r->f);
    r->backend->release(&r->program);
    r->backend->close(&r->device);
    fv_net_free(&r->net);
    free(r->arena);
    free(r->grad);
    free(r->pixels);
}

static void take_step(struct run *r)
{
    int32_t label[MAX_BATCH], label_mix[MAX_BATCH];
    float lambda[MAX_BATCH], logits[MAX_BATCH * CLASSES];
    struct fv_batch b = {.ticket = TICKET,
                         .n = r->batch,
                         .capacity = r->batch,
                         .height = r->size,
                         .width = r->size,
                         .pixels = r->pixels,
                         .label = label,
                         .label_mix = label_mix,
                         .lambda = lambda};
    struct fv_step_result result;
    for (int i = 0; i < r->batch; i++) {
        lambda[i] = (float[]){1, .25f, .625f, 1}[i % 4];
        label[i] = 3 * i % CLASSES;
        label_mix[i] = lambda[i] < 1 ? (i + 1) % CLASSES : label[i];
    }
    golden_images((uint32_t)r->seed, 0, r->batch * r->size * r->size * 3, r->pixels);
    must(r->backend->step(r->program, &b, NULL));
    must(r->backend->result(r->program, &result));
    assert_true(result.finite);
    golden_expect(r->f, "loss");
    double want = golden_number(r->f);
    compare(r, "loss", result.loss, want, want);
    golden_expect(r->f, "correct");
    assert_true(fabs(result.correct - golden_number(r->f)) < 1e-6);
    must(r->backend->node_get(r->program, r->net->logits_node, 0, logits));
    compare_logits(r, logits);
    must(r->backend->grads_get(r->program, r->grad));
    must(r->backend->params_get(r->program, r->arena));
}

static void infer(struct run *r)
{
    float logits[MAX_BATCH * CLASSES];
    size_t count = (size_t)r->batch * (size_t)r->net->embedding;
    float *embedding = calloc(count, sizeof *embedding);
    assert_non_null(embedding);
    golden_images((uint32_t)r->seed, 1, r->batch * r->size * r->size * 3, r->pixels);
    must(r->backend->eval(r->program, r->pixels, r->batch, embedding, logits));
    golden_expect(r->f, "embedding");
    assert_int_equal((int)golden_number(r->f), r->net->embedding);
    compare_digest(r, "embedding", embedding, count, 4000, 8, 0, 0);
    compare_logits(r, logits);
    free(embedding);
}

/* `before` is what it returned for the tensor before. */
static double compare_tensor(struct run *r, int i, double before, double largest)
{
    const struct fv_tensor *t = &r->net->tensor[i];
    golden_expect(r->f, t->buffer ? "buffer" : "train");
    golden_expect(r->f, t->name);
    assert_int_equal((int)golden_number(r->f), t->ndim);
    for (int k = 0; k < t->ndim; k++)
        assert_int_equal((int)golden_number(r->f), t->dim[k]);
    int shift = !t->buffer && kind_of(r->net, i) == FV_NODE_BN && ends_with(t->name, ".bias");
    return compare_digest(r, t->name, (t->buffer ? r->arena : r->grad) + t->offset, t->count,
                          5000 + 2 * (uint32_t)i, 2, shift && !t[-1].buffer ? before : 0,
                          t->buffer ? 0 : largest);
}

static void equal_to_pytorch(void **state)
{
    struct run r;
    double largest = 0, before = 0;
    char more;
    open_run(&r, *state);
    take_step(&r);
    infer(&r);
    for (int i = 0; i < r.net->tensors; i++)
        if (!r.net->tensor[i].buffer)
            largest = fmax(largest, rms(r.grad + r.net->tensor[i].offset, r.net->tensor[i].count));
    for (int i = 0; i < r.net->tensors; i++)
        before = compare_tensor(&r, i, before, largest);
    assert_int_equal(fscanf(r.f, " %c", &more), EOF);
    print_message("%s: %d tensors, largest difference %.2g\n", r.arch, r.net->tensors, r.worst);
    close_run(&r);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[24];
    size_t n = 0;
    if (argc < 4 || argc > 3 + 24)
        return 2;
    backend_name = argv[1];
    tolerance = strtod(argv[2], NULL);
    for (int i = 3; i < argc; i++)
        tests[n++] = (struct CMUnitTest){
            .name = argv[i], .test_func = equal_to_pytorch, .initial_state = argv[i]};
    return _cmocka_run_group_tests("architectures", tests, n, NULL, NULL);
}
