/* SPDX-License-Identifier: MIT */
/* JPEGs against Pillow over the same libjpeg-turbo, to the bit (tests/golden/make_photo_golden.py), and what is
 * made of those that are damaged or mean harm.
 */
#include "prep/photo/photo.h"

#include "prep/photo/icc.h"
#include "prep/prep.h"
#include "store/store.h"
#include "tests/cmocka_all.h"
#include "tests/prep/crc32.h"
#include "tests/prep/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASES = 16, MOST = 64, SOF0 = 0xC0, SOF2 = 0xC2, DQT = 0xDB, SOS = 0xDA, APP2 = 0xE2 };

struct file {
    char name[64];
    int size;
    unsigned crc;
    uint8_t *bytes;
    size_t n;
};

static const char *path;
static struct file files[CASES];
static int cases;
static uint8_t rgb[MOST * MOST * 3];
static struct fv_refusal why;

static int read_files(void **state)
{
    (void)state;
    static char line[1 << 16];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct file *to = &files[cases];
        int at;
        if (line[0] == '#')
            continue;
        assert_true(cases < CASES && strchr(line, '\n'));
        assert_int_equal(sscanf(line, "%63s %d %x %n", to->name, &to->size, &to->crc, &at), 3);
        to->bytes = malloc(strlen(line + at) / 2);
        for (unsigned v; sscanf(line + at + 2 * to->n, "%2x", &v) == 1;)
            to->bytes[to->n++] = (uint8_t)v;
        cases++;
    }
    fclose(f);
    assert_true(cases > 10);
    return 0;
}

static int free_files(void **state)
{
    (void)state;
    while (cases)
        free(files[--cases].bytes);
    return 0;
}

