/* SPDX-License-Identifier: MIT */
#include "common/arena.h"
#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/fv-test-fs-XXXXXX";

static char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int entries(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void a_file_appears_whole_and_replaces(void **state)
{
    char *data;
    size_t n;

    (void)state;
    assert_int_equal(fv_file_write(in_folder("a"), "first", 5), FV_OK);
    assert_int_equal(fv_file_write(in_folder("a"), "second", 6), FV_OK);
    assert_int_equal(fv_file_read(in_folder("a"), 100, &data, &n), FV_OK);
    assert_int_equal(n, 6);
    assert_string_equal(data, "second");
    free(data);
    assert_int_equal(entries(), 1);
}

static void a_discarded_file_leaves_the_old_one(void **state)
{
    struct fv_file f;
    char *data;
    size_t n;

    (void)state;
    assert_int_equal(fv_file_create(&f, in_folder("a")), FV_OK);
    fputs("half", f.f);
    fv_file_discard(&f);
    fv_file_discard(&f);
    assert_int_equal(fv_file_read(in_folder("a"), 100, &data, &n), FV_OK);
    assert_string_equal(data, "second");
    free(data);
    assert_int_equal(entries(), 1);
}

static void a_part_left_behind_is_replaced(void **state)
{
    struct fv_file f;
    char *data;
    size_t n;

    (void)state;
    assert_int_equal(fv_file_write(in_folder("a.part"), "of a killed run", 15), FV_OK);
    assert_int_equal(fv_file_create_part(&f, in_folder("a")), FV_OK);
    fputs("another", f.f);
    assert_int_equal(fv_file_commit(&f), FV_OK);
    assert_int_equal(fv_file_read(in_folder("a"), 100, &data, &n), FV_OK);
    assert_string_equal(data, "another");
    free(data);
    assert_int_equal(entries(), 1);
}

static void what_is_no_file_is_never_replaced(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(symlink("fifo", in_folder("link")), 0);
    assert_int_equal(fv_file_write(in_folder("fifo"), "x", 1), FV_EEXIST);
    assert_non_null(strstr(fv_err_text(), "choose another name"));
    assert_int_equal(fv_file_write(in_folder("link"), "x", 1), FV_EEXIST);
    assert_int_equal(lstat(in_folder("fifo"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(lstat(in_folder("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(unlink(in_folder("link")), 0);
    assert_int_equal(unlink(in_folder("fifo")), 0);
    assert_int_equal(entries(), 1);
}

static void a_full_disk_is_an_error(void **state)
{
    struct fv_file f;

    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(fv_file_create(&f, in_folder("full")), FV_OK);
    fclose(f.f);
    f.f = fopen("/dev/full", "w");
    fputs("x", f.f);
    assert_int_equal(fv_file_commit(&f), FV_EIO);
    assert_non_null(strstr(fv_err_text(), "No space left"));
    assert_int_equal(access(in_folder("full"), F_OK), -1);
}

static void reading_refuses_what_is_not_a_small_file(void **state)
{
    char *data;
    size_t n;

    (void)state;
    assert_int_equal(fv_file_read(in_folder("a"), 5, &data, &n), FV_EFULL);
    assert_int_equal(fv_file_read(folder, 100, &data, &n), FV_EINVAL);
    assert_int_equal(fv_file_read(in_folder("none"), 100, &data, &n), FV_ENOTFOUND);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(fv_file_read(in_folder("fifo"), 100, &data, &n), FV_EINVAL);
    unlink(in_folder("fifo"));
}

static void folders_are_made_with_their_parents(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(fv_mkdirs(in_folder("x/y/z")), FV_OK);
    assert_int_equal(fv_mkdirs(in_folder("x/y/z")), FV_OK);
    assert_int_equal(stat(in_folder("x/y/z"), &st), 0);
    assert_int_equal(fv_mkdirs(in_folder("a/b")), FV_EIO);
    assert_int_equal(fv_mkdirs(""), FV_EINVAL);
    rmdir(in_folder("x/y/z"));
    rmdir(in_folder("x/y"));
    rmdir(in_folder("x"));
}

static void an_arena_carves_one_allocation(void **state)
{
    struct fv_arena a = {0};
    char *first = NULL;
    double *second = NULL;

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        first = fv_arena_take(&a, 3, 1);
        second = fv_arena_take(&a, 10 * sizeof *second, 64);
        if (pass == 0)
            assert_int_equal(fv_arena_commit(&a), FV_OK);
    }
    assert_int_equal((uintptr_t)second % 64, 0);
    assert_true((char *)second >= first + 3);
    assert_true(second[9] == 0.0);
    assert_null(fv_arena_take(&a, 1 << 20, 1));
    fv_arena_free(&a);
    fv_arena_free(&a);
    fv_arena_take(&a, SIZE_MAX - 10, 1);
    fv_arena_take(&a, 100, 1);
    assert_int_equal(fv_arena_commit(&a), FV_EINVAL);
}

static void one_place_has_many_paths(void **state)
{
    char other[256];

    (void)state;
    snprintf(other, sizeof other, "%s/../%s/a", folder, strrchr(folder, '/') + 1);
    assert_true(fv_same_place(in_folder("a"), other));
    assert_true(fv_same_place("a", "./a"));
    assert_true(fv_same_place("no/such/a", "no/such/a"));
    assert_false(fv_same_place(in_folder("b"), other));
    assert_false(fv_same_place("a", other));
    assert_false(fv_same_place("no/such/a", "no/such/./a"));
}

static int clean(void **state)
{
    (void)state;
    unlink(in_folder("a"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_appears_whole_and_replaces),
        cmocka_unit_test(a_discarded_file_leaves_the_old_one),
        cmocka_unit_test(a_part_left_behind_is_replaced),
        cmocka_unit_test(what_is_no_file_is_never_replaced),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(reading_refuses_what_is_not_a_small_file),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(one_place_has_many_paths),
        cmocka_unit_test(an_arena_carves_one_allocation),
    };
    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, NULL, clean);
}
