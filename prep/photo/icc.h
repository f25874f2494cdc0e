/* SPDX-License-Identifier: MIT */
/* Colour profiles, as far as to know the one that changes nothing. */
#ifndef FV_PREP_ICC_H
#define FV_PREP_ICC_H

#include <stddef.h>
#include <stdint.h>

/* Whether an ICC profile says what sRGB says, to less than one level of 255: its numbers decide, not its name.
 * 0 for a profile that is damaged or works by a lookup table. */
int fv__icc_is_srgb(const uint8_t *profile, size_t n);

#endif
