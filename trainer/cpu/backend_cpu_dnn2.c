/* SPDX-License-Identifier: MIT */
/* Making primitives with oneDNN 2.6 and 2.7: an operation descriptor first, from it a primitive descriptor. Memory
 * descriptors are plain structs. */
#include "trainer/cpu/backend_cpu_dnn.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct fv__dnn_md {
    dnnl_memory_desc_t md;
};

static const dnnl_memory_desc_t *get(const struct fv__dnn_md *md)
{
    return md ? &md->md : NULL;
}

int fv__dnn_md_new(struct fv__dnn_md **out, int ndim, const int *dim, enum fv__dnn_layout layout)
{
    dnnl_dims_t dims = {0};
    for (int i = 0; i < ndim; i++)
        dims[i] = dim[i];
    *out = malloc(sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "out of memory");
    int rc = fv__dnn_fail(
        dnnl_memory_desc_init_by_tag(&(*out)->md, ndim, dims, dnnl_f32, fv__dnn_tag(ndim, layout)),
        "memory descriptor");
    if (rc < 0)
        fv__dnn_md_free(out);
    return rc;
}

void fv__dnn_md_free(struct fv__dnn_md **md)
{
    free(*md);
    *md = NULL;
}

int fv__dnn_md_equal(const struct fv__dnn_md *a, const struct fv__dnn_md *b)
{
    return dnnl_memory_desc_equal(&a->md, &b->md);
}

size_t fv__dnn_md_bytes(const struct fv__dnn_md *md)
{
    return dnnl_memory_desc_get_size(&md->md);
}

size_t fv__dnn_md_lanes(const struct fv__dnn_md *md)
{
    const dnnl_blocking_desc_t *b = &md->md.format_desc.blocking;
    if (md->md.format_kind != dnnl_blocked)
        return 0;
    return fv__dnn_lanes(&(struct fv__dnn_blocking){.ndim = md->md.ndims,
                                                    .blocks = b->inner_nblks,
                                                    .dim = md->md.dims,
                                                    .padded = md->md.padded_dims,
                                                    .stride = b->strides,
                                                    .block = b->inner_blks,
                                                    .blocked_dim = b->inner_idxs});
}

size_t fv__dnn_scratchpad_bytes(const struct fv__dnn_md *scratchpad)
{
    return fv__dnn_md_bytes(scratchpad);
}

int fv__dnn_memory_new(dnnl_memory_t *out, dnnl_engine_t engine, const struct fv__dnn_md *md)
{
    return fv__dnn_fail(dnnl_memory_create(out, &md->md, engine, DNNL_MEMORY_NONE), "memory");
}

int fv__dnn_op_md(struct fv__dnn_md **out, const struct fv__dnn_op *op, dnnl_query_t what)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(op->desc, what, 0);
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "out of memory");
    if (md)
        (*out)->md = *md;
    return 0;
}

/* From an operation descriptor on, all are alike. */
static int finish(struct fv__dnn_op *op, dnnl_engine_t e, dnnl_status_t status, const void *op_desc,
                  dnnl_primitive_attr_t attr, const struct fv__dnn_op *forward, const char *what)
{
    if (status == dnnl_success)
        status =
            dnnl_primitive_desc_create(&op->desc, op_desc, attr, e, forward ? forward->desc : NULL);
    return fv__dnn_op_finish(op, status, attr, what);
}

static dnnl_status_t add_post_ops(dnnl_primitive_attr_t attr, int sum, float limit)
{
    dnnl_post_ops_t ops;
    dnnl_status_t s = dnnl_post_ops_create(&ops);
    if (s != dnnl_success)
        return s;
    if (sum)
        s = dnnl_post_ops_append_sum(ops, 1.0f);
    if (s == dnnl_success && limit > 0)
        s = dnnl_post_ops_append_eltwise(ops, 1.0f, fv__dnn_relu_alg(limit), 0.0f,
                                         isfinite(limit) ? limit : 0.0f);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_post_ops(attr, ops);
    dnnl_post_ops_destroy(ops);
    return s;
}

