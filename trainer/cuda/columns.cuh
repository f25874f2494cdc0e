/* SPDX-License-Identifier: MIT */
/* How blocks of threads lie over rows of channels, and sums over the rows.
 *
 * A thread owns eight neighbouring channels (a group: 16 bytes of a 16-bit type) of every `step`-th row, so that what
 * belongs to a channel stays in registers while rows stream past. `lanes` rows of `groups` groups make a block:
 * its threads read one unbroken stretch of memory when a row's groups fit in it. Wider rows are cut into chunks
 * (grid.y). How many parts there are (grid.x) depends on the shape alone and not on the device: so do the sums.
 */
#ifndef FV_TRAINER_CUDA_COLUMNS_CUH
#define FV_TRAINER_CUDA_COLUMNS_CUH

#include "trainer/cuda/launch.cuh"

enum {
    FV_COLUMN_THREADS = 256,
    /* of a sum: four blocks for each of 132 processors. Sums may have two, three or four blocks on each at a time; with
     * two and four these end together. */
    FV_COLUMN_PARTS = 528
};

struct fv__columns {
    int groups, lanes; /* of a block */
    int all_groups;    /* of a row */
    int64_t rows;
};

/* Groups in a block, given those of a row. */
static inline int fv__block_groups(int all_groups)
{
    const int chunks = (all_groups + FV_COLUMN_THREADS - 1) / FV_COLUMN_THREADS;
    return (all_groups + chunks - 1) / chunks;
}

static inline int fv__columns_make(struct fv__columns *k, const char *what, int64_t rows, int c)
{
    if (c < 8 || c % 8 || rows < 1)
        return fv_err(FV_EINVAL,
                      "kernel %s: %lld rows of %d channels, which must be a multiple of 8", what,
                      (long long)rows, c);
    k->all_groups = c / 8;
    k->groups = fv__block_groups(k->all_groups);
    k->lanes = FV_COLUMN_THREADS / k->groups;
    k->rows = rows;
    return 0;
}

/* A grid in which a thread has about `each` rows, of `most` parts at most. */
static inline dim3 fv__columns_grid(const struct fv__columns *k, int each, int64_t most)
{
    const int64_t block_rows = (int64_t)k->lanes * each;
    int64_t parts = (k->rows + block_rows - 1) / block_rows;
    if (parts > most)
        parts = most;
    return dim3((unsigned)parts, (unsigned)((k->all_groups + k->groups - 1) / k->groups), 1);
}

/* The grid of a launch whose threads have nothing to do with each other: eight rows a thread, or fewer as long as that
 * leaves processors without work. */
static inline dim3 fv__spread_grid(const struct fv__columns *k)
{
    dim3 grid = fv__columns_grid(k, 8, 1 << 20);
    for (int each = 4; each >= 2 && grid.x * grid.y < FV_COLUMN_PARTS; each /= 2)
        grid = fv__columns_grid(k, each, 1 << 20);
    return grid;
}

/* The grid of a launch that leaves partial sums. */
static inline dim3 fv__sum_grid(const struct fv__columns *k)
{
    const int chunks = (k->all_groups + k->groups - 1) / k->groups;
    return fv__columns_grid(k, 8, FV_COLUMN_PARTS / chunks > 0 ? FV_COLUMN_PARTS / chunks : 1);
}

/* Where a thread stands. */
struct fv__place {
    int lane;   /* of the block's rows */
    int local;  /* its group in the block */
    int group;  /* its group in the row */
    bool works; /* there is such a group */
    int64_t row, step;
};

__device__ static inline fv__place fv__find_place(const fv__columns &k)
{
    fv__place p;
    p.lane = (int)threadIdx.x / k.groups;
    p.local = (int)threadIdx.x % k.groups;
    p.group = (int)blockIdx.y * k.groups + p.local;
    p.works = p.lane < k.lanes && p.group < k.all_groups;
    p.row = (int64_t)blockIdx.x * k.lanes + p.lane;
    p.step = (int64_t)gridDim.x * k.lanes;
    return p;
}

/* Eight of an array of fp32 by channel. */
__device__ static inline void fv__channel8(const float *p, int group, float (&v)[8])
{
    fv_load8(p + 8 * group, v);
}

/* Adds up the lanes' sums, halving their number each time, and leaves those of the block, times `by`, at out[channel].
 * The whole block must come here. `shared` has 8 * FV_COLUMN_THREADS floats and may be used again after a barrier. */
template <typename S, typename O>
__device__ static inline void fv__sum_lanes(const fv__columns &k, const fv__place &p, S &shared,
                                            const float (&sum)[8], O *out, float by = 1)
{
    float v[8];
    int span = 1;
    while (2 * span < k.lanes)
        span *= 2;
    FV_UNROLL
    for (int i = 0; i < 8; i++) {
        v[i] = sum[i];
        shared[i * FV_COLUMN_THREADS + (int)threadIdx.x] = v[i];
    }
    for (; span > 0; span /= 2) {
        __syncthreads();
        if (p.lane < span && p.lane + span < k.lanes) {
            FV_UNROLL
            for (int i = 0; i < 8; i++) {
                v[i] += shared[i * FV_COLUMN_THREADS + (int)threadIdx.x + span * k.groups];
                shared[i * FV_COLUMN_THREADS + (int)threadIdx.x] = v[i];
            }
        }
    }
    if (p.lane == 0 && p.works) {
        FV_UNROLL
        for (int i = 0; i < 8; i++)
            v[i] *= by;
        fv_store8(out + 8 * p.group, v);
    }
}

#endif
