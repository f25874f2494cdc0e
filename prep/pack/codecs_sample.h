/* SPDX-License-Identifier: MIT */
/* Some images to try codecs on: of photos as they would be packed, or of a data set. */
#ifndef FV_PREP_CODECS_SAMPLE_H
#define FV_PREP_CODECS_SAMPLE_H

#include "prep/prep.h"

#include <stddef.h>
#include <stdint.h>

struct fv_codecs_file { /* of a photo that may stay as it is; {NULL, 0} for others */
    uint8_t *p;
    size_t n;
};

struct fv_codecs_sample {
    int width, height;
    size_t n;
    uint8_t *rgb; /* (n, height, width, 3) and FV_DECODE_PAD bytes */
    struct fv_codecs_file *file;
    uint64_t images; /* how many there are in all: of photos as many as the sample lets expect */
};

/* Takes images spread evenly over the input. FV_ENOTFOUND when there is no usable one. */
int fv__codecs_sample_take(struct fv_codecs_sample *out, const struct fv_codecs_settings *s,
                           const char *input, const struct fv_report *r);
void fv__codecs_sample_free(struct fv_codecs_sample *s); /* accepts a zeroed one */

#endif
