/* SPDX-License-Identifier: MIT */
/* The reader of verification sets on damaged pickles: whatever it gives lies within the file.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates the
 * files that Python wrote (its arguments) by a seeded rule, so that the same few thousand files are an ordinary
 * test.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/import/bin_pairs.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long accepted, refused; /* how often */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fv_bin_pairs b;
    fuzz_keep_seed(data, n);
    if (fv__bin_parse(&b, data, n, "fuzz") < 0) {
        refused++;
        return 0;
    }
    accepted++;
    for (size_t i = 0; i < 2 * b.pairs; i++) {
        if (b.image[i].at > n || b.image[i].bytes > n - b.image[i].at)
            abort();
        uint8_t *copy = malloc((size_t)b.image[i].bytes + 1);
        memcpy(copy, data + b.image[i].at, (size_t)b.image[i].bytes);
        long long bytes = fv__bin_from_latin1(copy, (size_t)b.image[i].bytes);
        if (bytes > (long long)b.image[i].bytes)
            abort();
        free(copy);
    }
    for (size_t i = 0; i < b.pairs; i++)
        if (b.same[i] > 1)
            abort();
    fv__bin_free(&b);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const tokens[] = {
    "\1(",
    "\1)",
    "\1]",
    "\1a",
    "\1e",
    "\1t",
    "\1l",
    "\1\x85",
    "\1\x86",
    "\1\x87",
    "\2K\1",
    "\1N",
    "\1\x88",
    "\1\x89",
    "\1R",
    "\1b",
    "\1.",
    "\2h\0",
    "\2h\2",
    "\2q\0",
    "\2q\1",
    "\1\x94",
    "\1\x93",
    "\3U\1x",
    "\3C\1x",
    "\5X\1\0\0\0",
    "\5T\xff\xff\xff\xff",
    "\5r\xff\xff\xff\x7f",
    "\5j\1\0\0\0",
    "\5\143os\nx",
    "\17\143numpy\nndarray\n",
    "\16\143numpy\ndtype\n\0",
};

static int fuzz_file(uint64_t seed, uint32_t file, const char *path, int rounds)
{
    enum { ROOM = 4096 };
    char *whole;
    size_t n;
    static uint8_t data[ROOM];
    if (fv_file_read(path, ROOM / 2, &whole, &n) < 0) {
        printf("%s\n", fv_err_text());
        return 1;
    }
    unsigned long before = accepted;
    LLVMFuzzerTestOneInput((const uint8_t *)whole, n);
    int rc = accepted != before + 1; /* as it is, it is fine */
    for (int i = 0; i < rounds; i++) {
        struct fv_rng r = fv_rng_at(seed, file, (uint64_t)i, FV_RNG_TEST);
        memcpy(data, whole, n);
        size_t length = mutate_bytes(&r, data, n, ROOM, tokens, sizeof tokens / sizeof *tokens);
        LLVMFuzzerTestOneInput(data, length);
    }
    free(whole);
    return rc;
}

int main(int argc, char **argv)
{
    enum { ROUNDS = 4000 };
    int rc = argc < 2;
    for (int i = 1; i < argc; i++)
        rc |= fuzz_file(1, (uint32_t)i, argv[i], ROUNDS);
    printf("fuzz_bin: %d files, %lu times accepted, %lu refused\n", argc - 1, accepted, refused);
    /* Mutations that are all refused, or none, would test little. */
    return rc || accepted < 200u * (unsigned)(argc - 1) || refused < 200u * (unsigned)(argc - 1);
}
#endif
