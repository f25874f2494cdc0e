/* SPDX-License-Identifier: MIT */
/* zstd around a record's content: one frame, with the data set's dictionary where it has one. The frame carries
 * no checksum of its own: the record's covers it.
 *
 * A context belongs to one thread; after its first frame each way it allocates nothing.
 */
#ifndef FV_STORE_FRAME_H
#define FV_STORE_FRAME_H

#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

struct fv_frame;

/* dict is copied; an empty one is none. FV_EINVAL when it is no zstd dictionary. */
int fv__frame_open(struct fv_frame **out, struct fv_span dict, int level);
void fv__frame_close(struct fv_frame **f); /* accepts NULL */
size_t fv__frame_bound(size_t content);    /* bytes that a frame of so much takes at most */
int fv__frame_pack(struct fv_frame *f, struct fv_span content, uint8_t *dst, size_t *n);
/* At most room bytes into content. FV_ECORRUPT when src is anything but one frame. */
int fv__frame_unpack(struct fv_frame *f, struct fv_span src, uint8_t *content, size_t room,
                     size_t *n);

#endif
