/* SPDX-License-Identifier: MIT */
/* Pictures that a data set holds more than once, for people and scripts: <path> TAB <earlier path> TAB <same|other>,
 * one later copy a line. "other": the two stand under two identities, so that at least one label is wrong. Names are
 * written as in the list of refused files; a line that begins with '#' is a remark.
 *
 * Pictures are equal when the content of their records is: the same pixels of the data set's size, whatever the
 * files were.
 */
#ifndef FV_PREP_DUPLICATES_H
#define FV_PREP_DUPLICATES_H

#include "common/fs.h"
#include "common/report.h"
#include "prep/import/listing.h"

struct fv_duplicates {
    struct fv_file file;
    const struct fv_report *report;
    uint64_t same, other; /* later copies, by identity */
    struct fv_seen *seen; /* n of them, room for slots / 2 */
    uint32_t *slot;       /* one more than the place in `seen`; 0: free */
    size_t slots, n;
};

int fv__duplicates_open(struct fv_duplicates *d, const char *path, const struct fv_report *report);
/* The next image: the hash of its content (store/store.h), and the photo, whose names are kept by reference. */
int fv__duplicates_add(struct fv_duplicates *d, uint64_t content,
                       const struct fv_listed_photo *photo);
/* An image that was there before; nothing is said of it. Names are kept by reference. */
int fv__duplicates_know(struct fv_duplicates *d, uint64_t content, const char *name,
                        const char *identity);
int fv__duplicates_commit(struct fv_duplicates *d);
void fv__duplicates_close(
    struct fv_duplicates *d); /* accepts a zeroed one; an uncommitted list is dropped */

#endif
