/* SPDX-License-Identifier: MIT */
#include "store/buffer.h"
#include "common/err.h"

#include <stdlib.h>
#include <string.h>

int fv__buffer_append(struct fv_buffer *b, const void *p, size_t n)
{
    if (b->room - b->n < n) {
        size_t room = b->room ? b->room : 4096;
        while (room - b->n < n && room <= SIZE_MAX / 2)
            room *= 2;
        uint8_t *grown = room - b->n < n ? NULL : realloc(b->p, room);
        if (!grown)
            return fv_err(FV_ENOMEM, "out of memory for %zu bytes", room);
        b->p = grown;
        b->room = room;
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return FV_OK;
}

int fv__buffer_append32(struct fv_buffer *b, uint32_t v)
{
    uint8_t p[4];
    fv__put32(p, v);
    return fv__buffer_append(b, p, sizeof p);
}

int fv__buffer_append64(struct fv_buffer *b, uint64_t v)
{
    uint8_t p[8];
    fv__put64(p, v);
    return fv__buffer_append(b, p, sizeof p);
}

struct fv_span fv__buffer_view(const struct fv_buffer *b)
{
    return (struct fv_span){b->p, b->n};
}

void fv__buffer_free(struct fv_buffer *b)
{
    free(b->p);
    *b = (struct fv_buffer){0};
}
