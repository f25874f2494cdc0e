/* SPDX-License-Identifier: MIT */
/* Any damage to a record is found, at any byte and at any length; settings of another kind are told apart. */
#include "common/err.h"
#include "store/record.h"
#include "tests/cmocka_all.h"

#include <string.h>

enum { PAYLOAD = 100, ALL = FV_RECORD_HEADER + PAYLOAD };

static void make(uint8_t *p)
{
    for (int i = 0; i < PAYLOAD; i++)
        p[FV_RECORD_HEADER + i] = (uint8_t)(i * 7);
    fv__record_seal(
        p, &(struct fv_record){
               .content = 5, .width = 112, .height = 96, .codec = 1, .payload_bytes = PAYLOAD});
}

static void a_record_reads_back(void **state)
{
    uint8_t p[ALL];
    struct fv_record r;

    (void)state;
    make(p);
    assert_int_equal(fv__record_parse(p, ALL, &r), FV_OK);
    assert_true(r.content == 5 && r.width == 112 && r.height == 96 && r.codec == 1);
    assert_true(r.payload == p + FV_RECORD_HEADER && r.payload_bytes == PAYLOAD);
}

static void every_flipped_bit_is_found(void **state)
{
    uint8_t p[ALL];
    struct fv_record r;

    (void)state;
    make(p);
    for (int bit = 0; bit < 8 * ALL; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(fv__record_parse(p, ALL, &r), FV_ECORRUPT);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < ALL; n++)
        assert_int_equal(fv__record_parse(p, n, &r), FV_ECORRUPT);
}

static void index_entries_read_back(void **state)
{
    const struct fv_index_entry in = {0xfffffffe, 0x12345678, 0xabcdef,
                                      0x3fffffff, 2,          0x123456789abcdef0};
    struct fv_index_entry out;
    uint8_t p[FV_INDEX_ENTRY];

    (void)state;
    fv__index_write(p, &in);
    fv__index_parse(p, &out);
    assert_true(out.block == in.block && out.offset == in.offset && out.bytes == in.bytes);
    assert_true(out.label == in.label && out.split == in.split && out.content == in.content);
}

static void settings_are_told_apart(void **state)
{
    uint8_t p[FV_SETTINGS_FIXED + 4] = "FVSTORE2";
    struct fv_settings_record s;

    (void)state;
    fv__put32(p + 8, FV_STORE_VERSION);
    fv__put32(p + 12, 112);
    fv__put32(p + 16, 112);
    fv__put32(p + 20, 1);
    fv__put32(p + 24, 4);
    memcpy(p + FV_SETTINGS_FIXED, "a=1\n", 4);
    assert_int_equal(fv__settings_parse(p, sizeof p, &s), FV_OK);
    p[FV_SETTINGS_FIXED] = 27; /* the text goes to a terminal */
    assert_int_equal(fv__settings_parse(p, sizeof p, &s), FV_ECORRUPT);
    p[FV_SETTINGS_FIXED] = 'a';
    assert_int_equal(fv__settings_parse(p, sizeof p - 1, &s), FV_ECORRUPT);
    fv__put32(p + 12, 0);
    assert_int_equal(fv__settings_parse(p, sizeof p, &s), FV_ECORRUPT);
    fv__put32(p + 8, 1);
    assert_int_equal(fv__settings_parse(p, sizeof p, &s), FV_EVERSION);
    p[0] = 'X';
    assert_int_equal(fv__settings_parse(p, sizeof p, &s), FV_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_back),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(index_entries_read_back),
        cmocka_unit_test(settings_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
