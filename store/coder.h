/* SPDX-License-Identifier: MIT */
/* What the rest of store/ needs of encoders and decoders beyond store.h. */
#ifndef FV_STORE_CODER_H
#define FV_STORE_CODER_H

#include "store/record.h"

#include <stdint.h>

struct fv_decoder;

/* As fv_decoder_read, and checks that the content has the hash that the index promises. */
int fv__decoder_prove(struct fv_decoder *d, uint64_t image, uint8_t *rgb);
/* What its codec made of the image, checked like that; valid until the next call. */
int fv__decoder_content(struct fv_decoder *d, uint64_t image, struct fv_span *content);

#endif
