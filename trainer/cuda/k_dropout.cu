/* SPDX-License-Identifier: MIT */
/* Dropout: each element times 0 or 1 / (1 - rate), as trainer/net's fv_net_dropout_factors has it: the same elements
 * are dropped on every backend. Backward is the same launch on the gradient. */
#include "trainer/cuda/launch.cuh"

enum { THREADS = 256, ROUNDS = 10 };

/* One word of the Philox4x32-10 block of a counter (common/rng.h). */
__device__ static inline uint32_t philox_word(uint64_t seed, const uint32_t counter[4], int word)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b,
                                  (uint32_t)(a >> 32) ^ c[3] ^ k1, (uint32_t)a};
        for (int j = 0; j < 4; j++)
            c[j] = next[j];
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return word == 0 ? c[0] : word == 1 ? c[1] : word == 2 ? c[2] : c[3];
}

template <typename T> FV_KERNEL(THREADS) dropout(struct fv_k_dropout a)
{
    const uint64_t ticket = *a.ticket;
    const int64_t count = a.rows * a.c, all = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += all) {
        const int64_t row = i / a.c, channel = i % a.c;
        const uint64_t element = (uint64_t)(row * a.channels + channel);
        const uint32_t counter[4] = {a.stream << 24 | ((uint32_t)(element / 4) & 0x00ffffffu),
                                     a.node, (uint32_t)ticket, (uint32_t)(ticket >> 32)};
        const uint32_t drawn = philox_word(a.seed, counter, (int)(element % 4));
        const float factor = channel >= a.channels || drawn < a.limit ? 0 : a.kept;
        fv_put((T *)a.y + i, fv_get(((const T *)a.x)[i]) * factor);
    }
}

template <typename T> static int launch(const struct fv_k_dropout *a, fv_stream s)
{
    const int64_t blocks = (a->rows * a->c + THREADS - 1) / THREADS;
    return FV_LAUNCH("dropout", (dropout<T>), (unsigned)(blocks < 2048 ? blocks : 2048), THREADS, s,
                     *a);
}

extern "C" {

int fv_k_dropout(const struct fv_k_dropout *a, fv_stream s)
{
    if (a->rows < 1 || a->c < 1 || a->channels > a->c)
        return fv_err(FV_EINVAL, "kernel dropout: %lld rows, %d of %d channels", (long long)a->rows,
                      a->channels, a->c);
    return FV_BY_TYPE(a->type, launch, a, s);
}
}
