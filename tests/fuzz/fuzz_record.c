/* SPDX-License-Identifier: MIT */
/* The data set reader on damaged files and records: it may refuse them, it may not read outside of them.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates a
 * small valid data set and its records by a seeded rule, so that the same few thousand inputs are an ordinary
 * test. Checksums would hide most of the reader from either: so each input is read as it is and once more with
 * the checksums made right.
 */
#include "common/fs.h"
#include "store/codec.h"
#include "store/frame.h"
#include "store/pages.h"
#include "tests/fuzz/seeds.h"
#include "tests/store/demo_store.h"
#include "tests/store/store_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { SIDE = 8 };
static volatile unsigned sink;
static unsigned long accepted, refused, decoded; /* how often */

/* --- a record ------------------------------------------------------------------------------------- */

static void decode_record(const uint8_t *p, size_t n)
{
    static uint8_t content[SIDE * SIDE * 3], rgb[sizeof content + FV_DECODE_PAD];
    static struct fv_frame *frame;
    static void *ctx;
    const struct fv_codec *codec = fv__codec_by_name("pixels");
    struct fv_record r;
    size_t bytes;

    if (!ctx && (codec->open(&ctx, &(struct fv_codec_settings){SIDE, SIDE, 0}) < 0 ||
                 fv__frame_open(&frame, 0) < 0))
        abort();
    if (fv__record_parse(p, n, &r) < 0)
        return;
    if (r.payload != p + FV_RECORD_HEADER || r.payload_bytes != n - FV_RECORD_HEADER)
        abort();
    if (fv__frame_unpack(frame, NULL, (struct fv_span){r.payload, r.payload_bytes}, content,
                         sizeof content, &bytes) < 0 ||
        codec->decode(ctx, content, bytes, rgb) < 0)
        return;
    decoded++;
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        sink += rgb[i];
}

static void try_record(uint8_t *p, size_t n)
{
    decode_record(p, n);
    if (n < FV_RECORD_HEADER)
        return;
    const struct fv_record r = {fv__get64(p + 8),
                                fv__get16(p + 20),
                                fv__get16(p + 22),
                                p[24],
                                NULL,
                                (uint32_t)(n - FV_RECORD_HEADER)};
    fv__record_seal(p, &r);
    decode_record(p, n);
}

/* --- a file --------------------------------------------------------------------------------------- */

/* Touches all that an accepted file claims to hold. */
static void read_store(struct fv_store *s)
{
    const struct fv_store_info *info = fv_store_info(s);
    struct fv_store_image image;
    struct fv_store_label label;
    uint64_t at, bad, images = 0;

    for (uint64_t i = 0; i < info->labels; i++) {
        if (fv_store_label(s, i, &label) < 0 || label.first != images)
            abort();
        images += label.count;
        sink += (unsigned)strlen(label.name);
    }
    if (images != info->images)
        abort();
    for (uint64_t i = 0; i < images; i++) {
        if (fv_store_image(s, i, &image) < 0)
            abort();
        sink += (unsigned)strlen(image.name);
        if (fv_store_find(s, image.name, &at) >= 0 && at != i)
            abort();
        fv_store_will_need(s, i, i);
    }
    sink += (unsigned)strlen(info->packed_with);
    if (info->width <= 64 &&
        info->height <= 64) /* memory for larger ones is all that they would test */
        fv_store_verify(s, 1, NULL, &bad);
}

/* Files live in memory, under a name that the reader can open. */
static void open_store(const struct store_bytes *f)
{
    static int fd = -1;
    static char path[32];
    struct fv_store *s;

    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, (off_t)f->n) != 0 || pwrite(fd, f->p, f->n, 0) != (ssize_t)f->n)
        abort();
    if (fv_store_open(&s, path) < 0) {
        refused++;
        return;
    }
    accepted++;
    read_store(s);
    fv_store_close(&s);
}

static void try_store(const struct store_bytes *f)
{
    open_store(f);
    if (fv__pages_check(f->p, f->n) >= 0 && store_reseal(f))
        open_store(f);
}

/* A record begins with its checksum, a file with the number of page 0: eight zeros. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t page_zero[8];
    const struct store_bytes copy = {calloc(1, n ? n : 1), n};

    fuzz_keep_seed(data, n);
    if (!copy.p)
        return 0;
    if (n)
        memcpy(copy.p, data, n);
    if (n >= 8 && memcmp(data, page_zero, 8) == 0)
        try_store(&copy);
    else
        try_record(copy.p, n);
    free(copy.p);
    return 0;
}

#ifndef FV_LIBFUZZER
/* Small ones, large ones, and those around what the file holds. */
static const uint64_t numbers[] = {
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    12,
    16,
    19,
    20,
    21,
    23,
    24,
    28,
    32,
    0x7f,
    0xff,
    4080,
    4095,
    4096,
    4097,
    0x7fff,
    0xffff,
    0x10000,
    1u << 30,
    1u << 31,
    UINT32_MAX,
    1ull << 32,
    UINT32_MAX - 7,
    UINT64_MAX / 2,
    UINT64_MAX - 15,
    UINT64_MAX,
};

