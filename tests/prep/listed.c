/* SPDX-License-Identifier: MIT */
#include "tests/prep/listed.h"

#include "common/err.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static char warnings[2048];

void assert_photo(const struct fv_listing *l, size_t i, const char *identity, const char *name,
                  int split)
{
    assert_true(i < l->photos);
    assert_string_equal(l->photo[i].identity, identity);
    assert_string_equal(l->photo[i].name, name);
    assert_int_equal(l->photo[i].split, split);
}

void assert_error(int code, const char *what, const char *words)
{
    if (code >= 0)
        fail_msg("'%s' was taken", what);
    if (!strstr(fv_err_text(), words))
        fail_msg("'%s' does not say '%s'", fv_err_text(), words);
}

static void hear(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx;
    if (level == FV_LEVEL_WARN)
        snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", text);
}

const struct fv_report listed_report = {.message = hear};

const char *listed_warnings(void)
{
    return warnings;
}

void listed_forget(void)
{
    warnings[0] = 0;
}
