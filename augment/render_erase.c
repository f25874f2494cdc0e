/* SPDX-License-Identifier: MIT */
/* What an erased box is filled with.
 *
 * torchvision's 'random' puts standard normal z where pixels were normalised by mean and standard deviation 0.5: in
 * levels that is 127.5 (1 + z), here rounded to the nearest and cut off to 0..255. A value has the level that its
 * 16 random bits select from the cumulative distribution, so a level's probability is exact to 2^-16. Bits are
 * those of Philox under the erase's key at the value's place in the box: the same for any thread and mode. */
#include "augment/render_parts.h"
#include "common/rng.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { VALUES_A_BLOCK = 8 }; /* four words of 32 bits */

static uint8_t level_of[1 << 16];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_levels(void)
{
    int at = 0;

    for (int level = 0; level < 256; level++) {
        /* P(value <= level) = P(127.5 (1 + z) < level + 1/2) */
        const double z = (level + 0.5) / 127.5 - 1;
        const int end = level < 255 ? (int)lrint(0.5 * erfc(-z * M_SQRT1_2) * 65536) : 65536;
        for (; at < end; at++)
            level_of[at] = (uint8_t)level;
    }
}

static void fill_noise(const struct fv_erase *e, uint8_t *px, size_t stride, int rows, int columns)
{
    const uint32_t key[2] = {(uint32_t)e->key, (uint32_t)(e->key >> 32)};
    uint32_t word[4] = {0};
    uint64_t drawn = UINT64_MAX; /* the block in word */

    pthread_once(&once, make_levels);
    for (int y = 0; y < rows; y++, px += stride) {
        uint64_t at = (uint64_t)y * (uint64_t)e->box.w * 3;
        for (int i = 0; i < 3 * columns; i++, at++) {
            const uint32_t part = at % VALUES_A_BLOCK;
            if (at / VALUES_A_BLOCK != drawn) {
                const uint32_t block[4] = {(uint32_t)(drawn = at / VALUES_A_BLOCK)};
                fv_philox4x32_10(key, block, word);
            }
            px[i] = level_of[word[part / 2] >> 16 * (part % 2) & 0xffff];
        }
    }
}

void fv__render_erase(const struct fv_erase *e, uint8_t *px, int h, int w)
{
    const int rows = e->box.y + e->box.h < h ? e->box.h : h - e->box.y;
    const int columns = e->box.x + e->box.w < w ? e->box.w : w - e->box.x;
    const size_t stride = (size_t)w * 3;

    if (rows <= 0 || columns <= 0)
        return;
    px += (size_t)e->box.y * stride + (size_t)e->box.x * 3;
    if (e->noise) {
        fill_noise(e, px, stride, rows, columns);
        return;
    }
    for (int y = 0; y < rows; y++, px += stride)
        if (e->rgb[0] == e->rgb[1] && e->rgb[1] == e->rgb[2])
            memset(px, e->rgb[0], (size_t)columns * 3);
        else
            for (int x = 0; x < columns; x++)
                memcpy(px + 3 * (size_t)x, e->rgb, 3);
}
