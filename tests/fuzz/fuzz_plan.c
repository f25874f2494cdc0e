/* SPDX-License-Identifier: MIT */
/* The reader of cached cuDNN plans on damaged files: what it accepts has an engine and knobs within their ranges.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates
 * plans by a seeded rule, so that the same few thousand files are an ordinary test. */
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"
#include "trainer/cuda/cudnn_plan.h"

static const char title[] = "cuDNN 91900, a card: forward";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long accepted, refused;

static void demand(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fv_plan_choice c;
    char *text = malloc(n ? n : 1); /* exact, so that a sanitizer sees every step beyond */
    fuzz_keep_seed(data, n);
    if (!text)
        return 0;
    if (n)
        memcpy(text, data, n);
    const int good = fv__plan_cache_parse(text, n, title, &c);
    free(text);
    accepted += good == 1;
    refused += good == 0;
    demand(good == 0 || good == 1);
    if (!good)
        return 0;
    demand(c.engine >= 0 && c.engine < 4096 && c.knobs >= 0 && c.knobs <= FV_PLAN_KNOBS);
    demand(c.us >= 0 && c.us < 1e9);
    for (int i = 0; i < c.knobs; i++)
        demand(c.knob[i].type >= 0 && c.knob[i].type < 256 &&
               c.knob[i].value >= -(INT64_C(1) << 32) && c.knob[i].value <= INT64_C(1) << 32);
    return 0;
}

#ifndef FV_LIBFUZZER
/* A length, then the bytes. */
static const char *const tokens[] = {"\x01[",
                                     "\x01]",
                                     "\x01{",
                                     "\x01}",
                                     "\x01,",
                                     "\x01:",
                                     "\x02-1",
                                     "\x05"
                                     "1e999",
                                     "\x04null",
                                     "\x0a"
                                     "4294967297",
                                     "\x06[1,2],",
                                     "\x08"
                                     "\"knobs\":",
                                     "\x09"
                                     "\"engine\":"};

int main(void)
{
    enum { ROUNDS = 4000, ROOM = 2048 };
    static uint8_t p[ROOM];
    char whole[512];
    snprintf(whole, sizeof whole,
             "{\"plan\":\"%s\",\"engine\":62,\"us\":41.5,\"knobs\":[[1,2],[27,-3],[14,0]]}", title);
    LLVMFuzzerTestOneInput((const uint8_t *)whole, strlen(whole));
    demand(accepted == 1);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct fv_rng r = fv_rng_at(1, 0, i, FV_RNG_TEST);
        memcpy(p, whole, strlen(whole));
        const size_t n =
            mutate_bytes(&r, p, strlen(whole), ROOM, tokens, sizeof tokens / sizeof tokens[0]);
        LLVMFuzzerTestOneInput(p, n);
    }
    printf("%lu accepted, %lu refused\n", accepted, refused);
    return accepted > 1 && refused > 1 ? 0 : 1;
}
#endif
