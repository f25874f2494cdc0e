/* SPDX-License-Identifier: MIT */
/* Matrix products by cuBLASLt, which is column by column: what is row by row here is its own transpose there, so
 * c' = b'' a'' is asked for. The algorithm is the heuristics' first, found once for a shape and the alignments of its
 * operands: unless told less, the heuristics count on 256 bytes (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_*), and rows in the
 * middle of a matrix, or of a number of floats that is odd, lie anywhere. */
#include "trainer/cuda/device_cuda_gpu.h"

#include "common/err.h"

#include <string.h>

static const size_t workspace_bytes = (size_t)32 << 20; /* what cuBLAS advises for sm_90 */

static int check(cublasStatus_t s, const char *what)
{
    return s == CUBLAS_STATUS_SUCCESS
               ? 0
               : fv_err(FV_EBACKEND, "cuBLASLt: %s: %s", what, cublasLtGetStatusString(s));
}

int fv__gpu_open_blas(struct fv_gpu *g)
{
    FV_TRY(check(cublasLtCreate(&g->blas), "opening the device"));
    return fv_gpu_alloc(g, &g->blas_workspace, workspace_bytes, "the workspace of matrix products");
}

static void free_plan(struct fv__gpu_gemm_plan *p)
{
    if (p->a)
        cublasLtMatrixLayoutDestroy(p->a);
    if (p->b)
        cublasLtMatrixLayoutDestroy(p->b);
    if (p->c)
        cublasLtMatrixLayoutDestroy(p->c);
    if (p->op)
        cublasLtMatmulDescDestroy(p->op);
    *p = (struct fv__gpu_gemm_plan){.op = NULL};
}

void fv__gpu_close_blas(struct fv_gpu *g)
{
    for (int i = 0; i < g->gemms; i++)
        free_plan(&g->gemm[i]);
    g->gemms = 0;
    if (g->blas)
        cublasLtDestroy(g->blas);
    g->blas = NULL;
    fv_gpu_free(g, g->blas_workspace);
    g->blas_workspace = NULL;
}

static cudaDataType_t type_of(enum fv_low_dtype t)
{
    return t == FV_LOW_BF16 ? CUDA_R_16BF : t == FV_LOW_F16 ? CUDA_R_16F : CUDA_R_32F;
}

/* A matrix of rows x columns, row by row. */
static int layout(cublasLtMatrixLayout_t *out, enum fv_low_dtype type, int rows, int columns)
{
    return check(
        cublasLtMatrixLayoutCreate(out, type_of(type), (uint64_t)columns, (uint64_t)rows, columns),
        "a matrix");
}

static int set_preference(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t name,
                          const void *value, size_t bytes)
{
    return check(cublasLtMatmulPreferenceSetAttribute(p, name, value, bytes), "a preference");
}

static int describe_memory(cublasLtMatmulPreference_t preference, const uint32_t align[3])
{
    static const cublasLtMatmulPreferenceAttributes_t of[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    FV_TRY(set_preference(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                          sizeof workspace_bytes));
    for (int i = 0; i < 4; i++) /* D is C */
        FV_TRY(set_preference(preference, of[i], &align[i < 3 ? i : 2], sizeof align[0]));
    return 0;
}

static int choose_algorithm(struct fv_gpu *g, struct fv__gpu_gemm_plan *p)
{
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found = {.workspaceSize = 0};
    int count = 0;
    FV_TRY(check(cublasLtMatmulPreferenceCreate(&preference), "a preference"));
    int rc = describe_memory(preference, p->align);
    if (rc == 0)
        rc = check(cublasLtMatmulAlgoGetHeuristic(g->blas, p->op, p->a, p->b, p->c, p->c,
                                                  preference, 1, &found, &count),
                   "heuristics");
    cublasLtMatmulPreferenceDestroy(preference);
    if (rc == 0 && count == 0)
        rc = fv_err(FV_EUNSUPPORTED, "cuBLASLt has no algorithm for (%d, %d) = (%d, %d) (%d, %d)",
                    p->shape.m, p->shape.n, p->shape.m, p->shape.k, p->shape.k, p->shape.n);
    p->algo = found.algo;
    return rc;
}

static int make_plan(struct fv_gpu *g, struct fv__gpu_gemm_plan *p, const struct fv_gpu_gemm *s,
                     const uint32_t align[3])
{
    /* first and second operand change places; a stored transpose stays one */
    const cublasOperation_t first = s->tb ? CUBLAS_OP_T : CUBLAS_OP_N,
                            second = s->ta ? CUBLAS_OP_T : CUBLAS_OP_N;
    p->shape = *s;
    memcpy(p->align, align, sizeof p->align);
    FV_TRY(check(cublasLtMatmulDescCreate(&p->op, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product"));
    FV_TRY(check(
        cublasLtMatmulDescSetAttribute(p->op, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first),
        "a product"));
    FV_TRY(check(
        cublasLtMatmulDescSetAttribute(p->op, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second),
        "a product"));
    FV_TRY(layout(&p->a, s->type, s->tb ? s->n : s->k, s->tb ? s->k : s->n));
    FV_TRY(layout(&p->b, s->type, s->ta ? s->k : s->m, s->ta ? s->m : s->k));
    FV_TRY(layout(&p->c, s->c_type, s->m, s->n));
    return choose_algorithm(g, p);
}

/* The largest power of two up to 256 that the address is a multiple of. */
static uint32_t alignment(const void *p)
{
    const uintptr_t a = (uintptr_t)p | 256;
    return (uint32_t)(a & -a);
}

static int same_shape(const struct fv_gpu_gemm *a, const struct fv_gpu_gemm *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->ta == b->ta && a->tb == b->tb &&
           a->type == b->type && a->c_type == b->c_type;
}

int fv_gpu_gemm_run(struct fv_gpu *g, const struct fv_gpu_gemm *s, const void *a, const void *b,
                    void *c)
{
    const int capacity = (int)(sizeof g->gemm / sizeof g->gemm[0]);
    const float one = 1, zero = 0;
    const uint32_t align[3] = {alignment(b), alignment(a), alignment(c)};
    int i = 0;
    while (i < g->gemms && (!same_shape(&g->gemm[i].shape, s) ||
                            memcmp(g->gemm[i].align, align, sizeof align) != 0))
        i++;
    if (i == g->gemms) {
        if (i == capacity)
            free_plan(&g->gemm[--i]);
        g->gemms = i;
        int rc = make_plan(g, &g->gemm[i], s, align);
        if (rc < 0) {
            free_plan(&g->gemm[i]);
            return rc;
        }
        g->gemms = i + 1;
    }
    struct fv__gpu_gemm_plan *p = &g->gemm[i];
    return check(cublasLtMatmul(g->blas, p->op, &one, b, p->a, a, p->b, &zero, c, p->c, c, p->c,
                                &p->algo, g->blas_workspace, workspace_bytes,
                                g->stream[FV_GPU_WORK]),
                 "a product");
}
