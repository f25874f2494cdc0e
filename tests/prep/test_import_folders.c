/* SPDX-License-Identifier: MIT */
/* What the walk finds, in which order, and how it names what it leaves out. */
#include "prep/import/importer.h"

#include "common/err.h"
#include "prep/photo/format.h"
#include "prep/prep.h"
#include "tests/cmocka_all.h"
#include "tests/prep/listed.h"
#include "tests/prep/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_note(const struct fv_notes *notes, const char *name, enum fv_reject why)
{
    for (size_t i = 0; i < notes->n; i++)
        if (!strcmp(notes->at[i].name, name)) {
            assert_string_equal(fv__reject_code(notes->at[i].reason.why), fv__reject_code(why));
            return;
        }
    fail_msg("'%s' was not noted", name);
}

static int list(struct fv_listing *l, const char *path)
{
    return fv__import(l, path, &(struct fv_import_settings){.layout = "folders"}, NULL);
}

static void sorts_bytewise_at_any_depth(void **state)
{
    (void)state;
    static const char *const made[] = {"p/b/2.jpg",     "p/b/10.jpg",       "p/B/x.PNG",
                                       "p/a/sub/1.jpg", "p/a/sub.jpg/no",   "p/a/sub-1.jpg",
                                       "p/a/z.jpeg",    "p/\xc3\xa9/1.webp"};
    static const char *const want[] = {"B/x.PNG",  "a/sub-1.jpg", "a/sub/1.jpg",    "a/z.jpeg",
                                       "b/10.jpg", "b/2.jpg",     "\xc3\xa9/1.webp"};
    struct fv_listing s;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        scratch_write(made[i], "x", 1);
    assert_int_equal(list(&s, scratch_path("p//")), 0);
    assert_int_equal(s.identities, 4);
    assert_string_equal(s.identity[0].name, "B");
    assert_string_equal(s.identity[3].name, "\xc3\xa9");
    assert_int_equal(s.identity[1].first, 1);
    assert_int_equal(s.identity[1].count, 3);
    assert_int_equal(s.photos, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(s.photo[i].name, want[i]);
    assert_int_equal(s.refused.n, 1);
    assert_note(&s.refused, "a/sub.jpg", FV_REJECT_FOLDER);
    fv__listing_free(&s);
    assert_null(s.photo);
}

static void tells_refused_from_ignored(void **state)
{
    (void)state;
    struct fv_listing s;
    scratch_write("p/a/1.jpg", "x", 1);
    scratch_write("p/a/empty.png", "", 0);
    scratch_write("p/a/notes.txt", "hello", 5);
    scratch_write("p/a/nothing", "", 0);
    scratch_write("p/a/no-suffix", "\x89PNG\r\n\x1a\n....", 12);
    scratch_write("p/a/P2P", "P2P networks", 12);
    scratch_write("p/a/.hidden.jpg", "x", 1);
    scratch_write("p/a/tab\there.jpg", "x", 1);
    scratch_write("p/.git/x/1.jpg", "x", 1);
    scratch_write("p/stray.jpg", "x", 1);
    scratch_write("p/labels.csv", "a,b", 3);
    assert_int_equal(mkfifo(scratch_path("p/a/pipe.jpg"), 0600), 0);
    assert_int_equal(mkfifo(scratch_path("p/pipe"), 0600), 0);
    assert_int_equal(list(&s, scratch_path("p")), 0);
    assert_int_equal(s.identities, 1);
    assert_int_equal(s.photos, 2);
    assert_string_equal(s.photo[0].name, "a/1.jpg");
    assert_string_equal(s.photo[1].name, "a/no-suffix");
    assert_int_equal(s.refused.n, 5);
    assert_note(&s.refused, "a/empty.png", FV_REJECT_EMPTY);
    assert_note(&s.refused, "a/pipe.jpg", FV_REJECT_SPECIAL);
    assert_note(&s.refused, "a/tab\there.jpg", FV_REJECT_BAD_NAME);
    assert_note(&s.refused, "pipe", FV_REJECT_SPECIAL);
    assert_note(&s.refused, "stray.jpg", FV_REJECT_NO_IDENTITY);
    assert_int_equal(s.ignored.n, 6);
    assert_note(&s.ignored, ".git", FV_IGNORE_HIDDEN);
    assert_note(&s.ignored, "a/.hidden.jpg", FV_IGNORE_HIDDEN);
    assert_note(&s.ignored, "a/notes.txt", FV_IGNORE_NOT_PHOTO);
    assert_note(&s.ignored, "a/nothing", FV_IGNORE_NOT_PHOTO);
    assert_note(&s.ignored, "a/P2P", FV_IGNORE_NOT_PHOTO);
    assert_note(&s.ignored, "labels.csv", FV_IGNORE_NOT_PHOTO);
    fv__listing_free(&s);
}

static void follows_links_but_not_in_circles(void **state)
{
    (void)state;
    struct fv_listing s;
    scratch_write("elsewhere/1.jpg", "x", 1);
    scratch_write("p/a/sub/1.jpg", "x", 1);
    assert_int_equal(symlink("../elsewhere", scratch_path("p/linked")), 0);
    assert_int_equal(symlink("sub/1.jpg", scratch_path("p/a/2.jpg")), 0);
    assert_int_equal(symlink("..", scratch_path("p/a/sub/up")), 0);
    assert_int_equal(symlink("..", scratch_path("p/a/root")), 0);
    assert_int_equal(symlink("self.jpg", scratch_path("p/a/self.jpg")), 0);
    assert_int_equal(symlink("gone.jpg", scratch_path("p/a/dangling.jpg")), 0);
    assert_int_equal(symlink(".", scratch_path("p/here")), 0);
    assert_int_equal(list(&s, scratch_path("p")), 0);
    assert_int_equal(s.identities, 2);
    assert_int_equal(s.photos, 3);
    assert_string_equal(s.photo[0].name, "a/2.jpg");
    assert_string_equal(s.photo[1].name, "a/sub/1.jpg");
    assert_string_equal(s.photo[2].name, "linked/1.jpg");
    assert_int_equal(s.refused.n, 5);
    assert_note(&s.refused, "a/sub/up", FV_REJECT_LINK_LOOP);
    assert_note(&s.refused, "a/root", FV_REJECT_LINK_LOOP);
    assert_note(&s.refused, "a/self.jpg", FV_REJECT_LINK_LOOP);
    assert_note(&s.refused, "here", FV_REJECT_LINK_LOOP);
    assert_note(&s.refused, "a/dangling.jpg", FV_REJECT_LINK_DANGLING);
    fv__listing_free(&s);
}

static void ends_at_a_depth(void **state)
{
    (void)state;
    char name[256] = "p/a";
    struct fv_listing s;
    for (int i = 0; i < 20; i++)
        strcat(name, "/d");
    strcat(name, "/1.jpg");
    scratch_write(name, "x", 1);
    assert_int_equal(list(&s, scratch_path("p")), 0);
    assert_int_equal(s.photos, 0);
    assert_int_equal(s.identities, 1);
    assert_int_equal(s.identity[0].count, 0);
    assert_int_equal(s.refused.n, 1);
    assert_int_equal(s.refused.at[0].reason.why, FV_REJECT_TOO_DEEP);
    fv__listing_free(&s);
}

static void names_folders_that_it_may_not_read(void **state)
{
    (void)state;
    struct fv_listing s;
    scratch_write("p/a/1.jpg", "x", 1);
    scratch_write("p/b/1.jpg", "x", 1);
    /* root may read everything: be nobody for the time of the walk */
    int was_root = geteuid() == 0;
    assert_int_equal(chmod(scratch_path("."), 0755), 0);
    assert_int_equal(chmod(scratch_path("p/b"), 0), 0);
    if (was_root)
        assert_int_equal(seteuid(65534), 0);
    int rc = list(&s, scratch_path("p"));
    if (was_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(scratch_path("p/b"), 0755), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(s.photos, 1);
    assert_int_equal(s.refused.n, 1);
    assert_note(&s.refused, "b", FV_REJECT_UNREADABLE);
    assert_string_equal(s.refused.at[0].reason.detail, "Permission denied");
    fv__listing_free(&s);
}

static void says_what_is_wrong_with_the_root(void **state)
{
    (void)state;
    struct fv_listing s;
    scratch_write("flat/1.jpg", "x", 1);
    assert_int_equal(list(&s, scratch_path("gone")), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "gone': No such file"));
    assert_int_equal(list(&s, scratch_path("flat/1.jpg")), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "is not a folder"));
    assert_int_equal(list(&s, scratch_path("flat")), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "holds no folders"));
    assert_null(s.root);
}

