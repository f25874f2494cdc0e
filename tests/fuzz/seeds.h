/* SPDX-License-Identifier: MIT */
/* What libFuzzer starts from: the ordinary test of a target writes its first inputs, of which the very first are
 * whole, into the folder that the environment's FV_FUZZ_SEEDS names. */
#ifndef FV_TESTS_FUZZ_SEEDS_H
#define FV_TESTS_FUZZ_SEEDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* To be called first by LLVMFuzzerTestOneInput. */
static inline void fuzz_keep_seed(const uint8_t *data, size_t n)
{
#ifdef FV_LIBFUZZER
    (void)data, (void)n;
#else
    enum { MOST = 200 };
    static int kept;
    const char *folder = getenv("FV_FUZZ_SEEDS");
    char path[4096];

    if (!folder || kept == MOST)
        return;
    snprintf(path, sizeof path, "%s/%03d", folder, kept++);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) {
        fprintf(stderr, "%s: cannot write\n", path);
        exit(1);
    }
#endif
}

#endif
