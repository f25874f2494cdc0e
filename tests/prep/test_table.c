/* SPDX-License-Identifier: MIT */
/* Rows and fields of text files, their numbers, and what is refused with its line. */
#include "prep/import/table.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Rows as "field|field" lines. */
static char *read_all(const char *text, size_t n, int *rc)
{
    static char out[1024];
    struct fv_table t;
    out[0] = 0;
    assert_int_equal(fv__table_open_bytes(&t, "x.csv", text, n), 0);
    while ((*rc = fv__table_next(&t)) == 1) {
        for (int i = 0; i < t.fields; i++) {
            strcat(out, i ? "|" : "");
            strcat(out, t.field[i]);
        }
        strcat(out, "\n");
    }
    fv__table_close(&t);
    return out;
}

static void splits_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rows;
    } cases[] = {
        {"", ""},
        {"\n \n\t\n", ""},
        {"a b", "a|b\n"},
        {"  a   b  \n\nc \td", "a|b\nc|d\n"},
        {"a b\tc\n", "a b|c\n"},
        {"a,b c , d\r\n", "a|b c|d\n"},
        {"a,,\n,", "a||\n|\n"},
        {"a\t\tb\t\n", "a||b|\n"},
        {"a;b\n", "a|b\n"},
        {"a;b,c\n", "a;b|c\n"},
        {"\xef\xbb\xbfpath,label\n", "path|label\n"},
        {"n000077, \"Adhyaksa, Dault\", 319, 1, m\n", "n000077|Adhyaksa, Dault|319|1|m\n"},
        {"\"a \"\"b\"\" \",c\n", "a \"b\" |c\n"},
        {"\"\",\"\"\n", "|\n"},
        {"\"a b\" 1\n", "a b|1\n"},
        {"\"a\tb\",1\n", "a\tb|1\n"},
        {"a\"b,c\n", "a\"b,c\n"},
    };
    int rc;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = read_all(cases[i].text, strlen(cases[i].text), &rc);
        assert_int_equal(rc, 0);
        assert_string_equal(got, cases[i].rows);
    }
}

static void names_the_line_of_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
        size_t n;
    } cases[] = {
        {"a,b\n\nc\0d,e\n", "x.csv:3: holds a zero byte: this is no text", 11},
        {"a,b\n\"c,d\n", "x.csv:2: a quote is not closed", 9},
        {"a,b\n\"c\"d,e\n", "x.csv:2: text follows a closing quote", 11},
    };
    int rc;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        read_all(cases[i].text, cases[i].n, &rc);
        assert_int_equal(rc, FV_ECORRUPT);
        assert_string_equal(fv_err_text(), cases[i].sentence);
    }
    char *text = malloc(FV_TABLE_LINE + 1);
    memset(text, 'a', FV_TABLE_LINE + 1);
    struct fv_table t;
    assert_int_equal(fv__table_open_bytes(&t, "x.csv", text, FV_TABLE_LINE - 1), 0);
    assert_int_equal(fv__table_next(&t), 1);
    assert_int_equal(strlen(t.field[0]), FV_TABLE_LINE - 1);
    fv__table_close(&t);
    read_all(text, FV_TABLE_LINE, &rc);
    assert_int_equal(rc, FV_ECORRUPT);
    for (int i = 0; i < FV_TABLE_FIELDS; i++)
        text[i] = ',';
    read_all(text, FV_TABLE_FIELDS - 1, &rc);
    assert_int_equal(rc, 0);
    read_all(text, FV_TABLE_FIELDS, &rc);
    assert_int_equal(rc, FV_ECORRUPT);
    assert_string_equal(fv_err_text(), "x.csv:1: has more than 64 fields");
    free(text);
}

static void opens_files_only(void **state)
{
    (void)state;
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    struct fv_table t;
    scratch_open();
    assert_int_equal(mkfifo(scratch_path("pipe.csv"), 0600), 0);
    assert_int_equal(fv__table_open(&t, scratch_path("pipe.csv")), FV_EIO);
    assert_int_equal(fv__table_open(&t, scratch_path("gone.csv")), FV_ENOTFOUND);
    assert_int_equal(fv__table_open(&t, scratch_path(".")), FV_EIO);
    scratch_write("lfs.csv", lfs, sizeof lfs - 1);
    assert_int_equal(fv__table_open(&t, scratch_path("lfs.csv")), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "git lfs pull"));
    scratch_write("two.csv", "a,1\nb,2\n", 8);
    assert_int_equal(fv__table_open(&t, scratch_path("two.csv")), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fv__table_next(&t), 1);
        assert_string_equal(t.field[0], "a");
        assert_int_equal(t.line, 1);
        assert_int_equal(fv__table_next(&t), 1);
        assert_int_equal(fv__table_next(&t), 0);
        assert_int_equal(fv__table_rewind(&t), 0);
    }
    fv__table_close(&t);
    scratch_close();
}

static void reads_numbers_in_any_locale(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "-",  ".",   "1.2.3", "1 ",  " 1",  "0x10", "nan",
                                      "inf", "1e", "1e+", "e5",    "1,5", "--1", "1e999"};
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0},       {"-1.5", -1.5}, {"+.25", 0.25}, {"161.", 161},        {"1e3", 1000},
        {"25E-2", .25}, {"-0", 0},      {"0.1", 0.1},   {"123.456", 123.456}, {"1e-999", 0}};
    double v;
    uint64_t u;
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is installed */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(fv__parse_real(bad[i], &v));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(fv__parse_real(good[i].text, &v));
        assert_true(fabs(v - good[i].value) <= 1e-15 * fabs(good[i].value));
    }
    setlocale(LC_ALL, "C");
    assert_true(fv__parse_u64("18446744073709551605", &u));
    assert_true(u == UINT64_MAX - 10);
    assert_false(fv__parse_u64("18446744073709551616", &u));
    assert_false(fv__parse_u64("", &u));
    assert_false(fv__parse_u64("-1", &u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_rows),
        cmocka_unit_test(names_the_line_of_what_is_wrong),
        cmocka_unit_test(opens_files_only),
        cmocka_unit_test(reads_numbers_in_any_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