static void mutate(struct fv_rng *r, uint8_t *p, size_t n)
{
    const size_t at = fv_rng_below(r, (uint32_t)n);
    size_t width = (size_t)1 << fv_rng_below(r, 4);
    uint8_t number[8];

    switch (fv_rng_below(r, 3)) {
    case 0: /* one bit */
        p[at] ^= (uint8_t)(1u << fv_rng_below(r, 8));
        return;
    case 1: /* one byte */
        p[at] = (uint8_t)fv_rng_u32(r);
        return;
    default: /* a number, where one may stand */
        fv__put64(number, numbers[fv_rng_below(r, sizeof numbers / sizeof *numbers)]);
        width = width < n - at / width * width ? width : 1;
        memcpy(p + at / width * width, number, width);
    }
}

/* A part of the file: one of its metas, the page of its tree, one of its values, or all of it. */
static struct store_bytes part(const struct store_bytes *f, uint32_t which)
{
    const size_t page = fv__get32(f->p + 40);

    if (which < 2)
        return (struct store_bytes){f->p + which * page, 152};
    if (which == 2)
        return (struct store_bytes){store_leaf(f), page};
    if (which < 3 + STORE_KEYS)
        return store_value(f, (int)which - 3);
    return *f;
}

static void mutate_file(struct fv_rng *r, const struct store_bytes *whole, struct store_bytes *f)
{
    memcpy(f->p, whole->p, whole->n);
    f->n = whole->n;
    for (uint32_t k = fv_rng_below(r, 4) + 1; k > 0; k--) {
        /* Where it lies is asked of the undamaged file. */
        const struct store_bytes at = part(whole, fv_rng_below(r, 4 + STORE_KEYS));
        mutate(r, f->p + (at.p - whole->p), at.n);
    }
    if (fv_rng_below(r, 16) == 0)
        f->n = fv_rng_below(r, (uint32_t)f->n);
}

static int fuzz_files(uint64_t seed, const struct store_bytes *whole, int rounds)
{
    struct store_bytes f = {malloc(whole->n), 0};

    if (!f.p)
        return 1;
    for (int i = 0; i < rounds; i++) {
        struct fv_rng r = fv_rng_at(seed, 0, (uint64_t)i, FV_RNG_TEST);
        mutate_file(&r, whole, &f);
        LLVMFuzzerTestOneInput(f.p, f.n);
    }
    free(f.p);
    return 0;
}

static int fuzz_records(uint64_t seed, int rounds)
{
    const struct fv_store_settings settings = {
        .height = SIDE, .width = SIDE, .codec = "pixels", .level = 3, .packed_with = ""};
    uint8_t rgb[SIDE * SIDE * 3], record[1024], damaged[1024];
    struct fv_encoder *e;
    size_t n, length;

    if (fv_encoder_open(&e, &settings) < 0 || fv_encoder_bound(e) > sizeof record)
        return 1;
    demo_pixels(0, SIDE, rgb);
    const int rc = fv_encoder_write(e, rgb, record, &n);
    fv_encoder_close(&e);
    for (int i = 0; rc >= 0 && i < rounds; i++) {
        struct fv_rng r = fv_rng_at(seed, 1, (uint64_t)i, FV_RNG_TEST);
        memcpy(damaged, record, n);
        for (uint32_t k = fv_rng_below(&r, 4) + 1; k > 0; k--)
            mutate(&r, damaged, n);
        length = fv_rng_below(&r, 8) ? n : fv_rng_below(&r, (uint32_t)n);
        LLVMFuzzerTestOneInput(damaged, length);
    }
    return rc < 0;
}

/* The bytes of a small data set, which must be accepted as they are. */
static int make_file(struct store_bytes *f)
{
    const struct demo demo = {.labels = 4, .images = 5, .holdout = 1, .side = SIDE, .with_dict = 1};
    char path[] = "/tmp/fv-fuzz-record-XXXXXX", *data = NULL;

    close(mkstemp(path));
    int rc = demo_make(path, &demo);
    if (rc >= 0)
        rc = fv_file_read(path, 1 << 20, &data, &f->n);
    unlink(path);
    f->p = (uint8_t *)data;
    if (rc >= 0)
        LLVMFuzzerTestOneInput(f->p, f->n);
    return rc < 0 || accepted != 2;
}

int main(int argc, char **argv)
{
    enum { FILES = 6000, RECORDS = 40000 };
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    struct store_bytes whole = {NULL, 0};
    int rc = make_file(&whole);

    if (rc == 0)
        rc = fuzz_files(seed, &whole, FILES);
    free(whole.p);
    printf("fuzz_record: seed %llu, %d files, %lu times accepted, %lu refused\n",
           (unsigned long long)seed, FILES, accepted, refused);
    if (rc == 0)
        rc = fuzz_records(seed, RECORDS);
    printf("fuzz_record: %d records, %lu times accepted\n", RECORDS, decoded);
    /* Mutations that are all refused, or none, would test little. */
    return rc || accepted < FILES / 20 || refused < FILES / 20 || decoded < RECORDS / 20;
}
#endif
