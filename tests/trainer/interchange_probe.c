/* SPDX-License-Identifier: MIT */
/* For test_interchange.py: builds a net, gives it weights of a file or made-up ones, and writes what it says to images,
 * and itself in every format.
 *
 *   interchange_probe ARCH STEM SIZE CLASSES LOSS FILE|- IMAGES N PREFIX
 *
 * IMAGES holds N images of u8, (N, size, size, 3). PREFIX.embedding and PREFIX.logits are fp32; PREFIX.onnx takes
 * normalised colours, PREFIX.raw.onnx those of 0 .. 255 and gives the embedding alone; PREFIX.safetensors, PREFIX.txt.
 */
#include "common/err.h"
#include "common/fs.h"
#include "common/rng.h"
#include "trainer/backend.h"
#include "trainer/files/init.h"
#include "trainer/files/model_export.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "interchange_probe: %s\n", fv_err_text());
    exit(1);
}

/* Batch norms as after training: nothing is 0 or 1, so that nothing goes unnoticed. Convolutions keep the size of what
 * goes through them. */
static void make_up(const struct fv_net *net, float *arena)
{
    fv_net_init(net, 1, arena);
    for (int i = 0; i < net->nodes; i++) {
        const struct fv_node *o = &net->node[i];
        struct fv_rng r = fv_rng_at(2, 0, (uint64_t)i, FV_RNG_TEST);
        if (o->kind == FV_NODE_CONV) {
            const struct fv_tensor *t = &net->tensor[o->tensor[0]];
            const double bound = sqrt(3.0 / (t->dim[1] * t->dim[2] * t->dim[3]));
            for (size_t j = t->offset; j < t->offset + t->count; j++)
                arena[j] = (float)fv_rng_uniform(&r, -bound, bound);
        }
        for (int k = 0; k < 4 && o->kind == FV_NODE_BN; k++) {
            const struct fv_tensor *t = &net->tensor[o->tensor[k]];
            const int unit = k == 0 && t->buffer;
            for (size_t j = t->offset; j < t->offset + t->count && !unit; j++)
                arena[j] = (float)(k % 3 ? 0.2 * fv_rng_normal(&r) : fv_rng_uniform(&r, 0.7, 1.3));
        }
    }
}

static void write_floats(const char *prefix, const char *what, const float *v, size_t n)
{
    char *path = fv_format("%s.%s", prefix, what);
    check(fv_file_write(path, v, n * sizeof *v));
    free(path);
}

static void write_kind(const char *prefix, const char *kind, const char *end, struct fv_export e)
{
    const struct fv_export_kind *k = NULL;
    char *path = fv_format("%s%s", prefix, end);
    check(fv__model_find(&k, kind));
    check(fv__model_write(k, &e, path));
    free(path);
}

static void evaluate(const struct fv_net *net, const float *arena, const char *images, int n,
                     const char *prefix)
{
    const struct fv_device_settings ds = {.threads = 2};
    const struct fv_backend *b;
    struct fv_device *device;
    struct fv_program *program;
    const size_t item = (size_t)net->size * (size_t)net->size * 3, dim = (size_t)net->embedding;
    const size_t classes = (size_t)net->classes, count = (size_t)n;
    float *embedding = malloc(count * dim * sizeof *embedding);
    float *logits = malloc(count * classes * sizeof *logits);
    char *pixels;
    size_t bytes;
    check(fv_file_read(images, 1 << 30, &pixels, &bytes));
    if (bytes != count * item)
        exit(2);
    check(fv_backend_open("auto", &ds, &b, &device));
    check(b->compile(device, net, n, 0, NULL, &program));
    check(b->params_set(program, arena));
    check(b->eval(program, (const uint8_t *)pixels, n, embedding, logits));
    for (size_t i = 0; i < count * classes; i++)
        logits[i] *= (float)net->logit_scale;
    write_floats(prefix, "embedding", embedding, count * dim);
    write_floats(prefix, "logits", logits, count * classes);
    b->release(&program);
    b->close(&device);
    free(embedding);
    free(logits);
    free(pixels);
}

int main(int argc, char **argv)
{
    struct fv_net *net;
    if (argc != 10)
        return 2;
    const char *file = argv[6], *prefix = argv[9];
    const struct fv_arch_settings a = {.stem = argv[2],
                                       .size = atoi(argv[3]),
                                       .classes = atoi(argv[4]),
                                       .loss = argv[5],
                                       .mean = {0.485f, 0.456f, 0.406f},
                                       .std = {0.229f, 0.224f, 0.225f}};
    check(fv_net_build(&net, argv[1], &a));
    float *arena = calloc(net->params + net->buffers, sizeof *arena);
    make_up(net, arena);
    if (strcmp(file, "-") != 0)
        check(fv_init_load(file, net, 0, arena, NULL, NULL));
    evaluate(net, arena, argv[7], atoi(argv[8]), prefix);
    struct fv_export e = {.net = net, .arena = arena, .batches = 17, .outputs = "both"};
    write_kind(prefix, "safetensors", ".safetensors", e);
    write_kind(prefix, "onnx", ".onnx", e);
    write_kind(prefix, "text", ".txt", e);
    e.normalise = 1;
    e.outputs = "embedding";
    write_kind(prefix, "onnx", ".raw.onnx", e);
    free(arena);
    fv_net_free(&net);
    return 0;
}
