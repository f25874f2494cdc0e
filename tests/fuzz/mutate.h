/* SPDX-License-Identifier: MIT */
/* The seeded mutations by which a fuzz target is an ordinary test too. */
#ifndef FV_TESTS_FUZZ_MUTATE_H
#define FV_TESTS_FUZZ_MUTATE_H

#include "common/rng.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One to four changes to n bytes of a buffer of `room`: a bit, a byte, a cut, a token written over what is
 * there or put in, a piece of the input repeated. Returns the new length. */
static inline size_t mutate_bytes(struct fv_rng *r, uint8_t *p, size_t n, size_t room,
                                  const char *const *token, uint32_t tokens)
{
    for (uint32_t k = fv_rng_below(r, 4) + 1; k > 0 && n > 0; k--) {
        const size_t at = fv_rng_below(r, (uint32_t)n);
        const char *t = token[fv_rng_below(r, tokens)] + 1;
        size_t length =
            (size_t)(unsigned char)t[-1]; /* tokens may hold zeros: a length, then bytes */
        switch (fv_rng_below(r, 8)) {
        case 0:
            n = at + 1;
            break;
        case 1:
        case 2:
            memcpy(p + at, t, length < n - at ? length : n - at);
            break;
        case 3:
        case 4:
            if (length > room - n)
                break;
            memmove(p + at + length, p + at, n - at);
            memcpy(p + at, t, length);
            n += length;
            break;
        case 5:
            length = fv_rng_below(r, 32);
            if (length > room - n || length > n - at)
                break;
            memmove(p + at + length, p + at, n - at);
            n += length;
            break;
        case 6:
            p[at] = (uint8_t)fv_rng_u32(r);
            break;
        default:
            p[at] ^= (uint8_t)(1u << fv_rng_below(r, 8));
        }
    }
    return n;
}

/* One change to n bytes of text with room for `room`: a bit, a cut, a token put in, a byte taken out. Gentler than
 * mutate_bytes, for parsers that refuse at the first fault. Returns the new length. */
static inline size_t mutate_text(struct fv_rng *r, uint8_t *text, size_t n, size_t room,
                                 const char *const *tokens, uint32_t count)
{
    const char *token = tokens[fv_rng_below(r, count)];
    const size_t length = strlen(token), at = fv_rng_below(r, (uint32_t)n + 1);

    switch (fv_rng_below(r, 4)) {
    case 0: /* one bit */
        text[at ? at - 1 : 0] ^= (uint8_t)(1u << fv_rng_below(r, 8));
        return n;
    case 1: /* cut short, now and then: what is cut is lost to the other mutations */
        return fv_rng_below(r, 4) ? n : at;
    case 2: /* a token put in */
        if (n + length > room)
            return n;
        memmove(text + at + length, text + at, n - at);
        memcpy(text + at, token, length);
        return n + length;
    default: /* a byte taken out */
        if (at < n)
            memmove(text + at, text + at + 1, n - at - 1);
        return at < n ? n - 1 : n;
    }
}

#ifndef FV_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fuzz_texts {
    const char *name, *what; /* of the target, of an input */
    const char *const *text; /* (texts) where mutations begin, in turns */
    const char *const *token;
    uint32_t texts, tokens;
    size_t room;
};

/* What the target's main does: the seed is the first argument. Says how many inputs were accepted and refused, and
 * fails when one of them is rare: mutations that are all refused, or none, would test little. */
static inline int fuzz_run_texts(const struct fuzz_texts *f, int argc, char **argv,
                                 const unsigned long *accepted, const unsigned long *refused)
{
    enum { ROUNDS = 20000, ROOM_MAX = 1024 };
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint8_t input[ROOM_MAX];

    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct fv_rng r = fv_rng_at(seed, 0, round, FV_RNG_TEST);
        const char *text = f->text[round % f->texts];
        size_t n = strlen(text);
        memcpy(input, text, n);
        for (uint32_t k = fv_rng_below(&r, 4); k > 0; k--)
            n = mutate_text(&r, input, n, f->room, f->token, f->tokens);
        LLVMFuzzerTestOneInput(input, n);
    }
    printf("%s: seed %llu, %d %s, %lu times accepted, %lu refused\n", f->name,
           (unsigned long long)seed, ROUNDS, f->what, *accepted, *refused);
    return *accepted < ROUNDS / 20 || *refused < ROUNDS / 20;
}
#endif

#endif