static void trees_of_splits_are_one_set(void **state)
{
    (void)state;
    struct fv_listing s;
    scratch_write("p/train/a/1.jpg", "x", 1);
    scratch_write("p/train/b/1.jpg", "x", 1);
    scratch_write("p/test/a/3.jpg", "x", 1);
    scratch_write("p/test/t/1.jpg", "x", 1);
    scratch_write("p/test/loose.jpg", "x", 1);
    scratch_write("p/train/loose.jpg", "x", 1);
    scratch_write("p/readme.jpg", "x", 1);
    assert_int_equal(list(&s, scratch_path("p")), 0);
    assert_int_equal(s.photos, 4);
    assert_photo(&s, 0, "a", "test/a/3.jpg", FV_SPLIT_VAL);
    assert_photo(&s, 1, "a", "train/a/1.jpg", FV_SPLIT_BY_RULE);
    assert_photo(&s, 2, "b", "train/b/1.jpg", FV_SPLIT_BY_RULE);
    assert_photo(&s, 3, "t", "test/t/1.jpg", FV_SPLIT_HOLDOUT);
    assert_int_equal(s.refused.n, 1);
    assert_note(&s.refused, "train/loose.jpg", FV_REJECT_NO_IDENTITY);
    assert_note(&s.ignored, "test/loose.jpg", FV_IGNORE_UNLABELLED);
    fv__listing_free(&s);

    scratch_write("p/Dev/a/2.jpg", "x", 1);
    scratch_write("p/Dev/c/1.jpg", "x", 1);
    assert_int_equal(list(&s, scratch_path("p")), 0);
    assert_int_equal(s.photos, 5);
    assert_photo(&s, 0, "a", "Dev/a/2.jpg", FV_SPLIT_VAL);
    assert_photo(&s, 1, "a", "train/a/1.jpg", FV_SPLIT_TRAIN);
    assert_photo(&s, 2, "b", "train/b/1.jpg", FV_SPLIT_TRAIN);
    assert_photo(&s, 3, "c", "Dev/c/1.jpg", FV_SPLIT_HOLDOUT);
    assert_photo(&s, 4, "t", "test/t/1.jpg", FV_SPLIT_HOLDOUT);
    assert_note(&s.ignored, "test/a/3.jpg", FV_IGNORE_TEST);
    fv__listing_free(&s);

    /* with somebody beside them these are people with odd names */
    scratch_write("p/alice/1.jpg", "x", 1);
    assert_int_equal(list(&s, scratch_path("p")), 0);
    assert_int_equal(s.identities, 4);
    assert_photo(&s, 2, "alice", "alice/1.jpg", FV_SPLIT_BY_RULE);
    fv__listing_free(&s);
}

