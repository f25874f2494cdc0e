/* SPDX-License-Identifier: MIT */
/* What the kernels of depthwise convolutions share: the shape, and strips of output columns as units of work. */
#ifndef FV_TRAINER_CUDA_DEPTHWISE_CUH
#define FV_TRAINER_CUDA_DEPTHWISE_CUH

#include "trainer/cuda/launch.cuh"

#include <math.h>

struct fv__depthwise {
    int n, in_h, in_w, h, w, groups, window, stride, pad;
    const float *scale, *shift; /* the prologue's, or NULL */
    float low, high;            /* its activation clamps to these */
    int strip, strips;          /* rows of a strip, strips of a column */
    int64_t strips_all;         /* of all columns and images */
};

struct fv__strip {
    int group, x, y0, y1, image; /* output rows y0 .. y1-1 */
    bool works;
};

__device__ static inline fv__strip fv__strip_of(const fv__depthwise &k, unsigned i, int group)
{
    fv__strip s;
    s.works = true;
    s.group = group;
    s.x = (int)(i % (unsigned)k.w);
    i /= (unsigned)k.w;
    s.y0 = (int)(i % (unsigned)k.strips) * k.strip;
    s.y1 = s.y0 + k.strip < k.h ? s.y0 + k.strip : k.h;
    s.image = (int)(i / (unsigned)k.strips);
    return s;
}

/* Of a thread's number: neighbours have neighbouring groups, then columns. */
__device__ static inline fv__strip fv__find_strip(const fv__depthwise &k, unsigned i)
{
    const unsigned strip = i / (unsigned)k.groups;
    if (strip >= k.strips_all) {
        fv__strip none = {};
        return none;
    }
    return fv__strip_of(k, strip, (int)(i % (unsigned)k.groups));
}

/* Rows are shared out evenly, so that the last strip is not a stump. */
static inline int fv__depthwise_make(fv__depthwise *k, const struct fv_k_depthwise *c, int most)
{
    if (c->n < 1 || c->c < 8 || c->c % 8 || c->window < 1 || c->window > 16 || c->stride < 1 ||
        c->pad < 0 || c->in_h < 1 || c->in_w < 1 ||
        c->h != (c->in_h + 2 * c->pad - c->window) / c->stride + 1 ||
        c->w != (c->in_w + 2 * c->pad - c->window) / c->stride + 1 || c->h < 1 || c->w < 1)
        return fv_err(FV_EINVAL,
                      "kernel depthwise: a window of %d, stride %d, padding %d on (%d, %d, %d) "
                      "giving (%d, %d)",
                      c->window, c->stride, c->pad, c->in_h, c->in_w, c->c, c->h, c->w);
    if (c->scale && c->act != FV_K_NONE && c->act != FV_K_RELU && c->act != FV_K_RELU6)
        return fv_err(FV_EINVAL, "kernel depthwise: an activation numbered %d in the prologue",
                      (int)c->act);
    k->n = c->n;
    k->in_h = c->in_h;
    k->in_w = c->in_w;
    k->h = c->h;
    k->w = c->w;
    k->groups = c->c / 8;
    k->window = c->window;
    k->stride = c->stride;
    k->pad = c->pad;
    k->scale = c->scale;
    k->shift = c->shift;
    k->low = c->act == FV_K_NONE ? -INFINITY : 0;
    k->high = c->act == FV_K_RELU6 ? 6.0f : INFINITY;
    k->strips = (c->h + most - 1) / most;
    k->strip = (c->h + k->strips - 1) / k->strips;
    k->strips_all = (int64_t)c->n * k->strips * c->w;
    if (k->strips_all * k->groups > INT32_MAX || (int64_t)c->n * c->h * c->w > INT32_MAX ||
        (int64_t)c->in_h * c->in_w * c->c > INT32_MAX)
        return fv_err(FV_EINVAL,
                      "kernel depthwise: %d images of (%d, %d, %d): too many for one launch", c->n,
                      c->h, c->w, c->c);
    return 0;
}

/* k_depthwise_any.cu */
int fv__depthwise_any_forward(const struct fv_k_depthwise_forward *a, const fv__depthwise *k,
                              fv_stream s);
int fv__depthwise_any_data(const struct fv_k_depthwise_data *a, const fv__depthwise *k,
                           fv_stream s);
int fv__depthwise_any_weight(const struct fv_k_depthwise_weight *a, const fv__depthwise *k,
                             fv_stream s);

#endif
