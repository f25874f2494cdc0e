/* SPDX-License-Identifier: MIT */
/* The weights of resizing along one axis. */
#ifndef FV_PREP_RESAMPLE_AXIS_H
#define FV_PREP_RESAMPLE_AXIS_H

#include <stddef.h>
#include <stdint.h>

enum {
    FV_RESAMPLE_BITS = 22,    /* of a weight's fraction */
    FV_RESAMPLE_LOW_BITS = 15 /* weight == (high << 15) + low, each of which fits a 16-bit factor */
};

/* Output i is (start[i] + sum over k < count[i] of weight[i * taps + k] * in[first[i] + k]) >> 22, clamped to 8
 * bits. Weights from count[i] on are zero. */
struct fv_resample_axis {
    int in, out;
    float from, to; /* the box on this axis */
    int taps;       /* the greatest count, rounded up to a multiple of 4 */
    int32_t *first, *count;
    int32_t
        *start; /* half a unit, for rounding, and what the page beyond the picture's edges adds */
    int32_t *weight;
    int16_t *high, *low; /* the same weights for kernels that multiply 16 bits */
    void *memory;
    size_t room;
};

/* Nothing is done when the axis already is this one. On failure it is empty, but may be used again. */
int fv__resample_axis_set(struct fv_resample_axis *a, int in, float from, float to, int out);
void fv__resample_axis_free(struct fv_resample_axis *a); /* accepts a zeroed one */

#endif
