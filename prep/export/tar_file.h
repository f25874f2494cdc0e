/* SPDX-License-Identifier: MIT */
/* Writes a tar archive (POSIX ustar): regular files of short names, all of one owner and time, so that equal
 * members make equal archives. */
#ifndef FV_PREP_TAR_FILE_H
#define FV_PREP_TAR_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { FV_TAR_BLOCK = 512, FV_TAR_NAME_MAX = 100, FV_TAR_END = 2 * FV_TAR_BLOCK };

struct fv_tar {
    char *path;
    FILE *f;
    uint64_t bytes; /* written; the end takes FV_TAR_END more */
};

int fv__tar_open(struct fv_tar *t, const char *path); /* FV_EIO when it is there already */
/* A name of 1 to FV_TAR_NAME_MAX bytes. */
int fv__tar_add(struct fv_tar *t, const char *name, const void *p, size_t n);
int fv__tar_finish(struct fv_tar *t);
void fv__tar_close(struct fv_tar *t); /* of one that is not finished; accepts a zeroed one */

/* What a member of n bytes takes. */
uint64_t fv__tar_member_bytes(uint64_t n);

#endif
