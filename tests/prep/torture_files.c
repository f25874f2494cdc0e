/* SPDX-License-Identifier: MIT */
#include "tests/prep/torture_files.h"

#include "tests/cmocka_all.h"
#include "tests/prep/crc32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

void bytes_put(struct bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->p = realloc(b->p, b->room);
        assert_non_null(b->p);
    }
    if (n)
        memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void put8(struct bytes *b, int v)
{
    bytes_put(b, &(uint8_t){(uint8_t)v}, 1);
}

static void put_le(struct bytes *b, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        put8(b, (int)(v >> (8 * i) & 255));
}

static void put_be32(struct bytes *b, uint32_t v)
{
    for (int i = 24; i >= 0; i -= 8)
        put8(b, (int)(v >> i & 255));
}

static int gradient(uint32_t x, uint32_t y)
{
    return (int)((x * 2 + y * 3) % 200 + 20);
}

/* --- PNG ------------------------------------------------------------------------------------------ */

static void put_chunk(struct bytes *b, const char *type, const struct bytes *data)
{
    put_be32(b, (uint32_t)data->n);
    const size_t from = b->n;
    bytes_put(b, type, 4);
    bytes_put(b, data->p, data->n);
    put_be32(b, crc32_of(b->p + from, b->n - from));
}

static void begin_png(struct bytes *b, uint32_t w, uint32_t h, int depth, int colour,
                      int interlaced)
{
    struct bytes head = {0};
    bytes_put(b, "\x89PNG\r\n\x1a\n", 8);
    put_be32(&head, w);
    put_be32(&head, h);
    put8(&head, depth);
    put8(&head, colour);
    put_le(&head, 0, 2);
    put8(&head, interlaced);
    put_chunk(b, "IHDR", &head);
    free(head.p);
}

static void end_png(struct bytes *b, struct bytes *idat)
{
    if (idat->n)
        put_chunk(b, "IDAT", idat);
    put_chunk(b, "IEND", &(struct bytes){0});
    free(idat->p);
}

static uint32_t adler(const uint8_t *p, size_t n)
{
    uint32_t a = 1, c = 0;
    for (size_t i = 0; i < n; i++) {
        a = (a + p[i]) % 65521;
        c = (c + a) % 65521;
    }
    return c << 16 | a;
}

static void deflate_stored(struct bytes *to, const struct bytes *from)
{
    put8(to, 0x78);
    put8(to, 1);
    for (size_t at = 0; at < from->n;) {
        const size_t n = from->n - at < 65535 ? from->n - at : 65535;
        put8(to, at + n == from->n);
        put_le(to, (uint32_t)n, 2);
        put_le(to, ~(uint32_t)n, 2);
        bytes_put(to, from->p + at, n);
        at += n;
    }
    put_be32(to, adler(from->p, from->n));
}

struct bits {
    struct bytes *to;
    uint32_t value;
    int n;
};

/* Huffman codes begin with their highest bit. */
static void put_code(struct bits *b, unsigned code, int length)
{
    for (int i = length - 1; i >= 0; i--) {
        b->value |= (code >> i & 1) << b->n;
        if (++b->n == 8) {
            put8(b->to, (int)b->value);
            b->value = 0;
            b->n = 0;
        }
    }
}

/* n zeros by deflate's fixed code: a literal, then copies of 258 bytes in 13 bits each. */
static void deflate_zeros(struct bytes *to, uint64_t n)
{
    struct bits b = {to, 0, 0};
    uint64_t left = n;
    put8(to, 0x78);
    put8(to, 1);
    put_code(&b, 1, 1);      /* the last block, */
    put_code(&b, 1 << 1, 2); /* fixed codes: 01, its lowest bit first */
    for (; left % 258 || left == n; left--)
        put_code(&b, 0x30, 8);
    for (; left; left -= 258) {
        put_code(&b, 0xc5, 8); /* length 258 */
        put_code(&b, 0, 5);    /* distance 1 */
    }
    put_code(&b, 0, 7);
    put_code(&b, 0, (8 - b.n) % 8);
    put_be32(to, (uint32_t)(n % 65521) << 16 | 1);
}

