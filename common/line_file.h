/* SPDX-License-Identifier: MIT */
/* A text file of any size, a line at a time: memory is that of its longest line. */
#ifndef FV_COMMON_LINE_FILE_H
#define FV_COMMON_LINE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { FV_LINE_MOST = 1 << 20 }; /* bytes of a line that are kept */

struct fv_line_file {
    char *line; /* NUL-terminated, without the newline; may hold NULs. Valid until the next one */
    size_t n;   /* its bytes; FV_LINE_MOST of one that is longer, */
    int cut;    /* which this says */
    int ended;  /* by a newline: 0 of a last line that a crash has torn */
    uint64_t bytes; /* read so far, with the newlines */
    size_t room;
    FILE *f;
    char *path;
};

/* FV_ENOTFOUND: there is none; FV_EIO: it cannot be opened, or is no regular file. After a failure too,
 * fv_line_file_close is to be called. */
int fv_line_file_open(struct fv_line_file *l, const char *path);
/* 1: there is a line; 0: there was none left. */
int fv_line_file_next(struct fv_line_file *l);
void fv_line_file_close(struct fv_line_file *l); /* bytes stays; accepts a zeroed one */

#endif
