/* SPDX-License-Identifier: MIT */
/* Inner products for scoring: what is compared with stays on the device, a tile of rows by columns is one matrix
 * product in fp32, and its scores go back to the host, which counts them. */
#include "trainer/cuda/backend_cuda.h"

#include "common/err.h"

#include <limits.h>
#include <stdlib.h>

struct fv_columns {
    struct fv_gpu *gpu;
    size_t n, dim;
    char *v, *row, *out; /* device */
    size_t row_bytes, out_bytes;
};

static int enlarge(struct fv_columns *c, char **memory, size_t *bytes, size_t needed,
                   const char *what)
{
    void *larger;
    if (needed <= *bytes)
        return 0;
    FV_TRY(fv_gpu_alloc(c->gpu, &larger, needed, what));
    fv_gpu_free(c->gpu, *memory);
    *memory = larger;
    *bytes = needed;
    return 0;
}

int fv__cuda_columns_open(struct fv_device *d, const float *v, size_t n, int dim,
                          struct fv_columns **out)
{
    struct fv_columns *c = *out = calloc(1, sizeof *c);
    if (!c)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    c->gpu = d->gpu;
    c->n = n;
    c->dim = (size_t)dim;
    size_t bytes = 0;
    int rc = enlarge(c, &c->v, &bytes, n * c->dim * sizeof *v, "the embeddings");
    if (rc == 0)
        rc = fv_gpu_upload(c->gpu, FV_GPU_WORK, c->v, v, bytes);
    if (rc == 0)
        rc = fv_gpu_sync(c->gpu, FV_GPU_WORK);
    if (rc < 0)
        fv__cuda_columns_close(out);
    return rc;
}

int fv__cuda_columns_times(struct fv_columns *c, const float *row, size_t rows, size_t first,
                           size_t count, float *out)
{
    const size_t in = rows * c->dim * sizeof *row, made = rows * count * sizeof *out;
    if (rows < 1 || count < 1 || rows > INT_MAX || count > INT_MAX || first > c->n ||
        count > c->n - first)
        return fv_err(FV_EINVAL, "backend cuda: columns %zu .. %zu of %zu", first, first + count,
                      c->n);
    const struct fv_gpu_gemm s = {.m = (int)rows,
                                  .n = (int)count,
                                  .k = (int)c->dim,
                                  .tb = 1,
                                  .type = FV_LOW_F32,
                                  .c_type = FV_LOW_F32};
    FV_TRY(enlarge(c, &c->row, &c->row_bytes, in, "rows to compare"));
    FV_TRY(enlarge(c, &c->out, &c->out_bytes, made, "scores"));
    FV_TRY(fv_gpu_upload(c->gpu, FV_GPU_WORK, c->row, row, in));
    FV_TRY(fv_gpu_gemm_run(c->gpu, &s, c->row, c->v + first * c->dim * sizeof *row, c->out));
    FV_TRY(fv_gpu_download(c->gpu, FV_GPU_WORK, out, c->out, made));
    return fv_gpu_sync(c->gpu, FV_GPU_WORK);
}

void fv__cuda_columns_close(struct fv_columns **c)
{
    if (!c || !*c)
        return;
    fv_gpu_free((*c)->gpu, (*c)->v);
    fv_gpu_free((*c)->gpu, (*c)->row);
    fv_gpu_free((*c)->gpu, (*c)->out);
    free(*c);
    *c = NULL;
}
