/* SPDX-License-Identifier: MIT */
/* The list of what did not get in, for people and scripts: <path> TAB <reason> TAB <detail>, one file a line.
 *
 * Lines that begin with '#' are remarks: the head, what was passed over without being meant as a photo, and
 * photos that are packed but not what their names say. In paths a tab, a line break and a backslash are
 * written \t, \n, \r and \\, other control bytes \x1b and so on: here, and on the console, which a file's
 * name must not command. A path that begins with '#' is written with \x23.
 */
#ifndef FV_PREP_REJECTS_H
#define FV_PREP_REJECTS_H

#include "common/fs.h"
#include "common/report.h"
#include "prep/listing.h"

struct fv_rejects {
    struct fv_file file;
    const struct fv_report *report;
    int strict; /* a refused file is an error */
    uint64_t n;
};

int fv__rejects_open(struct fv_rejects *r, const char *path, int strict,
                     const struct fv_report *report);
/* Names the file and its reason to the user, and lists it. With strict: FV_ECORRUPT. */
int fv__rejects_add(struct fv_rejects *r, const char *name, const struct fv_refusal *why);
/* A line of its own that is no refusal: "# <word> TAB <path> TAB <reason>". */
int fv__rejects_remark(struct fv_rejects *r, const char *word, const char *name,
                       const struct fv_refusal *why);
int fv__rejects_ignored(struct fv_rejects *r, const struct fv_notes *ignored);
int fv__rejects_commit(struct fv_rejects *r);
void fv__rejects_discard(struct fv_rejects *r); /* accepts a committed or zeroed one */

#endif
