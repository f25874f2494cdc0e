/* SPDX-License-Identifier: MIT */
#include "trainer/files/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT, FIXED64, LENGTH, FIXED32 = 5 }; /* wire types */
enum { LENGTH_BYTES = 5 };

static void put(struct fv_pb *b, const void *data, size_t n)
{
    if (b->failed)
        return;
    if (n > b->room - b->n) {
        size_t room = b->room ? b->room : 4096;
        while (room - b->n < n)
            room *= 2;
        void *more = realloc(b->p, room);
        if (!more) {
            b->failed = 1;
            return;
        }
        b->p = more;
        b->room = room;
    }
    memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void put_varint(struct fv_pb *b, uint64_t v)
{
    uint8_t text[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        text[n++] = (uint8_t)(v | 0x80);
    text[n++] = (uint8_t)v;
    put(b, text, n);
}

static void put_key(struct fv_pb *b, int field, int wire)
{
    put_varint(b, (uint64_t)field << 3 | (uint64_t)wire);
}

void fv__pb_int(struct fv_pb *b, int field, int64_t v)
{
    put_key(b, field, VARINT);
    put_varint(b, (uint64_t)v);
}

void fv__pb_float(struct fv_pb *b, int field, float v)
{
    put_key(b, field, FIXED32);
    put(b, &v, sizeof v);
}

void fv__pb_bytes(struct fv_pb *b, int field, const void *data, size_t n)
{
    put_key(b, field, LENGTH);
    put_varint(b, n);
    put(b, data, n);
}

void fv__pb_text(struct fv_pb *b, int field, const char *text)
{
    fv__pb_bytes(b, field, text, strlen(text));
}

size_t fv__pb_begin(struct fv_pb *b, int field)
{
    put_key(b, field, LENGTH);
    put(b, (const uint8_t[LENGTH_BYTES]){0}, LENGTH_BYTES);
    return b->n;
}

void fv__pb_end(struct fv_pb *b, size_t begin)
{
    if (b->failed)
        return;
    const uint64_t n = b->n - begin;
    for (int i = 0; i < LENGTH_BYTES; i++)
        b->p[begin - LENGTH_BYTES + (size_t)i] =
            (uint8_t)((n >> 7 * i & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}
