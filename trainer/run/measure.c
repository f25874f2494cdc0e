/* SPDX-License-Identifier: MIT */
#include "trainer/run/measure.h"

#include "common/err.h"

#include <math.h>
#include <string.h>

static double train_loss(const struct fv_runlog_line *l)
{
    return l->loss;
}

static double val_acc(const struct fv_runlog_line *l)
{
    return l->val_acc;
}

static double val_loss(const struct fv_runlog_line *l)
{
    return l->val_loss;
}

static double eer(const struct fv_runlog_line *l)
{
    return l->eer;
}

static double auc(const struct fv_runlog_line *l)
{
    return l->auc;
}

/* clang-format off */
#define ROWS(ROW) \
    ROW("val-acc", "share of validation images named rightly", val_acc, 1, 1, 0) \
    ROW("val-loss", "loss on validation images", val_loss, 0, 1, 0) \
    ROW("eer", "equal error rate of verification", eer, 0, 0, 1) \
    ROW("auc", "area under the curve of verification", auc, 1, 0, 1) \
    ROW("loss", "loss on training images", train_loss, 0, 0, 0)
#define AS_MEASURE(...) {__VA_ARGS__},
#define AS_NAME(name, ...) name,
const struct fv_measure fv_measures[] = {ROWS(AS_MEASURE)};
const char *const fv_measure_names[] = {ROWS(AS_NAME) NULL};
/* clang-format on */

int fv_measure_find(const struct fv_measure **out, const char *name)
{
    char valid[128] = "";
    for (int i = 0; fv_measure_names[i]; i++) {
        *out = &fv_measures[i];
        if (strcmp(fv_measure_names[i], name) == 0)
            return 0;
        strncat(valid, i ? ", " : "", sizeof valid - strlen(valid) - 1);
        strncat(valid, fv_measure_names[i], sizeof valid - strlen(valid) - 1);
    }
    *out = NULL;
    return fv_err(FV_ENOTFOUND, "there is no measure '%s'; valid: %s", name, valid);
}

int fv_measure_is_better(const struct fv_measure *m, double now, double best)
{
    return isfinite(now) && (m->higher_is_better ? now > best : now < best);
}
