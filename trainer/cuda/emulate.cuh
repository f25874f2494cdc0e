/* SPDX-License-Identifier: MIT */
/* What CUDA's words mean to a host compiler; the scheduler behind them is emulate.cpp.
 *
 * Each thread of a block is a fiber. Only a barrier or a shuffle switches fibers, so a kernel that needs neither runs
 * as a plain loop. Shared arrays watch every use of every element: see emulate.h for what they refuse.
 */
#ifndef FV_TRAINER_CUDA_EMULATE_CUH
#define FV_TRAINER_CUDA_EMULATE_CUH

#include "trainer/cuda/emulate.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(threads)
#define FV_UNROLL
#define FV_UNROLL_4
#define FV_KERNEL(threads) static void
#define FV_KERNEL_OF(threads, blocks) static void

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

extern "C" {
/* Runs `thread(context)` for every thread of every block. */
int fv__emulate_run(const char *what, dim3 grid, int block, void (*thread)(void *), void *context);
/* The same, or, while launches are recorded, keeps a copy of the context's bytes. */
int fv__emulate_begin(const char *what, dim3 grid, int block, void *stream, void (*thread)(void *),
                      void *context, size_t bytes);
void fv__emulate_barrier(void);
/* Gives `bits` to the other lanes of the warp and takes what `lane` gave. */
uint64_t fv__emulate_exchange(uint64_t bits, int lane);
int fv__emulate_thread(void);
uint32_t fv__emulate_epoch(void); /* barriers that the block has passed */
uint64_t fv__emulate_block(void); /* serial number of the block, never 0 */
void fv__emulate_fault(const char *array, const char *why, size_t index, int other);
}

static inline void __syncthreads(void)
{
    fv__emulate_barrier();
}

template <typename T> static inline T fv_shuffle_xor(T v, int lanes)
{
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    bits = fv__emulate_exchange(bits, (fv__emulate_thread() % 32) ^ lanes);
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* An array in shared memory. Plain data, so that a static one needs no constructor. */
template <typename T, size_t N> struct fv__shared {
    const char *name;
    uint64_t block;
    T value[N];
    struct use {
        uint32_t written, read; /* 1 + the epoch; 0: never in this block */
        int writer, reader;     /* the reader is -1 if there were several */
    } use[N];

    void enter(const char *name_)
    {
        if (block == fv__emulate_block())
            return;
        name = name_;
        block = fv__emulate_block();
        memset(static_cast<void *>(value), 0xff, sizeof value);
        memset(use, 0, sizeof use);
    }

    T get(size_t i)
    {
        const uint32_t now = 1 + fv__emulate_epoch();
        const int me = fv__emulate_thread();
        if (i >= N) {
            fv__emulate_fault(name, "is read outside its bounds", i, -1);
            return value[0];
        }
        if (!use[i].written)
            fv__emulate_fault(name, "is read before it is written", i, -1);
        else if (use[i].written == now && use[i].writer != me)
            fv__emulate_fault(name, "is read without a barrier after its writer", i, use[i].writer);
        use[i].reader = use[i].read == now && use[i].reader != me ? -1 : me;
        use[i].read = now;
        return value[i];
    }

    void set(size_t i, T v)
    {
        const uint32_t now = 1 + fv__emulate_epoch();
        const int me = fv__emulate_thread();
        if (i >= N) {
            fv__emulate_fault(name, "is written outside its bounds", i, -1);
            return;
        }
        if (use[i].written == now && use[i].writer != me)
            fv__emulate_fault(name, "is written twice without a barrier", i, use[i].writer);
        else if (use[i].read == now && use[i].reader != me)
            fv__emulate_fault(name, "is overwritten without a barrier after its reader", i,
                              use[i].reader);
        use[i].writer = me;
        use[i].written = now;
        value[i] = v;
    }

    struct element {
        fv__shared *array;
        size_t index;
        operator T() const
        {
            return array->get(index);
        }
        element &operator=(T v)
        {
            array->set(index, v);
            return *this;
        }
        element &operator=(const element &e)
        {
            array->set(index, static_cast<T>(e));
            return *this;
        }
        element &operator+=(T v)
        {
            array->set(index, array->get(index) + v);
            return *this;
        }
    };
    template <typename I> element operator[](I i)
    {
        return element{this, static_cast<size_t>(i)};
    }
};

/* One object per array and kernel: blocks run one after another. */
#define FV_SHARED(type, name, count)                                                               \
    static fv__shared<type, count> name;                                                           \
    name.enter(#name)

/* The arguments of a kernel, as they were when it was launched. */
template <typename... P> struct fv__arguments;
template <> struct fv__arguments<> {
    static fv__arguments keep(void)
    {
        return {};
    }
    template <typename K, typename... D> void pass(K kernel, D... before) const
    {
        kernel(before...);
    }
};
template <typename H, typename... T> struct fv__arguments<H, T...> {
    H head;
    fv__arguments<T...> tail;
    static fv__arguments keep(H first, T... others)
    {
        return {first, fv__arguments<T...>::keep(others...)};
    }
    template <typename K, typename... D> void pass(K kernel, D... before) const
    {
        tail.pass(kernel, before..., head);
    }
};

template <typename... P> struct fv__launch {
    void (*kernel)(P...);
    fv__arguments<P...> arguments;
};

template <typename... P, typename... A>
static inline int fv__emulate_launch(const char *what, dim3 grid, int block, void *stream,
                                     void (*kernel)(P...), A... arguments)
{
    fv__launch<P...> launch = {kernel, fv__arguments<P...>::keep(arguments...)};
    static_assert(__is_trivially_copyable(fv__launch<P...>), "plain data");
    return fv__emulate_begin(
        what, grid, block, stream,
        [](void *context) {
            const fv__launch<P...> *l = static_cast<const fv__launch<P...> *>(context);
            l->arguments.pass(l->kernel);
        },
        &launch, sizeof launch);
}

#define FV_LAUNCH(what, kernel, grid, block, stream, ...)                                          \
    fv__emulate_launch(what, (grid), (block), (stream), kernel, __VA_ARGS__)

#endif