int fv__dnn_conv_by(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_conv_pass *p,
                    dnnl_alg_kind_t alg)
{
    static const char *const what[] = {"convolution", "convolution's gradient",
                                       "convolution's weight gradient"};
    const struct fv__dnn_conv *c = p->conv;
    struct fv__dnn_window w = fv__dnn_window(0, 0, c->stride, c->pad);
    dnnl_convolution_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s =
        p->kind == FV_DNN_FORWARD ? add_post_ops(attr, c->sum, c->limit) : dnnl_success;
    if (s == dnnl_success && p->kind == FV_DNN_FORWARD)
        s = dnnl_convolution_forward_desc_init(&d, fv__dnn_forward_kind(c->training), alg,
                                               &p->src->md, &p->weights->md, get(p->bias),
                                               &p->dst->md, w.stride, w.pad, w.pad);
    else if (s == dnnl_success && p->kind == FV_DNN_BACKWARD_DATA)
        s = dnnl_convolution_backward_data_desc_init(&d, alg, &p->src->md, &p->weights->md,
                                                     &p->dst->md, w.stride, w.pad, w.pad);
    else if (s == dnnl_success)
        s = dnnl_convolution_backward_weights_desc_init(&d, alg, &p->src->md, &p->weights->md,
                                                        get(p->bias), &p->dst->md, w.stride, w.pad,
                                                        w.pad);
    return finish(op, e, s, &d, attr, p->forward, what[p->kind]);
}

int fv__dnn_bn_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_bn *b,
                       const struct fv__dnn_md *data)
{
    dnnl_batch_normalization_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_batch_normalization_forward_desc_init(
        &d, fv__dnn_forward_kind(b->training), &data->md, b->eps, fv__dnn_bn_flags(b));
    return finish(op, e, s, &d, attr, NULL, "batch norm");
}

int fv__dnn_bn_backward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_bn *b,
                        const struct fv__dnn_md *data, const struct fv__dnn_op *forward)
{
    dnnl_batch_normalization_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_batch_normalization_backward_desc_init(
        &d, dnnl_backward, &data->md, &data->md, b->eps, fv__dnn_bn_flags(b));
    return finish(op, e, s, &d, attr, forward, "batch norm's gradient");
}

int fv__dnn_bn_backward_takes_shift(void)
{
    return 1;
}

int fv__dnn_pool_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_pool *p,
                         const struct fv__dnn_md *src, const struct fv__dnn_md *dst)
{
    struct fv__dnn_window w = fv__dnn_window(p->window_h, p->window_w, p->stride, p->pad);
    dnnl_pooling_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s =
        dnnl_pooling_forward_desc_init(&d, fv__dnn_forward_kind(p->training), fv__dnn_pool_alg(p),
                                       &src->md, &dst->md, w.stride, w.window, w.pad, w.pad);
    return finish(op, e, s, &d, attr, NULL, "pooling");
}

int fv__dnn_pool_backward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_pool *p,
                          const struct fv__dnn_md *src, const struct fv__dnn_md *dst,
                          const struct fv__dnn_op *forward)
{
    struct fv__dnn_window w = fv__dnn_window(p->window_h, p->window_w, p->stride, p->pad);
    dnnl_pooling_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_pooling_backward_desc_init(&d, fv__dnn_pool_alg(p), &src->md, &dst->md,
                                                      w.stride, w.window, w.pad, w.pad);
    return finish(op, e, s, &d, attr, forward, "pooling's gradient");
}

int fv__dnn_fc_forward(struct fv__dnn_op *op, dnnl_engine_t e, int training,
                       const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                       const struct fv__dnn_md *bias, const struct fv__dnn_md *dst)
{
    dnnl_inner_product_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_inner_product_forward_desc_init(
        &d, fv__dnn_forward_kind(training), &src->md, &weights->md, get(bias), &dst->md);
    return finish(op, e, s, &d, attr, NULL, "fully connected layer");
}

int fv__dnn_fc_backward_data(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_md *src,
                             const struct fv__dnn_md *weights, const struct fv__dnn_md *dst,
                             const struct fv__dnn_op *forward)
{
    dnnl_inner_product_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s =
        dnnl_inner_product_backward_data_desc_init(&d, &src->md, &weights->md, &dst->md);
    return finish(op, e, s, &d, attr, forward, "fully connected layer's gradient");
}

int fv__dnn_fc_backward_weights(struct fv__dnn_op *op, dnnl_engine_t e,
                                const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                                const struct fv__dnn_md *bias, const struct fv__dnn_md *dst,
                                const struct fv__dnn_op *forward)
{
    dnnl_inner_product_desc_t d;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_inner_product_backward_weights_desc_init(&d, &src->md, &weights->md,
                                                                    get(bias), &dst->md);
    return finish(op, e, s, &d, attr, forward, "fully connected layer's weight gradient");
}

int fv__dnn_reorder(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_md *from,
                    const struct fv__dnn_md *to)
{
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_reorder_primitive_desc_create(&op->desc, &from->md, e, &to->md, e, attr);
    return fv__dnn_op_finish(op, s, attr, "reorder");
}
