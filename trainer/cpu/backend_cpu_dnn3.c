/* SPDX-License-Identifier: MIT */
/* Making primitives with oneDNN 3.x: primitive descriptors at once, from all that they depend on. Memory descriptors
 * are objects of the library's. */
#include "trainer/cpu/backend_cpu_dnn.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>

struct fv__dnn_md {
    dnnl_memory_desc_t md;
};

static const_dnnl_memory_desc_t get(const struct fv__dnn_md *md)
{
    return md ? md->md : NULL;
}

/* `status` is that of making (*out)->md. */
static int finish_md(struct fv__dnn_md **out, dnnl_status_t status)
{
    if (status != dnnl_success) {
        (*out)->md = NULL;
        fv__dnn_md_free(out);
    }
    return fv__dnn_fail(status, "memory descriptor");
}

int fv__dnn_md_new(struct fv__dnn_md **out, int ndim, const int *dim, enum fv__dnn_layout layout)
{
    dnnl_dims_t dims = {0};
    for (int i = 0; i < ndim; i++)
        dims[i] = dim[i];
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "out of memory");
    return finish_md(out, dnnl_memory_desc_create_with_tag(&(*out)->md, ndim, dims, dnnl_f32,
                                                           fv__dnn_tag(ndim, layout)));
}

void fv__dnn_md_free(struct fv__dnn_md **md)
{
    if (*md && (*md)->md)
        dnnl_memory_desc_destroy((*md)->md);
    free(*md);
    *md = NULL;
}

int fv__dnn_md_equal(const struct fv__dnn_md *a, const struct fv__dnn_md *b)
{
    return dnnl_memory_desc_equal(a->md, b->md);
}

size_t fv__dnn_md_bytes(const struct fv__dnn_md *md)
{
    return dnnl_memory_desc_get_size(md->md);
}

size_t fv__dnn_md_lanes(const struct fv__dnn_md *md)
{
    dnnl_dims_t *dim, *padded, *stride, *block, *blocked_dim;
    dnnl_format_kind_t kind;
    int ndim, blocks;
    if (dnnl_memory_desc_query(md->md, dnnl_query_format_kind, &kind) != dnnl_success ||
        kind != dnnl_blocked ||
        dnnl_memory_desc_query(md->md, dnnl_query_ndims_s32, &ndim) != dnnl_success ||
        dnnl_memory_desc_query(md->md, dnnl_query_inner_nblks_s32, &blocks) != dnnl_success ||
        dnnl_memory_desc_query(md->md, dnnl_query_dims, &dim) != dnnl_success ||
        dnnl_memory_desc_query(md->md, dnnl_query_padded_dims, &padded) != dnnl_success ||
        dnnl_memory_desc_query(md->md, dnnl_query_strides, &stride) != dnnl_success ||
        dnnl_memory_desc_query(md->md, dnnl_query_inner_blks, &block) != dnnl_success ||
        dnnl_memory_desc_query(md->md, dnnl_query_inner_idxs, &blocked_dim) != dnnl_success)
        return 0;
    return fv__dnn_lanes(&(struct fv__dnn_blocking){.ndim = ndim,
                                                    .blocks = blocks,
                                                    .dim = *dim,
                                                    .padded = *padded,
                                                    .stride = *stride,
                                                    .block = *block,
                                                    .blocked_dim = *blocked_dim});
}

/* 1x1 convolutions of stride 2 in 3.2 write behind the scratchpad that they ask for where channels do not fill a block:
 * by up to a quarter of it for 8 channels. */
size_t fv__dnn_scratchpad_bytes(const struct fv__dnn_md *scratchpad)
{
    return 2 * fv__dnn_md_bytes(scratchpad);
}

int fv__dnn_memory_new(dnnl_memory_t *out, dnnl_engine_t engine, const struct fv__dnn_md *md)
{
    return fv__dnn_fail(dnnl_memory_create(out, md->md, engine, DNNL_MEMORY_NONE), "memory");
}

/* A shape of no dimensions has 0 bytes. */
int fv__dnn_op_md(struct fv__dnn_md **out, const struct fv__dnn_op *op, dnnl_query_t what)
{
    const_dnnl_memory_desc_t md = dnnl_primitive_desc_query_md(op->desc, what, 0);
    if (!md)
        return fv__dnn_md_new(out, 0, NULL, FV_DNN_ANY);
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "out of memory");
    return finish_md(out, dnnl_memory_desc_clone(&(*out)->md, md));
}

static const dnnl_dims_t undilated = {0};

