/* SPDX-License-Identifier: MIT */
/* RecordIO, built byte by byte as MXNet documents it, and the sets that InsightFace and im2rec make of it. */
#include "prep/import/recordio.h"

#include "common/err.h"
#include "prep/import/importer.h"
#include "tests/cmocka_all.h"
#include "tests/prep/listed.h"
#include "tests/prep/rec_bytes.h"
#include "tests/prep/scratch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rec_bytes f;
static struct fv_listing l;
static struct fv_import_settings settings;
static char idx[4096]; /* of the container, so far */

static int setup(void **state)
{
    (void)state;
    f.n = 0;
    idx[0] = 0;
    settings = (struct fv_import_settings){0};
    scratch_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fv__listing_free(&l);
    scratch_close();
    return 0;
}

static int import(const char *name)
{
    fv__listing_free(&l);
    listed_forget();
    return fv__import(&l, scratch_path("%s", name), &settings, &listed_report);
}

static void imports(const char *name)
{
    if (import(name) < 0)
        fail_msg("%s", fv_err_text());
    assert_string_equal(l.importer->name, "recordio");
}

static void assert_image(size_t i, const char *identity, const char *name, const void *want,
                         size_t want_n)
{
    uint8_t *buf = NULL;
    size_t room = 0, n = 0;
    struct fv_refusal why;
    assert_true(i < l.photos);
    assert_string_equal(l.photo[i].identity, identity);
    assert_string_equal(l.photo[i].name, name);
    assert_int_equal(fv__import_read(&l, &l.photo[i], &buf, &room, &n, &why), 0);
    assert_int_equal(n, want_n);
    assert_memory_equal(buf, want, n);
    free(buf);
}

/* --- records -------------------------------------------------------------------------------------- */

static void assert_record(uint64_t at, const void *want, size_t n, uint64_t end)
{
    const struct fv_rec_source s = {-1, f.p, f.n};
    uint8_t *buf = NULL;
    size_t room = 0;
    struct fv_rec rec;
    for (size_t k = 0; k < 3; k++) { /* all, half of it, nothing */
        size_t some = k == 0 ? n : k == 1 ? n / 2 : 0;
        assert_int_equal(fv__rec_read(&s, at, some, &buf, &room, &rec), 0);
        assert_int_equal(rec.bytes, n);
        assert_int_equal(rec.end, end);
        assert_memory_equal(some ? buf : want, want, some);
    }
    free(buf);
}

static void records_lie_at_multiples_of_four(void **state)
{
    (void)state;
    static const uint8_t whole[] = {
        0x0a, 0x23, 0xd7, 0xce, 5,    0,    0,    0,    'h', 'e', 'l', 'l',
        'o',  0,    0,    0,    0x0a, 0x23, 0xd7, 0xce, 0,   0,   0,   0,
        0x0a, 0x23, 0xd7, 0xce, 4,    0,    0,    0,    'l', 'a', 's', 't',
    };
    memcpy(f.p, whole, f.n = sizeof whole);
    assert_record(0, "hello", 5, 16);
    assert_record(16, "", 0, 24);
    assert_record(24, "last", 4, 36);
}

static void parts_are_joined_by_the_magic_number(void **state)
{
    (void)state;
    static const uint8_t parts[] = {
        0x0a, 0x23, 0xd7, 0xce, 4,    0,    0,    0x20, 'a', 'b', 'c', 'd',  0x0a, 0x23, 0xd7, 0xce,
        0,    0,    0,    0x40, 0x0a, 0x23, 0xd7, 0xce, 2,   0,   0,   0x60, 'e',  'f',  0,    0,
    };
    memcpy(f.p, parts, f.n = sizeof parts);
    assert_record(0,
                  "abcd\x0a\x23\xd7\xce\x0a\x23\xd7\xce"
                  "ef",
                  14, 32);
    /* and back: a writer cuts at each aligned magic */
    f.n = 0;
    rec_put(&f,
            "abcd\x0a\x23\xd7\xce\x0a\x23\xd7\xce"
            "ef",
            14);
    assert_int_equal(f.n, sizeof parts);
    assert_memory_equal(f.p, parts, f.n);
    f.n = 0;
    rec_put(&f,
            "ab\x0a\x23\xd7\xce"
            "cd",
            8);
    assert_int_equal(f.n, 16);
    assert_record(0,
                  "ab\x0a\x23\xd7\xce"
                  "cd",
                  8, 16);
}

