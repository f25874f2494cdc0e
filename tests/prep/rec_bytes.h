/* SPDX-License-Identifier: MIT */
/* RecordIO as MXNet writes it, for tests: little-endian, cut at each aligned magic number. */
#ifndef FV_TESTS_PREP_REC_BYTES_H
#define FV_TESTS_PREP_REC_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct rec_bytes {
    uint8_t p[4096];
    size_t n;
};

static inline void rec_put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void rec_put_part(struct rec_bytes *f, uint32_t cflag, const uint8_t *data, size_t n)
{
    if (f->n + n + 12 > sizeof f->p)
        abort();
    rec_put32(f->p + f->n, 0xced7230au);
    rec_put32(f->p + f->n + 4, cflag << 29 | (uint32_t)n);
    memcpy(f->p + f->n + 8, data, n);
    memset(f->p + f->n + 8 + n, 0, (4 - n % 4) % 4);
    f->n += 8 + (n + 3) / 4 * 4;
}

static inline void rec_put(struct rec_bytes *f, const void *payload, size_t n)
{
    const uint8_t *p = payload;
    size_t from = 0;
    for (size_t i = 0; i + 4 <= n; i += 4)
        if (memcmp(p + i, "\x0a\x23\xd7\xce", 4) == 0) {
            rec_put_part(f, from == 0 ? 1 : 2, p + from, i - from);
            from = i + 4;
        }
    rec_put_part(f, from == 0 ? 0 : 3, p + from, n - from);
}

/* An image record's payload; returns its length. */
static inline size_t rec_payload(uint8_t *to, uint32_t flag, float label, const float *labels,
                                 uint64_t id, const void *body, size_t n)
{
    uint32_t bits;
    memcpy(&bits, &label, 4);
    rec_put32(to, flag);
    rec_put32(to + 4, bits);
    rec_put32(to + 8, (uint32_t)id);
    rec_put32(to + 12, (uint32_t)(id >> 32));
    rec_put32(to + 16, 0);
    rec_put32(to + 20, 0);
    for (uint32_t i = 0; i < flag; i++) {
        memcpy(&bits, &labels[i], 4);
        rec_put32(to + 24 + 4 * i, bits);
    }
    memcpy(to + 24 + 4 * flag, body, n);
    return 24 + 4 * (size_t)flag + n;
}

#endif
