/* SPDX-License-Identifier: MIT */
/* The CRC of PNG and zlib: of chunks that tests make, and of pictures in golden files. */
#ifndef FV_TESTS_PREP_CRC32_H
#define FV_TESTS_PREP_CRC32_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t crc32_of(const uint8_t *p, size_t n)
{
    static uint32_t table[256];
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? 0xedb88320u ^ table[i] >> 1 : table[i] >> 1;
    }
    for (size_t i = 0; i < n; i++)
        crc = table[(crc ^ p[i]) & 255] ^ crc >> 8;
    return ~crc;
}

#endif
