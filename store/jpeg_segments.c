/* SPDX-License-Identifier: MIT */
#include "store/jpeg_segments.h"

#include <string.h>

enum marker {
    SOF0 = 0xC0, /* baseline */
    SOF2 = 0xC2, /* progressive; SOF1 between them is baseline with longer tables */
    DHT = 0xC4,
    SOF15 = 0xCF,
    SOI = 0xD8,
    SOS = 0xDA,
    DQT = 0xDB,
    DRI = 0xDD,
    APP0 = 0xE0,
    APP14 = 0xEE,
};

static int begins(const uint8_t *body, size_t n, const char *name, size_t name_bytes)
{
    return n >= name_bytes && memcmp(body, name, name_bytes) == 0;
}

/* 1: the picture needs it, 0: it does not, -1: no picture of ours has it. */
static int is_needed(uint8_t marker, const uint8_t *body, size_t n)
{
    switch (marker) {
    case DHT:
    case DQT:
    case DRI:
    case SOS:
        return 1;
    case APP0:
        return begins(body, n, "JFIF", 5);
    case APP14:
        return begins(body, n, "Adobe", 5);
    }
    if (marker >= SOF0 && marker <= SOF15)
        return marker <= SOF2 && n > 0 && body[0] == 8 ? 1 : -1;
    return marker > APP0
               ? 0
               : -1; /* APPn, JPGn, COM; before them stand markers without a place in a header */
}

int fv__jpeg_strip(const uint8_t *file, size_t bytes, uint8_t *out, size_t room, size_t *n)
{
    size_t at = 2, to = 2;

    if (bytes < 4 || file[0] != 0xFF || file[1] != SOI || room < 2)
        return 0;
    memcpy(out, file, 2);
    for (;;) {
        while (at + 1 < bytes && file[at] == 0xFF && file[at + 1] == 0xFF) /* fill bytes */
            at++;
        if (bytes - at < 4 || file[at] != 0xFF)
            return 0;
        const uint8_t marker = file[at + 1];
        const size_t length = (size_t)(file[at + 2] << 8 | file[at + 3]) + 2; /* with the marker */
        if (length < 4 || length > bytes - at)
            return 0;
        const int needed = is_needed(marker, file + at + 4, length - 4);
        const size_t take = marker == SOS ? bytes - at : length;
        if (needed < 0 || (needed && take > room - to))
            return 0;
        if (needed) {
            memcpy(out + to, file + at, take);
            to += take;
        }
        at += length;
        if (marker == SOS)
            break;
    }
    *n = to;
    return 1;
}
