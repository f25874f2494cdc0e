/* SPDX-License-Identifier: MIT */
/* The options of a command that is asked who is on a photograph: the net, and the data set of those who are known. */
#ifndef FV_TOOLS_GALLERY_QUESTION_H
#define FV_TOOLS_GALLERY_QUESTION_H

#include "common/opt.h"
#include "tools/eval/eval_net.h"

struct gallery_question {
    const char *model, *gallery, *split;
    int64_t top; /* NEAREST_TOP_MAX at the most */
    int aligned;
    struct eval_net_settings net;
};
/* clang-format off */
#define GALLERY_QUESTION_DEFAULTS {.split = "all", .top = 5, .net = EVAL_NET_DEFAULTS}
/* clang-format on */
extern const struct fv_opt gallery_question_opts[];

#endif
