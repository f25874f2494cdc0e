/* SPDX-License-Identifier: MIT */
/* What a report of verification needs of a command that scores pairs. */
#ifndef FV_TOOLS_EVAL_REPORT_H
#define FV_TOOLS_EVAL_REPORT_H

#include "tools/eval/pair_set.h"
#include "tools/report/verification.h"

/* Kept from the moment that the nets have scored, since what they are held against takes the place of the scores. */
struct eval_report {
    double *score;   /* (pairs) */
    uint32_t *image; /* (images) ids in the order of delivery */
    int dim;
    char *model, *figures, *log;
    struct report_verification interval; /* nothing else in it */
};

/* `model` made the vectors that the set keeps. */
int eval_report_keep(struct eval_report *k, const struct pair_set *s, const struct fv_model *model);
/* Before they are printed, which frees them. */
void eval_report_take_rows(struct eval_report *k, const struct results *r);
/* Writes the page. *v has all but what is kept here or in the set; its log is that beside the checkpoint, if there is
 * one. */
int eval_report_write(struct eval_report *k, const char *path, struct report_verification *v,
                      const struct pair_set *s);
void eval_report_free(struct eval_report *k);

#endif
