/* SPDX-License-Identifier: MIT */
/* The codec jpeg on damaged files: as a record's content, whole and in parts, and as a photo to be stored as it is. It
 * may refuse them; it may not write outside of the image or the part, parts are those of the whole, and what it stores
 * it must read back.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates the files
 * of tests/golden/jpeg.txt by a seeded rule, as an ordinary test.
 */
#include "common/err.h"
#include "common/rng.h"
#include "store/codec.h"
#include "store/dataset.h"
#include "tests/fuzz/seeds.h"
#include "tests/store/jpeg_golden.h"

enum { WIDTH = 37, HEIGHT = 29, PIXELS = WIDTH * HEIGHT * 3, CANARY = 64 };
static uint8_t out[PIXELS + 2 * CANARY], part[PIXELS + 2 * CANARY];
static volatile unsigned sink;
static unsigned long decoded, adopted, refused; /* how often */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Decodes a copy, as decoding may destroy it. */
static int decode(const struct fv_codec *codec, void *ctx, const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);

    if (!copy)
        abort();
    if (n)
        memcpy(copy, p, n);
    memset(out, 0xA5, sizeof out);
    const int rc = codec->decode(ctx, copy, n, out + CANARY);
    for (int i = 0; i < CANARY; i++)
        if (out[i] != 0xA5 || out[CANARY + PIXELS + i] != 0xA5)
            abort();
    for (int i = 0; rc >= 0 && i < PIXELS; i++)
        sink += out[CANARY + i];
    free(copy);
    return rc;
}

/* What was accepted as a whole is accepted in parts; not the other way round, as a part leaves the rest unread. */
static void decode_parts(const struct fv_codec *codec, void *ctx, const uint8_t *p, size_t n,
                         int accepted)
{
    static const struct fv_region parts[] = {{0, 5, 3, 9, 11},
                                             {0, WIDTH - 7, HEIGHT - 5, 7, 5},
                                             {0, 0, HEIGHT - 1, WIDTH, 1},
                                             {0, 16, 0, 1, 1},
                                             {1, 3, 2, 11, 9},
                                             {2, 1, 1, 9, 7},
                                             {3, 0, 0, 5, 4}};

    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        const struct fv_region *r = &parts[k];
        const size_t row = (size_t)r->w * 3, bytes = row * (size_t)r->h;
        memset(part, 0xA5, sizeof part);
        const int rc = codec->decode_region(ctx, p, n, r, part + CANARY);
        for (int i = 0; i < CANARY; i++)
            if (part[i] != 0xA5 || part[CANARY + bytes + (size_t)i] != 0xA5)
                abort();
        if (accepted && rc < 0)
            abort();
        for (int y = 0; accepted && r->shift == 0 && y < r->h; y++)
            if (memcmp(part + CANARY + (size_t)y * row,
                       out + CANARY + ((r->y + y) * WIDTH + r->x) * 3, row) != 0)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void *ctx;
    static uint8_t *content;
    const struct fv_codec *codec = fv__codec_by_name("jpeg");
    size_t bytes;

    fuzz_keep_seed(data, n);
    if (!ctx && (codec->open(&ctx, &(struct fv_codec_settings){WIDTH, HEIGHT, 95}) < 0 ||
                 !(content = malloc(codec->bound(ctx)))))
        abort();
    const int accepted = decode(codec, ctx, data, n) >= 0;
    decoded += accepted;
    decode_parts(codec, ctx, data, n, accepted);
    if (codec->adopt(ctx, data, n, content, &bytes) != FV_OK) {
        refused++;
        return 0;
    }
    adopted++;
    if (bytes > codec->bound(ctx) || decode(codec, ctx, content, bytes) < 0)
        abort();
    return 0;
}

#ifndef FV_LIBFUZZER
/* Most damage stands in the headers, where it is worth most; the rest anywhere. */
static size_t mutate(struct fv_rng *r, uint8_t *p, size_t n)
{
    for (uint32_t k = fv_rng_below(r, 3) + 1; k > 0; k--) {
        const size_t at = fv_rng_below(r, (uint32_t)(fv_rng_below(r, 3) ? n : 640));
        switch (fv_rng_below(r, 4)) {
        case 0:
            p[at] ^= (uint8_t)(1u << fv_rng_below(r, 8));
            break;
        case 1:
            p[at] = (uint8_t)fv_rng_u32(r);
            break;
        case 2:
            p[at] = fv_rng_below(r, 2) ? 0xFF : 0;
            break;
        default: { /* a piece of the file elsewhere in it */
            const size_t from = fv_rng_below(r, (uint32_t)n), most = n - (from > at ? from : at);
            memmove(p + at, p + from, fv_rng_below(r, (uint32_t)(most < 64 ? most : 64) + 1));
        }
        }
    }
    return fv_rng_below(r, 16) ? n : fv_rng_below(r, (uint32_t)n);
}

int main(int argc, char **argv)
{
    enum { ROUNDS = 14000 };
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    struct jpeg_golden golden[JPEG_GOLDEN_MAX];
    const int n = jpeg_golden_read(argc > 1 ? argv[1] : "tests/golden/jpeg.txt", golden);

    for (int i = 0; i < n; i++)
        LLVMFuzzerTestOneInput(golden[i].file, golden[i].bytes);
    int rc = n == 0 || adopted != (unsigned long)n || decoded != adopted;
    for (int i = 0; rc == 0 && i < ROUNDS; i++) {
        struct fv_rng r = fv_rng_at(seed, 0, (uint64_t)i, FV_RNG_TEST);
        const struct jpeg_golden *g = &golden[i % n];
        uint8_t *damaged = malloc(g->bytes);
        if (!damaged)
            return 1;
        memcpy(damaged, g->file, g->bytes);
        LLVMFuzzerTestOneInput(damaged, mutate(&r, damaged, g->bytes));
        free(damaged);
    }
    jpeg_golden_free(golden, n);
    printf("fuzz_jpeg: seed %llu, %d files, %lu decoded, %lu adopted, %lu refused\n",
           (unsigned long long)seed, ROUNDS, decoded, adopted, refused);
    /* Mutations that are all refused, or none, would test little. */
    return rc || adopted < ROUNDS / 20 || refused < ROUNDS / 20;
}
#endif