static struct file *file_of(const char *name)
{
    for (int i = 0; i < cases; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    fail_msg("no case %s", name);
    return NULL;
}

static int decode(struct fv_photo *p, const uint8_t *bytes, size_t n)
{
    memset(rgb, 0xAA, sizeof rgb);
    return fv__photo_decode(p, bytes, n, NULL, rgb, &why);
}

static struct fv_photo *open_photo(int size)
{
    struct fv_photo *p;
    assert_int_equal(fv__photo_open(&p, &(struct fv_framing){.size = size, .crop = 1}), 0);
    return p;
}

static int decode_once(int size, const uint8_t *bytes, size_t n)
{
    struct fv_photo *p = open_photo(size);
    int rc = decode(p, bytes, n);
    fv__photo_close(&p);
    return rc;
}

static void assert_pixels(const struct file *f)
{
    if (crc32_of(rgb, 3 * (size_t)f->size * (size_t)f->size) != f->crc)
        fail_msg("%s: not Pillow's pixels", f->name);
}

static void assert_reason(enum fv_reject want)
{
    if (why.why != want)
        fail_msg("%s (%s), not %s", fv__reject_code(why.why), why.detail, fv__reject_code(want));
}

/* Where the first segment of a kind begins. */
static size_t find(const struct file *f, uint8_t marker)
{
    for (size_t at = 2; at + 4 < f->n && f->bytes[at] == 0xFF;
         at += 2 + (size_t)(f->bytes[at + 2] << 8 | f->bytes[at + 3]))
        if (f->bytes[at + 1] == marker)
            return at;
    fail_msg("%s has no segment %x", f->name, marker);
    return 0;
}

/* A copy with `n` bytes put in at `at`. */
static uint8_t *insert(const struct file *f, size_t at, const void *bytes, size_t n)
{
    uint8_t *copy = malloc(f->n + n);
    memcpy(copy, f->bytes, at);
    memcpy(copy + at, bytes, n);
    memcpy(copy + at + n, f->bytes + at, f->n - at);
    return copy;
}

/* --- pixels --------------------------------------------------------------------------------------- */

static void equals_pillow(void **state)
{
    (void)state;
    for (int i = 0; i < cases; i++) {
        struct fv_photo *p = open_photo(files[i].size);
        assert_int_equal(decode(p, files[i].bytes, files[i].n), 0);
        assert_pixels(&files[i]);
        assert_int_equal(fv__photo_is_finished_jpeg(p), !strncmp(files[i].name, "finished", 8));
        fv__photo_close(&p);
    }
}

static void finished_needs_the_whole_picture(void **state)
{
    (void)state;
    const struct file *f = file_of("finished");
    const struct fv_framing other[] = {{.size = 32, .crop = 0.8},
                                       {.size = 24, .crop = 1},
                                       {.size = 64, .crop = 1},
                                       {.size = 32, .by = FV_FRAME_BOX}};
    const struct fv_face face = {.has_box = 1, .box = {1, 1, 30, 30}};
    for (int i = 0; i < 4; i++) {
        struct fv_photo *p;
        assert_int_equal(fv__photo_open(&p, &other[i]), 0);
        assert_int_equal(fv__photo_decode(p, f->bytes, f->n, &face, rgb, &why), 0);
        assert_int_equal(fv__photo_is_finished_jpeg(p), 0);
        fv__photo_close(&p);
    }
    /* upright once its EXIF is obeyed, but not as it is stored */
    static const uint8_t exif[] = "\xff\xe1\x00\x22"
                                  "Exif\0\0"
                                  "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0";
    uint8_t *turned = insert(f, 2, exif, 36);
    struct fv_photo *p = open_photo(32);
    uint8_t upright[32 * 32 * 3];
    assert_int_equal(decode(p, f->bytes, f->n), 0);
    assert_int_equal(fv__photo_is_finished_jpeg(p), 1);
    memcpy(upright, rgb, sizeof upright);
    assert_int_equal(decode(p, turned, f->n + 36), 0);
    assert_int_equal(fv__photo_is_finished_jpeg(p), 0);
    for (int i = 0; i < 32 * 32; i++) /* by half a circle */
        assert_memory_equal(rgb + 3 * i, upright + 3 * (32 * 32 - 1 - i), 3);
    fv__photo_close(&p);
    free(turned);
}

/* A data set of the codec jpeg keeps the files that fit, and with them Pillow's pixels. */
static void finished_files_are_packed_as_they_are(void **state)
{
    (void)state;
    static uint8_t pixels[32 * 32 * 3 + FV_DECODE_PAD];
    struct fv_pack_settings s;
    struct fv_pack_result result;
    struct fv_store *store;
    struct fv_decoder *d;
    int n = 0;
    scratch_open();
    for (int i = 0; i < cases; i++) {
        char name[128];
        snprintf(name, sizeof name, "photos/p/%02d.jpg", n);
        if (strncmp(files[i].name, "finished", 8) == 0 && ++n)
            scratch_write(name, files[i].bytes, files[i].n);
    }
    fv_pack_defaults(&s);
    s.size = 32;
    s.codec = "jpeg";
    s.output = scratch_path("faces.lmdb");
    assert_int_equal(fv_pack_run(&s, scratch_path("photos"), NULL, &result), 0);
    assert_int_equal(fv_store_open(&store, s.output), 0);
    assert_int_equal(fv_decoder_open(&d, store), 0);
    assert_int_equal(fv_store_info(store)->images, n);
    n = 0;
    for (int i = 0; i < cases; i++)
        if (strncmp(files[i].name, "finished", 8) == 0) {
            assert_int_equal(fv_decoder_read(d, (uint64_t)n++, pixels), 0);
            memcpy(rgb, pixels, 32 * 32 * 3);
            assert_pixels(&files[i]);
        }
    fv_decoder_close(&d);
    fv_store_close(&store);
    scratch_close();
}

/* --- damage --------------------------------------------------------------------------------------- */

static void cut_anywhere_it_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"half", "half-422-progressive", "quarter-grey"};
    for (int i = 0; i < 3; i++) {
        const struct file *f = file_of(names[i]);
        struct fv_photo *p = open_photo(f->size);
        for (size_t n = 3; n < f->n; n += n < f->n - 20 ? 7 : 1) {
            uint8_t *cut = malloc(n);
            memcpy(cut, f->bytes, n);
            if (decode(p, cut, n) != 1)
                fail_msg("%s: %zu of %zu bytes were taken", f->name, n, f->n);
            if (n > f->n / 2)
                assert_reason(FV_REJECT_TRUNCATED);
            free(cut);
        }
        fv__photo_close(&p);
    }
}

