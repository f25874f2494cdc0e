/* SPDX-License-Identifier: MIT */
/* The one flag through which a signal handler reaches every job of this module. */
#include "prep/prep.h"

volatile sig_atomic_t fv_prep_stop;