static void damage_is_told(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[24];
        size_t n;
        const char *why;
    } cases[] = {
        {{0x0a, 0x23, 0xd7}, 3, "beyond the end"},
        {{0x0a, 0x23, 0xd7, 0xcf, 0, 0, 0, 0}, 8, "does not begin with the magic"},
        {{0x0a, 0x23, 0xd7, 0x3e, 0, 0, 0, 0}, 8, "first version"},
        {{0x0a, 0x23, 0xd7, 0xce, 1, 0, 0, 0}, 8, "longer than the file"},
        {{0x0a, 0x23, 0xd7, 0xce, 0, 0, 0, 0x80}, 8, "unknown kind"},
        {{0x0a, 0x23, 0xd7, 0xce, 0, 0, 0, 0x40}, 8, "beginning is missing"},
        {{0x0a, 0x23, 0xd7, 0xce, 0, 0, 0, 0x20}, 8, "lacks its last part"},
        {{0x0a, 0x23, 0xd7, 0xce, 0, 0, 0, 0x20, 0x0a, 0x23, 0xd7, 0xce, 0, 0, 0, 0},
         16,
         "lacks its last part"},
        {{0x0a, 0x23, 0xd7, 0xce, 0xff, 0xff, 0xff, 0x1f}, 8, "longer than the file"},
    };
    uint8_t *buf = NULL;
    size_t room = 0;
    struct fv_rec rec;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fv_rec_source s = {-1, cases[i].bytes, cases[i].n};
        assert_int_equal(fv__rec_read(&s, 0, 100, &buf, &room, &rec), 1);
        if (!strstr(rec.why, cases[i].why))
            fail_msg("'%s' does not say '%s'", rec.why, cases[i].why);
        assert_int_equal(fv__rec_read(&s, cases[i].n + 4, 100, &buf, &room, &rec), 1);
    }
    free(buf);
}

static void payloads_are_measured(void **state)
{
    (void)state;
    struct fv_rec_image image;
    uint8_t p[40];
    size_t n = rec_payload(p, 0, 7, NULL, 9, "jpeg", 4);
    assert_int_equal(n, 28);
    assert_int_equal(fv__rec_parse(&image, p, n, n), 1);
    assert_true(image.label == 7 && image.id == 9 && image.body == 24);
    n = rec_payload(p, 2, 0, (const float[]){5, 6}, 9, "jpeg", 4);
    assert_int_equal(n, 36);
    assert_int_equal(fv__rec_parse(&image, p, n, n), 1);
    assert_true(image.label == 5 && image.body == 32);
    assert_int_equal(fv__rec_parse(&image, p, 28, n), 1);
    assert_int_equal(fv__rec_parse(&image, p, 27, n), 0);
    assert_int_equal(fv__rec_parse(&image, p, 28, 31), 0); /* two labels do not fit */
    assert_int_equal(fv__rec_parse(&image, p, 23, 23), 0);
}

/* --- sets ----------------------------------------------------------------------------------------- */

static void put(uint64_t key, uint32_t flag, float label, const float *labels, const char *body)
{
    uint8_t p[256];
    size_t n = rec_payload(p, flag, label, labels, key, body, strlen(body));
    snprintf(idx + strlen(idx), sizeof idx - strlen(idx), "%llu\t%zu\n", (unsigned long long)key,
             f.n);
    rec_put(&f, p, n);
}

/* Four images of labels 1, 0, 1, 12 with keys from `first` on, in InsightFace's form. */
static void put_insightface(uint64_t first)
{
    idx[0] = 0;
    f.n = 0;
    put(0, 2, 0, (const float[]){(float)(first + 4), (float)(first + 7)}, "");
    put(first, 0, 1, NULL, "one");
    put(first + 1, 0, 0, NULL, "null");
    put(first + 2, 2, 99, (const float[]){1, 0}, "\x0a\x23\xd7\xce eins");
    put(first + 3, 0, 12, NULL, "twelve");
    put(first + 4, 2, 0, (const float[]){(float)(first + 1), (float)(first + 2)}, "");
    put(first + 5, 2, 0, (const float[]){(float)first, (float)(first + 1)}, "");
    put(first + 6, 2, 0, (const float[]){(float)(first + 3), (float)(first + 4)}, "");
}

static void write_set(const char *folder, int with_idx)
{
    char name[64];
    snprintf(name, sizeof name, "%s/train.rec", folder);
    scratch_write(name, f.p, f.n);
    snprintf(name, sizeof name, "%s/train.idx", folder);
    if (with_idx)
        scratch_write(name, idx, strlen(idx));
}

