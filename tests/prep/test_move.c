/* SPDX-License-Identifier: MIT */
/* Filtering and merging. The truth is the set that was made at once: its parts, put together again, are its
 * bytes, whatever the parts were.
 */
#include "prep/prep.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"
#include "tests/store/demo_store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LABELS = 6, IMAGES = 5, HOLDOUT = 2, SIDE = 16 };

static struct fv_moved moved;
static char whole[1024], a[1024], b[1024], out[1024];
static const char *const parts[] = {a, b};
static char said[512];

static void hear(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx, (void)level;
    snprintf(said, sizeof said, "%s", text);
}
static const struct fv_report report = {NULL, hear, NULL};

static void make(const char *path, int with_dict)
{
    const struct demo demo = {.labels = LABELS,
                              .images = IMAGES,
                              .holdout = HOLDOUT,
                              .side = SIDE,
                              .with_dict = with_dict};
    assert_int_equal(demo_make(path, &demo), 0);
}

static int setup(void **state)
{
    (void)state;
    scratch_open();
    snprintf(whole, sizeof whole, "%s", scratch_path("whole.lmdb"));
    snprintf(a, sizeof a, "%s", scratch_path("a.lmdb"));
    snprintf(b, sizeof b, "%s", scratch_path("b.lmdb"));
    snprintf(out, sizeof out, "%s", scratch_path("out.lmdb"));
    make(whole, 0);
    *said = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fv_prep_stop = 0;
    scratch_close();
    return 0;
}

static int filter(const char *from, const char *to, const char *names, int exclude)
{
    struct fv_filter_settings s = {.output = to, .exclude = exclude, .min_images = 1};
    const char *const path[] = {from};
    if (names) {
        scratch_write("list.txt", names, strlen(names));
        s.identities = scratch_path("list.txt");
    }
    return fv_filter_run(&s, path, 1, &report, &moved);
}

static int merge(const char *to, int overwrite)
{
    const struct fv_merge_settings s = {to, overwrite, 2};
    return fv_merge_run(&s, parts, 2, &report, &moved);
}