static dnnl_status_t add_post_ops(dnnl_primitive_attr_t attr, int sum, float limit)
{
    dnnl_post_ops_t ops;
    dnnl_status_t s = dnnl_post_ops_create(&ops);
    if (s != dnnl_success)
        return s;
    if (sum)
        s = dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
    if (s == dnnl_success && limit > 0)
        s = dnnl_post_ops_append_eltwise(ops, fv__dnn_relu_alg(limit), 0.0f,
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
    const_dnnl_primitive_desc_t forward = p->forward ? p->forward->desc : NULL;
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s =
        p->kind == FV_DNN_FORWARD ? add_post_ops(attr, c->sum, c->limit) : dnnl_success;
    if (s == dnnl_success && p->kind == FV_DNN_FORWARD)
        s = dnnl_convolution_forward_primitive_desc_create(
            &op->desc, e, fv__dnn_forward_kind(c->training), alg, p->src->md, p->weights->md,
            get(p->bias), p->dst->md, w.stride, undilated, w.pad, w.pad, attr);
    else if (s == dnnl_success && p->kind == FV_DNN_BACKWARD_DATA)
        s = dnnl_convolution_backward_data_primitive_desc_create(
            &op->desc, e, alg, p->src->md, p->weights->md, p->dst->md, w.stride, undilated, w.pad,
            w.pad, forward, attr);
    else if (s == dnnl_success)
        s = dnnl_convolution_backward_weights_primitive_desc_create(
            &op->desc, e, alg, p->src->md, p->weights->md, get(p->bias), p->dst->md, w.stride,
            undilated, w.pad, w.pad, forward, attr);
    return fv__dnn_op_finish(op, s, attr, what[p->kind]);
}

int fv__dnn_bn_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_bn *b,
                       const struct fv__dnn_md *data)
{
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_batch_normalization_forward_primitive_desc_create(
        &op->desc, e, fv__dnn_forward_kind(b->training), data->md, data->md, b->eps,
        fv__dnn_bn_flags(b), attr);
    return fv__dnn_op_finish(op, s, attr, "batch norm");
}

int fv__dnn_bn_backward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_bn *b,
                        const struct fv__dnn_md *data, const struct fv__dnn_op *forward)
{
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_batch_normalization_backward_primitive_desc_create(
        &op->desc, e, dnnl_backward, data->md, data->md, data->md, b->eps, fv__dnn_bn_flags(b),
        forward->desc, attr);
    return fv__dnn_op_finish(op, s, attr, "batch norm's gradient");
}

int fv__dnn_bn_backward_takes_shift(void)
{
    return 0;
}

int fv__dnn_pool_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_pool *p,
                         const struct fv__dnn_md *src, const struct fv__dnn_md *dst)
{
    struct fv__dnn_window w = fv__dnn_window(p->window_h, p->window_w, p->stride, p->pad);
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_pooling_forward_primitive_desc_create(
        &op->desc, e, fv__dnn_forward_kind(p->training), fv__dnn_pool_alg(p), src->md, dst->md,
        w.stride, w.window, undilated, w.pad, w.pad, attr);
    return fv__dnn_op_finish(op, s, attr, "pooling");
}

int fv__dnn_pool_backward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_pool *p,
                          const struct fv__dnn_md *src, const struct fv__dnn_md *dst,
                          const struct fv__dnn_op *forward)
{
    struct fv__dnn_window w = fv__dnn_window(p->window_h, p->window_w, p->stride, p->pad);
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_pooling_backward_primitive_desc_create(
        &op->desc, e, fv__dnn_pool_alg(p), src->md, dst->md, w.stride, w.window, undilated, w.pad,
        w.pad, forward->desc, attr);
    return fv__dnn_op_finish(op, s, attr, "pooling's gradient");
}

int fv__dnn_fc_forward(struct fv__dnn_op *op, dnnl_engine_t e, int training,
                       const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                       const struct fv__dnn_md *bias, const struct fv__dnn_md *dst)
{
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_inner_product_forward_primitive_desc_create(
        &op->desc, e, fv__dnn_forward_kind(training), src->md, weights->md, get(bias), dst->md,
        attr);
    return fv__dnn_op_finish(op, s, attr, "fully connected layer");
}

int fv__dnn_fc_backward_data(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_md *src,
                             const struct fv__dnn_md *weights, const struct fv__dnn_md *dst,
                             const struct fv__dnn_op *forward)
{
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_inner_product_backward_data_primitive_desc_create(
        &op->desc, e, src->md, weights->md, dst->md, forward->desc, attr);
    return fv__dnn_op_finish(op, s, attr, "fully connected layer's gradient");
}

int fv__dnn_fc_backward_weights(struct fv__dnn_op *op, dnnl_engine_t e,
                                const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                                const struct fv__dnn_md *bias, const struct fv__dnn_md *dst,
                                const struct fv__dnn_op *forward)
{
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_inner_product_backward_weights_primitive_desc_create(
        &op->desc, e, src->md, weights->md, get(bias), dst->md, forward->desc, attr);
    return fv__dnn_op_finish(op, s, attr, "fully connected layer's weight gradient");
}

int fv__dnn_reorder(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_md *from,
                    const struct fv__dnn_md *to)
{
    dnnl_primitive_attr_t attr;
    FV_TRY(fv__dnn_attr_new(&attr));
    dnnl_status_t s = dnnl_reorder_primitive_desc_create(&op->desc, from->md, e, to->md, e, attr);
    return fv__dnn_op_finish(op, s, attr, "reorder");
}
