/* SPDX-License-Identifier: MIT */
/* A JPEG file as a row of segments, looked at without decoding it. */
#ifndef FV_STORE_JPEG_SEGMENTS_H
#define FV_STORE_JPEG_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

/* Copies a file without what its picture does not need: EXIF, ICC and other application segments but JFIF's and
 * Adobe's (they say what the colours are), and comments. 1 and at most room bytes with their number in *n; 0 when
 * the file is no Huffman-coded JPEG of 8 bits or does not fit. What stands behind the first scan's header is
 * copied as it is. */
int fv__jpeg_strip(const uint8_t *file, size_t bytes, uint8_t *out, size_t room, size_t *n);

#endif
