/* SPDX-License-Identifier: MIT */
/* Random values of several numbers. In which order arguments, operands and initializers are evaluated is the
 * compiler's affair; faces are not. So each number is drawn in a statement of its own, here and in the files that
 * use this.
 */
#ifndef FV_PREP_SYNTH_ANY_H
#define FV_PREP_SYNTH_ANY_H

#include "common/rng.h"
#include "prep/synth/synth_draw.h"

struct fv__range {
    double lo, hi;
};

struct fv__pt fv__any_point(struct fv_rng *r, struct fv__range x, struct fv__range y);
/* As fv__hsv_rgb; value is drawn first, hue last. */
struct fv__rgb fv__any_hsv(struct fv_rng *r, struct fv__range hue, struct fv__range saturation,
                           struct fv__range value);

#endif
