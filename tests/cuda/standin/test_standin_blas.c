/* SPDX-License-Identifier: MIT */
/* The stand-in's matrix products: each rule is seen to fire. What they compute is shown by test_device_cuda.c. */
#include "tests/cmocka_all.h"
#include "tests/cuda/standin/standin.h"
#include "tests/cuda/standin/standin_rule.h"

#include <cublasLt.h>
#include <string.h>

static cublasLtHandle_t handle;
static cublasLtMatmulDesc_t desc;
static cublasLtMatrixLayout_t square, wide;
static cublasLtMatmulPreference_t preference;
static cublasLtMatmulHeuristicResult_t found;
static char *a, *b, *c, *workspace;
static const float one = 1, zero = 0;

static void *bytes(size_t n)
{
    void *p = NULL;
    cudaMalloc(&p, n);
    return p;
}

/* (8, 8) = (8, 8) (8, 8), and a (8, 16) for what does not fit. */
static void make(void)
{
    int count = 0;
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatrixLayoutCreate(&square, CUDA_R_32F, 8, 8, 8);
    cublasLtMatrixLayoutCreate(&wide, CUDA_R_32F, 8, 16, 8);
    cublasLtMatmulPreferenceCreate(&preference);
    cublasLtMatmulAlgoGetHeuristic(handle, desc, square, square, square, square, preference, 1,
                                   &found, &count);
    if (count != 1)
        standin_fail("no algorithm");
    a = bytes(1024);
    b = bytes(1024);
    c = bytes(256);
    workspace = bytes(4096);
}

static void multiply(const void *first, cublasLtMatrixLayout_t layout, size_t workspace_bytes)
{
    cublasLtMatmul(handle, desc, &one, first, layout, b, square, &zero, c, square, c, square,
                   &found.algo, workspace, workspace_bytes, NULL);
    cudaDeviceSynchronize();
}

static void unaligned(void)
{
    make();
    multiply(a + 16, square, 0);
}

static void outside(void)
{
    make();
    multiply(a + 1024 - 256 + 4, square, 0);
}

static void another_shape(void)
{
    make();
    multiply(a, wide, 0);
}

static void another_alignment(void)
{
    int32_t transposed = CUBLAS_OP_T;
    make();
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                   sizeof transposed);
    multiply(a, square, 0);
}

static void no_workspace(void)
{
    uint64_t most = 4096;
    int count;
    make();
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &most, sizeof most);
    do
        cublasLtMatmulAlgoGetHeuristic(handle, desc, square, square, square, square, preference, 1,
                                       &found, &count);
    while (found.workspaceSize == 0);
    multiply(a, square, 0);
}

static void destroyed_layout(void)
{
    make();
    cublasLtMatrixLayoutDestroy(wide);
    multiply(a, wide, 0);
}

static void narrow_columns(void)
{
    cublasLtMatrixLayoutCreate(&wide, CUDA_R_32F, 8, 16, 7);
}

static void test_rules(void **state)
{
    (void)state;
    expect_rule(unaligned, "a product's A lies at");
    expect_rule(outside, "a product's A needs 256 bytes");
    expect_rule(another_shape, "of matrices that do not fit");
    expect_rule(another_alignment, "an algorithm that was found for other matrices");
    expect_rule(no_workspace, "a workspace of 0 bytes for an algorithm that takes");
    expect_rule(destroyed_layout, "a matrix that is not there");
    expect_rule(narrow_columns, "7 from column to column");
}

static void test_none(void **state)
{
    (void)state;
    int count = 7;
    make();
    standin.no_algorithm = 1;
    assert_int_equal(cublasLtMatmulAlgoGetHeuristic(handle, desc, square, square, square, square,
                                                    preference, 1, &found, &count),
                     CUBLAS_STATUS_NOT_SUPPORTED);
    assert_int_equal(count, 0);
    standin.no_algorithm = 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules),
                                              cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
