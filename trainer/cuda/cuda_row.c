/* SPDX-License-Identifier: MIT */
/* The CUDA backend in a program's table: the way to the module that it is in. Programs are not linked with CUDA's
 * libraries, so they start without them, on machines that lack them too. Neither are these loaded where there is no
 * driver for them to work with: `--backend auto`, the usual choice, asks here on every machine. */
#include "trainer/cuda/cuda_row.h"

#include "common/err.h"
#include "trainer/module.h"

#include <dlfcn.h>

static int load(const struct fv_backend **out)
{
    char path[FV__MODULE_PATH];
    FV_TRY(fv__module_find(path, NULL, "libfv-cuda.so", "trainer", "cuda"));
    if (!dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL)) /* as CUDA's runtime looks for it */
        return fv_err(FV_EUNSUPPORTED,
                      "backend cuda: this machine has no NVIDIA driver (%s): use --backend cpu",
                      dlerror());
    return fv__module_open(out, path, "cuda",
                           "install the libraries of CUDA, cuDNN and NCCL or put their folder into "
                           "LD_LIBRARY_PATH, or use --backend cpu");
}

const struct fv_backend fv_backend_cuda = {FV__CUDA_ROW, .load = load};
