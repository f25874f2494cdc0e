/* SPDX-License-Identifier: MIT */
/* What is the same for every version of oneDNN. */
#include "trainer/cpu/backend_cpu_dnn.h"

#include "common/err.h"

#include <math.h>
#include <string.h>

int fv__dnn_fail(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return 0;
    if (status == dnnl_unimplemented)
        return fv_err(FV_EUNSUPPORTED, "oneDNN has no implementation of this %s on this processor",
                      what);
    if (status == dnnl_out_of_memory)
        return fv_err(FV_ENOMEM, "out of memory in oneDNN's %s", what);
    return fv_err(FV_EBACKEND, "oneDNN's %s failed with status %d", what, (int)status);
}

size_t fv__dnn_lanes(const struct fv__dnn_blocking *b)
{
    const dnnl_dim_t *d = b->dim;
    dnnl_dim_t lanes = b->blocks ? b->block[0] : 1;
    if (b->ndim != 4 || b->blocks > 1 || (b->blocks == 1 && b->blocked_dim[0] != 1))
        return 0;
    if (b->blocks == 0 && b->stride[1] == 1 && d[2] * d[3] > 1)
        lanes = d[1];
    const dnnl_dim_t want[4] = {b->padded[1] * d[2] * d[3], d[2] * d[3] * lanes, d[3] * lanes,
                                lanes};
    for (int i = 0; i < 4; i++)
        if (b->padded[i] != d[i] && i != 1)
            return 0;
        else if (d[i] > 1 && b->stride[i] != want[i] && !(i == 1 && b->padded[1] == lanes))
            return 0;
    return (size_t)lanes;
}

dnnl_format_tag_t fv__dnn_tag(int ndim, enum fv__dnn_layout layout)
{
    static const dnnl_format_tag_t plain[] = {0, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde};
    if (layout == FV_DNN_CHANNELS_LAST)
        return dnnl_acdb;
    return layout == FV_DNN_ANY ? dnnl_format_tag_any : plain[ndim];
}

int fv__dnn_attr_new(dnnl_primitive_attr_t *out)
{
    *out = NULL;
    FV_TRY(fv__dnn_fail(dnnl_primitive_attr_create(out), "attribute"));
    return fv__dnn_fail(dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user),
                        "scratchpad mode");
}

int fv__dnn_op_finish(struct fv__dnn_op *op, dnnl_status_t desc_status, dnnl_primitive_attr_t attr,
                      const char *what)
{
    dnnl_primitive_attr_destroy(attr);
    op->primitive = NULL;
    if (desc_status != dnnl_success) {
        op->desc = NULL;
        return fv__dnn_fail(desc_status, what);
    }
    dnnl_status_t status = dnnl_primitive_create(&op->primitive, op->desc);
    if (status != dnnl_success) {
        op->primitive = NULL;
        fv__dnn_op_free(op);
    }
    return fv__dnn_fail(status, what);
}

void fv__dnn_op_free(struct fv__dnn_op *op)
{
    if (op->primitive)
        dnnl_primitive_destroy(op->primitive);
    if (op->desc)
        dnnl_primitive_desc_destroy(op->desc);
    memset(op, 0, sizeof *op);
}

const char *fv__dnn_op_name(const struct fv__dnn_op *op)
{
    const char *name = "";
    if (dnnl_primitive_desc_query(op->desc, dnnl_query_impl_info_str, 0, &name) != dnnl_success)
        return "";
    return name;
}

static int make_conv(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_conv_pass *p)
{
    if (p->conv->winograd && fv__dnn_conv_by(op, e, p, dnnl_convolution_winograd) == 0)
        return 0;
    return fv__dnn_conv_by(op, e, p, dnnl_convolution_direct);
}

int fv__dnn_conv_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_conv *c,
                         const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                         const struct fv__dnn_md *bias, const struct fv__dnn_md *dst)
{
    return make_conv(op, e,
                     &(struct fv__dnn_conv_pass){FV_DNN_FORWARD, c, src, weights, bias, dst, NULL});
}

int fv__dnn_conv_backward_data(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_conv *c,
                               const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                               const struct fv__dnn_md *dst, const struct fv__dnn_op *forward)
{
    return make_conv(
        op, e,
        &(struct fv__dnn_conv_pass){FV_DNN_BACKWARD_DATA, c, src, weights, NULL, dst, forward});
}

int fv__dnn_conv_backward_weights(struct fv__dnn_op *op, dnnl_engine_t e,
                                  const struct fv__dnn_conv *c, const struct fv__dnn_md *src,
                                  const struct fv__dnn_md *weights, const struct fv__dnn_md *bias,
                                  const struct fv__dnn_md *dst, const struct fv__dnn_op *forward)
{
    return make_conv(
        op, e,
        &(struct fv__dnn_conv_pass){FV_DNN_BACKWARD_WEIGHTS, c, src, weights, bias, dst, forward});
}

struct fv__dnn_window fv__dnn_window(int h, int w, int stride, int pad)
{
    return (struct fv__dnn_window){{stride, stride}, {h, w}, {pad, pad}};
}

dnnl_prop_kind_t fv__dnn_forward_kind(int training)
{
    return training ? dnnl_forward_training : dnnl_forward_inference;
}

unsigned fv__dnn_bn_flags(const struct fv__dnn_bn *b)
{
    return (unsigned)(dnnl_use_scale | dnnl_use_shift) |
           (b->training && !b->given ? 0u : (unsigned)dnnl_use_global_stats) |
           (b->relu ? (unsigned)dnnl_fuse_norm_relu : 0u);
}

dnnl_alg_kind_t fv__dnn_pool_alg(const struct fv__dnn_pool *p)
{
    return p->mean ? dnnl_pooling_avg_exclude_padding : dnnl_pooling_max;
}

/* Clipping gives 0 for a NaN, which a ReLU passes: so it is used for nothing else. */
dnnl_alg_kind_t fv__dnn_relu_alg(float limit)
{
    return isfinite(limit) ? dnnl_eltwise_clip : dnnl_eltwise_relu;
}
