/* SPDX-License-Identifier: MIT */
/* The safetensors reader on damaged files: it may refuse them, it may not read outside of them.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates a
 * valid file by a seeded rule, so that the same few thousand files are an ordinary test.
 */
#include "common/rng.h"
#include "tests/fuzz/seeds.h"
#include "trainer/files/weights.h"
#include "trainer/run/checkpoint.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile unsigned sink;

/* The same file as weights to begin with. */
static void read_weights(const uint8_t *data, size_t n)
{
    enum { FLOATS_MAX = 1 << 20 };
    struct fv_weights w;
    char *copy = malloc(n);
    memcpy(copy, data, n);
    if (fv_weights_parse(&w, copy, n, "fuzz") == 0)
        for (int i = 0; i < w.weights; i++) {
            const size_t count = fv_weight_count(&w.weight[i]);
            float *out = count <= FLOATS_MAX ? malloc((count + 1) * sizeof *out) : NULL;
            if (out && fv_weight_read(&w.weight[i], out) == 0 && count)
                sink += (unsigned)(out[count - 1] > 0);
            free(out);
        }
    fv_weights_close(&w);
}

/* Touches all that an accepted file claims to hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fv_st *st;
    struct fv_st_tensor t, same;
    struct fv_st_meta m;
    char *copy = malloc(n ? n : 1);
    fuzz_keep_seed(data, n);
    if (n)
        memcpy(copy, data, n);
    if (fv_st_parse(&st, copy, n, "fuzz") < 0)
        return 0;
    for (int i = 0; fv_st_tensor_at(st, i, &t) == 0; i++) {
        for (size_t k = 0; k < t.bytes; k++)
            sink += ((const unsigned char *)t.data)[k];
        if (fv_st_tensor(st, t.name, &same) < 0 || same.data != t.data)
            abort();
    }
    for (int i = 0; fv_st_meta_at(st, i, &m) == 0; i++)
        if (fv_st_meta(st, m.key) != m.value)
            abort();
    fv_st_close(&st);
    read_weights(data, n);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char header[] =
    "{\"__metadata__\":{\"settings\":\"lr = 0.1\\n\",\"step\":\"17\"},"
    "\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
    "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2,1,2],\"data_offsets\":[8,24]},"
    "\"c\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]}}";
/* What is likely to matter where it lands. */
static const char *const tokens[] = {"0",
                                     "-1",
                                     "9",
                                     "18446744073709551615",
                                     "9223372036854775807",
                                     "[",
                                     "]",
                                     "{",
                                     "}",
                                     ",",
                                     "\"",
                                     "\\u0000",
                                     "null",
                                     "[0,8]",
                                     "1e999",
                                     "__metadata__",
                                     "\xff"};

static size_t mutate(struct fv_rng *r, uint8_t *file, size_t n, size_t capacity)
{
    size_t at = fv_rng_below(r, (uint32_t)n);
    const char *token = tokens[fv_rng_below(r, sizeof tokens / sizeof *tokens)];
    size_t length = strlen(token);
    switch (fv_rng_below(r, 5)) {
    case 0: /* one bit */
        file[at] ^= (uint8_t)(1u << fv_rng_below(r, 8));
        return n;
    case 1: /* cut short */
        return at + 1;
    case 2: /* a token written over what is there */
        memcpy(file + at, token, length < n - at ? length : n - at);
        return n;
    case 3: /* a token put in; the length field follows half of the time */
        if (n + length > capacity)
            return n;
        memmove(file + at + length, file + at, n - at);
        memcpy(file + at, token, length);
        if (at >= 8 && fv_rng_below(r, 2))
            file[0] = (uint8_t)(file[0] + length);
        return n + length;
    default: /* the length field */
        file[fv_rng_below(r, 8)] = (uint8_t)fv_rng_u32(r);
        return n;
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    enum { ROUNDS = 20000, DATA = 27 };
    uint8_t file[2048];
    printf("fuzz_safetensors: seed %llu, %d files\n", (unsigned long long)seed, ROUNDS);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct fv_rng r = fv_rng_at(seed, 0, round, FV_RNG_TEST);
        size_t n = 8 + sizeof header - 1 + DATA;
        memset(file, 0, sizeof file);
        file[0] = (uint8_t)((sizeof header - 1) & 255);
        file[1] = (uint8_t)((sizeof header - 1) >> 8);
        memcpy(file + 8, header, sizeof header - 1);
        for (uint32_t k = fv_rng_below(&r, 4) + 1; k > 0; k--)
            n = mutate(&r, file, n, sizeof file);
        LLVMFuzzerTestOneInput(file, n);
    }
    return 0;
}
#endif
