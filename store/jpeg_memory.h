/* SPDX-License-Identifier: MIT */
/* libjpeg's memory for one image, kept for the next one. By itself libjpeg asks malloc for the tables
 * and rows of each image and gives them back at its end. */
#ifndef FV_STORE_JPEG_MEMORY_H
#define FV_STORE_JPEG_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* jpeglib.h uses FILE */

#include <jpeglib.h>

struct fv_jpeg_memory {
    uint8_t *bytes;
    size_t room,
        used; /* `used`: asked for by the image at hand, more than room where malloc helped out */
    struct jpeg_memory_mgr own; /* libjpeg's functions */
};

/* After jpeg_create_decompress. The object's client_data must point to this memory, such as by the first member of a
 * struct, and it must outlive the object. */
void fv__jpeg_memory_use(struct fv_jpeg_memory *m, struct jpeg_decompress_struct *d);
void fv__jpeg_memory_free(struct fv_jpeg_memory *m);

#endif
