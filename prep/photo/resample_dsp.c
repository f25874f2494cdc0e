/* SPDX-License-Identifier: MIT */
/* The reference: what every other version must equal. A sum stays below 2^31: weights add up to 2^22, with
 * their negative lobes to less than twice that in absolute value, and a pixel is at most 255. */
#include "prep/photo/resample_dsp.h"

#include "common/cpu.h"

static uint8_t clamp(int32_t sum)
{
    int32_t v = sum >> FV_RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void across(uint8_t *out, size_t out_stride, const uint8_t *in, size_t in_stride, int n,
                   const struct fv_resample_axis *a)
{
    for (int y = 0; y < n; y++, out += out_stride, in += in_stride)
        for (int i = 0; i < a->out; i++) {
            const int32_t *k = a->weight + (size_t)i * (size_t)a->taps;
            const uint8_t *p = in + 3 * (size_t)a->first[i];
            int32_t r = a->start[i], g = r, b = r;
            for (int t = 0; t < a->count[i]; t++, p += 3) {
                r += k[t] * p[0];
                g += k[t] * p[1];
                b += k[t] * p[2];
            }
            out[3 * i] = clamp(r);
            out[3 * i + 1] = clamp(g);
            out[3 * i + 2] = clamp(b);
        }
}

static void down(uint8_t *out, int bytes, const uint8_t *in, size_t in_stride,
                 const struct fv_resample_axis *a, int i)
{
    const int32_t *k = a->weight + (size_t)i * (size_t)a->taps;
    for (int x = 0; x < bytes; x++) {
        int32_t sum = a->start[i];
        for (int t = 0; t < a->count[i]; t++)
            sum += k[t] * in[(size_t)t * in_stride + (size_t)x];
        out[x] = clamp(sum);
    }
}

void fv__resample_dsp_init(struct fv_resample_dsp *d)
{
    d->across = across;
    d->down = down;
#if defined(__x86_64__)
    if (fv_cpu_flags() & FV_CPU_AVX2)
        fv__resample_dsp_init_avx2(d);
#endif
}
