/* SPDX-License-Identifier: MIT */
/* Image files made byte by byte, whole or with something wrong, for tests. All grow `b`, which begins zeroed and is
 * freed with free(b->p). Pictures are smooth gradients, or of one value.
 */
#ifndef FV_TESTS_PREP_TORTURE_FILES_H
#define FV_TESTS_PREP_TORTURE_FILES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *p;
    size_t n, room;
};
void bytes_put(struct bytes *b, const void *data, size_t n);

/* Colour types of PNG: 0 grey, 2 RGB, 4 grey with alpha, 6 RGB with alpha. */
void make_png(struct bytes *b, uint32_t w, uint32_t h, int depth, int colour);
/* Black, packed as tightly as deflate can: a thousandth of its pixels' bytes. */
void make_black_png(struct bytes *b, uint32_t w, uint32_t h, int depth, int colour, int interlaced);
/* A PNG whose compressed text (or, "iCCP", profile) has so many bytes when unpacked. */
void make_png_with_large_chunk(struct bytes *b, const char *type, size_t unpacked);
/* A PNG that announces a size and has one row's worth of data. */
void make_png_header(struct bytes *b, uint32_t w, uint32_t h);

enum jpeg_kind { JPEG_BASELINE, JPEG_PROGRESSIVE, JPEG_MANY_SCANS, JPEG_CMYK, JPEG_GREY };
void make_jpeg(struct bytes *b, int w, int h, enum jpeg_kind kind);
/* Overwrites the size in the header. */
void patch_jpeg_size(struct bytes *b, int w, int h);

/* Frame k is of the one grey value 40 * k + 20. */
void make_gif(struct bytes *b, int w, int h, int frames);
void make_gif_header(struct bytes *b, int w, int h);

/* One strip of grey pixels; with fewer bytes than that, `have` of them. */
void make_tiff(struct bytes *b, uint32_t w, uint32_t h, size_t have);

void make_pnm(struct bytes *b, int w, int h, int colours);

#endif
