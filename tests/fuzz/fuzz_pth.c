/* SPDX-License-Identifier: MIT */
/* The reader of weights on damaged .pth files: it may refuse them, it may not read outside of them. What it accepts is
 * read whole. Checksums would refuse nearly every change at once, so they are made right first.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates the files
 * of its arguments by a seeded rule.
 */
#include "common/fs.h"
#include "common/rng.h"
#include "tests/fuzz/seeds.h"
#include "trainer/files/weights.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long accepted, refused;
static volatile float sink;

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

/* Makes every entry's CRC right again, where its place and length can be made out at all. */
static void mend(uint8_t *p, size_t n)
{
    for (size_t at = 0; at + 46 <= n; at++) {
        if (memcmp(p + at, "PK\1\2", 4) != 0)
            continue;
        const uint64_t local = get32(p + at + 42), size = get32(p + at + 24);
        if (local + 30 > n)
            continue;
        const uint64_t data = local + 30 + (p[local + 26] | (uint64_t)p[local + 27] << 8) +
                              (p[local + 28] | (uint64_t)p[local + 29] << 8);
        if (data > n || size > n - data)
            continue;
        const uint32_t crc = crc32_of(p + data, (size_t)size);
        for (int i = 0; i < 4; i++)
            p[at + 16 + (size_t)i] = (uint8_t)(crc >> 8 * i);
    }
}

/* Whether every element that a tensor reaches lies in the file. */
static int lies_within(const struct fv_weight *t, const uint8_t *file, size_t n)
{
    const char *digits = strpbrk(t->dtype, "0123456789");
    uint64_t reach = 0;
    for (int i = 0; i < t->ndim; i++) {
        if (t->dim[i] == 0)
            return 1;
        reach += (uint64_t)(t->dim[i] - 1) * (uint64_t)t->stride[i];
    }
    const uint64_t bytes = (reach + 1) * (digits ? strtoull(digits, NULL, 10) / 8 : 1);
    return t->data >= file && t->data <= file + n && bytes <= (uint64_t)(file + n - t->data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { FLOATS_MAX = 1 << 20 };
    struct fv_weights w;
    char *copy = malloc(n ? n : 1);
    fuzz_keep_seed(data, n);
    if (n)
        memcpy(copy, data, n);
    mend((uint8_t *)copy, n);
    if (fv_weights_parse(&w, copy, n, "fuzz") < 0) {
        fv_weights_close(&w);
        refused++;
        return 0;
    }
    accepted++;
    for (int i = 0; i < w.weights; i++) {
        const size_t count = fv_weight_count(&w.weight[i]);
        if (w.bytes && !lies_within(&w.weight[i], (const uint8_t *)w.bytes, n))
            abort();
        if (count > FLOATS_MAX || strlen(w.weight[i].name) > 1000)
            continue;
        float *out = malloc((count + 1) * sizeof *out);
        if (fv_weight_read(&w.weight[i], out) == 0 && count)
            sink = out[count - 1];
        free(out);
    }
    fv_weights_close(&w);
    return 0;
}

#ifndef FV_LIBFUZZER
/* Opcodes and values that matter where they land. */
static const char *const tokens[] = {
    "PK\1\2", "PK\3\4", "PK\6\6",  "PK\6\7", "\xff\xff\xff\xff",  "K\x01", "M\xff\xff", "Q", "R",
    "(",      "t",      "}",       "u",      "J\xff\xff\xff\x7f", "\x81",  "b",         "N", ".",
    "h\x01",  "\x85",   "\x8a\x08"};

/* One to three changes, most of them in the pickle, which begins the file. */
static size_t mutate(struct fv_rng *r, uint8_t *file, size_t n)
{
    enum { PICKLE = 3000 };
    for (uint32_t k = fv_rng_below(r, 3) + 1; k > 0; k--) {
        const size_t range = fv_rng_below(r, 3) && n > PICKLE ? PICKLE : n;
        size_t at = fv_rng_below(r, (uint32_t)range);
        const char *token = tokens[fv_rng_below(r, sizeof tokens / sizeof *tokens)];
        const size_t length = strlen(token);
        if (fv_rng_below(r, 4) == 0)
            at = n - 1 - at % (n > 1600 ? 1600 : n); /* the directory */
        switch (fv_rng_below(r, 8)) {
        case 0:
            return at + 1;
        case 1:
        case 2:
            file[at] ^= (uint8_t)(1u << fv_rng_below(r, 8));
            break;
        case 3:
        case 4:
            file[at] = (uint8_t)fv_rng_u32(r);
            break;
        default:
            memcpy(file + at, token, length < n - at ? length : n - at);
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    enum { ROUNDS = 6000 };
    for (uint64_t round = 0; argc > 1 && round < ROUNDS; round++) {
        struct fv_rng r = fv_rng_at(1, 0, round, FV_RNG_TEST);
        char *file;
        size_t n;
        if (fv_file_read(argv[1 + round % (uint64_t)(argc - 1)], 1 << 20, &file, &n) < 0)
            return 1;
        if (round >= (uint64_t)(argc - 1))
            n = mutate(&r, (uint8_t *)file, n);
        LLVMFuzzerTestOneInput((const uint8_t *)file, n);
        free(file);
    }
    printf("fuzz_pth: seed 1, %d files, %lu accepted, %lu refused\n", ROUNDS, accepted, refused);
    return accepted < ROUNDS / 20 || refused < ROUNDS / 20;
}
#endif
