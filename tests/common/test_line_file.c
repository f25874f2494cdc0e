/* SPDX-License-Identifier: MIT */
/* Lines are what split() makes of the text, whatever their length and number; a torn one is told from a whole one. */
#include "common/line_file.h"

#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/fv-test-lines-XXXXXX";

static int setup(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void put(const char *text, size_t n)
{
    assert_int_equal(fv_file_write(path, text, n), FV_OK);
}

/* Reads all of it; each line comes with the separator that it should end in. */
static void assert_lines(const char *text, size_t n)
{
    struct fv_line_file l;
    put(text, n);
    assert_int_equal(fv_line_file_open(&l, path), FV_OK);
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - text) - at : n - at;
        assert_int_equal(fv_line_file_next(&l), 1);
        assert_int_equal(l.n, length);
        assert_memory_equal(l.line, text + at, length);
        assert_int_equal(l.line[length], 0);
        assert_int_equal(l.ended, end != NULL);
        assert_int_equal(l.cut, 0);
        at += length + (end != NULL);
        assert_int_equal(l.bytes, at);
    }
    assert_int_equal(fv_line_file_next(&l), 0);
    assert_int_equal(fv_line_file_next(&l), 0);
    fv_line_file_close(&l);
    assert_int_equal(l.bytes, n);
}

static void lines_are_as_they_stand(void **state)
{
    (void)state;
    static const char *const text[] = {"", "\n", "a", "a\n", "\n\n", "a\n\nbc\n", "a\r\nb"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        assert_lines(text[i], strlen(text[i]));
    assert_lines("a\0b\n\0\n", 6);
}

/* About every length at which the buffer grows. */
static void lines_may_be_long(void **state)
{
    (void)state;
    static char text[300000];
    size_t n = 0;
    for (size_t length = 250; length < 70000; length = length * 2 - length % 7 - 200) {
        memset(text + n, 'x', length);
        n += length;
        text[n++] = '\n';
    }
    assert_true(n > 60000);
    assert_lines(text, n);
    memset(text, 'y', 254);
    for (size_t length = 253; length < 260; length++) {
        memset(text, 'y', length);
        text[length] = '\n';
        assert_lines(text, length + 1);
    }
}

static void a_line_beyond_the_limit_is_cut(void **state)
{
    (void)state;
    struct fv_line_file l;
    const size_t n = FV_LINE_MOST + 5;
    char *text = malloc(n + 2);
    memset(text, 'z', n);
    memcpy(text + n, "\nb", 2);
    put(text, n + 2);
    assert_int_equal(fv_line_file_open(&l, path), FV_OK);
    assert_int_equal(fv_line_file_next(&l), 1);
    assert_int_equal(l.n, FV_LINE_MOST);
    assert_true(l.cut && l.ended && l.bytes == n + 1);
    assert_int_equal(fv_line_file_next(&l), 1);
    assert_true(l.n == 1 && *l.line == 'b' && !l.cut && !l.ended);
    fv_line_file_close(&l);
    free(text);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    struct fv_line_file l;
    assert_int_equal(fv_line_file_open(&l, "/tmp/fv-there-is-none"), FV_ENOTFOUND);
    fv_line_file_close(&l);
    assert_int_equal(fv_line_file_open(&l, "/tmp"), FV_EIO);
    assert_string_equal(fv_err_text(),
                        "/tmp: is no regular file, which it has to be: move it away");
    fv_line_file_close(&l);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(fv_line_file_open(&l, path), FV_EIO);
    fv_line_file_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_as_they_stand),
        cmocka_unit_test(lines_may_be_long),
        cmocka_unit_test(a_line_beyond_the_limit_is_cut),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
