/* SPDX-License-Identifier: MIT */
/* The kernels of resizing, for one instruction set. All give the same bytes. */
#ifndef FV_PREP_RESAMPLE_DSP_H
#define FV_PREP_RESAMPLE_DSP_H

#include "prep/photo/resample_axis.h"

struct fv_resample_dsp {
    /* n rows of a->in RGB pixels to rows of a->out. Each input row has FV_RESAMPLE_PAD readable bytes after it;
     * the 4 bytes after an output row may be overwritten. */
    void (*across)(uint8_t *out, size_t out_stride, const uint8_t *in, size_t in_stride, int n,
                   const struct fv_resample_axis *a);
    /* Output row i of `a` from the rows under its filter, the first of which is `in`. Of each row, and of one
     * row more, `bytes` rounded up to 32 are readable; exactly `bytes` are written. */
    void (*down)(uint8_t *out, int bytes, const uint8_t *in, size_t in_stride,
                 const struct fv_resample_axis *a, int i);
};

/* The fastest that fv_cpu_flags() allows. */
void fv__resample_dsp_init(struct fv_resample_dsp *d);
void fv__resample_dsp_init_avx2(struct fv_resample_dsp *d); /* resample_avx2.c */

#endif
