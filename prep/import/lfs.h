/* SPDX-License-Identifier: MIT */
/* Git-LFS leaves a small text in place of a file that was not fetched. */
#ifndef FV_PREP_LFS_H
#define FV_PREP_LFS_H

#include <stddef.h>
#include <stdint.h>

#define FV_LFS_SENTENCE "is a Git-LFS pointer, not the file itself: fetch it with 'git lfs pull'"

int fv__lfs_is_pointer(const uint8_t *p, size_t n);
int fv__lfs_is_pointer_file(int fd); /* reads at its start, without moving */

#endif
