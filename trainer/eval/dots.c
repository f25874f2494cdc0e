/* SPDX-License-Identifier: MIT */
#include "trainer/eval/dots.h"

#include "common/cpu.h"

#include <string.h>

void fv__dots_c(const float *const row[FV_DOTS_ROWS], const float *panel, int dim, float *out,
                size_t stride)
{
    float sum[FV_DOTS_ROWS][FV_DOTS_COLUMNS] = {{0}};

    for (int k = 0; k < dim; k++, panel += FV_DOTS_COLUMNS)
        for (int r = 0; r < FV_DOTS_ROWS; r++)
            for (int c = 0; c < FV_DOTS_COLUMNS; c++)
                sum[r][c] += row[r][k] * panel[c];
    for (int r = 0; r < FV_DOTS_ROWS; r++)
        memcpy(out + (size_t)r * stride, sum[r], sizeof sum[r]);
}

#ifndef FV_TRAINER_AVX2
fv_dots_fn *fv__dots_choose(void)
{
    return fv__dots_c;
}
#else
fv_dots_fn *fv__dots_choose(void)
{
    return fv_cpu_flags() & FV_CPU_AVX2 ? fv__dots_avx2 : fv__dots_c;
}
#endif

size_t fv__dots_panel_bytes(size_t n, int dim)
{
    return (n + FV_DOTS_COLUMNS - 1) / FV_DOTS_COLUMNS * FV_DOTS_COLUMNS * (size_t)dim *
           sizeof(float);
}

void fv__dots_pack(float *panels, const float *v, size_t n, int dim)
{
    for (size_t first = 0; first < n; first += FV_DOTS_COLUMNS)
        for (int k = 0; k < dim; k++)
            for (size_t c = first; c < first + FV_DOTS_COLUMNS; c++)
                *panels++ = c < n ? v[c * (size_t)dim + (size_t)k] : 0;
}
