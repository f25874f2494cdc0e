/* SPDX-License-Identifier: MIT */
/* All that is read of a checkpoint, on damaged ones: they may be refused, nothing outside of them may be read, and what
 * they ask for may not be built beyond measure. The digest refuses nearly all of them at once, so what comes after it
 * is tried whatever it says.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates a
 * checkpoint by a seeded rule.
 */
#include "common/fs.h"
#include "common/rng.h"
#include "tests/fuzz/seeds.h"
#include "trainer/run/snapshot.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long sound, built, filled;

/* A net larger than this is not filled: its checkpoint would have to be as large. */
enum { FLOATS_MAX = 1 << 18 };

static void read_numbers(const struct fv_st *st, const struct fv_net *net)
{
    const size_t all = net->params + net->buffers;
    struct fv_snapshot s = {.net = net, .half_step = 1};
    const char *optim;
    int ok = 1;
    if (all > FLOATS_MAX)
        return;
    s.arena = calloc(all, sizeof *s.arena);
    for (int i = 0; i < FV_STATES; i++)
        s.state[i] = calloc(all, sizeof(float));
    ok &= fv__snapshot_arena(st, "fuzz", net, s.arena) == 0;
    ok &= fv__snapshot_weights(st, "fuzz", net, s.arena) == 0;
    s.optim = fv__snapshot_text(st, "fuzz", "optim", &optim) == 0 && strcmp(optim, "adamw") == 0
                  ? FV_OPTIM_ADAMW
                  : FV_OPTIM_SGD;
    if (s.optim == FV_OPTIM_SGD)
        s.state[FV_STATE_SECOND] = (free(s.state[FV_STATE_SECOND]), NULL);
    ok &= fv__snapshot_states(st, "fuzz", &s) == 0;
    filled += (unsigned long)ok;
    if (ok && fv__snapshot_check(&s, "fuzz") < 0)
        abort(); /* what is not finite must not come in */
    free(s.arena);
    for (int i = 0; i < FV_STATES; i++)
        free(s.state[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fv_st *st;
    struct fv_net *net;
    struct fv_progress_state at;
    const char *text;
    char *copy = malloc(n ? n : 1);
    fuzz_keep_seed(data, n);
    if (n)
        memcpy(copy, data, n);
    if (fv_st_parse(&st, copy, n, "fuzz") < 0)
        return 0;
    sound += fv__snapshot_verify(st, "fuzz") == 0;
    fv__snapshot_text(st, "fuzz", "settings", &text);
    fv__snapshot_progress(st, "fuzz", &at);
    if (fv__snapshot_net(st, "fuzz", &net) == 0) {
        built++;
        read_numbers(st, net);
        fv_net_free(&net);
    }
    fv_st_close(&st);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const tokens[] = {"0",        "-1",    "18446744073709551615",
                                     "9e99",     "nan",   "\"",
                                     ",",        "{",     "tiny",
                                     "resnet18", "1e-30", "F32",
                                     "I64",      "[",     "]",
                                     "\\u0000",  "2",     "3x3",
                                     "\xff"};

/* One or two changes, mostly in the header, where the meaning is. */
static size_t mutate(struct fv_rng *r, uint8_t *file, size_t n, size_t header)
{
    for (uint32_t k = fv_rng_below(r, 2) + 1; k > 0; k--) {
        const size_t at = fv_rng_below(r, (uint32_t)(fv_rng_below(r, 4) ? header : n));
        const char *token = tokens[fv_rng_below(r, sizeof tokens / sizeof *tokens)];
        const size_t length = strlen(token);
        switch (fv_rng_below(r, 8)) {
        case 0:
            return at + 1; /* cut short */
        case 1:
        case 2:
            file[at] ^= (uint8_t)(1u << fv_rng_below(r, 8));
            break;
        case 3: /* another digit where one was */
            for (size_t i = at; i < n; i++)
                if (file[i] >= '0' && file[i] <= '9') {
                    file[i] = (uint8_t)('0' + fv_rng_below(r, 10));
                    break;
                }
            break;
        case 4:
            file[at] = (uint8_t)fv_rng_u32(r);
            break;
        default:
            memcpy(file + at, token, length < n - at ? length : n - at);
        }
    }
    return n;
}

/* A checkpoint of tiny with all that one can hold. */
static char *make_checkpoint(enum fv_optim_kind optim, size_t *n)
{
    const struct fv_arch_settings a = {
        .size = 12, .classes = 3, .stem = "auto", .mean = {.5f, .5f, .5f}, .std = {.5f, .5f, .5f}};
    struct fv_net *net;
    char path[] = "/tmp/fv-fuzz-checkpoint-XXXXXX", *bytes = NULL;
    const int fd = mkstemp(path);
    if (fd < 0 || fv_net_build(&net, "tiny", &a) < 0)
        exit(1);
    struct fv_snapshot s = {.net = net,
                            .stem = "auto",
                            .optim = optim,
                            .half_step = 1,
                            .at = {.step = 17, .epoch = 2, .updates = 5, .best_acc = .25},
                            .steps_per_epoch = 8,
                            .epochs = 3,
                            .lr = .01,
                            .settings = "arch = tiny\n",
                            .data_id = "digest = 1\n",
                            .backend = "ref"};
    s.arena = calloc(net->params + net->buffers, sizeof(float));
    fv_net_init(net, 1, s.arena);
    for (int i = 0; i < FV_STATES; i++)
        if (i != FV_STATE_SECOND || optim != FV_OPTIM_SGD)
            s.state[i] = calloc(net->params + net->buffers, sizeof(float));
    if (fv__snapshot_write(path, &s) < 0 || fv_file_read(path, 1 << 24, &bytes, n) < 0)
        exit(1);
    free(s.arena);
    for (int i = 0; i < FV_STATES; i++)
        free(s.state[i]);
    fv_net_free(&net);
    close(fd);
    unlink(path);
    return bytes;
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    enum { ROUNDS = 3000 };
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct fv_rng r = fv_rng_at(seed, 0, round, FV_RNG_TEST);
        static char *whole[2];
        static size_t n[2];
        const int i = (int)(round % 2);
        if (!whole[i])
            whole[i] = make_checkpoint(i ? FV_OPTIM_ADAMW : FV_OPTIM_SGD, &n[i]);
        uint64_t header;
        memcpy(&header, whole[i], sizeof header);
        uint8_t *file = malloc(n[i]);
        memcpy(file, whole[i], n[i]);
        const size_t length = round < 2 ? n[i] : mutate(&r, file, n[i], header + 8);
        LLVMFuzzerTestOneInput(file, length);
        free(file);
        if (round + 2 >= ROUNDS)
            free(whole[i]);
    }
    printf("fuzz_checkpoint: seed %llu, %d files, %lu sound, %lu nets built, %lu filled\n",
           (unsigned long long)seed, ROUNDS, sound, built, filled);
    return sound < 2 || sound > ROUNDS / 10 || built < ROUNDS / 20 || filled < ROUNDS / 50;
}
#endif
