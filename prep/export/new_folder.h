/* SPDX-License-Identifier: MIT */
/* A folder that appears whole or not at all: filled under the name "<path>.part", flushed, renamed. */
#ifndef FV_PREP_NEW_FOLDER_H
#define FV_PREP_NEW_FOLDER_H

struct fv_new_folder {
    char *path, *part;
    char *mark; /* a file in the part that says whose it is */
    int lock;   /* on it */
    int is_ours;
};

/* An existing <path> is FV_EEXIST unless it is an empty folder; so is a part unless a killed run left it, which is
 * emptied. The part holds one hidden file until it is committed. */
int fv__new_folder_open(struct fv_new_folder *f, const char *path);
/* All in it is on the disk, or this fails: then everything is still in the part. */
int fv__new_folder_commit(struct fv_new_folder *f);
/* Removes the part with all in it; accepts a committed, half-open or zeroed one. */
void fv__new_folder_close(struct fv_new_folder *f);

#endif
