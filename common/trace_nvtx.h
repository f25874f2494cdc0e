/* SPDX-License-Identifier: MIT */
/* Spans as NVTX ranges. NVIDIA's interface has two ways in, both found at run time, so that fv needs none of its
 * headers or libraries: a tool that NVTX_INJECTION64_PATH names (NVTX 3: what nsys sets), else libnvToolsExt.so.1
 * (NVTX 2). */
#ifndef FV_COMMON_TRACE_NVTX_H
#define FV_COMMON_TRACE_NVTX_H

#include <stdint.h>

struct fv_nvtx {
    int (*push)(const char *name);
    int (*pop)(void);
    void (*name_thread)(uint32_t thread, const char *name); /* may be NULL */
};

/* FV_EUNSUPPORTED says what was looked for. The library stays loaded. */
int fv__nvtx_open(struct fv_nvtx *out);

#endif
