/* SPDX-License-Identifier: MIT */
/* Saved settings, "name = value" a line, held against those of a run that is to go on (internal to trainer/).
 *
 * A program gets new options, and a run that began before them must go on all the same. So an option that a text does
 * not have counts as having its default; as the default of that time, where today's is another (the table in
 * settings_text.c).
 */
#ifndef FV_TRAINER_SETTINGS_TEXT_H
#define FV_TRAINER_SETTINGS_TEXT_H

#include <stddef.h>

enum { FV_SETTINGS_LINE = 200 };
struct fv_settings_difference {
    char was[FV_SETTINGS_LINE], is[FV_SETTINGS_LINE]; /* "name = value", or "nothing" */
};

/* Whether one line means another thing in both; `usual` has the defaults ("": none are known). The first in the order
 * of `was`, then of `is`. */
int fv__settings_differ(const char *was, const char *is, const char *usual,
                        struct fv_settings_difference *out);

#endif
