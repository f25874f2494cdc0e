/* SPDX-License-Identifier: MIT */
/* What lies in a photo folder: identities, their files, and what was refused or passed over.
 *
 * The folders on the first level are the identities; images may lie at any depth below. Everything is
 * sorted bytewise, so the result does not depend on the file system.
 *
 *   photo     a regular file (or a link to one) that is named like an image or begins like one
 *   refused   was meant as a photo, but cannot be one: each with its reason (prep/reject.h)
 *   ignored   hidden, or nothing that looks like an image
 */
#ifndef FV_PREP_SCAN_H
#define FV_PREP_SCAN_H

#include "prep/reject.h"

#include <stddef.h>

struct fv_scan_identity {
    char *name;
    size_t first, count; /* its photos: file[first .. first+count-1] */
};

struct fv_scan_note {
    char *name; /* relative to the root */
    struct fv_refusal reason;
};

struct fv_scan_notes {
    struct fv_scan_note *at;
    size_t n, room;
};

struct fv_scan {
    char *root;
    struct fv_scan_identity *identity; /* sorted by name; also those without a photo */
    size_t identities, identity_room;
    char **file; /* relative to the root, sorted within each identity */
    size_t files, file_room;
    struct fv_scan_notes refused, ignored;
};

/* FV_ENOTFOUND when the folder is missing, is no folder or has no identity folders; FV_EINTR on
 * fv_prep_stop. On failure *out is empty. Free with fv__scan_free. */
int fv__scan_folder(struct fv_scan *out, const char *root);
void fv__scan_free(struct fv_scan *s); /* accepts a zeroed one */

#endif
