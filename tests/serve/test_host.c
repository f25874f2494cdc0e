/* SPDX-License-Identifier: MIT */
/* Whom a request was meant for. */
#include "tests/cmocka_all.h"

#include "tools/serve/host.h"

static void names_of_this_server(void **state)
{
    static const char *const ours[] = {
        "localhost",  "LOCALHOST:80", "127.0.0.1",     "127.0.0.1:8471",  "[::1]",
        "[::1]:8471", "10.0.0.7",     "faces.example", "Faces.Example:9", "b"};
    static const char *const foreign[] = {"",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example",
                                          "127.0.0.1:",
                                          "127.0.0.1:x",
                                          "127.0.0.1:1:2",
                                          "[::1",
                                          "[::1]x",
                                          "[localhost]",
                                          "::1",
                                          "[]",
                                          ":80",
                                          "faces.example,b",
                                          "faces.exampl",
                                          "localhost@evil.example"};
    (void)state;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        assert_true(host_is_ours(ours[i], "faces.example,b"));
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_false(host_is_ours(foreign[i], "faces.example,b"));
    assert_false(host_is_ours(NULL, NULL));
    assert_false(host_is_ours("faces.example", NULL));
}

static void origins(void **state)
{
    (void)state;
    assert_true(host_is_origin(NULL, "localhost:1"));
    assert_true(host_is_origin("http://localhost:1", "localhost:1"));
    assert_true(host_is_origin("https://localhost:1", "LOCALHOST:1"));
    assert_false(host_is_origin("http://localhost:2", "localhost:1"));
    assert_false(host_is_origin("http://localhost:1.evil.example", "localhost:1"));
    assert_false(host_is_origin("null", "localhost:1"));
    assert_false(host_is_origin("", "localhost:1"));
    assert_false(host_is_origin("file://localhost:1", "localhost:1"));
}

static void loopback_and_others(void **state)
{
    (void)state;
    assert_int_equal(host_is_loopback("127.0.0.1"), 1);
    assert_int_equal(host_is_loopback("127.9.9.9"), 1);
    assert_int_equal(host_is_loopback("::1"), 1);
    assert_int_equal(host_is_loopback("0.0.0.0"), 0);
    assert_int_equal(host_is_loopback("::"), 0);
    assert_int_equal(host_is_loopback("128.0.0.1"), 0);
    assert_int_equal(host_is_loopback("::ffff:10.0.0.1"), 0);
    assert_int_equal(host_is_loopback("localhost"), -1);
}

static void secrets(void **state)
{
    (void)state;
    assert_true(host_equal_secret("0123456789abcdef", "0123456789abcdef"));
    assert_false(host_equal_secret("0123456789abcdeF", "0123456789abcdef"));
    assert_false(host_equal_secret("0123456789abcde", "0123456789abcdef"));
    assert_false(host_equal_secret("0123456789abcdef0123456789abcdef", "0123456789abcdef"));
    assert_false(host_equal_secret("", "0123456789abcdef"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_this_server),
        cmocka_unit_test(origins),
        cmocka_unit_test(loopback_and_others),
        cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
