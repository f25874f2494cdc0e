/* SPDX-License-Identifier: MIT */
/* One row a format. A file is judged by its bytes: the suffix only says that somebody meant it as a
 * photo, so that "holiday.jpg" full of text is refused aloud while "notes.txt" is passed over.
 *
 * Formats that libvips marks as unfit for untrusted input (and those that need ImageMagick) have no
 * loader here. The exception is PNM: the oldest face sets come as .pgm.
 */
#include "prep/photo/format.h"

#include <ctype.h>
#include <string.h>

#define PNG_END "IEND\xae\x42\x60\x82"

/* From the first block on: blocks of sub-blocks, up to the one that says it is the last. What makes no sense is
 * damaged, not cut off. */
static int gif_is_whole(const uint8_t *p, size_t n)
{
    size_t at = 13 + (n > 10 && p[10] & 0x80 ? 6u << (p[10] & 7) : 0);
    while (at < n && (p[at] == 0x21 || p[at] == 0x2c)) {
        if (p[at] == 0x21)
            at += 2;
        else if (at + 9 < n)
            at += 11 + (p[at + 9] & 0x80 ? 6u << (p[at + 9] & 7) : 0);
        else
            return 0;
        while (at < n && p[at])
            at += 1 + (size_t)p[at];
        at++;
    }
    return at < n;
}

static int webp_is_whole(const uint8_t *p, size_t n)
{
    const uint32_t said = p[4] | p[5] << 8 | p[6] << 16 | (uint32_t)p[7] << 24;
    return n - 8 >= said;
}

/* clang-format off */
static const struct fv_format formats[] = {
    {"JPEG", " jpg jpeg jpe jfif ", "jpegload_buffer", {"\xff\xd8\xff"}, 3, "\xff\xd9", 2, NULL},
    {"PNG", " png ", "pngload_buffer", {"\x89PNG\r\n\x1a\n"}, 8, PNG_END, 8, NULL},
    {"PNM", " pgm ppm pnm pbm ", "ppmload_source", {"P1_", "P2_", "P3_", "P4_", "P5_", "P6_"}, 3, NULL, 0, NULL},
    {"WebP", " webp ", "webpload_buffer", {"RIFF????WEBP"}, 12, NULL, 0, webp_is_whole},
    {"TIFF", " tif tiff ", "tiffload_buffer", {"II*\0", "MM\0*"}, 4, NULL, 0, NULL},
    {"GIF", " gif ", "gifload_buffer", {"GIF87a", "GIF89a"}, 6, NULL, 0, gif_is_whole},
    {"HEIF", " heic heif avif ", "heifload_buffer", {"????ftyphei", "????ftypmif", "????ftypavi", "????ftypmsf"},
     11, NULL, 0, NULL},
    {"BMP", " bmp dib ", NULL, {"BM??????\0\0"}, 10, NULL, 0, NULL},
    {"JPEG XL", " jxl ", NULL, {"\0\0\0\x0cJXL "}, 8, NULL, 0, NULL},
    {"JPEG 2000", " jp2 j2k ", NULL, {"\0\0\0\x0cjP  "}, 8, NULL, 0, NULL},
    {"Photoshop", " psd ", NULL, {"8BPS"}, 4, NULL, 0, NULL},
};
/* clang-format on */

#define FORMATS (sizeof formats / sizeof formats[0])

const struct fv_format *fv__format_of_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    char key[8] = " ";
    size_t n = dot ? strlen(dot + 1) : 0;
    if (n == 0 || n > sizeof key - 3)
        return NULL;
    for (size_t i = 0; i < n; i++)
        key[1 + i] = (char)tolower((unsigned char)dot[1 + i]);
    key[1 + n] = ' ';
    for (size_t i = 0; i < FORMATS; i++)
        if (strstr(formats[i].suffixes, key))
            return &formats[i];
    return NULL;
}

int fv__format_is_jpeg(const struct fv_format *f)
{
    return f == &formats[0];
}

const struct fv_format *fv__format_called(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

static int begins_with(const uint8_t *p, const char *magic, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (magic[i] == '_' ? !isspace(p[i]) : magic[i] != '?' && p[i] != (uint8_t)magic[i])
            return 0;
    return 1;
}

const struct fv_format *fv__format_of_bytes(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < FORMATS; i++)
        for (size_t m = 0; m < FV_FORMAT_MAGICS && formats[i].magic[m]; m++)
            if (n >= formats[i].magic_len &&
                begins_with(p, formats[i].magic[m], formats[i].magic_len))
                return &formats[i];
    return NULL;
}

int fv__format_is_whole(const struct fv_format *f, const uint8_t *p, size_t n)
{
    if (f->is_whole)
        return f->is_whole(p, n);
    /* Some programs append to a finished file (a few bytes of padding, a second picture), so the mark
     * may lie before its very end. */
    enum { LOOK_BACK = 4096 };
    if (!f->end)
        return 1;
    size_t from = n > LOOK_BACK ? n - LOOK_BACK : 0;
    return memmem(p + from, n - from, f->end, f->end_len) != NULL;
}

int fv__format_pnm_white(const uint8_t *p, size_t n)
{
    /* "P5 width height max", between blanks and remarks that run from '#' to the end of their line; a
     * bitmap has no max, and is read as 0 and 255 */
    int bitmap = n > 1 && (p[1] == '1' || p[1] == '4');
    int number = 0, value = 0, digits = 0;
    for (size_t i = 2; i < n; i++) {
        if (isdigit(p[i]) && ++digits < 8) {
            value = value * 10 + (p[i] - '0');
            continue;
        }
        if (digits) {
            number++;
            if (value == 0 || value > (number < 3 ? 9999999 : 65535))
                return 0;
            if (number == (bitmap ? 2 : 3))
                return bitmap ? 255 : value;
        }
        value = digits = 0;
        if (p[i] == '#')
            while (i + 1 < n && p[i] != '\n')
                i++;
        else if (!isspace(p[i]))
            return 0;
    }
    return 0;
}
