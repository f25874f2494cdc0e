/* SPDX-License-Identifier: MIT */
/* A photo's file into memory: a pipe cannot block it, and what the system says comes back as a reason. */
#ifndef FV_PREP_PHOTO_FILE_H
#define FV_PREP_PHOTO_FILE_H

#include "prep/pack/reject.h"

#include <stddef.h>
#include <stdint.h>

#define FV_PHOTO_MAX_BYTES (64u << 20) /* of a photo as it is stored */

/* *buf grows by realloc, *room is its size. 0; 1 refused, with *why; or FV_ENOMEM. */
int fv__photo_file_read(const char *path, uint8_t **buf, size_t *room, size_t *n,
                        struct fv_refusal *why);

#endif