static int channels(int colour)
{
    return colour == 0 ? 1 : colour == 2 ? 3 : colour == 4 ? 2 : 4;
}

void make_png(struct bytes *b, uint32_t w, uint32_t h, int depth, int colour)
{
    struct bytes rows = {0}, idat = {0};
    for (uint32_t y = 0; y < h; y++) {
        put8(&rows, 0);
        for (uint32_t x = 0; x < w; x++)
            for (int c = 0; c < channels(colour); c++) {
                put8(&rows, gradient(x, y) + c);
                if (depth == 16)
                    put8(&rows, gradient(y, x));
            }
    }
    deflate_stored(&idat, &rows);
    free(rows.p);
    begin_png(b, w, h, depth, colour, 0);
    end_png(b, &idat);
}

static uint64_t rows_bytes(uint64_t w, uint64_t h, int depth, int colour)
{
    return w && h ? h * (1 + w * (uint64_t)(channels(colour) * depth / 8)) : 0;
}

void make_black_png(struct bytes *b, uint32_t w, uint32_t h, int depth, int colour, int interlaced)
{
    static const struct {
        uint32_t x, y, dx, dy;
    } pass[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    struct bytes idat = {0};
    uint64_t n = 0;
    for (int i = 0; interlaced && i < 7; i++)
        n += rows_bytes((w - pass[i].x + pass[i].dx - 1) / pass[i].dx,
                        (h - pass[i].y + pass[i].dy - 1) / pass[i].dy, depth, colour);
    deflate_zeros(&idat, interlaced ? n : rows_bytes(w, h, depth, colour));
    begin_png(b, w, h, depth, colour, interlaced);
    end_png(b, &idat);
}

void make_png_with_large_chunk(struct bytes *b, const char *type, size_t unpacked)
{
    struct bytes text = {0}, rows = {0}, idat = {0};
    bytes_put(&text, "name\0\0", 6);
    deflate_zeros(&text, unpacked);
    begin_png(b, 16, 16, 8, 0, 0);
    put_chunk(b, type, &text);
    for (int i = 0; i < 16 * 17; i++)
        put8(&rows, 0);
    deflate_stored(&idat, &rows);
    end_png(b, &idat);
    free(text.p);
    free(rows.p);
}

void make_png_header(struct bytes *b, uint32_t w, uint32_t h)
{
    struct bytes idat = {0};
    deflate_zeros(&idat, 3 * (uint64_t)w + 1);
    begin_png(b, w, h, 8, 2, 0);
    end_png(b, &idat);
}

/* --- JPEG ----------------------------------------------------------------------------------------- */

/* As many as the format allows: each coefficient alone, and then each of its lowest bits. */
static int many_scans(jpeg_scan_info *scan)
{
    enum { REFINED = 4 };
    int n = 0;
    for (int low = REFINED; low >= 0; low--) {
        const int high = low == REFINED ? 0 : low + 1;
        scan[n++] = (jpeg_scan_info){3, {0, 1, 2, 0}, 0, 0, high, low};
        for (int c = 0; c < 3; c++)
            for (int k = 1; k < 64; k++)
                scan[n++] = (jpeg_scan_info){1, {c, 0, 0, 0}, k, k, high, low};
    }
    return n;
}

void make_jpeg(struct bytes *b, int w, int h, enum jpeg_kind kind)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr err;
    static jpeg_scan_info scan[5 * 190];
    unsigned char *file = NULL;
    unsigned long n = 0;
    const int parts = kind == JPEG_CMYK ? 4 : kind == JPEG_GREY ? 1 : 3;
    uint8_t *row = malloc((size_t)w * (size_t)parts);

    c.err = jpeg_std_error(&err);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &file, &n);
    c.image_width = (JDIMENSION)w;
    c.image_height = (JDIMENSION)h;
    c.input_components = parts;
    c.in_color_space = parts == 4 ? JCS_CMYK : parts == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&c);
    if (kind == JPEG_PROGRESSIVE)
        jpeg_simple_progression(&c);
    if (kind == JPEG_MANY_SCANS) {
        c.num_scans = many_scans(scan);
        c.scan_info = scan;
    }
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++)
            for (int k = 0; k < parts; k++)
                row[x * parts + k] = (uint8_t)(gradient((uint32_t)x, (uint32_t)y) + k);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    bytes_put(b, file, n);
    free(file);
    free(row);
}

