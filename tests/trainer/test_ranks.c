/* SPDX-License-Identifier: MIT */
/* A step of several ranks on a backend, held against one process.
 *
 *     test_ranks BACKEND TOLERANCE
 *     test_ranks BACKEND TOLERANCE ARCH SIZE RATE STEPS
 *
 * The second form takes only the loss curve, of that net. A deep net in fp32 with few images is chaotic: there ranks
 * may be as far from one process as one process is from itself with the images of each batch in another order, or
 * thrice.
 *
 * With synchronised batch norms the ranks' step is that of one process with the whole batch: loss, hits, gradients,
 * weights, running statistics. Without, its gradients and statistics are the average of what each rank has by itself.
 * Either way all ranks hold the same bits afterwards. The ranks are forks that meet by TCP; each checks itself.
 */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "tests/trainer/ranks_open.h"
#include "tests/trainer/tcp_ranks.h"
#include "trainer/run/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

enum { SIZE = 16, CLASSES = 5, BATCH = 12, STEPS = 3 };

static const char *backend_name, *loss_name;
static double tolerance;
static const char *arch = "tiny";
static int size = SIZE;
static double rate = .01; /* of the loss curve */
static int steps = 32, chaotic;

struct data {
    uint8_t *pixels;
    int32_t label[BATCH], label_mix[BATCH];
    float lambda[BATCH];
    struct fv_net *net;
    size_t all;
    float *arena;
};

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", fv_err_text());
        _exit(1);
    }
}

/* Noise, brighter in the channel and the half that the label says. */
static void draw_batch(struct data *d, int number)
{
    struct fv_rng rng = fv_rng_at(5, (uint32_t)number, 0, FV_RNG_TEST);
    const int area = size * size;
    for (int i = 0; i < BATCH; i++) {
        d->label[i] = (i + number) % CLASSES;
        d->label_mix[i] = (i * 3 + 1) % CLASSES;
        d->lambda[i] = loss_name ? 1 : (float)(0.75 + 0.25 * fv_rng_unit(&rng));
        for (int k = 0; k < 3 * area; k++)
            d->pixels[i * 3 * area + k] =
                (uint8_t)(fv_rng_below(&rng, 128) + (k % 3 == d->label[i] % 3 ? 64 : 0) +
                          (k > 3 * area / 2 && d->label[i] > 2 ? 60 : 0));
    }
}

static void make_data(struct data *d)
{
    d->pixels = malloc((size_t)BATCH * 3 * (size_t)size * (size_t)size);
    draw_batch(d, 0);
    must(fv_net_build(&d->net, arch,
                      &(struct fv_arch_settings){.size = size,
                                                 .classes = CLASSES,
                                                 .stem = "auto",
                                                 .mean = {.5f, .5f, .5f},
                                                 .std = {.25f, .25f, .25f},
                                                 .loss = loss_name}));
    d->all = d->net->params + d->net->buffers;
    d->arena = malloc(d->all * sizeof(float));
    fv_net_init(d->net, 11, d->arena);
}

struct rig {
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
};

static void open_rig(struct rig *r, const struct data *d, int batch)
{
    const struct fv_device_settings s = {.threads = 1, .dtype = "fp32", .no_graph = 1};
    must(ranks_open_backend(backend_name, &s, &r->backend, &r->device));
    must(r->backend->compile(r->device, d->net, batch, 1, NULL, &r->program));
    must(r->backend->params_set(r->program, d->arena));
}

static void close_rig(struct rig *r)
{
    r->backend->release(&r->program);
    r->backend->close(&r->device);
}

/* Part `part` of `parts` of the batch. */
static struct fv_step_result step(struct rig *r, struct data *d, int part, int parts,
                                  const struct fv_optim *optim)
{
    const int n = BATCH / parts, at = n * part;
    struct fv_step_result result;
    const struct fv_batch b = {.n = n,
                               .capacity = n,
                               .height = size,
                               .width = size,
                               .pixels = d->pixels + at * size * size * 3,
                               .label = d->label + at,
                               .label_mix = d->label_mix + at,
                               .lambda = d->lambda + at};
    must(r->backend->step(r->program, &b, optim));
    must(r->backend->result(r->program, &result));
    return result;
}

