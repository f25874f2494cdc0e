/* SPDX-License-Identifier: MIT */
/* Pixels as a JPEG file in memory, for pages and other programs: what codec jpeg would store. */
#ifndef FV_STORE_JPEG_FILE_H
#define FV_STORE_JPEG_FILE_H

#include <stddef.h>
#include <stdint.h>

/* rgb: (height, width, 3). quality: 1 to 100. The file of *n bytes is the caller's to free. */
int fv_jpeg_file_make(uint8_t **file, size_t *n, const uint8_t *rgb, int width, int height,
                      int quality);

#endif
