/* SPDX-License-Identifier: MIT */
/* What a writer refuses, after what it can go on, and what is left on the disk when it cannot. */
#include "common/fs.h"
#include "store/record.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 8 };
static char folder[] = "/tmp/fv-test-writer-XXXXXX", path[64], part[80];
static const struct fv_store_settings settings = {
    .height = SIDE, .width = SIDE, .codec = "pixels", .level = 3, .packed_with = ""};
static struct fv_encoder *encoder;

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.lmdb", folder);
    snprintf(part, sizeof part, "%s.part", path);
    return fv_encoder_open(&encoder, &settings);
}

static int teardown(void **state)
{
    (void)state;
    fv_encoder_close(&encoder);
    unlink(path);
    return rmdir(folder);
}

static int put(struct fv_store_writer *w, uint32_t image, const char *name, enum fv_split split)
{
    uint8_t rgb[SIDE * SIDE * 3], record[1024];
    size_t n;

    demo_pixels(image, SIDE, rgb);
    assert_true(fv_encoder_bound(encoder) <= sizeof record);
    assert_int_equal(fv_encoder_write(encoder, rgb, record, &n), FV_OK);
    return fv_store_put(w, record, n, name, split);
}

static void check(int rc, int code, const char *sentence)
{
    if (rc != code || !strstr(fv_err_text(), sentence))
        print_error("%d: %s\n", rc, fv_err_text());
    assert_int_equal(rc, code);
    assert_non_null(strstr(fv_err_text(), sentence));
}

static void check_holds(uint64_t images, uint64_t labels)
{
    struct fv_store *s;
    uint64_t bad;

    assert_int_equal(fv_store_open(&s, path), FV_OK);
    assert_int_equal(fv_store_info(s)->images, images);
    assert_int_equal(fv_store_info(s)->labels, labels);
    assert_int_equal(fv_store_verify(s, 1, NULL, &bad), FV_OK);
    fv_store_close(&s);
}

static void names_are_refused_and_writing_goes_on(void **state)
{
    struct fv_store_writer *w;
    char longest[FV_NAME_MAX + 2];

    (void)state;
    memset(longest, 'z', sizeof longest);
    longest[FV_NAME_MAX + 1] = '\0';
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    check(fv_store_put_label(w, "", 0), FV_EINVAL, "a name of 0 bytes");
    check(fv_store_put_label(w, longest, 0), FV_EINVAL, "a name of 4096 bytes");
    check(fv_store_put_label(w, "a\nb", 0), FV_EINVAL, "control character");
    check(put(w, 0, "a/1", FV_SPLIT_TRAIN), FV_EINVAL, "does not fit its identity");
    assert_int_equal(fv_store_put_label(w, "b", 0), FV_OK);
    check(fv_store_put_label(w, "c", 0), FV_EINVAL, "identity b has no image");
    check(put(w, 0, "b\t1", FV_SPLIT_TRAIN), FV_EINVAL, "control character");
    check(put(w, 0, "b\x7f", FV_SPLIT_TRAIN), FV_EINVAL, "control character");
    check(put(w, 0, "", FV_SPLIT_TRAIN), FV_EINVAL, "a name of 0 bytes");
    check(put(w, 0, longest, FV_SPLIT_TRAIN), FV_EINVAL, "a name of 4096 bytes");
    check(put(w, 0, "b/5", FV_SPLIT_HOLDOUT), FV_EINVAL, "does not fit its identity");
    assert_int_equal(put(w, 0, "b/5", FV_SPLIT_TRAIN), FV_OK);
    check(put(w, 1, "b/4", FV_SPLIT_TRAIN), FV_EINVAL, "names must ascend within an identity");
    check(put(w, 1, "b/5", FV_SPLIT_VAL), FV_EEXIST, "there are two images b/5");
    check(fv_store_put_label(w, "a", 0), FV_EINVAL, "identity a after b: names must ascend");
    check(fv_store_put_label(w, "b", 0), FV_EEXIST, "there are two identities b");
    check(fv_store_put_label(w, "b", 1), FV_EEXIST, "there are two identities b");
    assert_int_equal(fv_store_put_label(w, "c", 0), FV_OK);
    check(put(w, 1, "b/5", FV_SPLIT_TRAIN), FV_EEXIST, "there are two images b/5");
    longest[FV_NAME_MAX] = '\0';
    assert_int_equal(put(w, 1, longest, FV_SPLIT_VAL), FV_OK);
    assert_int_equal(fv_store_put_label(w, "\xc3\xa4", 1), FV_OK);
    check(put(w, 2, "b/5", FV_SPLIT_HOLDOUT), FV_EEXIST, "there are two images b/5");
    assert_int_equal(put(w, 2, "\xc3\xa4/1", FV_SPLIT_HOLDOUT), FV_OK);
    check(fv_store_put_label(w, "z", 0), FV_EINVAL, "come before held-out ones");
    check(fv_store_set_split(w, 3, FV_SPLIT_VAL), FV_EINVAL, "image 3 of 3");
    check(fv_store_set_split(w, 2, FV_SPLIT_VAL), FV_EINVAL, "image 2");
    check(fv_store_set_split(w, 0, FV_SPLIT_HOLDOUT), FV_EINVAL, "image 0");
    assert_int_equal(fv_store_finish(&w), FV_OK);
    assert_null(w);
    check_holds(3, 3);
}

