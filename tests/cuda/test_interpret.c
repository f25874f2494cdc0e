/* SPDX-License-Identifier: MIT */
/* Lowered programs of every architecture, run by the interpreter, against ref: loss, gradients, updated parameters,
 * running statistics and what inference gives, over two steps. Graphs of cuDNN: none fused, all, and at random; the
 * large nets have each with one of the types.
 *
 * usage: test_interpret [quick] ARCHITECTURE [LOSS [trunk|norms]]
 *
 * quick: one comparison, with graphs fused at random.
 */
#include "tests/cmocka_all.h"
#include "tests/cuda/interpret_rig.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 8 };

static const char *loss, *freeze;
static int quick;

/* "trunk": all before layer2. "norms": every batch norm, and one convolution. */
static int is_frozen(const char *name)
{
    if (strcmp(freeze, "trunk") == 0)
        return strncmp(name, "layer2", 6) != 0 && strncmp(name, "fc", 2) != 0;
    return strstr(name, "bn") || strstr(name, "downsample.1") ||
           strcmp(name, "layer1.0.conv2.weight") == 0;
}

/* How much may differ, of fp32: rounding, amplified by batch norms over few values. Rounding to 16 bits also changes
 * which values pass an activation: there gradients are not compared, and the interpreter's own checks count. */
static void compare(const struct rig_truth *t, enum fv_low_dtype dtype, int share, uint32_t seed)
{
    double tolerance = dtype == FV_LOW_F32 ? 2e-3 : .2;
    struct fv_lowered *train = rig_lower(t->net, dtype, 1, share, seed, t->frozen);
    struct fv_lowered *infer = rig_lower(t->net, dtype, 0, share, seed, t->frozen);
    struct rig_outcome o = rig_run(t, train, infer);
    printf("%-14s %s, %d/8 fused: loss %.1e, gradients %.1e, parameters %.1e, inference %.1e\n",
           t->net->arch, fv_low_dtype_names[dtype], share, o.loss, o.grads, o.arena, o.eval);
    if (o.fault[0])
        fail_msg("%s: %s", t->net->arch, o.fault);
    assert_true(o.loss < tolerance && o.arena < tolerance && o.eval < tolerance);
    assert_true(dtype != FV_LOW_F32 ? isfinite(o.grads) : o.grads < tolerance);
    fv_lowered_free(&train);
    fv_lowered_free(&infer);
}

static void test_architecture(void **state)
{
    const char *arch = *state;
    struct fv_arch_settings s = {.size = SIZE,
                                 .classes = RIG_CLASSES,
                                 .stem = "auto",
                                 .mean = {.5f, .4f, .3f},
                                 .std = {.2f, .25f, .3f},
                                 .loss = loss};
    struct fv_net *net = NULL;
    struct rig_truth t;
    rig_must(fv_net_build(&net, arch, &s));
    /* A batch norm over a handful of values amplifies rounding; a large epsilon keeps that small. */
    for (int i = 0; i < net->nodes; i++)
        net->node[i].eps = .5f;
    unsigned char *frozen = calloc((size_t)net->tensors, 1);
    assert_non_null(frozen);
    for (int i = 0; freeze && i < net->tensors; i++)
        frozen[i] = is_frozen(net->tensor[i].name);
    rig_make_truth(&t, net, frozen);
    compare(&t, FV_LOW_F32, 4, 1);
    if (!quick) {
        compare(&t, FV_LOW_F16, 8, 2);
        compare(&t, FV_LOW_BF16, 0, 3);
    }
    if (!quick && net->params < 8000000) {
        compare(&t, FV_LOW_F32, 0, 1);
        compare(&t, FV_LOW_F32, 8, 1);
        compare(&t, FV_LOW_BF16, 4, 3);
    }
    rig_free_truth(&t);
    free(frozen);
    fv_net_free(&net);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "quick") == 0) {
        quick = 1;
        argc--;
        argv++;
    }
    loss = argc > 2 ? argv[2] : NULL;
    freeze = argc > 3 ? argv[3] : NULL;
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* memory is taken and given back for every operand */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_architecture, argv[1])};
    tests[0].name = argv[1];
    return cmocka_run_group_tests_name("interpret", tests, NULL, NULL);
}