static void assert_insightface(uint64_t first)
{
    char name[4][64];
    const int label[4] = {0, 1, 1, 12};
    const uint64_t key[4] = {first + 1, first, first + 2, first + 3};
    for (int i = 0; i < 4; i++)
        snprintf(name[i], sizeof name[i], "%08d/%010llu", label[i], (unsigned long long)key[i]);
    assert_int_equal(l.photos, 4);
    assert_int_equal(l.identities, 3);
    assert_image(0, "00000000", name[0], "null", 4);
    assert_image(1, "00000001", name[1], "one", 3);
    assert_image(2, "00000001", name[2], "\x0a\x23\xd7\xce eins", 9);
    assert_image(3, "00000012", name[3], "twelve", 6);
    assert_int_equal(l.refused.n, 0);
}

static void insightface_sets(void **state)
{
    (void)state;
    put_insightface(1);
    write_set("with", 1);
    write_set("without", 0);
    scratch_write("with/property", "3,112,112\n", 10);
    imports("with");
    assert_insightface(1);
    assert_string_equal(listed_warnings(), "");
    imports("with/train.rec");
    assert_insightface(1);
    imports("without");
    assert_insightface(1);
}

static void keys_above_what_a_float_holds(void **state)
{
    (void)state;
    put_insightface(16777217); /* 2^24 + 1 */
    write_set("big", 1);
    imports("big");
    assert_insightface(16777217);
    put_insightface(42474558);
    write_set("bigger", 1);
    imports("bigger");
    assert_insightface(42474558);
}

static void im2rec_sets_have_no_header(void **state)
{
    (void)state;
    put(0, 0, 3, NULL, "first");
    put(1, 0, 2, NULL, "second");
    write_set("s", 1);
    scratch_write("s/other.rec", "x", 1);
    imports("s");
    assert_int_equal(l.photos, 2);
    assert_image(0, "00000002", "00000002/0000000001", "second", 6);
    assert_image(1, "00000003", "00000003/0000000000", "first", 5);
}

static void a_container_may_stand_for_a_split(void **state)
{
    (void)state;
    put(1, 0, 0, NULL, "train 0");
    put(2, 0, 1, NULL, "train 1");
    write_set("s", 1);
    f.n = 0;
    put(1, 0, 0, NULL, "val 0");
    scratch_write("s/val.rec", f.p, f.n);
    f.n = 0;
    put(1, 0, 7, NULL, "holdout 7");
    scratch_write("s/holdout.rec", f.p, f.n);
    scratch_write("s/property", "2,112,112\n", 10);
    imports("s");
    assert_string_equal(listed_warnings(), "");
    assert_int_equal(l.photos, 4);
    assert_image(0, "00000000", "train/00000000/0000000001", "train 0", 7);
    assert_image(1, "00000000", "val/00000000/0000000000", "val 0", 5);
    assert_image(2, "00000001", "train/00000001/0000000002", "train 1", 7);
    assert_image(3, "00000007", "holdout/00000007/0000000000", "holdout 7", 9);
    assert_int_equal(l.photo[0].split, FV_SPLIT_TRAIN);
    assert_int_equal(l.photo[1].split, FV_SPLIT_VAL);
    assert_int_equal(l.photo[3].split, FV_SPLIT_HOLDOUT);
    imports("s/val.rec"); /* alone it is a set like any other */
    assert_image(0, "00000000", "00000000/0000000000", "val 0", 5);
    assert_int_equal(l.photo[0].split, FV_SPLIT_BY_RULE);
    remove(scratch_path("s/val.rec"));
    imports("s");
    assert_int_equal(l.photo[0].split, FV_SPLIT_BY_RULE);
    assert_int_equal(l.photo[2].split, FV_SPLIT_HOLDOUT);
}

static void what_is_announced_is_compared(void **state)
{
    (void)state;
    const float announced[] = {10, 13};
    put(0, 2, 0, announced, "");
    put(1, 0, 3, NULL, "first");
    write_set("s", 1);
    scratch_write("s/property", "85742,112,112\n", 14);
    imports("s");
    assert_non_null(strstr(listed_warnings(), "announces 9 images, and 1 are there"));
    assert_non_null(
        strstr(listed_warnings(), "property: 85742 identities, but the records have 1"));
}

