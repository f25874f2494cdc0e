/* SPDX-License-Identifier: MIT */
/* An LMDB file under construction: values are put, nothing is changed or removed, and the bytes of the file are a
 * function of what is put.
 *
 * It is built as "<path>.part" and gets its name when all of it is on the disk. What is committed stays when a
 * run ends before that, in whatever way, and another run goes on with it: then too the bytes are those of one run.
 * LMDB runs without its lock file: an flock on the partial file keeps a second writer away and vanishes with the
 * process, so what a killed run left behind is no obstacle.
 */
#ifndef FV_STORE_APPEND_FILE_H
#define FV_STORE_APPEND_FILE_H

#include "store/record.h"

#include <stddef.h>

/* LMDB keeps the length of a value in 32 bits. */
#define FV_VALUE_MAX ((size_t)UINT32_MAX - (1 << 20))

struct fv_append_file;

/* Begins anew: an older partial file is emptied. An existing <path> is FV_EEXIST unless overwrite; so is one that
 * another program is writing. */
int fv__append_file_create(struct fv_append_file **out, const char *path, int overwrite);
/* Goes on with what an earlier run committed, as long as that is sound. FV_ENOTFOUND when there is none,
 * FV_ECORRUPT when it is damaged; the partial file is left as it is. */
int fv__append_file_resume(struct fv_append_file **out, const char *path, int overwrite);
/* Before each commit: a negative code from it ends the writing. */
void fv__append_file_before_commit(struct fv_append_file *f, int (*fn)(void *ctx), void *ctx);
/* How much is committed at once. Part of what the bytes are a function of: for tests. */
void fv__append_file_set_grain(struct fv_append_file *f, size_t bytes);

/* 1 and the value, which is valid until the next put; 0 when there is none. */
int fv__append_file_get(struct fv_append_file *f, struct fv_span key, struct fv_span *value);
int fv__append_file_count(struct fv_append_file *f, uint64_t *values);

/* FV_EFULL when the disk is; after any failure nothing but close is left to do. */
int fv__append_file_put(struct fv_append_file *f, struct fv_span key, struct fv_span value);
/* Commits when enough has been put since the last time. */
int fv__append_file_cut(struct fv_append_file *f);
/* What is put from here on, at most so many bytes, is committed at once and by finish. */
int fv__append_file_begin_last(struct fv_append_file *f, size_t bytes);
/* Commits, flushes and renames; close follows in any case. */
int fv__append_file_finish(struct fv_append_file *f);

/* Leaves the partial file when something was committed to it, else removes it. Accepts NULL; leaves the error
 * sentence alone. */
void fv__append_file_close(struct fv_append_file **f);
void fv__append_file_discard(struct fv_append_file **f); /* removes it in any case */

#endif
