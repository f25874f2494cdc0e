/* SPDX-License-Identifier: MIT */
/* Files as fv writes and reads them: whole or not at all.
 *
 * A file under construction has the name "<path>.tmp-<pid>"; fv_file_commit flushes it to the disk,
 * renames it to <path> and flushes the folder, so that a crash leaves the old file or the new one.
 */
#ifndef FV_COMMON_FS_H
#define FV_COMMON_FS_H

#include <stddef.h>
#include <stdio.h>

struct fv_file {
    FILE *f; /* write here */
    char *path, *tmp;
};

/* FV_EEXIST when <path> is there and not a regular file: a folder, a device. */
int fv_file_create(struct fv_file *file, const char *path);
/* As above, under the name "<path>.part": one that a killed run left behind is replaced by the next run. For files
 * that no two programs write at once. */
int fv_file_create_part(struct fv_file *file, const char *path);
int fv_file_commit(struct fv_file *file);   /* on failure the temporary file is removed */
void fv_file_discard(struct fv_file *file); /* accepts a committed or zeroed one */
/* What ends a writer: commits where rc is no error, else discards; the first error of the two. */
int fv_file_end(struct fv_file *file, int rc);

/* Replaces `path` by the given bytes, as above. */
int fv_file_write(const char *path, const void *data, size_t n);
/* Reads a whole regular file of at most `limit` bytes; NUL-terminated for convenience. Free *data. */
int fv_file_read(const char *path, size_t limit, char **data, size_t *n);
/* Whether the path leads to a folder, through links too. */
int fv_is_folder(const char *path);
/* Creates a folder and those above it. */
int fv_mkdirs(const char *path);
/* fsync on the folder that holds `path`. */
int fv_sync_parent(const char *path);

/* Whether two paths name one place, be there anything or not: "a" and "./a". Links at the place itself are two. */
int fv_same_place(const char *a, const char *b);

/* snprintf into fresh memory, NULL when out of memory. Free it. */
char *fv_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