void patch_jpeg_size(struct bytes *b, int w, int h)
{
    for (size_t i = 2; i + 9 < b->n; i++)
        if (b->p[i] == 0xff && b->p[i + 1] >= 0xc0 && b->p[i + 1] <= 0xc2) {
            b->p[i + 5] = (uint8_t)(h >> 8);
            b->p[i + 6] = (uint8_t)h;
            b->p[i + 7] = (uint8_t)(w >> 8);
            b->p[i + 8] = (uint8_t)w;
            return;
        }
    fail_msg("no frame header");
}

/* --- GIF ------------------------------------------------------------------------------------------ */

void make_gif_header(struct bytes *b, int w, int h)
{
    bytes_put(b, "GIF89a", 6);
    put_le(b, (uint32_t)w, 2);
    put_le(b, (uint32_t)h, 2);
    put8(b, 0xf6); /* 128 colours */
    put_le(b, 0, 2);
    for (int i = 0; i < 128; i++)
        for (int k = 0; k < 3; k++)
            put8(b, 2 * i);
}

/* Codes of 8 bits: the table is cleared before it grows to need 9. */
static void put_gif_frame(struct bytes *b, int w, int h, int colour)
{
    struct bytes data = {0};
    bytes_put(b, "\x21\xf9\x04\0\x0a\0\0\0", 8); /* shown for 0.1 s */
    put8(b, 0x2c);
    put_le(b, 0, 4);
    put_le(b, (uint32_t)w, 2);
    put_le(b, (uint32_t)h, 2);
    put8(b, 0);
    put8(b, 7);
    for (int i = 0; i < w * h; i++) {
        if (i % 100 == 0)
            put8(&data, 128);
        put8(&data, colour);
    }
    put8(&data, 129);
    for (size_t at = 0; at < data.n;) {
        const size_t n = data.n - at < 255 ? data.n - at : 255;
        put8(b, (int)n);
        bytes_put(b, data.p + at, n);
        at += n;
    }
    put8(b, 0);
    free(data.p);
}

void make_gif(struct bytes *b, int w, int h, int frames)
{
    make_gif_header(b, w, h);
    for (int k = 0; k < frames; k++)
        put_gif_frame(b, w, h, (40 * k + 20) / 2 % 128);
    put8(b, 0x3b);
}

/* --- TIFF and PNM --------------------------------------------------------------------------------- */

void make_tiff(struct bytes *b, uint32_t w, uint32_t h, size_t have)
{
    const struct {
        uint16_t tag, type;
        uint32_t value;
    } field[] = {
        {256, 4, w},     /* width */
        {257, 4, h},     /* height */
        {258, 3, 8},     /* bits */
        {259, 3, 1},     /* no compression */
        {262, 3, 1},     /* black is zero */
        {273, 4, 8},     /* where the strip is */
        {277, 3, 1},     /* samples a pixel */
        {278, 4, h},     /* rows a strip */
        {279, 4, w * h}, /* bytes of the strip */
    };
    const uint32_t fields = sizeof field / sizeof *field;
    bytes_put(b, "II*\0", 4);
    put_le(b, (uint32_t)(8 + have + have % 2), 4);
    for (size_t i = 0; i < have; i++)
        put8(b, gradient((uint32_t)(i % w), (uint32_t)(i / w)));
    if (have % 2)
        put8(b, 0);
    put_le(b, fields, 2);
    for (uint32_t i = 0; i < fields; i++) {
        put_le(b, field[i].tag, 2);
        put_le(b, field[i].type, 2);
        put_le(b, 1, 4);
        put_le(b, field[i].value, 4);
    }
    put_le(b, 0, 4);
}

void make_pnm(struct bytes *b, int w, int h, int colours)
{
    char head[64];
    bytes_put(b, head,
              (size_t)snprintf(head, sizeof head, "P%d\n%d %d\n255\n", colours == 3 ? 6 : 5, w, h));
    for (int i = 0; i < w * h * colours; i++)
        put8(b, gradient((uint32_t)(i % w), (uint32_t)(i / w)));
}
