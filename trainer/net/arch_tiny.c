/* SPDX-License-Identifier: MIT */
/* A net that trains in seconds on anything and has every kind of node: for the tests, and for trying a data set or
 * a setting out. It has too few parameters to recognise faces well. */
#include "trainer/net/arch_resnet.h"

#include "common/err.h"

#include <string.h>

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    if (strcmp(s->stem, "auto") != 0)
        return fv_err(FV_EINVAL, "tiny has no stem '%s'; valid: auto", s->stem);
    int x = fv_net_input(n, s->size, s->mean, s->std);
    x = fv__resnet_add_stem(n, x, 8,
                            &(struct fv__resnet_stem){.window = 3, .stride = 1, .pool = 1});
    x = fv__resnet_stage(n, "layer1", x, 8, 1, 1);
    x = fv__resnet_stage(n, "layer2", x, 16, 2, 1);
    x = n->embedding_node = fv_net_gap(n, x);
    fv_net_loss(n, fv_net_fc(n, "fc", x, s->classes, 1));
    return 0;
}

const struct fv_arch fv__arch_tiny = {
    .name = "tiny",
    .help = "5000 parameters and the head, 16-d embedding: for tests and quick trials",
    .build = build,
};
