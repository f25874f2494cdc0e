/* SPDX-License-Identifier: MIT */
/* See the header. The prototypes are those of libgomp; omp.h comes with a compiler, the library with oneDNN. */
#include "trainer/cpu/backend_cpu_threads.h"

int omp_get_num_procs(void);
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads, unsigned flags);

int fv__threads_available(void)
{
    return omp_get_num_procs();
}

int fv__threads_set(int threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

struct share {
    size_t count, granule;
    void (*fn)(void *ctx, size_t begin, size_t end);
    void *ctx;
};

static void run_share(void *data)
{
    const struct share *s = data;
    size_t threads = (size_t)omp_get_num_threads(), i = (size_t)omp_get_thread_num();
    size_t granules = (s->count + s->granule - 1) / s->granule;
    size_t begin = granules * i / threads * s->granule;
    size_t end = granules * (i + 1) / threads * s->granule;
    if (end > s->count)
        end = s->count;
    if (begin < end)
        s->fn(s->ctx, begin, end);
}

void fv__threads_share(int threads, size_t count, size_t granule,
                       void (*fn)(void *ctx, size_t begin, size_t end), void *ctx)
{
    struct share s = {count, granule, fn, ctx};
    GOMP_parallel(run_share, &s, (unsigned)threads, 0);
}
