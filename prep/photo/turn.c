/* SPDX-License-Identifier: MIT */
/* The eight orientations as three yes-or-no questions, by the EXIF standard's table: which side of the scene
 * the stored row 0 and column 0 show. */
#include "prep/photo/turn.h"

#include <string.h>

struct turn {
    uint8_t swaps;                /* upright columns are stored as rows */
    uint8_t mirrors_x, mirrors_y; /* the upright axis runs against the stored one it comes from */
};

static struct turn turn_of(int turn)
{
    static const struct turn turns[9] = {{0, 0, 0}, {0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1},
                                         {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};
    return turns[turn >= 1 && turn <= 8 ? turn : 1];
}

static uint32_t number(const uint8_t *p, int bytes, int little)
{
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[little ? bytes - 1 - i : i];
    return v;
}

int fv__turn_of_exif(const uint8_t *exif, size_t n)
{
    enum { HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112, SHORT = 3 };
    if (n < HEADER || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0))
        return 1;
    int little = exif[0] == 'I';
    size_t at = number(exif + 4, 4, little);
    if (at > n || n - at < 2)
        return 1;
    size_t entries = number(exif + at, 2, little), fit = (n - at - 2) / ENTRY;
    const uint8_t *e = exif + at + 2;
    for (size_t i = 0; i < entries && i < fit; i++, e += ENTRY) {
        if (number(e, 2, little) != ORIENTATION || number(e + 2, 2, little) != SHORT)
            continue;
        uint32_t turn = number(e + 8, 2, little);
        return turn >= 1 && turn <= 8 ? (int)turn : 1;
    }
    return 1;
}

int fv__turn_swaps(int turn)
{
    return turn_of(turn).swaps;
}

void fv__turn_box(int turn, double width, double height, const double upright[4], double stored[4])
{
    struct turn t = turn_of(turn);
    double x0 = t.mirrors_x ? width - upright[2] : upright[0];
    double x1 = t.mirrors_x ? width - upright[0] : upright[2];
    double y0 = t.mirrors_y ? height - upright[3] : upright[1];
    double y1 = t.mirrors_y ? height - upright[1] : upright[3];
    stored[0] = t.swaps ? y0 : x0;
    stored[1] = t.swaps ? x0 : y0;
    stored[2] = t.swaps ? y1 : x1;
    stored[3] = t.swaps ? x1 : y1;
}

void fv__turn_pixels(int turn, const uint8_t *stored, int width, int height, uint8_t *upright)
{
    struct turn t = turn_of(turn);
    int w = t.swaps ? height : width, h = t.swaps ? width : height;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, upright += 3) {
            int ax = t.mirrors_x ? w - 1 - x : x, ay = t.mirrors_y ? h - 1 - y : y;
            size_t at = t.swaps ? (size_t)ax * (size_t)width + (size_t)ay
                                : (size_t)ay * (size_t)width + (size_t)ax;
            memcpy(upright, stored + 3 * at, 3);
        }
}
