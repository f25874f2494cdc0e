/* SPDX-License-Identifier: MIT */
/* Whole nets on a GPU against ref: a step in fp32, bf16 and fp16, inference, and captured steps, whose results are read
 * late and whose batches lie in the device's memory, against the same steps launched piece by piece and read at once,
 * which must give the same bits. Skips, with the reason, where there is no GPU.
 *
 *   gpu_nets [ARCH...]      default: one of each family */
#include "common/err.h"
#include "tests/cuda/noise.h"
#include "trainer/backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef GPU_NETS_SHAPE /* what a test on the host makes smaller */
#define GPU_NETS_SHAPE N = 8, SIZE = 64, CAPTURED = 6
#endif
enum { GPU_NETS_SHAPE, CLASSES = 10 };

static const struct fv_optim sgd = {
    .kind = FV_OPTIM_SGD, .lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4};

/* What a run leaves. */
struct outcome {
    struct fv_step_result result;
    float *params, *grads, *embedding;
};

/* One step that counts: in fp16 as many as it takes to find a scale whose gradients are finite. */
static int step_once(const struct fv_backend *backend, struct fv_program *p,
                     const struct fv_batch *b, struct fv_step_result *result)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < 20 && (i == 0 || result->rescaled); i++) {
        rc = backend->step(p, b, &sgd);
        if (rc == 0)
            rc = backend->result(p, result);
    }
    return rc;
}

static int run(const char *name, const struct fv_device_settings *ds, const struct fv_net *net,
               const float *arena, int steps, int late, struct outcome *o)
{
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *p = NULL;
    struct noise *d = noise_new(N, SIZE);
    int rc = fv_backend_open(name, ds, &backend, &device);
    if (rc < 0) {
        noise_free(&d);
        return rc;
    }
    rc = backend->compile(device, net, N, 1, NULL, &p);
    if (rc == 0)
        rc = backend->params_set(p, arena);
    uint8_t *ordinary = d->b.pixels, *own = NULL;
    if (late && rc == 0)
        rc = backend->read_late(p, 1);
    if (late && rc == 0 && !(own = backend->host_alloc(device, N * SIZE * SIZE * 3)))
        rc = FV_ENOMEM;
    d->b.pixels = own ? own : ordinary;
    for (int i = 0; i < steps && rc == 0; i++) {
        noise_draw(d, (uint32_t)i, N, CLASSES);
        if (steps == 1) {
            rc = step_once(backend, p, &d->b, &o->result);
            break;
        }
        rc = late ? backend->prefetch(p, &d->b) : 0;
        if (rc == 0)
            rc = backend->step(p, &d->b, &sgd);
        if (late && i > 0 && rc == 0)
            rc = backend->result_before(p, &o->result);
        else if (!late && rc == 0)
            rc = backend->result(p, &o->result);
    }
    if (rc == 0)
        rc = backend->result(p, &o->result);
    if (rc == 0)
        rc = backend->grads_get(p, o->grads);
    if (rc == 0)
        rc = backend->params_get(p, o->params);
    if (rc == 0)
        rc = backend->eval(p, d->b.pixels, N, o->embedding, NULL);
    d->b.pixels = ordinary;
    if (own)
        backend->host_free(device, own);
    noise_free(&d);
    backend->release(&p);
    backend->close(&device);
    return rc;
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / (sqrt(aa) * sqrt(bb) + 1e-300);
}

static struct outcome new_outcome(const struct fv_net *net)
{
    return (struct outcome){
        .params = calloc(net->params + net->buffers, sizeof(float)),
        .grads = calloc(net->params, sizeof(float)),
        .embedding = calloc((size_t)(N * net->embedding), sizeof(float)),
    };
}

/* Rounded to that many bits, with the one before the point. */
static void round_all(float *to, const float *from, size_t n, int bits)
{
    for (size_t i = 0; i < n; i++) {
        int exponent;
        const float m = frexpf(from[i], &exponent);
        to[i] = ldexpf(rintf(ldexpf(m, bits)), exponent - bits);
    }
}

/* A type's loss and angles. How far rounding turns the gradients is the net's matter: a deep one that is new turns them
 * far, in whatever trainer. `turned` is the cosine of what ref's do when nothing but the parameters are rounded to the
 * type; a step rounds some more. Returns the number of faults. */
