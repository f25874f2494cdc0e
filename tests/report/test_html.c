/* SPDX-License-Identifier: MIT */
/* Text of any kind is text in a page; base64 against the vectors of RFC 4648; curves keep their shape when thinned. */
#include "tests/cmocka_all.h"

#include "tools/report/html.h"
#include "tools/report/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void is_text(const char *from, const char *to)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    html_text(f, from);
    fclose(f);
    assert_string_equal(text, to);
    free(text);
}

static void text_is_escaped(void **state)
{
    (void)state;
    is_text("<script>alert('1 & \"2\"')</script>",
            "&lt;script&gt;alert(&#39;1 &amp; &quot;2&quot;&#39;)&lt;/script&gt;");
    is_text("a\x01z\x7f", "a\xef\xbf\xbdz\xef\xbf\xbd");
    is_text("\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80", "\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80");
}

/* The Unicode standard's table 3-7: no overlong form, no surrogate, nothing past U+10FFFF, nothing cut short. */
static void bytes_that_are_no_utf8(void **state)
{
    static const char fffd[] = "\xef\xbf\xbd";
    static const char *const bad[] = {
        "\xc0\xbc", "\xe0\x80\xbc", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8", "\xff", "\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char want[32] = "";
        for (size_t k = 0; k < strlen(bad[i]); k++)
            strcat(want, fffd);
        is_text(bad[i], want);
    }
    is_text("\xe4<", "\xef\xbf\xbd&lt;"); /* what follows a broken one is still escaped */
}

static void base64_of_the_rfc(void **state)
{
    static const char *const vector[][2] = {{"", ""},
                                            {"f", "Zg=="},
                                            {"fo", "Zm8="},
                                            {"foo", "Zm9v"},
                                            {"foob", "Zm9vYg=="},
                                            {"fooba", "Zm9vYmE="},
                                            {"foobar", "Zm9vYmFy"}};
    (void)state;
    for (size_t i = 0; i < sizeof vector / sizeof vector[0]; i++) {
        char *text;
        size_t n;
        FILE *f = open_memstream(&text, &n);
        html_base64(f, (const uint8_t *)vector[i][0], strlen(vector[i][0]));
        fclose(f);
        assert_string_equal(text, vector[i][1]);
        free(text);
    }
}

/* No dropped point is further from the one kept before it than a third of a pixel; both ends stay. */
static void thinning_is_not_seen(void **state)
{
    enum { N = 20000 };
    static double x[N], y[N], x0[N], y0[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        x0[i] = x[i] = i / (N - 1.0);
        y0[i] = y[i] = sqrt(x[i]);
    }
    const size_t n = svg_thin(x, y, N, 1, 1);
    assert_in_range(n, 100, 3000);
    assert_true(x[0] == 0 && x[n - 1] == 1 && y[n - 1] == 1);
    for (size_t i = 0, k = 0; i < N; i++) {
        while (k + 1 < n && x[k + 1] <= x0[i])
            k++;
        assert_true(fabs(x0[i] - x[k]) <= 1.0 / SVG_WIDTH / 3);
        assert_true(fabs(y0[i] - y[k]) <= 1.0 / SVG_HEIGHT / 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(bytes_that_are_no_utf8),
        cmocka_unit_test(base64_of_the_rfc),
        cmocka_unit_test(thinning_is_not_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
