/* SPDX-License-Identifier: MIT */
#include "tools/eval/gallery_question.h"

#include "tools/eval/nearest.h"

#define FIELD(f) offsetof(struct gallery_question, f)
/* clang-format off */
const struct fv_opt gallery_question_opts[] = {
    {"model", 'm', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(model), "FILE", "the checkpoint", 0, 0, NULL},
    {"gallery", 'g', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(gallery), "FILE",
     "the data set of those who are known; photos are framed as its images were", 0, 0, NULL},
    {"split", 0, FV_OPT_STRING, 0, FIELD(split), "LIST", "of the gallery: all, or of train, val, holdout", 0, 0, NULL},
    {"top", 'k', FV_OPT_INT, 0, FIELD(top), "N", "how many identities to show", 1, NEAREST_TOP_MAX, NULL},
    {"aligned", 0, FV_OPT_FLAG, 0, FIELD(aligned), NULL, "photos are cut to the face as the data set's are",
     0, 0, NULL},
    EVAL_NET_OPTS,
    {.name = NULL},
};
/* clang-format on */
