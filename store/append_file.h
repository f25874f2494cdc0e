/* SPDX-License-Identifier: MIT */
/* An LMDB file written once, from front to back, in the order of its keys: pages are filled one after the
 * other, and the bytes of the file are a function of what is put.
 *
 * It is built as "<path>.part" and gets its name when all of it is on the disk. LMDB runs without its lock
 * file: an flock on the partial file keeps a second writer away and vanishes with the process, so what a
 * killed run left behind is no obstacle.
 */
#ifndef FV_STORE_APPEND_FILE_H
#define FV_STORE_APPEND_FILE_H

#include "store/record.h"

#include <stddef.h>

/* LMDB keeps the length of a value in 32 bits. */
#define FV_VALUE_MAX ((size_t)UINT32_MAX - (1 << 20))

struct fv_append_file;

/* An existing <path> is FV_EEXIST unless overwrite; so is one that another program is writing. */
int fv__append_file_create(struct fv_append_file **out, const char *path, int overwrite);
/* FV_EFULL when the disk is; after any failure nothing but close is left to do. */
int fv__append_file_put(struct fv_append_file *f, struct fv_span key, struct fv_span value);
/* The last value, whose key may stand anywhere in the order. */
int fv__append_file_put_last(struct fv_append_file *f, struct fv_span key, struct fv_span value);
/* Flushes and renames; close follows in any case. */
int fv__append_file_finish(struct fv_append_file *f);
/* Removes the partial file of one that is not finished. Accepts NULL; leaves the error sentence alone. */
void fv__append_file_close(struct fv_append_file **f);
#endif
