/* SPDX-License-Identifier: MIT */
#include "golden_text.h"

#include "tests/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

double golden_number(FILE *f)
{
    double x;
    assert_int_equal(fscanf(f, "%lf", &x), 1);
    return x;
}

void golden_expect(FILE *f, const char *word)
{
    char text[128];
    assert_int_equal(fscanf(f, "%127s", text), 1);
    assert_string_equal(text, word);
}

static struct {
    FILE *f;
    char line[1 << 18], *at;
} golden;

void golden_lines_open(const char *path)
{
    golden.f = fopen(path, "r");
    assert_non_null(golden.f);
}

void golden_lines_close(void)
{
    fclose(golden.f);
}

const char *golden_key(void)
{
    do
        if (!fgets(golden.line, sizeof golden.line, golden.f))
            return "";
    while (golden.line[0] == '#');
    golden.at = NULL;
    return strtok_r(golden.line, " \n", &golden.at);
}

const char *golden_word(void)
{
    return strtok_r(NULL, " \n", &golden.at);
}

int golden_numbers(double *to, int most)
{
    int n = 0;
    for (const char *word; (word = golden_word()); n++) {
        assert_true(n < most);
        to[n] = strtod(word, NULL);
    }
    return n;
}
