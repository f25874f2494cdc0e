/* SPDX-License-Identifier: MIT */
/* The journal alone: what is written is read back, and a file cut off or changed anywhere is never misread. */
#include "prep/pack/journal.h"

#include "common/err.h"
#include "prep/photo/format.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <stdlib.h>
#include <string.h>

static const struct fv_journal_head head = {"size = 16\nval = 0.5\nseed = 1\n", 10, 4,
                                            0x0123456789abcdefu, 7};
static const uint8_t held[4] = {0, 1, 0, 1};

/* Photos 0, 3 and 4 are refused, 5 is misnamed, from 6 on images are the photos' files; 4 images are told, then 6. */
static void write_example(void)
{
    struct fv_journal j;
    assert_int_equal(fv__journal_create(&j, scratch_path("j"), &head, held), 0);
    for (size_t i = 0; i < 10; i++) {
        struct fv_pipe_item item = {.kept = i >= 6};
        if (i == 0)
            item.refused = fv__refuse(&item.why, FV_REJECT_EMPTY, "%s", "");
        if (i == 3 || i == 4)
            item.refused = fv__refuse(&item.why, FV_REJECT_TRUNCATED, "JPEG\t%d bytes", (int)i);
        if (i == 5)
            item.unlike = fv__format_called("PNG");
        fv__journal_note(&j, i, &item);
        if (i == 7)
            assert_int_equal(fv__journal_images(&j, 4), 0);
        if (i == 9)
            assert_int_equal(fv__journal_images(&j, 6), 0);
    }
    fv__journal_close(&j);
}

static void what_is_written_is_read_back(void **state)
{
    struct fv_earlier e;
    struct fv_pipe_item item;
    uint8_t who[4];
    (void)state;
    write_example();
    assert_int_equal(scratch_count(""), 1);
    assert_int_equal(fv__earlier_read(&e, scratch_path("j")), 0);
    assert_int_equal(fv__earlier_has_settings(&e, head.settings), 1);
    assert_int_equal(fv__earlier_has_photos(&e, &head), 1);
    fv__earlier_held(&e, who, 4);
    assert_memory_equal(who, held, 4);
    /* photos 1, 2, 5, 6, 7, 8, 9 are images 0 to 6 */
    assert_int_equal(fv__earlier_photos_of(&e, 4), 7);
    assert_int_equal(fv__earlier_photos_of(&e, 6), 9);
    assert_int_equal(fv__earlier_photos_of(&e, 5), 0);
    assert_int_equal(fv__earlier_photos_of(&e, 7), 0);
    for (size_t i = 0; i < 10; i++) {
        fv__earlier_fate(&e, i, &item);
        assert_int_equal(item.refused, i == 0 || i == 3 || i == 4);
        assert_int_equal(item.kept, i >= 6);
        if (i == 5)
            assert_string_equal(item.unlike->name, "PNG");
        else
            assert_null(item.unlike);
        if (i == 4) {
            assert_int_equal(item.why.why, FV_REJECT_TRUNCATED);
            assert_string_equal(item.why.detail, "JPEG?4 bytes");
        }
    }
    fv__earlier_free(&e);
}

static void says_what_has_changed(void **state)
{
    struct fv_earlier e;
    struct fv_journal_head now = head;
    (void)state;
    write_example();
    assert_int_equal(fv__earlier_read(&e, scratch_path("j")), 0);
    assert_int_equal(fv__earlier_has_settings(&e, "size = 16\nval = 0.25\nseed = 1\n"), 0);
    assert_string_equal(fv_err_text(), "it was begun with 'val = 0.5', not 'val = 0.25'");
    assert_int_equal(fv__earlier_has_settings(&e, "size = 16\nseed = 1\n"), 0);
    assert_string_equal(fv_err_text(), "it was begun with 'val = 0.5'");
    assert_int_equal(fv__earlier_has_settings(&e, "size = 16\nval = 0.5\nseed = 1\nnew = 1\n"), 0);
    assert_int_equal(fv__earlier_has_settings(&e, "size = 1\nval = 0.5\nseed = 1\n"), 0);
    now.photos = 11;
    assert_int_equal(fv__earlier_has_photos(&e, &now), 0);
    assert_non_null(strstr(fv_err_text(), "10 photos"));
    assert_non_null(strstr(fv_err_text(), "11"));
    now = head;
    now.names++;
    assert_int_equal(fv__earlier_has_photos(&e, &now), 0);
    assert_non_null(strstr(fv_err_text(), "names"));
    now = head;
    now.stamps++;
    assert_int_equal(fv__earlier_has_photos(&e, &now), 0);
    assert_non_null(strstr(fv_err_text(), "changed"));
    fv__earlier_free(&e);
}

