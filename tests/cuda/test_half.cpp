/* SPDX-License-Identifier: MIT */
/* Conversions of the 16-bit types against arithmetic on doubles: every 16-bit value, and around every border
 * of rounding. */
extern "C" {
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"
}
#include "trainer/cuda/launch.cuh"

static double value_of(enum fv_k_type type, unsigned bits)
{
    const int digits = type == FV_K_F16 ? 10 : 7, bias = type == FV_K_F16 ? 15 : 127;
    const int exponent = (int)(bits & 0x7fff) >> digits, fraction = (int)bits & ((1 << digits) - 1);
    const double v = exponent == 2 * bias + 1 ? (fraction ? (double)NAN : (double)INFINITY)
                     : exponent == 0          ? ldexp(fraction, 1 - bias - digits)
                                     : ldexp(fraction + (1 << digits), exponent - bias - digits);
    return bits & 0x8000 ? -v : v;
}

static bool same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

template <typename T> static T store(float f)
{
    T t;
    fv_put(&t, f);
    return t;
}

template <typename T> static void check_rounding(enum fv_k_type type, float f)
{
    const double got = (double)fv_get(store<T>(f)), want = rig_round(type, (double)f);
    if (!same(got, want))
        fail_msg("%.9g becomes %.9g, not %.9g", (double)f, got, want);
}

template <typename T> static void check_all(enum fv_k_type type)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        T t;
        t.bits = (uint16_t)bits;
        const double v = (double)fv_get(t);
        if (!same(v, value_of(type, bits)))
            fail_msg("%04x is %.9g, not %.9g", bits, v, value_of(type, bits));
        if (isnan(v)) {
            assert_int_equal(store<T>((float)v).bits, 0x7fff);
            continue;
        }
        assert_int_equal(store<T>((float)v).bits, bits);
        /* half-way to the next, and its neighbours in fp32 */
        const float middle = (float)((v + value_of(type, bits + 1)) / 2);
        if (isfinite(middle)) {
            check_rounding<T>(type, middle);
            check_rounding<T>(type, nextafterf(middle, INFINITY));
            check_rounding<T>(type, nextafterf(middle, -INFINITY));
        }
    }
    const float others[] = {65519.0f, 65520.0f, 1e-30f, -1e-45f, 3.4e38f, -3.4028235e38f};
    for (float f : others)
        check_rounding<T>(type, f);
}

static void bf16(void **)
{
    check_all<fv_bf16>(FV_K_BF16);
}

static void f16(void **)
{
    check_all<fv_f16>(FV_K_F16);
}

template <typename T> static void check_eight(void)
{
    alignas(16) T t[8];
    float v[8] = {1, -2, 0.5f, 1024, -0.0f, 3, 1e-3f, 7}, back[8];
    fv_store8(t, v);
    fv_load8(t, back);
    for (int i = 0; i < 8; i++) {
        assert_true(same((double)back[i], (double)fv_get(store<T>(v[i]))));
        assert_true(same((double)back[i], (double)fv_get(t[i])));
    }
}

static void eight_at_once(void **)
{
    check_eight<float>();
    check_eight<fv_bf16>();
    check_eight<fv_f16>();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bf16), cmocka_unit_test(f16),
                                       cmocka_unit_test(eight_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
