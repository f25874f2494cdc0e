/* SPDX-License-Identifier: MIT */
/* The filter is a bijection and AVX2 equals C, with canaries around the output;
 * every codec round-trips, the lossless ones exactly. */
#include "common/cpu.h"
#include "common/err.h"
#include "common/rng.h"
#include "store/codec.h"
#include "store/pixel_filter.h"
#include "store/store.h"
#include "tests/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

static const int sizes[][2] = {{1, 1},  {7, 5},   {5, 7},     {16, 1},  {31, 3},
                               {33, 9}, {64, 64}, {112, 112}, {113, 97}};
enum { SIZES = sizeof sizes / sizeof sizes[0], CANARY = 64 };

static void noise(uint8_t *p, size_t n, uint64_t which)
{
    struct fv_rng r = fv_rng_at(5, 0, which, FV_RNG_TEST);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)fv_rng_u32(&r);
}

static void check_unfilter(fv_unfilter_fn unfilter, int w, int h)
{
    const size_t n = (size_t)(w * h * 3);
    uint8_t *rgb = malloc(n), *planes = malloc(n), *out = malloc(n + 2 * CANARY);

    noise(rgb, n, (uint64_t)n);
    memset(out, 0xA5, n + 2 * CANARY);
    fv__pixels_filter(rgb, w, h, planes);
    unfilter(planes, w, h, out + CANARY);
    assert_memory_equal(out + CANARY, rgb, n);
    for (int i = 0; i < CANARY; i++)
        assert_true(out[i] == 0xA5 && out[CANARY + n + (size_t)i] == 0xA5);
    free(rgb);
    free(planes);
    free(out);
}

static void the_filter_is_exact_in_c(void **state)
{
    (void)state;
    for (int i = 0; i < SIZES; i++)
        check_unfilter(fv__pixels_unfilter_c, sizes[i][0], sizes[i][1]);
}

static void the_filter_is_exact_in_avx2(void **state)
{
    (void)state;
    if (!(fv_cpu_flags() & FV_CPU_AVX2)) {
        print_message("this processor has no AVX2\n");
        skip();
    }
    for (int i = 0; i < SIZES; i++)
        check_unfilter(fv__pixels_unfilter(), sizes[i][0], sizes[i][1]);
}

static void codecs_round_trip(void **state)
{
    (void)state;
    for (int c = 0; fv_codecs[c]; c++)
        for (int i = 0; i < SIZES; i++) {
            const int w = sizes[i][0], h = sizes[i][1];
            const size_t n = (size_t)(w * h * 3);
            const struct fv_codec_settings s = {w, h, fv_codecs[c]->quality};
            void *ctx;
            size_t bytes;
            assert_int_equal(fv_codecs[c]->open(&ctx, &s), FV_OK);
            uint8_t *rgb = malloc(n), *out = malloc(n + FV_DECODE_PAD),
                    *code = malloc(fv_codecs[c]->bound(ctx));
            noise(rgb, n, (uint64_t)i);
            assert_int_equal(fv_codecs[c]->encode(ctx, rgb, code, &bytes), FV_OK);
            assert_true(bytes <= fv_codecs[c]->bound(ctx));
            assert_int_equal(fv_codecs[c]->decode(ctx, code, bytes, out), FV_OK);
            if (fv_codecs[c]->quality == 0)
                assert_memory_equal(rgb, out, n);
            assert_int_equal(fv_codecs[c]->encode(ctx, rgb, code, &bytes), FV_OK);
            assert_int_equal(fv_codecs[c]->decode(ctx, code, bytes - 1, out), FV_ECORRUPT);
            assert_int_equal(fv_codecs[c]->decode(ctx, code, 0, out), FV_ECORRUPT);
            fv_codecs[c]->close(ctx);
            free(rgb);
            free(out);
            free(code);
        }
}

static void unknown_codecs_list_the_known(void **state)
{
    (void)state;
    assert_null(fv__codec_by_name("webp"));
    assert_string_equal(fv_err_text(), "unknown codec 'webp': valid are pixels, jpeg");
    assert_null(fv__codec_by_id(99));
}

static void quality_is_for_codecs_that_have_one(void **state)
{
    const struct fv_codec *pixels = fv__codec_by_name("pixels"), *jpeg = fv__codec_by_name("jpeg");

    (void)state;
    assert_int_equal(fv__codec_check_quality(pixels, 0), FV_OK);
    assert_int_equal(fv__codec_check_quality(pixels, 90), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "pixels is lossless"));
    assert_int_equal(fv__codec_check_quality(jpeg, 0), FV_OK);
    assert_int_equal(fv__codec_check_quality(jpeg, 100), FV_OK);
    assert_int_equal(fv__codec_check_quality(jpeg, 101), FV_EINVAL);
    assert_int_equal(fv__codec_check_quality(jpeg, -1), FV_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_is_exact_in_c),
        cmocka_unit_test(the_filter_is_exact_in_avx2),
        cmocka_unit_test(codecs_round_trip),
        cmocka_unit_test(unknown_codecs_list_the_known),
        cmocka_unit_test(quality_is_for_codecs_that_have_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