static void an_earlier_one_stays_until_the_first_commit(void **state)
{
    struct fv_journal j;
    struct fv_earlier e;
    struct fv_journal_head other = head;
    (void)state;
    write_example();
    other.photos = 99;
    assert_int_equal(fv__journal_create(&j, scratch_path("j"), &other, held), 0);
    assert_int_equal(fv__earlier_read(&e, scratch_path("j")), 0);
    assert_int_equal(e.photos, 10);
    fv__earlier_free(&e);
    assert_int_equal(fv__journal_images(&j, 1), 0);
    assert_int_equal(fv__earlier_read(&e, scratch_path("j")), 0);
    assert_int_equal(e.photos, 99);
    fv__earlier_free(&e);
    fv__journal_close(&j);
    assert_int_equal(fv__journal_create(&j, scratch_path("j"), &head, held), 0);
    fv__journal_close(&j);
    assert_int_equal(scratch_count(""), 1);
}

static void nothing_there_is_not_found(void **state)
{
    struct fv_earlier e;
    (void)state;
    assert_int_equal(fv__earlier_read(&e, scratch_path("none")), FV_ENOTFOUND);
    scratch_write("empty", "", 0);
    assert_int_equal(fv__earlier_read(&e, scratch_path("empty")), FV_ENOTFOUND);
    fv__earlier_free(&e);
}

/* Of a file that ends early nothing is believed but whole lines, and of its images only what was told. */
static void a_cut_file_is_never_misread(void **state)
{
    size_t n;
    (void)state;
    write_example();
    char *whole = scratch_read("j", &n);
    const char *begin = strstr(whole, "\nbegin\n") + 7, *four = strstr(whole, "\nimages\t4\n") + 10;
    for (size_t cut = 0; cut < n; cut++) {
        struct fv_earlier e;
        scratch_write("cut", whole, cut);
        int rc = fv__earlier_read(&e, scratch_path("cut"));
        assert_int_equal(rc, whole + cut < begin ? FV_ENOTFOUND : 0);
        if (rc < 0)
            continue;
        assert_int_equal(fv__earlier_photos_of(&e, 4), whole + cut < four ? 0 : 7);
        assert_int_equal(fv__earlier_photos_of(&e, 6), 0);
        fv__earlier_free(&e);
    }
    free(whole);
}

/* Any byte may be another one: no number leads out of bounds (the sanitizers watch), no image count is made up. */
static void a_changed_file_does_no_harm(void **state)
{
    static const char bytes[] = {'\0', '\t', '\n', '0', '9', 'x', '\xff'};
    size_t n;
    (void)state;
    write_example();
    char *whole = scratch_read("j", &n);
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < sizeof bytes; b++) {
            struct fv_earlier e;
            struct fv_pipe_item item;
            uint8_t who[4];
            char was = whole[i];
            whole[i] = bytes[b];
            scratch_write("odd", whole, n);
            whole[i] = was;
            if (fv__earlier_read(&e, scratch_path("odd")) < 0)
                continue;
            fv__earlier_held(&e, who, 4);
            for (uint64_t k = 0; k < 12; k++)
                assert_true(fv__earlier_photos_of(&e, k) <= e.photos);
            for (size_t k = 0; k < 12; k++)
                fv__earlier_fate(&e, k, &item);
            fv__earlier_free(&e);
        }
    free(whole);
}

static void a_full_disk_is_an_error(void **state)
{
    struct fv_journal j;
    (void)state;
    assert_int_equal(fv__journal_create(&j, scratch_path("j"), &head, held), 0);
    fclose(j.f);
    j.f = fopen("/dev/full", "w");
    if (!j.f)
        skip();
    assert_int_equal(fv__journal_images(&j, 1), FV_EFULL);
    assert_non_null(strstr(fv_err_text(), "/j: cannot write: No space left"));
    fv__journal_close(&j);
    assert_int_equal(scratch_count(""), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_back),
        TEST(says_what_has_changed),
        TEST(an_earlier_one_stays_until_the_first_commit),
        TEST(nothing_there_is_not_found),
        TEST(a_cut_file_is_never_misread),
        TEST(a_changed_file_does_no_harm),
        TEST(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
