/* SPDX-License-Identifier: MIT */
/* A few photographs as a data set would hold them: packed by the same code with the settings that the data set says it
 * was packed with, into a temporary file. So a photograph and its packed self have the same embedding. */
#ifndef FV_TOOLS_PHOTO_SET_H
#define FV_TOOLS_PHOTO_SET_H

#include "store/store.h"

#include <stddef.h>

struct photo_set {
    char *folder; /* temporary */
    struct fv_store *store;
    char framing[96]; /* in words */
};

/* like: the data set whose framing is used; NULL: the largest square around the centre, of size pixels. aligned: the
 * photographs are cut to the face already, whatever like says. FV_EINVAL names the photo that cannot be used and why.
 * Image i of the store is photo i. */
int photo_set_open(struct photo_set *set, const char *const *photo, int n,
                   const struct fv_store *like, int size, int aligned);
void photo_set_close(struct photo_set *set); /* removes what is temporary; accepts a zeroed one */

#endif