static void a_damaged_record_is_refused(void **state)
{
    struct fv_store_writer *w;
    uint8_t rgb[SIDE * SIDE * 3] = {0}, record[1024];
    size_t n;

    (void)state;
    assert_int_equal(fv_encoder_write(encoder, rgb, record, &n), FV_OK);
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    assert_int_equal(fv_store_put_label(w, "a", 0), FV_OK);
    record[n - 1] ^= 1;
    check(fv_store_put(w, record, n, "a/1", FV_SPLIT_TRAIN), FV_ECORRUPT, "checksum");
    record[n - 1] ^= 1;
    assert_int_equal(fv_store_put(w, record, n, "a/1", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    check_holds(1, 1);
}

/* Puts one record again and again under new names, until that fails. */
static int put_until_full(struct fv_store_writer *w, uint8_t *record, struct fv_record *r, int most)
{
    char name[16];
    int rc = FV_OK;

    for (int i = 0; i < most && rc == FV_OK; i++) {
        r->content = (uint64_t)i;
        fv__record_seal(record, r);
        snprintf(name, sizeof name, "a/%04d", i);
        rc = fv_store_put(w, record, FV_RECORD_HEADER + r->payload_bytes, name, FV_SPLIT_TRAIN);
    }
    return rc;
}

/* The disk gives no more than 8 MiB: the writer learns it when its first 16 MiB go out. */
static void after_a_failed_put_nothing_is_finished(void **state)
{
    enum { LARGE = 4 << 20 };
    uint8_t *record = calloc(1, FV_RECORD_HEADER + LARGE);
    struct fv_record r = {.width = SIDE, .height = SIDE, .codec = 1, .payload_bytes = LARGE};
    struct fv_store_writer *w;
    struct rlimit saved, small;

    (void)state;
    check_holds(1, 1); /* of the test before */
    assert_non_null(record);
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    assert_int_equal(fv_store_put_label(w, "a", 0), FV_OK);
    getrlimit(RLIMIT_FSIZE, &saved);
    small = (struct rlimit){8 << 20, saved.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const int rc = put_until_full(w, record, &r, 40);
    setrlimit(RLIMIT_FSIZE, &saved);
    signal(SIGXFSZ, SIG_DFL);
    check(rc, FV_EFULL, "cannot write");
    free(record);
    check(put(w, 0, "a/5", FV_SPLIT_TRAIN), FV_EFULL, "an earlier failure ended the writing");
    check(fv_store_put_label(w, "b", 0), FV_EFULL, "an earlier failure ended the writing");
    check(fv_store_finish(&w), FV_EFULL, "an earlier failure ended the writing");
    assert_null(w);
    assert_int_equal(access(part, F_OK), -1);
    check_holds(1, 1);
}

static void one_writer_at_a_time(void **state)
{
    struct fv_store_writer *w, *second;
    struct fv_store *s;

    (void)state;
    unlink(path);
    assert_int_equal(fv_store_create(&w, path, &settings, 0), FV_OK);
    check(fv_store_create(&second, path, &settings, 0), FV_EEXIST, "another program is writing it");
    assert_null(second);
    assert_int_equal(access(part, F_OK), 0); /* the second has not taken it away */
    check(fv_store_open(&s, path), FV_ENOTFOUND, "packing was not finished");
    assert_int_equal(fv_store_put_label(w, "a", 0), FV_OK);
    assert_int_equal(put(w, 0, "a/1", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    check_holds(1, 1);
    check(fv_store_create(&w, path, &settings, 0), FV_EEXIST, "--overwrite");
}

/* Someone thought the first writer dead, removed its file and packs again. */
static void a_partial_file_of_another_is_left_alone(void **state)
{
    struct fv_store_writer *w, *second;

    (void)state;
    check_holds(1, 1); /* of the test before */
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    assert_int_equal(fv_store_put_label(w, "a", 0), FV_OK);
    assert_int_equal(put(w, 0, "a/1", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(put(w, 1, "a/2", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(unlink(part), 0);
    assert_int_equal(fv_store_create(&second, path, &settings, 1), FV_OK);
    check(fv_store_finish(&w), FV_EIO, "removed or replaced");
    check_holds(1, 1);
    assert_int_equal(fv_store_put_label(second, "b", 0), FV_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const char *const name[] = {"b/1", "b/2", "b/3"};
        assert_int_equal(put(second, i, name[i], FV_SPLIT_TRAIN), FV_OK);
    }
    assert_int_equal(fv_store_finish(&second), FV_OK);
    check_holds(3, 1);
}

static void what_a_killed_writer_left_is_started_anew(void **state)
{
    struct fv_store_writer *w;
    struct fv_store *s;
    int status;

    (void)state;
    unlink(path);
    const pid_t child = fork();
    if (child == 0)
        _exit(fv_store_create(&w, path, &settings, 0) < 0 || fv_store_put_label(w, "a", 0) < 0 ||
              put(w, 0, "a/1", FV_SPLIT_TRAIN) < 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(access(part, F_OK), 0);
    check(fv_store_open(&s, path), FV_ENOTFOUND, "run the same 'fvprep pack' command again");
    check(fv_store_open(&s, part), FV_ENOTFOUND, "is not a finished data set");
    assert_int_equal(fv_store_create(&w, path, &settings, 0), FV_OK);
    assert_int_equal(fv_store_put_label(w, "b", 0), FV_OK);
    assert_int_equal(put(w, 0, "b/1", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    check_holds(1, 1);
    /* One killed as late as can be, before the renaming. */
    assert_int_equal(rename(path, part), 0);
    assert_int_equal(fv_store_create(&w, path, &settings, 0), FV_OK);
    assert_int_equal(fv_store_put_label(w, "c", 0), FV_OK);
    assert_int_equal(put(w, 0, "c/1", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    check_holds(1, 1);
}

static void the_old_data_set_stays_until_the_new_one_is_whole(void **state)
{
    struct fv_store_writer *w;

    (void)state;
    check_holds(1, 1); /* of the test before */
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    assert_int_equal(fv_store_put_label(w, "a", 0), FV_OK);
    assert_int_equal(put(w, 0, "a/1", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(put(w, 1, "a/2", FV_SPLIT_TRAIN), FV_OK);
    check_holds(1, 1);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    check_holds(2, 1);
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    check(fv_store_finish(&w), FV_EINVAL, "no image was packed");
    check_holds(2, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_refused_and_writing_goes_on),
        cmocka_unit_test(a_damaged_record_is_refused),
        cmocka_unit_test(after_a_failed_put_nothing_is_finished),
        cmocka_unit_test(one_writer_at_a_time),
        cmocka_unit_test(a_partial_file_of_another_is_left_alone),
        cmocka_unit_test(what_a_killed_writer_left_is_started_anew),
        cmocka_unit_test(the_old_data_set_stays_until_the_new_one_is_whole),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
