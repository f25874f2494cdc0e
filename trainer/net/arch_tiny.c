/* SPDX-License-Identifier: MIT */
/* A net that trains in seconds on anything: for the tests, and for trying a data set or a setting out. It has too few
 * parameters to recognise faces well. */
#include "trainer/net/arch_head.h"
#include "trainer/net/arch_resnet.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    static const struct fv__resnet r = {.block = FV_RESNET_BASIC};
    int x = fv_net_input(n, s->size, s->mean, s->std);
    x = fv__resnet_add_stem(n, x, 8,
                            &(struct fv__resnet_stem){.window = 3, .stride = 1, .pool = 1});
    x = fv__resnet_stage(n, "layer1", x, 8, 1, 1, &r);
    x = fv__resnet_stage(n, "layer2", x, 16, 2, 1, &r);
    fv__arch_head(n, s, "fc", fv__arch_neck(n, s, fv_net_gap(n, x)));
    return 0;
}

static const char *const stems[] = {"auto", NULL};

const struct fv_arch fv__arch_tiny = {
    .name = "tiny",
    .help = "5000 parameters, for tests and quick trials",
    .stems = stems,
    .build = build,
};