/* Largest difference, of the root mean square of each tensor. */
static double distance(const struct data *d, const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (int t = 0; t < d->net->tensors; t++) {
        const struct fv_tensor *o = &d->net->tensor[t];
        double square = 0, most = 0;
        for (size_t i = o->offset; i < o->offset + o->count && i < n; i++) {
            square += (double)b[i] * (double)b[i];
            most = fmax(most, fabs((double)a[i] - (double)b[i]));
        }
        if (square > 0 && most / sqrt(square / (double)o->count) > worst)
            worst = most / sqrt(square / (double)o->count);
    }
    return worst;
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "rank %d, line %d: %s\n", comm->rank, __LINE__, #what);                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static const struct fv_optim optim = {.lr = .05, .momentum = .9, .weight_decay = 1e-3};

/* Whole batches by one process, beside the ranks' parts. */
static void check_synchronised(struct fv_comm *comm, struct data *d)
{
    struct rig whole, part;
    float *a = malloc(d->all * sizeof *a), *b = malloc(d->all * sizeof *b);
    open_rig(&whole, d, BATCH);
    open_rig(&part, d, BATCH / comm->world);
    must(part.backend->set_comm(part.program, comm, 1));
    for (int i = 0; i < STEPS; i++) {
        const struct fv_step_result w = step(&whole, d, 0, 1, &optim);
        const struct fv_step_result p = step(&part, d, comm->rank, comm->world, &optim);
        CHECK(p.n == BATCH && p.finite && w.finite);
        CHECK(fabs(p.loss - w.loss) < tolerance * 10 && fabs(p.correct - w.correct) < 1e-5);
        must(whole.backend->grads_get(whole.program, a));
        must(part.backend->grads_get(part.program, b));
        CHECK(distance(d, b, a, d->net->params) < tolerance * 100);
        must(whole.backend->params_get(whole.program, a));
        must(part.backend->params_get(part.program, b));
        CHECK(distance(d, b, a, d->all) < tolerance * 100);
        must(fv_comm_same(comm, "weights and statistics", b, d->all * sizeof *b));
    }
    close_rig(&whole);
    close_rig(&part);
    free(a);
    free(b);
}

/* Of all gradients, against their own length. */
static double relative(const float *a, const float *b, size_t n)
{
    double apart = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        apart += pow((double)a[i] - (double)b[i], 2);
        length += pow((double)b[i], 2);
    }
    return sqrt(apart / length);
}

/* The same images in the opposite order: what one process differs from itself by, with other roundings. */
static void turn_round(struct data *to, const struct data *d)
{
    const size_t image = 3 * (size_t)size * (size_t)size;
    for (size_t i = 0; i < BATCH; i++) {
        const size_t k = BATCH - 1 - i;
        memcpy(to->pixels + i * image, d->pixels + k * image, image);
        to->label[i] = d->label[k];
        to->label_mix[i] = d->label_mix[k];
        to->lambda[i] = d->lambda[k];
    }
}

