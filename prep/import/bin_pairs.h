/* SPDX-License-Identifier: MIT */
/* InsightFace's verification sets (lfw.bin, cfp_fp.bin, ...): a pickle of (images, same), where images 2i and
 * 2i + 1 are a pair and same[i] says whether they show one person.
 */
#ifndef FV_PREP_BIN_PAIRS_H
#define FV_PREP_BIN_PAIRS_H

#include <stddef.h>
#include <stdint.h>

struct fv_bin_image {
    uint64_t at, bytes; /* an encoded image in the file */
};

struct fv_bin_pairs {
    struct fv_bin_image *image; /* (2 * pairs) */
    uint8_t *same;              /* (pairs) */
    size_t pairs;
    int latin1; /* the images are Latin-1 text written as UTF-8 (common/pickle.h) */
};

/* From the bytes of a whole file. FV_ECORRUPT names the file and what is wrong; FV_ENOMEM. */
int fv__bin_parse(struct fv_bin_pairs *out, const uint8_t *bytes, size_t n, const char *name);
void fv__bin_free(struct fv_bin_pairs *b); /* accepts a zeroed one */

/* Latin-1 text written as UTF-8 back to bytes, in place: their number, or -1 when it is none. */
long long fv__bin_from_latin1(uint8_t *p, size_t n);

#endif
