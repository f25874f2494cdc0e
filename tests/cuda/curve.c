/* SPDX-License-Identifier: MIT */
/* Losses of a training from given weights on given batches, and those weights and batches in files, so that another
 * trainer can do the same: tools/gpu-check has PyTorch do it.
 *
 *   curve BACKEND DTYPE ARCH SIZE BATCH CLASSES STEPS KINDS LR FOLDER
 *
 * Writes to FOLDER: weights.bin (fp32, the net's arena), tensors.txt (name, offset, count), pixels.bin (u8, KINDS
 * batches), labels.bin (i32). Prints a loss a line. An image is noise around a colour and stripe of its class. */
#include "common/err.h"
#include "common/fs.h"
#include "tests/cuda/noise.h"
#include "trainer/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setup {
    const char *backend, *dtype, *arch, *folder;
    int size, batch, classes, steps, kinds;
    double lr;
};

struct data {
    uint8_t *pixels;
    int32_t *label;
    float *lambda;
    uint32_t *image;
};

static void make_image(const struct setup *s, uint8_t *p, int label, uint32_t *state)
{
    for (int y = 0; y < s->size; y++)
        for (int x = 0; x < s->size; x++)
            for (int c = 0; c < 3; c++) {
                const int stripe = (x + y * (label % 3)) / (2 + label % 5) % 2;
                const int v = 60 + label * (37 + 20 * c) % 100 + 40 * stripe;
                *p++ = (uint8_t)(v + (int)(noise_next(state) % 64));
            }
}

static int make_data(const struct setup *s, struct data *d)
{
    const size_t images = (size_t)s->kinds * (size_t)s->batch;
    const size_t bytes = (size_t)s->size * (size_t)s->size * 3;
    uint32_t state = 1;
    d->pixels = malloc(images * bytes);
    d->label = malloc(images * sizeof *d->label);
    d->lambda = malloc(images * sizeof *d->lambda);
    d->image = calloc(images, sizeof *d->image);
    if (!d->pixels || !d->label || !d->lambda || !d->image)
        return fv_err(FV_ENOMEM, "out of memory");
    for (size_t i = 0; i < images; i++) {
        d->label[i] = (int32_t)(noise_next(&state) % (uint32_t)s->classes);
        d->lambda[i] = 1;
        make_image(s, d->pixels + i * bytes, d->label[i], &state);
    }
    return 0;
}

static int put(const struct setup *s, const char *name, const void *data, size_t bytes)
{
    char *path = fv_format("%s/%s", s->folder, name);
    int rc = path ? fv_file_write(path, data, bytes) : fv_err(FV_ENOMEM, "out of memory");
    free(path);
    return rc;
}

static int put_files(const struct setup *s, const struct fv_net *net, const float *arena,
                     const struct data *d)
{
    const size_t images = (size_t)s->kinds * (size_t)s->batch;
    char *text = NULL;
    size_t length;
    FV_TRY(put(s, "weights.bin", arena, (net->params + net->buffers) * sizeof *arena));
    FV_TRY(put(s, "pixels.bin", d->pixels, images * (size_t)s->size * (size_t)s->size * 3));
    FV_TRY(put(s, "labels.bin", d->label, images * sizeof *d->label));
    FILE *f = open_memstream(&text, &length);
    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    for (int t = 0; t < net->tensors; t++)
        fprintf(f, "%s %zu %zu\n", net->tensor[t].name, net->tensor[t].offset,
                net->tensor[t].count);
    fclose(f);
    int rc = put(s, "tensors.txt", text, length);
    free(text);
    return rc;
}

static int train(const struct setup *s, const struct fv_backend *backend, struct fv_program *p,
                 const struct data *d)
{
    const size_t bytes = (size_t)s->size * (size_t)s->size * 3;
    const struct fv_optim o = {
        .kind = FV_OPTIM_SGD, .lr = s->lr, .momentum = 0.9, .weight_decay = 5e-4};
    for (int i = 0; i < s->steps; i++) {
        const size_t first = (size_t)(i % s->kinds) * (size_t)s->batch;
        const struct fv_batch b = {.n = s->batch,
                                   .capacity = s->batch,
                                   .height = s->size,
                                   .width = s->size,
                                   .pixels = d->pixels + first * bytes,
                                   .label = d->label + first,
                                   .label_mix = d->label + first,
                                   .lambda = d->lambda + first,
                                   .image = d->image + first};
        struct fv_step_result r;
        FV_TRY(backend->step(p, &b, &o));
        FV_TRY(backend->result(p, &r));
        printf("%.9g\n", r.loss);
    }
    return 0;
}

static int curve(const struct setup *s)
{
    const struct fv_arch_settings a = {.size = s->size,
                                       .classes = s->classes,
                                       .stem = "7x7",
                                       .mean = {0.5f, 0.5f, 0.5f},
                                       .std = {0.5f, 0.5f, 0.5f}};
    const struct fv_device_settings ds = {.dtype = s->dtype};
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *p;
    struct fv_net *net;
    struct data d;
    FV_TRY(fv_net_build(&net, s->arch, &a));
    float *arena = malloc((net->params + net->buffers) * sizeof *arena);
    if (!arena)
        return fv_err(FV_ENOMEM, "out of memory");
    fv_net_init(net, 3, arena);
    FV_TRY(make_data(s, &d));
    FV_TRY(put_files(s, net, arena, &d));
    FV_TRY(fv_backend_open(s->backend, &ds, &backend, &device));
    FV_TRY(backend->compile(device, net, s->batch, 1, NULL, &p));
    FV_TRY(backend->params_set(p, arena));
    return train(s, backend, p, &d);
}

int main(int argc, char **argv)
{
    if (argc != 11)
        return 2;
    const struct setup s = {.backend = argv[1],
                            .dtype = argv[2],
                            .arch = argv[3],
                            .size = atoi(argv[4]),
                            .batch = atoi(argv[5]),
                            .classes = atoi(argv[6]),
                            .steps = atoi(argv[7]),
                            .kinds = atoi(argv[8]),
                            .lr = atof(argv[9]),
                            .folder = argv[10]};
    if (curve(&s) < 0) {
        fprintf(stderr, "curve: %s\n", fv_err_text());
        return 1;
    }
    return 0;
}
