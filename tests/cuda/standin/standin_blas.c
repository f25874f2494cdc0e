/* SPDX-License-Identifier: MIT */
/* cuBLASLt's matrix products, computed from what their descriptors say: column by column, transposed as told. The
 * heuristics' algorithm is good for the matrices, the alignments and the workspace it was asked for, and no others:
 * pointers are taken to lie at 256 bytes unless the preference says less, as the library's header states. */
#include "tests/cuda/device_host_math.h"
#include "tests/cuda/standin/standin_inside.h"

#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

enum { HANDLE = 0x4c54, DESC, LAYOUT, PREFERENCE, ALGO };

struct desc {
    uint64_t magic;
    cublasComputeType_t compute;
    cudaDataType_t scale;
    int32_t transposed[2];
};
struct layout {
    uint64_t magic;
    cudaDataType_t type;
    int none; /* so that no byte of it is undefined */
    uint64_t rows, columns;
    int64_t ld;
};
struct preference {
    uint64_t magic, workspace;
    uint32_t align[4]; /* of A, B, C, D */
};
/* In the 64 bytes of cublasLtMatmulAlgo_t. */
struct algo {
    uint32_t magic, hash;
    uint64_t workspace;
    uint32_t align[4];
};
_Static_assert(sizeof(struct algo) <= sizeof(cublasLtMatmulAlgo_t), "room for it");

static void need(const void *p, uint64_t magic, const char *what)
{
    if (!p || *(const uint64_t *)p != magic)
        standin_fail("cuBLASLt is given %s that is not there, or was destroyed", what);
}

static void *new_object(size_t bytes, uint64_t magic)
{
    uint64_t *p = calloc(1, bytes);
    *p = magic;
    return p;
}

