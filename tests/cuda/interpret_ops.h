/* SPDX-License-Identifier: MIT */
/* Between the files that say what each kind of op computes. */
#ifndef FV_TESTS_INTERPRET_OPS_H
#define FV_TESTS_INTERPRET_OPS_H

#include "tests/cuda/interpret.h"

/* interpret_ops.c. Pixels of the whole batch, of the output and of the input; of one image of the input. */
size_t interp_rows(const struct interp_call *c);
size_t interp_rows_in(const struct interp_call *c);
size_t interp_pixels_in(const struct interp_call *c);
void interp_free_all(int count, float **list);
/* The derivative: for relu and relu6 from z or y alike, for prelu from z, for the sigmoid from y. */
float interp_act_slope(enum fv_low_act act, float v, float slope);
/* Index of the input under tap t of output pixel p of image n, channel k; SIZE_MAX if that is padding. */
size_t interp_under(const struct fv_low_shape *s, size_t n, int p, int t, size_t k);

/* interpret_backward.c */
void interp_run_bn_reduce(struct interp_call *c);
void interp_run_bn_sums(struct interp_call *c);
void interp_run_bn_backward(struct interp_call *c);
void interp_run_act_backward(struct interp_call *c);
void interp_run_scale_reduce(struct interp_call *c);
void interp_run_scale_backward(struct interp_call *c);
void interp_run_bias_grad(struct interp_call *c);
void interp_run_maxpool_backward(struct interp_call *c);
void interp_run_gap_backward(struct interp_call *c);
void interp_run_normalise_backward(struct interp_call *c);

/* interpret_update.c */
void interp_run_loss(struct interp_call *c);
void interp_run_check(struct interp_call *c);
void interp_run_nothing(struct interp_call *c);
void interp_run_optim(struct interp_call *c);
void interp_run_running_update(struct interp_call *c);

#endif