/* A byte of the picture's data is lost: what follows is noise, or ends too early or too late. */
static void flipped_bits_end_in_a_picture_or_a_refusal(void **state)
{
    (void)state;
    uint32_t r = 1;
    int refused = 0;
    for (int i = 0; i < cases; i++) {
        struct fv_photo *p = open_photo(files[i].size);
        uint8_t *copy = insert(&files[i], 0, "", 0);
        for (int k = 0; k < 100; k++) {
            r = r * 1664525 + 1013904223;
            size_t at = 2 + r % (files[i].n - 2);
            copy[at] ^= (uint8_t)(1 << (r >> 29));
            int rc = decode(p, copy, files[i].n);
            assert_in_range(rc, 0, 1);
            refused += rc;
            copy[at] = files[i].bytes[at];
        }
        free(copy);
        assert_int_equal(decode(p, files[i].bytes, files[i].n), 0); /* nothing stuck */
        assert_pixels(&files[i]);
        fv__photo_close(&p);
    }
    assert_true(refused > 100);
}

static void stray_bytes_are_harmless_before_the_picture_only(void **state)
{
    (void)state;
    const struct file *f = file_of("half");
    uint8_t *copy = insert(f, find(f, DQT), "stray", 5);
    assert_int_equal(decode_once(f->size, copy, f->n + 5), 0);
    assert_pixels(f);
    free(copy);
    copy = insert(f, f->n - 2, "stray", 5);
    assert_int_equal(decode_once(f->size, copy, f->n + 5), 1);
    assert_reason(FV_REJECT_DAMAGED);
    free(copy);
    copy = insert(f, f->n, "stray", 5); /* after the end mark: another picture, a maker's notes */
    assert_int_equal(decode_once(f->size, copy, f->n + 5), 0);
    assert_pixels(f);
    free(copy);
}

/* Tables of the photo before are not lent to one without its own. */
static void photos_do_not_share_tables(void **state)
{
    (void)state;
    const struct file *f = file_of("full");
    size_t at = find(f, DQT), n = 2 + (size_t)(f->bytes[at + 2] << 8 | f->bytes[at + 3]);
    struct file bare = {.n = f->n - n, .bytes = malloc(f->n - n)};
    memcpy(bare.bytes, f->bytes, at);
    memcpy(bare.bytes + at, f->bytes + at + n, f->n - at - n);
    struct fv_photo *p = open_photo(f->size);
    assert_int_equal(decode(p, f->bytes, f->n), 0);
    assert_int_equal(decode(p, bare.bytes, bare.n), 1);
    assert_reason(FV_REJECT_DAMAGED);
    fv__photo_close(&p);
    free(bare.bytes);
}

/* --- bombs and rarities ---------------------------------------------------------------------------- */

static void endless_scans_are_refused(void **state)
{
    (void)state;
    const struct file *f = file_of("half-422-progressive");
    size_t at = find(f, SOS), room = 200 * 4000;
    uint8_t *bomb = malloc(room);
    size_t scan = 0, n = f->n - 2;
    for (size_t i = at + 2; !scan; i++) /* up to the next segment */
        if (f->bytes[i] == 0xFF && f->bytes[i + 1] >= DQT - 0x1B && f->bytes[i + 1] < 0xFF &&
            (f->bytes[i + 1] & 0xF8) != 0xD0)
            scan = i - at;
    memcpy(bomb, f->bytes, n);
    for (int k = 0; k < FV_PHOTO_MAX_SCANS && n + scan + 2 < room; k++, n += scan)
        memcpy(bomb + n, f->bytes + at, scan);
    memcpy(bomb + n, "\xff\xd9", 2);
    assert_int_equal(decode_once(f->size, bomb, n + 2), 1);
    assert_reason(FV_REJECT_DAMAGED);
    assert_non_null(strstr(why.detail, "scans"));
    free(bomb);
}

