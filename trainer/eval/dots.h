/* SPDX-License-Identifier: MIT */
/* Inner products of many rows with many rows: the one inner loop of all-against-all scoring.
 *
 * Columns are packed into panels of FV_DOTS_COLUMNS, so that one load takes one number of each; a call computes
 * FV_DOTS_ROWS rows by one panel over the whole dimension, its sums in registers. Sums run over the dimension in order,
 * in float32: with FMA where the processor has it, so that results differ in the last bits between the two.
 */
#ifndef FV_TRAINER_DOTS_H
#define FV_TRAINER_DOTS_H

#include <stddef.h>

enum { FV_DOTS_ROWS = 6, FV_DOTS_COLUMNS = 16 };

/* out[r * stride + c] = the inner product of row[r] and column c of the panel (dim, FV_DOTS_COLUMNS), 32-byte
 * aligned. */
typedef void fv_dots_fn(const float *const row[FV_DOTS_ROWS], const float *panel, int dim,
                        float *out, size_t stride);

/* The best one for this processor (common/cpu.h). */
fv_dots_fn *fv__dots_choose(void);
fv_dots_fn fv__dots_c, fv__dots_avx2;

/* Bytes of n rows in panels; and the packing of them, the last panel filled up with zeros. */
size_t fv__dots_panel_bytes(size_t n, int dim);
void fv__dots_pack(float *panels, const float *v, size_t n, int dim);

#endif
