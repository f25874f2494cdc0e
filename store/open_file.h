/* SPDX-License-Identifier: MIT */
/* The file of a data set before LMDB opens it: that it is there, a whole LMDB file (store/pages.h), and not yet
 * open in this process, for LMDB must not see a file twice.
 */
#ifndef FV_STORE_OPEN_FILE_H
#define FV_STORE_OPEN_FILE_H

#include <stdint.h>
#include <sys/types.h>

/* One of the files that this process has open; zeroed is none. Stays at its address while listed. A child process
 * begins with none: what its parent opened is not for it. */
struct fv_open_file {
    dev_t device;
    ino_t inode;
    pid_t process; /* that listed it; 0: not listed */
    struct fv_open_file *next;
};

/* Checks and lists it; its size in *bytes. FV_ENOTFOUND names the command that makes or finishes it; FV_EEXIST
 * when it is open already. */
int fv__open_file_check(struct fv_open_file *f, const char *path, uint64_t *bytes);
void fv__open_file_release(struct fv_open_file *f); /* accepts one that is not listed */

#endif