static void stops_on_request(void **state)
{
    (void)state;
    struct fv_listing s;
    scratch_write("p/a/1.jpg", "x", 1);
    fv_prep_stop = 1;
    int rc = list(&s, scratch_path("p"));
    fv_prep_stop = 0;
    assert_int_equal(rc, FV_EINTR);
}

static void every_reason_has_a_code_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < FV_REJECTS; i++) {
        assert_non_null(fv__reject_code(i));
        assert_true(strlen(fv__reject_sentence(i)) > 10);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(fv__reject_code(i), fv__reject_code(j));
    }
}

static void knows_formats_by_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *format;
        size_t n;
    } cases[] = {
        {"\xff\xd8\xff\xe0", "JPEG", 4},
        {"P5\n1 1\n255\n", "PNM", 11},
        {"P5", NULL, 2},
        {"RIFF....WEBPVP8 ", "WebP", 16},
        {"RIFF....WAVEfmt ", NULL, 16},
        {"II*\0....", "TIFF", 8},
        {"BM....\0\0\0\0....", "BMP", 14},
        {"BMWs are cars....", NULL, 16},
        {"\0\0\0\x1c"
         "ftypheic",
         "HEIF", 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fv_format *f =
            fv__format_of_bytes((const uint8_t *)cases[i].bytes, cases[i].n);
        if (cases[i].format) {
            assert_non_null(f);
            assert_string_equal(f->name, cases[i].format);
        } else {
            assert_null(f);
        }
    }
    assert_null(fv__format_of_name("jpg"));
    assert_null(fv__format_of_name("a."));
    assert_null(fv__format_of_name("a.jp"));
    assert_null(fv__format_of_name("a.jpg jpeg"));
    assert_string_equal(fv__format_of_name("a.b/c.JpG")->name, "JPEG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sorts_bytewise_at_any_depth, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(tells_refused_from_ignored, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(follows_links_but_not_in_circles, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(ends_at_a_depth, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(names_folders_that_it_may_not_read, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_with_the_root, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(trees_of_splits_are_one_set, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(stops_on_request, scratch_setup, scratch_teardown),
        cmocka_unit_test(every_reason_has_a_code_of_its_own),
        cmocka_unit_test(knows_formats_by_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
