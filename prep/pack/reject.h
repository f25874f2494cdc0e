/* SPDX-License-Identifier: MIT */
/* Why a file is not in the data set: a code for programs, a sentence for people.
 *
 * libvips keeps one error text for all threads, so a message read from it may belong to another
 * file. Reasons are therefore our own; where a file was refused decides which one it is.
 */
#ifndef FV_PREP_REJECT_H
#define FV_PREP_REJECT_H

enum fv_reject {
    FV_REJECT_NONE,
    /* found while looking through the folders */
    FV_REJECT_NO_IDENTITY,
    FV_REJECT_BAD_NAME,
    FV_REJECT_FOLDER,
    FV_REJECT_SPECIAL,
    FV_REJECT_LINK_LOOP,
    FV_REJECT_LINK_DANGLING,
    FV_REJECT_TOO_DEEP,
    FV_REJECT_UNREADABLE,
    FV_REJECT_EMPTY,
    /* found while decoding */
    FV_REJECT_FILE_TOO_LARGE,
    FV_REJECT_NOT_IMAGE,
    FV_REJECT_UNSUPPORTED,
    FV_REJECT_BAD_HEADER,
    FV_REJECT_TOO_SMALL,
    FV_REJECT_TOO_MANY_PIXELS,
    FV_REJECT_PIXEL_TYPE,
    FV_REJECT_TRUNCATED,
    FV_REJECT_DAMAGED,
    FV_REJECT_COLOUR,
    FV_REJECT_NO_FACE,
    FV_REJECT_BAD_FACE,
    /* found on the way in, by any layout */
    FV_REJECT_LFS_POINTER,
    FV_REJECT_MISSING,
    FV_REJECT_OUTSIDE,
    FV_REJECT_BAD_RECORD,
    FV_REJECT_BAD_LABEL,
    /* not refused: passed over without being meant as a photo */
    FV_IGNORE_HIDDEN,
    FV_IGNORE_NOT_PHOTO,
    FV_IGNORE_TEST,
    FV_IGNORE_UNLABELLED,
    /* packed all the same, but worth a remark */
    FV_REMARK_SUFFIX,
    FV_REJECTS
};

#define FV_REFUSAL_DETAIL 160
struct fv_refusal {
    enum fv_reject why;
    char detail
        [FV_REFUSAL_DETAIL]; /* what was seen in this file: numbers, a format, a system error; may be "" */
};

const char *fv__reject_code(enum fv_reject why);     /* "truncated" */
enum fv_reject fv__reject_of_code(const char *code); /* FV_REJECT_NONE for an unknown one */
const char *fv__reject_sentence(enum fv_reject why); /* "the file ends before its picture does" */

/* Fills *r and returns 1, the "refused" of this module's functions. Control bytes become '?': the detail stands in
 * lists. */
int fv__refuse(struct fv_refusal *r, enum fv_reject why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
