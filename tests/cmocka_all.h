/* SPDX-License-Identifier: MIT */
/* cmocka needs these headers before its own, in this order. */
#ifndef FV_TESTS_CMOCKA_ALL_H
#define FV_TESTS_CMOCKA_ALL_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
