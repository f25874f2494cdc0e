/* SPDX-License-Identifier: MIT */
/* How much memory this process holds, and how much it may come to hold. */
#ifndef FV_COMMON_MEMORY_H
#define FV_COMMON_MEMORY_H

#include <stdint.h>

/* `root` is put before /proc and /sys: "" but in tests. Bytes; 0: not known. */
uint64_t fv_memory_resident(const char *root);
/* The least of what the machine has left beside this process, and of the limit of its control group and of every one
 * above it (version 2). */
uint64_t fv_memory_limit(const char *root);

#endif
