/* SPDX-License-Identifier: MIT */
/* The table of reasons. Codes are read by people's scripts: append, never rename. */
#include "prep/pack/reject.h"

#include "prep/import/lfs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *code, *sentence;
} reasons[FV_REJECTS] = {
    [FV_REJECT_NONE] = {"none", "not refused"},
    [FV_REJECT_NO_IDENTITY] = {"no-identity", "lies beside the identity folders, not in one"},
    [FV_REJECT_BAD_NAME] = {"bad-name",
                            "its name holds a tab, a line break or another control byte"},
    [FV_REJECT_FOLDER] = {"folder", "is a folder, though named like an image"},
    [FV_REJECT_SPECIAL] = {"special-file", "is a pipe, socket or device, not a file"},
    [FV_REJECT_LINK_LOOP] = {"link-loop",
                             "a link that leads back to itself or to a folder above it"},
    [FV_REJECT_LINK_DANGLING] = {"link-dangling", "a link to something that does not exist"},
    [FV_REJECT_TOO_DEEP] = {"too-deep", "lies too many folders below its identity"},
    [FV_REJECT_UNREADABLE] = {"unreadable", "the system refuses to read it"},
    [FV_REJECT_EMPTY] = {"empty", "has no bytes"},
    [FV_REJECT_FILE_TOO_LARGE] = {"file-too-large", "has more bytes than a photo may have"},
    [FV_REJECT_NOT_IMAGE] = {"not-an-image", "its first bytes are those of no image format"},
    [FV_REJECT_UNSUPPORTED] = {"unsupported-format", "this image format is not read: convert it to "
                                                     "PNG or JPEG"},
    [FV_REJECT_BAD_HEADER] = {"bad-header", "its header is damaged"},
    [FV_REJECT_TOO_SMALL] = {"too-small", "has too few pixels to show a face"},
    [FV_REJECT_TOO_MANY_PIXELS] = {"too-many-pixels",
                                   "its header announces more pixels than a photo "
                                   "may have"},
    [FV_REJECT_PIXEL_TYPE] = {"pixel-type", "its pixels are neither 8 nor 16 bits deep"},
    [FV_REJECT_TRUNCATED] = {"truncated", "ends before its picture does"},
    [FV_REJECT_DAMAGED] = {"damaged", "its picture is damaged or cut short"},
    [FV_REJECT_COLOUR] = {"colour", "its colours cannot be turned into sRGB"},
    [FV_REJECT_LFS_POINTER] = {"lfs-pointer", FV_LFS_SENTENCE},
    [FV_REJECT_MISSING] = {"missing", "is listed, but not there"},
    [FV_REJECT_OUTSIDE] = {"outside", "its path leads out of the photo folder"},
    [FV_REJECT_BAD_RECORD] = {"bad-record", "its record in the container is damaged"},
    [FV_REJECT_BAD_LABEL] = {"bad-label", "its label is no whole number from 0 on"},
    [FV_REJECT_NO_FACE] = {"no-face", "nothing tells where its face is"},
    [FV_REJECT_BAD_FACE] = {"bad-face", "its face is said to be where the photo has none"},
    [FV_IGNORE_HIDDEN] = {"hidden", "its name begins with a dot"},
    [FV_IGNORE_NOT_PHOTO] = {"not-a-photo", "neither its name nor its first bytes are an image's"},
    [FV_IGNORE_TEST] = {"test-of-known", "a test photo of somebody to train on, beside validation "
                                         "photos"},
    [FV_IGNORE_UNLABELLED] = {"unlabelled", "a test photo of nobody known"},
    [FV_REMARK_SUFFIX] = {"wrong-suffix", "its name promises another format than its bytes have"},
};

const char *fv__reject_code(enum fv_reject why)
{
    return reasons[why].code;
}

enum fv_reject fv__reject_of_code(const char *code)
{
    for (int i = FV_REJECT_NONE + 1; i < FV_REJECTS; i++)
        if (strcmp(reasons[i].code, code) == 0)
            return (enum fv_reject)i;
    return FV_REJECT_NONE;
}

const char *fv__reject_sentence(enum fv_reject why)
{
    return reasons[why].sentence;
}

int fv__refuse(struct fv_refusal *r, enum fv_reject why, const char *fmt, ...)
{
    va_list ap;
    r->why = why;
    va_start(ap, fmt);
    vsnprintf(r->detail, sizeof r->detail, fmt, ap);
    va_end(ap);
    for (char *p = r->detail; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    return 1;
}
