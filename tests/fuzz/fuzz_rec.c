/* SPDX-License-Identifier: MIT */
/* The RecordIO reader on damaged containers: whatever it gives lies within what it has read.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates a
 * small container by a seeded rule, so that the same few thousand files are an ordinary test.
 */
#include "prep/import/recordio.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"
#include "tests/prep/rec_bytes.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile unsigned sink;
static unsigned long images, damaged; /* how often */

/* The whole payload, and what the listing reads of it, must agree. */
static void read_record(const struct fv_rec_source *s, uint64_t at, uint8_t **buf, size_t *room,
                        struct fv_rec *rec)
{
    struct fv_rec_image whole, head;
    struct fv_rec again;
    if (fv__rec_read(s, at, FV_REC_MAX_BYTES, buf, room, rec) != 0)
        abort();
    for (size_t i = 0; i < rec->bytes; i++)
        sink += (*buf)[i];
    int is_image = fv__rec_parse(&whole, *buf, (size_t)rec->bytes, rec->bytes);
    if (is_image) {
        images++;
        if (whole.body > rec->bytes)
            abort();
    }
    if (fv__rec_read(s, at, FV_REC_LABEL_BYTES, buf, room, &again) != 0 || again.end != rec->end ||
        again.bytes != rec->bytes)
        abort();
    size_t have = rec->bytes < FV_REC_LABEL_BYTES ? (size_t)rec->bytes : FV_REC_LABEL_BYTES;
    if (fv__rec_parse(&head, *buf, have, rec->bytes) != is_image ||
        (is_image && (head.body != whole.body || memcmp(&head.label, &whole.label, 4) != 0)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct fv_rec_source s = {-1, data, n};
    uint8_t *buf = NULL;
    size_t room = 0;
    struct fv_rec rec;
    fuzz_keep_seed(data, n);
    for (uint64_t at = 0, next; at < n; at = next) {
        if (fv__rec_read(&s, at, 0, &buf, &room, &rec) == 0) {
            read_record(&s, at, &buf, &room, &rec);
            next = rec.end;
        } else {
            damaged++;
            sink += (unsigned)strlen(rec.why);
            if (fv__rec_resync(&s, at + 4, &next) < 0)
                abort();
        }
        if (next <= at)
            abort();
    }
    free(buf);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const tokens[] = {
    "\4\x0a\x23\xd7\xce", "\4\0\0\0\0",
    "\4\x1c\0\0\0",       "\4\x1c\0\0\x20",
    "\4\0\0\0\x40",       "\4\4\0\0\x60",
    "\4\xff\xff\xff\x1f", "\4\xff\xff\xff\xff",
    "\4\2\0\0\0",         "\10\x0a\x23\xd7\xce\0\0\0\0",
};

int main(int argc, char **argv)
{
    enum { ROUNDS = 20000 };
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    static struct rec_bytes file, copy;
    static const char *const bodies[] = {"", "jpeg", "cut\x0a\x23\xd7\xce",
                                         "\x0a\x23\xd7\xce there"};
    for (uint32_t i = 0; i < 8; i++) {
        uint8_t payload[128];
        const float labels[3] = {(float)i, 2, 3};
        const char *body = bodies[i % 4];
        rec_put(&file, payload,
                rec_payload(payload, i % 3, (float)i, labels, i, body, strlen(body)));
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct fv_rng r = fv_rng_at(seed, 0, round, FV_RNG_TEST);
        copy = file;
        copy.n =
            mutate_bytes(&r, copy.p, copy.n, sizeof copy.p, tokens, sizeof tokens / sizeof *tokens);
        LLVMFuzzerTestOneInput(copy.p, copy.n);
    }
    printf("fuzz_rec: seed %llu, %d containers, %lu images, %lu damaged records\n",
           (unsigned long long)seed, ROUNDS, images, damaged);
    /* Mutations that are all refused, or none, would test little. */
    return images < ROUNDS || damaged < ROUNDS / 20;
}
#endif