static void expect_same_file(const char *name, const char *other)
{
    size_t n, m;
    char *x = scratch_read(name, &n), *y = scratch_read(other, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

/* Every second training identity and one that is held out. */
static const char some[] = "person000\r\nperson002\n\nperson005\nperson002";

static void parts_make_the_whole(void **state)
{
    (void)state;
    for (int with_dict = 0; with_dict < 2; with_dict++) {
        make(whole, with_dict);
        assert_int_equal(filter(whole, a, some, 0), 0);
        assert_int_equal(moved.identities, 3);
        assert_int_equal(moved.holdout_identities, 1);
        assert_int_equal(moved.images, 3 * IMAGES);
        assert_int_equal(moved.val_images, 2);
        assert_int_equal(filter(whole, b, some, 1), 0);
        assert_int_equal(moved.identities, 3);
        assert_int_equal(merge(out, with_dict), 0);
        assert_int_equal(moved.recoded, 0);
        assert_int_equal(moved.identities, LABELS);
        expect_same_file("out.lmdb", "whole.lmdb");
        assert_string_equal(said, "");
        unlink(a);
        unlink(b);
    }
}

/* Images of one identity may come from several files. */
static void divided_identities_are_united(void **state)
{
    struct demo part = {
        .labels = LABELS, .images = IMAGES, .holdout = HOLDOUT, .side = SIDE, .shards = 2};
    (void)state;
    assert_int_equal(demo_make(a, &part), 0);
    part.shard = 1;
    assert_int_equal(demo_make(b, &part), 0);
    assert_int_equal(merge(out, 0), 0);
    expect_same_file("out.lmdb", "whole.lmdb");
}

static void an_image_comes_once(void **state)
{
    (void)state;
    assert_int_equal(filter(whole, a, some, 0), 0);
    assert_int_equal(filter(whole, b, "person003\nperson005\n", 0), 0);
    assert_int_equal(merge(out, 0), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "person005/0000.jpg"));
    assert_false(scratch_has("out.lmdb"));
}

static void another_dictionary_changes_no_content(void **state)
{
    struct fv_store *store;
    uint64_t bad, digest;
    (void)state;
    assert_int_equal(fv_store_open(&store, whole), 0);
    digest = fv_store_info(store)->digest;
    fv_store_close(&store);
    assert_int_equal(filter(whole, a, some, 0), 0);
    make(scratch_path("other.lmdb"), 1);
    assert_int_equal(filter(scratch_path("other.lmdb"), b, some, 1), 0);
    assert_int_equal(merge(out, 0), 0);
    assert_int_equal(moved.recoded, 3 * IMAGES); /* those of a: they get the dictionary */
    assert_true(moved.digest == digest);
    assert_int_equal(fv_store_open(&store, out), 0);
    assert_int_equal(fv_store_verify(store, 2, NULL, &bad), 0);
    fv_store_close(&store);
}

static void names_that_nobody_has(void **state)
{
    (void)state;
    assert_int_equal(filter(whole, out, "person001\nperson00\nPERSON002\n", 0), 0);
    assert_int_equal(moved.identities, 1);
    assert_non_null(strstr(said, "2 of its 3 names"));
    assert_int_equal(filter(whole, b, "nobody\n", 0), FV_ENOTFOUND);
    assert_int_equal(filter(whole, b, "", 0), FV_ENOTFOUND);
    assert_int_equal(filter(whole, b, NULL, 1), FV_EUSAGE);
    assert_false(scratch_has("b.lmdb"));
}

static void nobody_is_left(void **state)
{
    struct fv_filter_settings s = {.output = out, .min_images = IMAGES};
    const char *const path[] = {whole};
    (void)state;
    assert_int_equal(fv_filter_run(&s, path, 1, NULL, &moved), 0);
    assert_int_equal(moved.identities, LABELS);
    s.overwrite = 1;
    s.min_images++;
    assert_int_equal(fv_filter_run(&s, path, 1, NULL, &moved), FV_ENOTFOUND);
    expect_same_file("out.lmdb", "whole.lmdb");
}

static void a_set_may_be_replaced_by_a_part_of_it(void **state)
{
    struct fv_filter_settings s = {.output = whole, .min_images = 1, .overwrite = 1};
    const char *const path[] = {whole};
    (void)state;
    assert_int_equal(filter(whole, whole, some, 0), FV_EEXIST);
    s.identities = scratch_path("list.txt");
    assert_int_equal(fv_filter_run(&s, path, 1, NULL, &moved), 0);
    assert_int_equal(moved.identities, 3);
    assert_int_equal(scratch_count(""), 2);
}

static void a_damaged_record_is_named(void **state)
{
    uint8_t byte;
    struct stat st;
    (void)state;
    const int fd = open(whole, O_RDWR);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
    close(fd);
    assert_int_equal(filter(whole, out, NULL, 0), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "(person"));
    assert_int_equal(scratch_count(""), 1);
}

static void stopping_leaves_nothing(void **state)
{
    (void)state;
    fv_prep_stop = 1;
    assert_int_equal(filter(whole, out, NULL, 0), FV_EINTR);
    assert_int_equal(scratch_count(""), 1);
}

static void sets_that_do_not_go_together(void **state)
{
    const struct demo larger = {.labels = LABELS, .images = IMAGES, .side = 2 * SIDE};
    (void)state;
    assert_int_equal(filter(whole, a, some, 0), 0);
    assert_int_equal(demo_make(b, &larger), 0);
    assert_int_equal(merge(out, 0), FV_EINVAL);
    const struct fv_merge_settings s = {out, 0, 1};
    const char *const twice[] = {a, a};
    assert_int_equal(fv_merge_run(&s, twice, 2, NULL, &moved), FV_EUSAGE);
    assert_false(scratch_has("out.lmdb"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parts_make_the_whole),
        TEST(divided_identities_are_united),
        TEST(an_image_comes_once),
        TEST(another_dictionary_changes_no_content),
        TEST(names_that_nobody_has),
        TEST(nobody_is_left),
        TEST(a_set_may_be_replaced_by_a_part_of_it),
        TEST(a_damaged_record_is_named),
        TEST(stopping_leaves_nothing),
        TEST(sets_that_do_not_go_together),
    };
    return cmocka_run_group_tests_name("move", tests, NULL, NULL);
}
