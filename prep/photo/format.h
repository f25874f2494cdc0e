/* SPDX-License-Identifier: MIT */
/* Image formats as seen from outside: by a file's name and by its first bytes. */
#ifndef FV_PREP_FORMAT_H
#define FV_PREP_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FV_FORMAT_MAGICS 6

struct fv_format {
    const char *name;
    const char *suffixes; /* " jpg jpeg ": lower case, each between blanks */
    const char *loader;   /* libvips operation that must exist; NULL: known, but not read */
    const char *magic[FV_FORMAT_MAGICS]; /* the first bytes; '?' is any byte, '_' a blank */
    uint8_t magic_len;
    const char *end; /* what a whole file holds near its end; NULL: no such mark */
    uint8_t end_len;
    int (*is_whole)(const uint8_t *p, size_t n); /* where no mark tells; may be NULL */
};

#define FV_FORMAT_SNIFF_BYTES 16

/* The format that a name's suffix promises; NULL for none. */
const struct fv_format *fv__format_of_name(const char *name);
int fv__format_is_jpeg(const struct fv_format *f);
/* The format of this name ("JPEG"); NULL for none. */
const struct fv_format *fv__format_called(const char *name);
/* The format that a file's first bytes prove; NULL for none. n may be less than FV_FORMAT_SNIFF_BYTES. */
const struct fv_format *fv__format_of_bytes(const uint8_t *p, size_t n);
/* 0 when the file, which is of this format, was cut off, as far as one can tell without decoding it. */
int fv__format_is_whole(const struct fv_format *f, const uint8_t *p, size_t n);
/* The value that stands for white in a PNM; 0 when its header makes no sense. */
int fv__format_pnm_white(const uint8_t *p, size_t n);

#endif
