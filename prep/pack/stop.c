/* SPDX-License-Identifier: MIT */
/* The one flag through which a signal handler reaches every job of this module. Atomic, since the handler runs on
 * one thread and the others read it; without a lock, so a handler may write it. */
#include "prep/prep.h"

atomic_int fv_prep_stop;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "written in a signal handler");