/* The loss of each step of a training, on other images every time; the gradients of the first. */
static void check_curve(struct fv_comm *comm, struct data *d)
{
    const struct fv_optim slow = {.lr = rate, .momentum = .9, .weight_decay = 5e-4};
    struct rig whole, part, turned;
    struct data other = *d;
    float *a = malloc(d->all * sizeof *a), *b = malloc(d->all * sizeof *b);
    double worst = 0, control = 0, first = 0, last = 0, grad = 0, grad_control = 0;
    other.pixels = malloc((size_t)BATCH * 3 * (size_t)size * (size_t)size);
    open_rig(&whole, d, BATCH);
    open_rig(&part, d, BATCH / comm->world);
    open_rig(&turned, d, BATCH);
    must(part.backend->set_comm(part.program, comm, 1));
    for (int i = 0; i < steps; i++) {
        draw_batch(d, i);
        turn_round(&other, d);
        const struct fv_step_result w = step(&whole, d, 0, 1, &slow);
        const struct fv_step_result p = step(&part, d, comm->rank, comm->world, &slow);
        worst = fmax(worst, fabs(p.loss - w.loss));
        first = i == 0 ? w.loss : first;
        last = w.loss;
        if (chaotic)
            control = fmax(control, fabs(step(&turned, &other, 0, 1, &slow).loss - w.loss));
        if (i > 0)
            continue;
        must(whole.backend->grads_get(whole.program, a));
        must(part.backend->grads_get(part.program, b));
        grad = relative(b, a, d->net->params);
        if (chaotic)
            must(turned.backend->grads_get(turned.program, b));
        grad_control = chaotic ? relative(b, a, d->net->params) : 0;
    }
    if (comm->rank == 0)
        printf(
            "%s, %d px, batch %d, rate %g, %d ranks, %d steps: loss %.4f to %.4f, furthest apart "
            "%.2e, gradients %.1e\n",
            arch, size, BATCH, rate, comm->world, steps, first, last, worst, grad);
    if (comm->rank == 0 && chaotic)
        printf("one process, each batch in the opposite order: %.2e, gradients %.1e\n", control,
               grad_control);
    fflush(stdout);
    CHECK(worst < fmax(1e-5, 3 * control) && grad < fmax(1e-4, 3 * grad_control));
    CHECK(chaotic || last < first);
    close_rig(&whole);
    close_rig(&part);
    close_rig(&turned);
    free(a);
    free(b);
    free(other.pixels);
}

/* Each rank alone, by one process, and their average, beside the ranks together. */
static void check_apart(struct fv_comm *comm, struct data *d)
{
    struct rig alone, part;
    float *a = malloc(d->all * sizeof *a), *mean = calloc(d->all, sizeof *mean);
    float *stat = calloc(d->all, sizeof *stat);
    const size_t params = d->net->params;
    double loss = 0, active = 0, apart = 0;
    open_rig(&alone, d, BATCH / comm->world);
    open_rig(&part, d, BATCH / comm->world);
    for (int r = 0; r < comm->world; r++) {
        must(alone.backend->params_set(alone.program, d->arena));
        const struct fv_step_result own = step(&alone, d, r, comm->world, NULL);
        loss += own.loss / comm->world;
        active += own.active / comm->world;
        apart += own.distance / comm->world;
        must(alone.backend->grads_get(alone.program, a));
        for (size_t i = 0; i < params; i++)
            mean[i] += a[i] / (float)comm->world;
        must(alone.backend->params_get(alone.program, a));
        for (size_t i = params; i < d->all; i++)
            stat[i] += a[i] / (float)comm->world;
    }
    must(part.backend->set_comm(part.program, comm, 0));
    const struct fv_step_result p = step(&part, d, comm->rank, comm->world, &optim);
    CHECK(p.n == BATCH && fabs(p.loss - loss) < 1e-6);
    CHECK(isnan(active) ? isnan(p.active) : fabs(p.active - active) < 1e-6);
    CHECK(isnan(apart) ? isnan(p.distance) : fabs(p.distance - apart) < 1e-5);
    CHECK(isnan(apart) == !loss_name);
    must(part.backend->grads_get(part.program, a));
    CHECK(distance(d, a, mean, params) < 1e-5);
    must(part.backend->params_get(part.program, a));
    memcpy(stat, a, params * sizeof *a);
    CHECK(distance(d, a, stat, d->all) < 1e-6);
    must(fv_comm_same(comm, "weights and statistics", a, d->all * sizeof *a));
    close_rig(&alone);
    close_rig(&part);
    free(a);
    free(mean);
    free(stat);
}

