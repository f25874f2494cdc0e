/* SPDX-License-Identifier: MIT */
/* Twelve sums of eight in registers, two loads and six broadcasts for twelve FMAs. */
#include "trainer/eval/dots.h"

#include <immintrin.h>

#define ROW(r)                                                                                     \
    do {                                                                                           \
        const __m256 x = _mm256_broadcast_ss(row[r] + k);                                          \
        s##r##0 = _mm256_fmadd_ps(x, b0, s##r##0);                                                 \
        s##r##1 = _mm256_fmadd_ps(x, b1, s##r##1);                                                 \
    } while (0)
#define STORE(r)                                                                                   \
    do {                                                                                           \
        _mm256_storeu_ps(out + (r)*stride, s##r##0);                                               \
        _mm256_storeu_ps(out + (r)*stride + 8, s##r##1);                                           \
    } while (0)

void fv__dots_avx2(const float *const row[FV_DOTS_ROWS], const float *panel, int dim, float *out,
                   size_t stride)
{
    __m256 s00 = _mm256_setzero_ps(), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00,
           s30 = s00, s31 = s00, s40 = s00, s41 = s00, s50 = s00, s51 = s00;

    for (int k = 0; k < dim; k++, panel += FV_DOTS_COLUMNS) {
        const __m256 b0 = _mm256_load_ps(panel), b1 = _mm256_load_ps(panel + 8);
        ROW(0);
        ROW(1);
        ROW(2);
        ROW(3);
        ROW(4);
        ROW(5);
    }
    STORE(0);
    STORE(1);
    STORE(2);
    STORE(3);
    STORE(4);
    STORE(5);
}
