/* SPDX-License-Identifier: MIT */
/* Stands for NVIDIA's side of NVTX, both ways in: built as libnvToolsExt.so.1, and a tool for
 * NVTX_INJECTION64_PATH. Writes down what it is told. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

extern char nvtx_stub_text[]; /* "push a;pop;" */
char nvtx_stub_text[4096];
static size_t used;

typedef void any_function(void);
typedef const void *(*export_table_function)(uint32_t id);
struct callbacks {
    size_t bytes;
    int (*module_functions)(int module, any_function ****table, unsigned *n);
};

int nvtxRangePushA(const char *name);
int nvtxRangePop(void);
void nvtxNameOsThreadA(uint32_t thread, const char *name);
int InitializeInjectionNvtx2(export_table_function export_table);

int nvtxRangePushA(const char *name)
{
    used += (size_t)snprintf(nvtx_stub_text + used, sizeof nvtx_stub_text - used, "push %s;", name);
    return 0;
}

int nvtxRangePop(void)
{
    used += (size_t)snprintf(nvtx_stub_text + used, sizeof nvtx_stub_text - used, "pop;");
    return 0;
}

void nvtxNameOsThreadA(uint32_t thread, const char *name)
{
    used += (size_t)snprintf(nvtx_stub_text + used, sizeof nvtx_stub_text - used, "thread %s%s;",
                             thread ? "" : "without a number ", name);
}

int InitializeInjectionNvtx2(export_table_function export_table)
{
    const struct callbacks *c = export_table(1);
    any_function ***table;
    unsigned n;

    if (!c || c->bytes != sizeof *c || !c->module_functions(5, &table, &n) || n < 16)
        return 0;
    for (unsigned i = 1; i < n; i++)
        *table[i] = NULL; /* what a tool does with the functions of domains */
    if (!c->module_functions(1, &table, &n) || n < 16)
        return 0;
    *table[9] = (any_function *)nvtxRangePushA;
    *table[11] = (any_function *)nvtxRangePop;
    *table[14] = (any_function *)nvtxNameOsThreadA;
    return 1;
}
