/* SPDX-License-Identifier: MIT */
/* What a run says of itself before it goes wrong: each sentence where it belongs, and nowhere else. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/run/train_run.h"

#include <math.h>
#include <string.h>

static void memory_is_short(void **state)
{
    char words[192];
    (void)state;
    assert_false(fv__memory_is_short(1000u << 20, 1000u << 20, words, sizeof words));
    assert_false(fv__memory_is_short(1000u << 20, 0, words, sizeof words)); /* not known */
    assert_true(fv__memory_is_short(1001u << 20, 1000u << 20, words, sizeof words));
    assert_non_null(strstr(words, "about 1001 MiB of memory are needed and 1000 can be had"));
    assert_non_null(strstr(words, "lower --batch"));
}

static void durations_are_words(void **state)
{
    static const struct {
        double seconds;
        const char *words;
    } rows[] = {{0.4, "0 s"},
                {89, "89 s"},
                {90, "2 min"},
                {12 * 60 + 29, "12 min"},
                {89 * 60, "89 min"},
                {90 * 60, "1 h 30 min"},
                {47.5 * 3600, "47 h 30 min"},
                {52 * 3600, "2 d 4 h"},
                {-1, "0 s"}};
    char text[FV_METER_DURATION];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(fv__meter_duration(text, rows[i].seconds), rows[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_short),
        cmocka_unit_test(durations_are_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
