/* SPDX-License-Identifier: MIT */
/* fv_device_host, by which the tests of the backend say what device they want and see what became of it, over the
 * stand-in: so the same tests also run the unmodified device_cuda*.c. Not counted is the workspace of cuBLASLt, which
 * the other device has not; what convolutions take besides is the stand-in's own business. The seed is FV_STANDIN's. */
#include "tests/cuda/device_host.h"
#include "tests/cuda/standin/standin_cudnn.h"
#include "tests/cuda/standin/standin_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLAS_BYTES = 32 << 20 };

struct fv_device_host fv_device_host;

static const struct standin_config named[] = {{20, {0}}, {30, {0}}};
static struct standin_engine engines[64];
static char cache[] = "/tmp/standin-XXXXXX";

/* Two engines, of which the second takes fused graphs if there are any: choosing is a test's of its own. */
static void set_engines(int fused)
{
    static int now = -1;
    if (now == fused)
        return;
    now = fused;
    standin_cudnn_fuse_all();
    memcpy(engines, standin_cudnn.engine, (size_t)standin_cudnn.engines * sizeof engines[0]);
    for (int i = 0; i < standin_cudnn.engines && !fused; i++)
        engines[i].fused = 0;
    standin_cudnn.engine = engines;
    standin_cudnn.config = named;
    standin_cudnn.configs = 2;
}

/* What the stand-in counts since it was last asked. */
static int more(unsigned long long now, unsigned long long *before)
{
    const unsigned long long n = now >= *before ? now - *before : 0;
    *before = now;
    return (int)n;
}

static void view(void)
{
    static unsigned long long launches, sums, runs, fused, aborts;
    size_t device = 0, pinned = 0;
    standin__memory(&device, &pinned, BLAS_BYTES);
    fv_device_host.on_device = device;
    fv_device_host.allocated = device + pinned;
    fv_device_host.graph_launches += more(standin_counts.graph_launches, &launches);
    fv_device_host.sums += more(standin_counts.collectives, &sums);
    fv_device_host.convs += more((unsigned long long)standin_cudnn.run, &runs);
    fv_device_host.fused_convs += more(
        (unsigned long long)(standin_cudnn.run - standin_cudnn.of[STANDIN_SINGLE_CONV]), &fused);
    if (more(standin_counts.aborts, &aborts))
        fv_device_host.stuck = 0;
    standin.stuck = fv_device_host.stuck;
    standin.memory_bytes =
        fv_device_host.limit ? fv_device_host.limit + BLAS_BYTES : (size_t)1 << 40;
    standin.devices = !fv_device_host.no_device;
    set_engines(fv_device_host.fused);
}

static void forget_cache(void)
{
    char command[sizeof cache + 16];
    snprintf(command, sizeof command, "rm -rf %s", cache);
    if (system(command) != 0)
        fprintf(stderr, "%s is left\n", cache);
}

static void __attribute__((constructor)) begin(void)
{
    if (!mkdtemp(cache))
        abort();
    setenv("XDG_CACHE_HOME", cache, 1);
    atexit(forget_cache);
    standin__view = view;
    view();
}
