/* SPDX-License-Identifier: MIT */
/* Protocol buffers, as far as writing one needs (https://protobuf.dev/programming-guides/encoding): fields go one after
 * another into one buffer. A failed allocation is remembered, and told at the end.
 */
#ifndef FV_TRAINER_PROTOBUF_H
#define FV_TRAINER_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

struct fv_pb {
    uint8_t *p; /* free() it */
    size_t n, room;
    int failed;
};

void fv__pb_int(struct fv_pb *b, int field, int64_t v);
void fv__pb_float(struct fv_pb *b, int field, float v);
void fv__pb_bytes(struct fv_pb *b, int field, const void *data, size_t n);
void fv__pb_text(struct fv_pb *b, int field, const char *text);
/* A message in the message: what is written between the two belongs to it. Its length takes five bytes whatever it is,
 * so that it can be filled in afterwards. Below 4 GiB. */
size_t fv__pb_begin(struct fv_pb *b, int field);
void fv__pb_end(struct fv_pb *b, size_t begin);

#endif
