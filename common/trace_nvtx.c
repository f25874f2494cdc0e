/* SPDX-License-Identifier: MIT */
#include "common/trace_nvtx.h"
#include "common/err.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef void any_function(void);

/* dlsym gives an object pointer, which C does not convert to one of a function. */
static any_function *function_of(void *library, const char *name)
{
    void *address = dlsym(library, name);
    any_function *f = NULL;

    if (address)
        memcpy(&f, &address, sizeof f);
    return f;
}

/* --- NVTX 3: the tool fills in a table of ours ---------------------------------------------------- */

/* Numbers from NVIDIA's nvtxTypes.h. */
enum { EXPORT_CALLBACKS = 1, MODULE_CORE = 1, MODULES = 7 };
enum {
    CORE_RANGE_PUSH_A = 9,
    CORE_RANGE_POP = 11,
    CORE_NAME_OS_THREAD_A = 14,
    CORE_FUNCTIONS = 16
};

static any_function *core[CORE_FUNCTIONS];
static any_function **core_slot[CORE_FUNCTIONS];

static int module_functions(int module, any_function ****table, unsigned *n)
{
    static any_function *ignored; /* what a tool has for the modules that nothing here calls */

    if (module < MODULE_CORE || module >= MODULES)
        return 0;
    for (int i = 0; i < CORE_FUNCTIONS; i++)
        core_slot[i] = module == MODULE_CORE ? &core[i] : &ignored;
    *table = core_slot;
    *n = CORE_FUNCTIONS;
    return 1;
}

static const void *export_table(uint32_t id)
{
    static const struct {
        size_t bytes;
        int (*module_functions)(int module, any_function ****table, unsigned *n);
    } callbacks = {sizeof callbacks, module_functions};

    return id == EXPORT_CALLBACKS ? &callbacks : NULL;
}

static int open_tool(struct fv_nvtx *out, const char *path)
{
    void *tool = dlopen(path, RTLD_NOW);
    if (!tool)
        return fv_err(FV_EUNSUPPORTED, "NVTX_INJECTION64_PATH: %s", dlerror());
    int (*initialise)(const void *(*export_table)(uint32_t)) =
        (int (*)(const void *(*)(uint32_t)))function_of(tool, "InitializeInjectionNvtx2");
    if (!initialise || !initialise(export_table) || !core[CORE_RANGE_PUSH_A] ||
        !core[CORE_RANGE_POP])
        return fv_err(FV_EUNSUPPORTED, "%s: is no tool that takes NVTX ranges", path);
    out->push = (int (*)(const char *))core[CORE_RANGE_PUSH_A];
    out->pop = (int (*)(void))core[CORE_RANGE_POP];
    out->name_thread = (void (*)(uint32_t, const char *))core[CORE_NAME_OS_THREAD_A];
    return FV_OK;
}

/* --- NVTX 2: a library ---------------------------------------------------------------------------- */

static int open_library(struct fv_nvtx *out)
{
    static const char name[] = "libnvToolsExt.so.1";
    void *library = dlopen(name, RTLD_NOW);
    if (!library)
        return fv_err(FV_EUNSUPPORTED,
                      "no NVTX here: run under nsys, or install %s of the CUDA toolkit", name);
    out->push = (int (*)(const char *))function_of(library, "nvtxRangePushA");
    out->pop = (int (*)(void))function_of(library, "nvtxRangePop");
    out->name_thread = (void (*)(uint32_t, const char *))function_of(library, "nvtxNameOsThreadA");
    if (!out->push || !out->pop)
        return fv_err(FV_EUNSUPPORTED, "%s: lacks nvtxRangePushA or nvtxRangePop", name);
    return FV_OK;
}

int fv__nvtx_open(struct fv_nvtx *out)
{
    const char *tool = getenv("NVTX_INJECTION64_PATH");

    return tool && *tool ? open_tool(out, tool) : open_library(out);
}
