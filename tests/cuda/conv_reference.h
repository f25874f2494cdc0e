/* SPDX-License-Identifier: MIT */
/* What each graph of conv_key.h means, by loops in double over n, y, x, channel. An activated input is rounded to the
 * storage type, in which the graph hands it on. */
#ifndef FV_TESTS_CONV_REFERENCE_H
#define FV_TESTS_CONV_REFERENCE_H

#include "trainer/cuda/conv_key.h"

enum fv_low_dtype conv_reference_type(const struct fv_conv_key *k, enum fv_conv_role role);
size_t conv_reference_count(const struct fv_conv_key *k, enum fv_conv_role role);
int conv_reference_is_output(const struct fv_conv_key *k, enum fv_conv_role role);
/* The tensor that the convolution itself makes. */
enum fv_conv_role conv_reference_made(const struct fv_conv_key *k);
/* value[role]: what is read, and room for that tensor, which is not rounded. size: the sums of the absolute terms,
 * which rounding is measured by. */
void conv_reference(const struct fv_conv_key *k, double *const value[FV_CONV_ROLES],
                    double *const size[FV_CONV_ROLES]);
/* The other outputs, of that tensor as it stands. */
void conv_reference_sums(const struct fv_conv_key *k, double *const value[FV_CONV_ROLES],
                         double *const size[FV_CONV_ROLES]);

#endif
