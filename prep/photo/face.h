/* SPDX-License-Identifier: MIT */
/* Where the face is in a photo, as far as a list beside the photos tells. */
#ifndef FV_PREP_FACE_H
#define FV_PREP_FACE_H

#include <stdint.h>

struct fv_face {
    uint8_t has_box, has_points;
    float box[4];      /* left, top, width, height; in pixels of the upright photo */
    float point[5][2]; /* left eye, right eye, nose, left and right corner of the mouth (as seen) */
};

#endif