static cublasStatus_t destroy(void *p, uint64_t magic, const char *what)
{
    need(p, magic, what);
    *(uint64_t *)p = 0;
    free(p);
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
           : s == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                              : "CUBLAS_STATUS_INVALID_VALUE";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    standin__settle();
    *out = new_object(sizeof(uint64_t), HANDLE);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    return destroy(h, HANDLE, "a handle");
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    struct desc *d = new_object(sizeof *d, DESC);
    d->compute = compute;
    d->scale = scale;
    *out = (cublasLtMatmulDesc_t)(void *)d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    return destroy(d, DESC, "a description of a product");
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t out,
                                              cublasLtMatmulDescAttributes_t name, const void *v,
                                              size_t bytes)
{
    struct desc *d = (void *)out;
    int32_t op;
    need(d, DESC, "a description of a product");
    if (name != CUBLASLT_MATMUL_DESC_TRANSA && name != CUBLASLT_MATMUL_DESC_TRANSB)
        standin_fail("cuBLASLt: attribute %d of a product is not played", (int)name);
    if (bytes != sizeof op)
        standin_fail("cuBLASLt: a transpose has %zu bytes, and not 4", bytes);
    memcpy(&op, v, sizeof op);
    if (op != CUBLAS_OP_N && op != CUBLAS_OP_T)
        standin_fail("cuBLASLt: operation %d on a real matrix is not played", (int)op);
    d->transposed[name == CUBLASLT_MATMUL_DESC_TRANSB] = op == CUBLAS_OP_T;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld)
{
    struct layout *l = new_object(sizeof *l, LAYOUT);
    if (rows == 0 || columns == 0 || ld < (int64_t)rows)
        standin_fail("cuBLASLt: a matrix of %llu rows and %llu columns, %lld from column to column",
                     (unsigned long long)rows, (unsigned long long)columns, (long long)ld);
    l->type = type;
    l->rows = rows;
    l->columns = columns;
    l->ld = ld;
    *out = (cublasLtMatrixLayout_t)(void *)l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    return destroy(l, LAYOUT, "a matrix");
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    struct preference *p = new_object(sizeof *p, PREFERENCE);
    for (int i = 0; i < 4; i++)
        p->align[i] = 256;
    *out = (cublasLtMatmulPreference_t)(void *)p;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    return destroy(p, PREFERENCE, "a preference");
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t out,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *v, size_t bytes)
{
    struct preference *p = (void *)out;
    const int which = (int)name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    const int workspace = name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    need(p, PREFERENCE, "a preference");
    if (!workspace && (which < 0 || which > 3))
        standin_fail("cuBLASLt: attribute %d of a preference is not played", (int)name);
    if (bytes != (workspace ? sizeof p->workspace : sizeof p->align[0]))
        standin_fail("cuBLASLt: attribute %d of a preference has %zu bytes", (int)name, bytes);
    memcpy(workspace ? (void *)&p->workspace : (void *)&p->align[which], v, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/* Products */

struct product {
    struct desc d;
    struct layout a, b, c, out;
};

static size_t item(cudaDataType_t t)
{
    return t == CUDA_R_32F ? 4 : 2;
}

static int is_type(cudaDataType_t t)
{
    return t == CUDA_R_32F || t == CUDA_R_16F || t == CUDA_R_16BF;
}

static enum fv_low_dtype low(cudaDataType_t t)
{
    return t == CUDA_R_16BF ? FV_LOW_BF16 : t == CUDA_R_16F ? FV_LOW_F16 : FV_LOW_F32;
}

static size_t extent(const struct layout *l)
{
    return ((l->columns - 1) * (uint64_t)l->ld + l->rows) * item(l->type);
}

static struct product product(const void *d, const void *a, const void *b, const void *c,
                              const void *out)
{
    need(d, DESC, "a description of a product");
    need(a, LAYOUT, "a matrix");
    need(b, LAYOUT, "a matrix");
    need(c, LAYOUT, "a matrix");
    need(out, LAYOUT, "a matrix");
    return (struct product){*(const struct desc *)d, *(const struct layout *)a,
                            *(const struct layout *)b, *(const struct layout *)c,
                            *(const struct layout *)out};
}

/* 1: shapes and types are a row of the library's table of what it supports. */
static int is_supported(const struct product *p)
{
    const int ta = p->d.transposed[0], tb = p->d.transposed[1];
    const uint64_t m = ta ? p->a.columns : p->a.rows, k = ta ? p->a.rows : p->a.columns;
    if ((tb ? p->b.columns : p->b.rows) != k || (tb ? p->b.rows : p->b.columns) != p->out.columns ||
        m != p->out.rows || p->c.rows != p->out.rows || p->c.columns != p->out.columns)
        return 0;
    return p->d.compute == CUBLAS_COMPUTE_32F && p->d.scale == CUDA_R_32F && is_type(p->a.type) &&
           p->a.type == p->b.type && p->c.type == p->out.type &&
           (p->out.type == CUDA_R_32F || p->out.type == p->a.type);
}

static uint32_t hash(const struct product *p)
{
    const unsigned char *b = (const unsigned char *)p;
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sizeof *p; i++)
        h = (h ^ b[i]) * 16777619u;
    return h;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t d,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t *found, int *count)
{
    const struct preference *pref = (void *)preference;
    const struct product p = product(d, a, b, c, out);
    need(h, HANDLE, "a handle");
    need(pref, PREFERENCE, "a preference");
    *count = 0;
    if (asked < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (standin.no_algorithm || !is_supported(&p))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    struct algo algo = {.magic = ALGO, .hash = hash(&p)};
    memcpy(algo.align, pref->align, sizeof algo.align);
    algo.workspace = standin__draw(2) ? pref->workspace : standin__draw(pref->workspace + 1);
    memset(found, 0, sizeof *found);
    memcpy(&found->algo, &algo, sizeof algo);
    found->workspaceSize = algo.workspace;
    found->state = CUBLAS_STATUS_SUCCESS;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

struct task {
    struct product p;
    float alpha, beta;
    const void *a, *b, *c;
    void *out, *workspace;
    size_t workspace_bytes;
};

/* Of a matrix that is op(x), column by column, its rows: n each. */
static float *rows_of(const void *x, const struct layout *l, int transposed, size_t rows, size_t n)
{
    float *v = malloc(rows * n * sizeof *v);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            v[r * n + i] = host_load(x, low(l->type),
                                     transposed ? r * (size_t)l->ld + i : i * (size_t)l->ld + r);
    return v;
}

static void run_product(void *ctx)
{
    const struct task *t = ctx;
    const struct product *p = &t->p;
    const size_t m = p->out.rows, n = p->out.columns;
    const size_t k = p->d.transposed[0] ? p->a.rows : p->a.columns;
    float *a = rows_of(t->a, &p->a, p->d.transposed[0], m, k);
    float *b = rows_of(t->b, &p->b, !p->d.transposed[1], n, k); /* the columns of op(b) */
    if (t->workspace)
        memset(t->workspace, 0xff, t->workspace_bytes);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < m; i++) {
            double sum = 0;
            for (size_t q = 0; q < k; q++)
                sum += (double)a[i * k + q] * (double)b[j * k + q];
            sum *= (double)t->alpha;
            if (t->beta != 0)
                sum += (double)t->beta *
                       (double)host_load(t->c, low(p->c.type), j * (size_t)p->c.ld + i);
            host_store(t->out, low(p->out.type), j * (size_t)p->out.ld + i, sum);
        }
    free(a);
    free(b);
    standin_spend(2);
}

static void check_operand(const void *p, const struct layout *l, uint32_t align, const char *what)
{
    standin__need_room(p, extent(l), what);
    if ((uintptr_t)p % align != 0)
        standin_fail("cuBLASLt: %s lies at %p, and the algorithm was asked for with an alignment "
                     "of %u bytes",
                     what, p, align);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t d, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *out,
                              cublasLtMatrixLayout_t out_layout, const cublasLtMatmulAlgo_t *chosen,
                              void *workspace, size_t workspace_bytes, cudaStream_t s)
{
    struct task *t = calloc(1, sizeof *t);
    struct algo algo;
    need(h, HANDLE, "a handle");
    t->p = product(d, a_layout, b_layout, c_layout, out_layout);
    if (!chosen)
        standin_fail("cublasLtMatmul without an algorithm is not played");
    memcpy(&algo, chosen, sizeof algo);
    if (!is_supported(&t->p))
        standin_fail("cublasLtMatmul of matrices that do not fit, or of types that it has not");
    if (algo.magic != ALGO || algo.hash != hash(&t->p))
        standin_fail("cublasLtMatmul with an algorithm that was found for other matrices");
    memcpy(&t->alpha, alpha, sizeof t->alpha);
    memcpy(&t->beta, beta, sizeof t->beta);
    standin__lock();
    check_operand(a, &t->p.a, algo.align[0], "a product's A");
    check_operand(b, &t->p.b, algo.align[1], "a product's B");
    check_operand(out, &t->p.out, algo.align[3], "a product's D");
    if (t->beta != 0 || c != out)
        check_operand(c, &t->p.c, algo.align[2], "a product's C");
    if (workspace_bytes < algo.workspace)
        standin_fail("cublasLtMatmul: a workspace of %zu bytes for an algorithm that takes %llu",
                     workspace_bytes, (unsigned long long)algo.workspace);
    if (workspace_bytes > 0) {
        standin__need_room(workspace, workspace_bytes, "a product's workspace");
        if ((uintptr_t)workspace % 256 != 0)
            standin_fail("cublasLtMatmul: the workspace does not lie at 256 bytes");
    }
    t->a = a;
    t->b = b;
    t->c = c;
    t->out = out;
    t->workspace = algo.workspace ? workspace : NULL;
    t->workspace_bytes = algo.workspace;
    standin_counts.products++;
    standin_enqueue(s, run_product, free, t, "a product");
    standin__unlock();
    return CUBLAS_STATUS_SUCCESS;
}
