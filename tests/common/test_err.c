/* SPDX-License-Identifier: MIT */
#include "common/err.h"
#include "tests/cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static void sentences_are_formatted_and_may_quote_the_last(void **state)
{
    (void)state;
    assert_int_equal(fv_err(FV_ECORRUPT, "record %d: bad magic", 7), FV_ECORRUPT);
    assert_string_equal(fv_err_text(), "record 7: bad magic");
    fv_err(FV_EIO, "faces.lmdb: %s", fv_err_text());
    assert_string_equal(fv_err_text(), "faces.lmdb: record 7: bad magic");
}

static void errno_is_appended(void **state)
{
    (void)state;
    errno = ENOENT;
    fv_err_errno(FV_EIO, "%s: cannot open", "x");
    assert_string_equal(fv_err_text(), "x: cannot open: No such file or directory");
}

static void long_sentences_are_cut_not_overrun(void **state)
{
    char text[2 * FV_ERR_TEXT_MAX];

    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    fv_err(FV_EIO, "%s", text);
    assert_int_equal(strlen(fv_err_text()), FV_ERR_TEXT_MAX - 1);
}

static void *other_thread(void *out)
{
    fv_err(FV_EFULL, "from the other thread");
    fv_err_save(out);
    return NULL;
}

static void each_thread_has_its_own(void **state)
{
    char text[FV_ERR_TEXT_MAX];
    pthread_t t;

    (void)state;
    fv_err(FV_EIO, "mine");
    assert_int_equal(pthread_create(&t, NULL, other_thread, text), 0);
    pthread_join(t, NULL);
    assert_string_equal(fv_err_text(), "mine");
    assert_int_equal(fv_err_restore(FV_EFULL, text), FV_EFULL);
    assert_string_equal(fv_err_text(), "from the other thread");
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (int code = FV_EUSAGE; code <= FV_OK; code++)
        assert_string_not_equal(fv_err_name(code), "unknown error");
    assert_string_equal(fv_err_name(-1000), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_are_formatted_and_may_quote_the_last),
        cmocka_unit_test(errno_is_appended),
        cmocka_unit_test(long_sentences_are_cut_not_overrun),
        cmocka_unit_test(each_thread_has_its_own),
        cmocka_unit_test(every_code_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
