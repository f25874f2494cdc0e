/* SPDX-License-Identifier: MIT */
#include "common/rng.h"

#include <math.h>

void fv_philox4x32_10(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];

    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0;
        const uint64_t b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct fv_rng fv_rng_at(uint64_t seed, uint32_t epoch, uint64_t sample, unsigned op)
{
    return (struct fv_rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .ctr = {(op & 0xffu) << 24, epoch, (uint32_t)sample, (uint32_t)(sample >> 32)},
    };
}

uint32_t fv_rng_u32(struct fv_rng *r)
{
    if (r->left == 0) {
        fv_philox4x32_10(r->key, r->ctr, r->out);
        /* 2^24 blocks a stream; the carry must not reach the op. */
        r->ctr[0] = (r->ctr[0] & 0xff000000u) | ((r->ctr[0] + 1) & 0x00ffffffu);
        r->left = 4;
    }
    return r->out[4 - r->left--];
}

uint64_t fv_rng_u64(struct fv_rng *r)
{
    const uint64_t lo = fv_rng_u32(r);
    return lo | (uint64_t)fv_rng_u32(r) << 32;
}

double fv_rng_unit(struct fv_rng *r)
{
    return (double)(fv_rng_u64(r) >> 11) * 0x1p-53;
}

double fv_rng_uniform(struct fv_rng *r, double lo, double hi)
{
    return lo + (hi - lo) * fv_rng_unit(r);
}

uint32_t fv_rng_below(struct fv_rng *r, uint32_t n)
{
    /* Lemire's multiply-shift with rejection (arXiv 1805.10941). */
    uint64_t m = (uint64_t)fv_rng_u32(r) * n;

    if ((uint32_t)m < n) {
        const uint32_t floor = -n % n;
        while ((uint32_t)m < floor)
            m = (uint64_t)fv_rng_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}

double fv_rng_normal(struct fv_rng *r)
{
    const double u = 1.0 - fv_rng_unit(r); /* (0, 1]: the logarithm is finite */
    const double v = fv_rng_unit(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

double fv_rng_gamma(struct fv_rng *r, double shape)
{
    /* Marsaglia and Tsang (2000); shapes below 1 are boosted by u^(1/shape). */
    if (shape < 1.0) {
        const double u = 1.0 - fv_rng_unit(r);
        return fv_rng_gamma(r, shape + 1.0) * pow(u, 1.0 / shape);
    }
    const double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        const double x = fv_rng_normal(r);
        const double t = 1.0 + c * x;
        if (t <= 0.0)
            continue;
        const double v = t * t * t, u = 1.0 - fv_rng_unit(r);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

double fv_rng_beta(struct fv_rng *r, double alpha, double beta)
{
    if (alpha == 1.0 && beta == 1.0)
        return fv_rng_unit(r);
    const double a = fv_rng_gamma(r, alpha), b = fv_rng_gamma(r, beta);
    return a + b > 0.0 ? a / (a + b) : 0.5;
}

uint64_t fv_rng_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i)
{
    int half = 1; /* bits in each half: the domain is the least 4^half >= n */
    while (half < 32 && (uint64_t)1 << (2 * half) < n)
        half++;
    const uint32_t low = (uint32_t)(((uint64_t)1 << half) - 1);
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    /* A walk leaves the domain 0 .. n-1 at most a few times: it is more than a quarter of the whole. */
    do {
        uint32_t left = (uint32_t)(i >> half), right = (uint32_t)i & low;
        for (uint32_t round = 0; round < 6; round++) {
            const uint32_t ctr[4] = {(uint32_t)FV_RNG_SHUFFLE << 24 | round, epoch, right,
                                     (uint32_t)half};
            uint32_t f[4];
            fv_philox4x32_10(key, ctr, f);
            const uint32_t next = left ^ (f[0] & low);
            left = right;
            right = next;
        }
        i = (uint64_t)left << half | right;
    } while (i >= n);
    return i;
}
