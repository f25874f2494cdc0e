/* SPDX-License-Identifier: MIT */
/* A folder that appears whole or not at all: filled under the name "<path>.part", flushed, renamed. */
#ifndef FV_PREP_NEW_FOLDER_H
#define FV_PREP_NEW_FOLDER_H

struct fv_new_folder {
    char *path, *part; /* part is NULL unless there is one to fill */
};

/* An existing <path> is FV_EEXIST unless it is an empty folder; so is a part that a killed run left. */
int fv__new_folder_open(struct fv_new_folder *f, const char *path);
/* All in it is on the disk, or this fails: then everything is still in the part. */
int fv__new_folder_commit(struct fv_new_folder *f);
/* Removes the part with all in it; accepts a committed or zeroed one. */
void fv__new_folder_close(struct fv_new_folder *f);

#endif
