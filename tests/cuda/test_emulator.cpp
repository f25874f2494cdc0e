/* SPDX-License-Identifier: MIT */
/* The emulator finds what it says it finds: each kernel here has one fault, but the first. */
extern "C" {
#include "tests/cmocka_all.h"
}
#include "trainer/cuda/launch.cuh"

#include <string.h>

enum { THREADS = 64 };

/* Sums 64 numbers by halving; MISSING: which barrier is not there. */
template <int MISSING> FV_KERNEL(THREADS) halving(const float *x, float *out)
{
    FV_SHARED(float, shared, THREADS);
    const int me = (int)threadIdx.x;
    shared[me] = x[(int)blockIdx.x * THREADS + me];
    if (MISSING != 1)
        __syncthreads();
    for (int span = THREADS / 2; span > 0; span /= 2) {
        if (me < span)
            shared[me] += shared[me + span];
        if (MISSING != 2)
            __syncthreads();
    }
    if (me == 0)
        out[blockIdx.x] = shared[0];
    if (MISSING == 3)
        shared[THREADS - 1 - me] = 0; /* nobody waited for thread 0 to read */
}

FV_KERNEL(THREADS) reads_unwritten(float *out)
{
    FV_SHARED(float, shared, THREADS);
    out[threadIdx.x] = shared[threadIdx.x];
}

FV_KERNEL(THREADS) runs_out(float *out)
{
    FV_SHARED(float, shared, THREADS);
    shared[threadIdx.x + 1] = 0;
    out[threadIdx.x] = 0;
}

FV_KERNEL(THREADS) leaves_early(float *out)
{
    if (threadIdx.x == 7)
        return;
    __syncthreads();
    out[threadIdx.x] = 0;
}

FV_KERNEL(THREADS) parts_ways(float *out)
{
    if (threadIdx.x < 40)
        out[threadIdx.x] = fv_shuffle_xor(1.0f, 1);
    else
        __syncthreads();
}

FV_KERNEL(THREADS) warp_sums(const float *x, float *out)
{
    const int me = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    float v = x[me];
    for (int lanes = 16; lanes > 0; lanes /= 2)
        v += fv_shuffle_xor(v, lanes);
    out[me] = v;
}

static float in[4 * THREADS], result[4 * THREADS];

static void begin(uint64_t seed)
{
    fv_emulate_seed(seed);
    for (int i = 0; i < 4 * THREADS; i++) {
        in[i] = (float)(i + 1);
        result[i] = -1;
    }
}

#define REFUSED(words, ...)                                                                        \
    do {                                                                                           \
        for (uint64_t seed = 0; seed < 4; seed++) {                                                \
            begin(seed);                                                                           \
            assert_int_equal(FV_LAUNCH("planted", __VA_ARGS__), FV_EBACKEND);                      \
            if (!strstr(fv_err_text(), words))                                                     \
                fail_msg("\"%s\" does not say \"%s\"", fv_err_text(), words);                      \
        }                                                                                          \
    } while (0)

static void sums(void **)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        begin(seed);
        assert_int_equal(FV_LAUNCH("halving", halving<0>, 4, THREADS, NULL, in, result), 0);
        for (int i = 0; i < 4; i++)
            assert_true(result[i] == (float)(THREADS * (THREADS + 1) / 2 + i * THREADS * THREADS));
        assert_int_equal(FV_LAUNCH("warp_sums", warp_sums, 4, THREADS, NULL, in, result), 0);
        for (int i = 0; i < 4 * THREADS; i++)
            assert_true(result[i] == (float)(32 * 33 / 2 + i / 32 * 32 * 32));
    }
}

static void missing_barriers(void **)
{
    REFUSED("is read", halving<1>, 4, THREADS, NULL, in, result);
    REFUSED("without a barrier", halving<2>, 4, THREADS, NULL, in, result);
    REFUSED("without a barrier", halving<3>, 4, THREADS, NULL, in, result);
}

static void shared_memory(void **)
{
    REFUSED("read before it is written", reads_unwritten, 1, THREADS, NULL, result);
    REFUSED("outside its bounds 64", runs_out, 1, THREADS, NULL, result);
}

static void barriers_for_all(void **)
{
    REFUSED("end before", leaves_early, 1, THREADS, NULL, result);
    REFUSED("different barriers", parts_ways, 1, THREADS, NULL, result);
    /* and the next launch is sound again */
    begin(1);
    assert_int_equal(FV_LAUNCH("halving", halving<0>, 4, THREADS, NULL, in, result), 0);
    assert_true(result[0] == (float)(THREADS * (THREADS + 1) / 2));
}

static void bad_grids(void **)
{
    begin(1);
    assert_int_equal(FV_LAUNCH("empty", warp_sums, 0, THREADS, NULL, in, result), FV_EBACKEND);
    assert_int_equal(FV_LAUNCH("wide", warp_sums, 1, 2048, NULL, in, result), FV_EBACKEND);
    assert_int_equal(FV_LAUNCH("tall", warp_sums, dim3(1, 70000), THREADS, NULL, in, result),
                     FV_EBACKEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),          cmocka_unit_test(missing_barriers),
        cmocka_unit_test(shared_memory), cmocka_unit_test(barriers_for_all),
        cmocka_unit_test(bad_grids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