/* One rank's loss is not finite: no rank takes the step. */
static void check_not_finite(struct fv_comm *comm, struct data *d)
{
    struct rig part;
    float *a = malloc(d->all * sizeof *a);
    open_rig(&part, d, BATCH / comm->world);
    must(part.backend->set_comm(part.program, comm, 0));
    memcpy(a, d->arena, d->all * sizeof *a);
    if (comm->rank == 1)
        a[d->net->params - 1] = NAN; /* a bias of the head */
    must(part.backend->params_set(part.program, a));
    const struct fv_step_result p = step(&part, d, comm->rank, comm->world, &optim);
    CHECK(!p.finite && p.n == BATCH);
    float *b = malloc(d->all * sizeof *b);
    must(part.backend->params_get(part.program, b));
    CHECK(memcmp(a, b, d->all * sizeof *a) == 0);
    close_rig(&part);
    free(a);
    free(b);
}

/* A bit of one tensor on one rank: found, and named. */
static void check_difference(struct fv_comm *comm, struct data *d)
{
    const struct fv_train_data data = {.comm = comm};
    struct fv_run run = {.d = &data, .net = d->net};
    const struct fv_tensor *t = &d->net->tensor[d->net->tensors - 2];
    run.snap.arena = d->arena;
    run.snap.state[FV_STATE_FIRST] = calloc(d->net->params, sizeof(float));
    must(fv__ranks_check(&run));
    if (comm->rank == 1)
        run.snap.state[FV_STATE_FIRST][t->offset] = 1e-30f;
    CHECK(fv__ranks_check(&run) == FV_ECORRUPT);
    CHECK(strstr(fv_err_text(), "the optimiser's state of") && strstr(fv_err_text(), t->name));
    d->arena[t->offset + 1] += comm->rank == 1 ? 1e-6f : 0;
    CHECK(fv__ranks_check(&run) == FV_ECORRUPT);
    CHECK(strstr(fv_err_text(), "the tensor") && strstr(fv_err_text(), t->name));
    free(run.snap.state[FV_STATE_FIRST]);
}

static void run(int world, void (*check)(struct fv_comm *comm, struct data *d))
{
    const int port = free_port();
    pid_t pid[8];
    for (int r = 0; r < world; r++) {
        pid[r] = fork();
        assert_true(pid[r] >= 0);
        if (pid[r] > 0)
            continue;
        struct fv_comm_settings s;
        struct fv_comm *comm;
        struct data *d = calloc(1, sizeof *d);
        set_rank(r, world, port);
        fv_comm_defaults(&s);
        s.kind = "tcp";
        must(fv_comm_open(&comm, &s));
        make_data(d);
        check(comm, d);
        fv_comm_close(&comm);
        fv_net_free(&d->net);
        free(d->arena);
        free(d->pixels);
        free(d);
        _exit(0);
    }
    assert_all_ended(pid, world);
}

static void synchronised(void **state)
{
    (void)state;
    for (int world = 2; world <= 3; world++)
        run(world, check_synchronised);
}

static void apart(void **state)
{
    (void)state;
    for (int world = 2; world <= 3; world++)
        run(world, check_apart);
}

/* What AdaFace and centres keep is part of the statistics. */
static void apart_with_losses_that_keep_something(void **state)
{
    (void)state;
    loss_name = "adaface(s=10)+0.1*center+0.2*triplet";
    run(2, check_apart);
    loss_name = NULL;
}

static void differences_are_found(void **state)
{
    (void)state;
    run(3, check_difference);
}

static void curve(void **state)
{
    (void)state;
    run(2, check_curve);
}

static void not_finite(void **state)
{
    (void)state;
    run(2, check_not_finite);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synchronised),
        cmocka_unit_test(apart),
        cmocka_unit_test(apart_with_losses_that_keep_something),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(differences_are_found),
        cmocka_unit_test(curve),
    };
    const struct CMUnitTest only[] = {cmocka_unit_test(curve)};
    if (argc != 3 && argc != 7)
        return 2;
    backend_name = argv[1];
    tolerance = atof(argv[2]);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    if (argc == 3)
        return cmocka_run_group_tests(tests, NULL, NULL);
    arch = argv[3];
    size = atoi(argv[4]);
    rate = atof(argv[5]);
    steps = atoi(argv[6]);
    chaotic = 1;
    return cmocka_run_group_tests(only, NULL, NULL);
}