static int compare(const char *arch, const char *type, const struct fv_net *net,
                   const struct outcome *got, const struct outcome *want, double turned)
{
    const int fp32 = strcmp(type, "fp32") == 0, fp16 = strcmp(type, "fp16") == 0;
    const double loss = fabs(got->result.loss - want->result.loss) / want->result.loss;
    const double grads = cosine(got->grads, want->grads, net->params);
    const double embedding = cosine(got->embedding, want->embedding, (size_t)(N * net->embedding));
    const int good = got->result.finite &&
                     loss < (fp32   ? 1e-4
                             : fp16 ? 5e-3
                                    : 3e-2) &&
                     1 - grads < (fp32   ? 1e-4
                                  : fp16 ? 0.001
                                         : 0.01) +
                                     4 * (1 - turned) &&
                     embedding > (fp32 ? 0.9999 : 0.99);
    printf("%-14s %s: loss apart by %.1e, cosine of gradients %.6f (%.6f by rounded parameters), "
           "of embeddings %.6f%s\n",
           arch, type, loss, grads, turned, embedding, good ? "" : "  WRONG");
    return !good;
}

static int check_arch(const char *arch, int *faults)
{
    static const char *const types[] = {"fp32", "bf16", "fp16"};
    static const int bits[] = {24, 8, 11};
    const struct fv_arch_settings a = {.size = SIZE,
                                       .classes = CLASSES,
                                       .stem = "auto",
                                       .mean = {.5f, .5f, .5f},
                                       .std = {.5f, .5f, .5f}};
    const struct fv_device_settings fp32 = {.dtype = "fp32"};
    struct fv_device_settings ds;
    struct fv_net *net;
    FV_TRY(fv_net_build(&net, arch, &a));
    const size_t count = net->params + net->buffers;
    float *arena = calloc(count, sizeof *arena), *rounded = calloc(count, sizeof *arena);
    struct outcome want = new_outcome(net), got = new_outcome(net), again = new_outcome(net),
                   turn = new_outcome(net);
    fv_net_init(net, 5, arena);
    FV_TRY(run("ref", &fp32, net, arena, 1, 0, &want));
    for (int t = 0; t < 3; t++) {
        ds = (struct fv_device_settings){.dtype = types[t], .no_graph = 1};
        const int rc = run("cuda", &ds, net, arena, 1, 0, &got);
        if (rc == FV_EUNSUPPORTED &&
            strstr(fv_err_text(), "has no bf16")) { /* cards before sm_80 */
            printf("%-14s %s: %s\n", arch, types[t], fv_err_text());
            continue;
        }
        FV_TRY(rc);
        memcpy(rounded, arena, count * sizeof *arena);
        round_all(rounded, arena, net->params, bits[t]);
        FV_TRY(run("ref", &fp32, net, rounded, 1, 0, &turn));
        *faults +=
            compare(arch, types[t], net, &got, &want, cosine(turn.grads, want.grads, net->params));
        FV_TRY(run("cuda", &ds, net, arena, CAPTURED, 0, &got));
        ds.no_graph = 0;
        FV_TRY(run("cuda", &ds, net, arena, CAPTURED, 1, &again));
        if (memcmp(got.params, again.params, count * sizeof(float)) != 0) {
            printf("%-14s %s: captured steps read late do not end in the bits of single launches  "
                   "WRONG\n",
                   arch, types[t]);
            (*faults)++;
        }
    }
    fv_net_free(&net);
    free(arena);
    free(rounded);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"tiny",         "resnet18",    "resnet50",
                                      "mobilenet-v2", "se-resnet18", "iresnet18"};
    const struct fv_backend *backend;
    struct fv_device *device;
    int faults = 0,
        rc = fv_backend_open("cuda", &(struct fv_device_settings){0}, &backend, &device);
    if (rc < 0) {
        printf("skipped: %s\n", fv_err_text());
        return 77;
    }
    printf("%s\n", backend->info(device));
    backend->close(&device);
    const int archs = argc > 1 ? argc - 1 : (int)(sizeof all / sizeof all[0]);
    for (int i = 0; i < archs; i++) {
        const char *arch = argc > 1 ? argv[i + 1] : all[i];
        if (check_arch(arch, &faults) < 0) {
            printf("%s: %s\n", arch, fv_err_text());
            faults++;
        }
    }
    return faults > 0;
}
