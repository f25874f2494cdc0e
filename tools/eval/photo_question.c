/* SPDX-License-Identifier: MIT */
#include "tools/eval/photo_question.h"

#include "common/err.h"

#include <math.h>

int photo_question_open(struct photo_question *q, const struct eval_net_settings *s, const char *db,
                        const char *checkpoint, const char *const *photo, int n, int aligned,
                        const struct calibration_settings *cs)
{
    *q = (struct photo_question){.calibration = {.threshold = NAN}};
    FV_TRY(eval_net_open(&q->net, s, db));
    FV_TRY(eval_net_load(&q->net, checkpoint));
    FV_TRY(photo_set_open(&q->photos, photo, n, q->net.store, fv_model_net(q->net.model)->size,
                          aligned));
    return calibration_open(&q->calibration, cs, &q->net);
}

void photo_question_close(struct photo_question *q)
{
    calibration_close(&q->calibration);
    photo_set_close(&q->photos);
    eval_net_close(&q->net);
}