static void labels_must_be_labels(void **state)
{
    (void)state;
    put(1, 0, -1, NULL, "a");
    put(2, 0, 0.5f, NULL, "b");
    put(3, 0, NAN, NULL, "c");
    put(4, 0, INFINITY, NULL, "d");
    put(5, 0, 4294967296.0f, NULL, "e");
    put(6, 0, 4294967040.0f, NULL, "f");
    write_set("s", 1);
    imports("s");
    assert_int_equal(l.refused.n, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(l.refused.at[i].reason.why, FV_REJECT_BAD_LABEL);
    assert_image(0, "4294967040", "4294967040/0000000006", "f", 1);
}

static void damaged_records_are_passed(void **state)
{
    (void)state;
    for (int with_idx = 0; with_idx < 2; with_idx++) {
        f.n = 0;
        idx[0] = 0;
        put(0, 0, 1, NULL, "first");
        size_t second = f.n;
        put(1, 0, 1, NULL, "second");
        put(2, 0, 1, NULL, "third");
        f.p[second] ^= 1;
        put(3, 0, 1, NULL, "fourth, which is cut short");
        f.n -= 8;
        write_set(with_idx ? "with" : "without", with_idx);
        imports(with_idx ? "with" : "without");
        assert_int_equal(l.photos, 2);
        assert_image(0, "00000001", "00000001/0000000000", "first", 5);
        assert_image(1, "00000001", "00000001/0000000002", "third", 5);
        assert_int_equal(l.refused.n, 2);
        assert_string_equal(l.refused.at[0].name, "record 1");
        assert_int_equal(l.refused.at[0].reason.why, FV_REJECT_BAD_RECORD);
        assert_string_equal(l.refused.at[1].name, "record 3");
        assert_non_null(strstr(l.refused.at[1].reason.detail, "longer than the file"));
    }
}

/* The container changes between listing and reading. */
static void a_record_that_goes_away_is_refused(void **state)
{
    (void)state;
    uint8_t *buf = NULL;
    size_t room = 0, n;
    struct fv_refusal why;
    put(0, 0, 1, NULL, "first");
    put(1, 0, 1, NULL, "second");
    write_set("s", 1);
    imports("s");
    FILE *file = fopen(scratch_path("s/train.rec"), "r+b");
    assert_int_equal(fwrite("xxxx", 1, 4, file), 4);
    fclose(file);
    assert_int_equal(fv__import_read(&l, &l.photo[0], &buf, &room, &n, &why), 1);
    assert_int_equal(why.why, FV_REJECT_BAD_RECORD);
    assert_int_equal(fv__import_read(&l, &l.photo[1], &buf, &room, &n, &why), 0);
    free(buf);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *idx, *sentence;
    } cases[] = {
        {"0\t0\n1\n", "train.idx:2: is no key and byte offset"},
        {"0\t0\n1\tx\n", "train.idx:2: is no key and byte offset"},
        {"0\t0\n1\t-4\n", "train.idx:2: is no key and byte offset"},
        {"0\t0\n1\t2\n", "train.idx:2: byte 2 is no place"},
        {"0\t0\n1\t36\n", "train.idx:2: byte 36 is no place in a container of 36"},
        {"5\t0\n5\t0\n", "key 5 comes twice"},
        {"", "is empty"},
    };
    put(0, 0, 1, NULL, "1234");
    assert_int_equal(f.n, 36);
    write_set("s", 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_write("s/train.idx", cases[i].idx, strlen(cases[i].idx));
        assert_error(import("s"), "s", cases[i].sentence);
    }
    settings.layout = "recordio";
    scratch_write("two/a.rec", f.p, f.n);
    scratch_write("two/b.rec", f.p, f.n);
    assert_error(import("two"), "two", "holds no train.rec, or several");
    assert_error(import("gone.rec"), "gone.rec", "cannot open");
    scratch_write("lfs.rec", "version https://git-lfs.github.com/spec/v1\n", 43);
    assert_error(import("lfs.rec"), "lfs.rec", "git lfs pull");
    f.n = 0;
    put(0, 2, 0, (const float[]){1, 1}, "");
    scratch_write("empty.rec", f.p, f.n);
    assert_error(import("empty.rec"), "empty.rec", "holds no record of an image");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(records_lie_at_multiples_of_four),
        T(parts_are_joined_by_the_magic_number),
        T(damage_is_told),
        T(payloads_are_measured),
        T(insightface_sets),
        T(keys_above_what_a_float_holds),
        T(im2rec_sets_have_no_header),
        T(a_container_may_stand_for_a_split),
        T(what_is_announced_is_compared),
        T(labels_must_be_labels),
        T(damaged_records_are_passed),
        T(a_record_that_goes_away_is_refused),
        T(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
