/* SPDX-License-Identifier: MIT */
/* zstd around a record's content: one frame, with the data set's dictionary where it has one. The frame carries
 * no checksum of its own: the record's covers it. What zstd cannot shrink it stores, for some bytes more.
 *
 * A context belongs to one thread and serves any dictionaries; after its first frame each way it allocates nothing.
 */
#ifndef FV_STORE_FRAME_H
#define FV_STORE_FRAME_H

#include "store/dict.h"
#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

struct fv_frame;

/* level: of frames without a dictionary, which has its own. */
int fv__frame_open(struct fv_frame **out, int level);
void fv__frame_close(struct fv_frame **f); /* accepts NULL */
size_t fv__frame_bound(size_t content);    /* bytes that a frame of so much takes at most */
/* dict may be NULL, here and below. */
int fv__frame_pack(struct fv_frame *f, const struct fv_dict *dict, struct fv_span content,
                   uint8_t *dst, size_t *n);
/* Bytes of its content, as the frame itself says; 0 when it does not. */
size_t fv__frame_content(struct fv_span src);
/* At most room bytes into content. FV_ECORRUPT when src is anything but one frame, or wants another dictionary. */
int fv__frame_unpack(struct fv_frame *f, const struct fv_dict *dict, struct fv_span src,
                     uint8_t *content, size_t room, size_t *n);

#endif
