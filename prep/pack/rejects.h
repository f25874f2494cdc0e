/* SPDX-License-Identifier: MIT */
/* The list of what did not get in, for people and scripts: <path> TAB <reason> TAB <detail>, one file a line.
 *
 * Lines that begin with '#' are remarks: the head, what was passed over without being meant as a photo, photos
 * that are packed but not what their names say, and identities of few images ("# few-images", name, number).
 * Paths are written as in prep/import/plain_name.h.
 */
#ifndef FV_PREP_REJECTS_H
#define FV_PREP_REJECTS_H

#include "common/fs.h"
#include "common/report.h"
#include "prep/import/listing.h"

struct fv_rejects {
    struct fv_file file;
    const struct fv_report *report;
    uint64_t n, count[FV_REJECTS]; /* refused files: all, by reason */
    char *first;                   /* a sentence on the first one */
};

int fv__rejects_open(struct fv_rejects *r, const char *path, const struct fv_report *report);
/* Names the file and its reason to the user, and lists it. */
int fv__rejects_add(struct fv_rejects *r, const char *name, const struct fv_refusal *why);
/* A line of its own that is no refusal: "# <word> TAB <path> TAB <reason>". */
int fv__rejects_remark(struct fv_rejects *r, const char *word, const char *name,
                       const struct fv_refusal *why);
int fv__rejects_few(struct fv_rejects *r, const char *identity, size_t images);
int fv__rejects_ignored(struct fv_rejects *r, const struct fv_notes *ignored);
int fv__rejects_commit(struct fv_rejects *r);
void fv__rejects_close(
    struct fv_rejects *r); /* accepts a zeroed one; an uncommitted list is dropped */

#endif