static void sizes_are_checked_before_decoding(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t sof;
        int w, h;
        enum fv_reject want;
    } tests[] = {
        {"half", SOF0, 60000, 60000, FV_REJECT_TOO_MANY_PIXELS},
        {"half", SOF0, 16385, 8192, FV_REJECT_TOO_MANY_PIXELS},
        {"half", SOF0, 7, 4000, FV_REJECT_TOO_SMALL},
        {"half", SOF0, 12000, 11000, FV_REJECT_TRUNCATED}, /* rows: allowed, but not there */
        {"half-422-progressive", SOF2, 12000, 11000, FV_REJECT_TOO_MANY_PIXELS},
        {"half-422-progressive", SOF2, 3000, 2000, FV_REJECT_TRUNCATED}};
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        const struct file *f = file_of(tests[i].name);
        uint8_t *copy = insert(f, 0, "", 0), *sof = copy + find(f, tests[i].sof);
        sof[5] = (uint8_t)(tests[i].h >> 8);
        sof[6] = (uint8_t)tests[i].h;
        sof[7] = (uint8_t)(tests[i].w >> 8);
        sof[8] = (uint8_t)tests[i].w;
        int cut = tests[i].want == FV_REJECT_TRUNCATED ? 2 : 0; /* the end mark */
        assert_int_equal(decode_once(f->size, copy, f->n - (size_t)cut), 1);
        assert_reason(tests[i].want);
        free(copy);
    }
}

static void rare_kinds_are_named(void **state)
{
    (void)state;
    const struct file *f = file_of("half");
    for (int kind = 0; kind < 2; kind++) {
        uint8_t *copy = insert(f, 0, "", 0), *sof = copy + find(f, SOF0);
        sof[kind ? 4 : 1] = kind ? 12 : 0xC3; /* 12 bits, lossless */
        assert_int_equal(decode_once(f->size, copy, f->n), 1);
        assert_reason(FV_REJECT_UNSUPPORTED);
        free(copy);
    }
}

/* --- colour profiles ------------------------------------------------------------------------------ */

static void srgb_is_known_by_its_numbers(void **state)
{
    (void)state;
    const struct file *f = file_of("finished-srgb");
    size_t at = find(f, APP2) + 18, n = (size_t)(f->bytes[at - 16] << 8 | f->bytes[at - 15]) - 16;
    uint8_t *whole = malloc(n);
    memcpy(whole, f->bytes + at, n);
    assert_int_equal(fv__icc_is_srgb(whole, n), 1);
    uint32_t r = 7;
    for (size_t cut = 0; cut < n;
         cut += 3) { /* none reads beyond its end; the last tag may be unused */
        uint8_t *part = malloc(cut + 1);
        memcpy(part, whole, cut);
        (void)fv__icc_is_srgb(part, cut);
        assert_true(cut > 132 || !fv__icc_is_srgb(part, cut));
        free(part);
    }
    for (int k = 0; k < 3000; k++) {
        uint8_t *part = malloc(n);
        memcpy(part, whole, n);
        for (int i = 0; i < 3; i++) {
            r = r * 1664525 + 1013904223;
            part[128 + (r >> 8) % (n - 128)] = (uint8_t)(r >> 3);
        }
        assert_in_range(fv__icc_is_srgb(part, n), 0, 1);
        free(part);
    }
    for (size_t i = 128; i + 11 <= n; i++) /* red's primary moved, as another space has it */
        if (memcmp(whole + i, "XYZ \0\0\0\0\0\0\x6f", 11) == 0)
            whole[i + 10] = 0x84;
    assert_int_equal(fv__icc_is_srgb(whole, n), 0);
    free(whole);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_pillow),
        cmocka_unit_test(finished_needs_the_whole_picture),
        cmocka_unit_test(finished_files_are_packed_as_they_are),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(flipped_bits_end_in_a_picture_or_a_refusal),
        cmocka_unit_test(stray_bytes_are_harmless_before_the_picture_only),
        cmocka_unit_test(photos_do_not_share_tables),
        cmocka_unit_test(endless_scans_are_refused),
        cmocka_unit_test(sizes_are_checked_before_decoding),
        cmocka_unit_test(rare_kinds_are_named),
        cmocka_unit_test(srgb_is_known_by_its_numbers),
    };
    path = argc > 1 ? argv[1] : "tests/golden/photo.txt";
    return cmocka_run_group_tests(tests, read_files, free_files);
}
