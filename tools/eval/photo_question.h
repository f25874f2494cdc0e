/* SPDX-License-Identifier: MIT */
/* What a question about single photographs is answered by: the net, the data set as whose images they are framed, the
 * photographs themselves, and what a score means. */
#ifndef FV_TOOLS_PHOTO_QUESTION_H
#define FV_TOOLS_PHOTO_QUESTION_H

#include "tools/eval/calibration.h"
#include "tools/eval/eval_net.h"
#include "tools/eval/photo_set.h"

struct photo_question {
    struct eval_net net;
    struct photo_set photos;
    struct calibration calibration;
};

/* (n) photographs; db may be NULL, as for photo_set_open and calibration_open. s outlives q. After a failure too,
 * photo_question_close is to be called. */
int photo_question_open(struct photo_question *q, const struct eval_net_settings *s, const char *db,
                        const char *checkpoint, const char *const *photo, int n, int aligned,
                        const struct calibration_settings *cs);
void photo_question_close(struct photo_question *q);

#endif
