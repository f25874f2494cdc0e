/* SPDX-License-Identifier: MIT */
/* Spans arrive at NVTX's side as ranges, in order, whichever way it is found. Meson runs this once with
 * NVTX_INJECTION64_PATH and once with libnvToolsExt.so.1 on the library path, both of them the stub. */
#include "common/err.h"
#include "common/trace.h"
#include "tests/cmocka_all.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void ranges_nest_and_threads_have_names(void **state)
{
    const char *tool = getenv("NVTX_INJECTION64_PATH");

    (void)state;
    assert_int_equal(fv_trace_begin("before"), 0);
    assert_int_equal(fv_trace_nvtx(), FV_OK);
    assert_int_equal(fv_trace_nvtx(), FV_OK);
    const uint64_t outer = fv_trace_begin("step"), inner = fv_trace_begin("forward");
    fv_trace_end("forward", inner);
    fv_trace_counter("ready", 3);
    fv_trace_end("step", outer);
    fv_trace_thread("loader 1");

    void *stub = dlopen(tool && *tool ? tool : "libnvToolsExt.so.1", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(stub);
    const char *text = dlsym(stub, "nvtx_stub_text");
    assert_non_null(text);
    assert_string_equal(text, "thread main;push step;push forward;pop;pop;thread loader 1;");
    dlclose(stub);
}

static void without_nvtx_there_is_a_sentence(void **state)
{
    (void)state;
    assert_int_equal(fv_trace_nvtx(), FV_EUNSUPPORTED);
    assert_non_null(strstr(fv_err_text(), "nvtx_that_is_not_there"));
    assert_int_equal(fv_trace_begin("after"), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest with[] = {cmocka_unit_test(ranges_nest_and_threads_have_names)};
    const struct CMUnitTest without[] = {cmocka_unit_test(without_nvtx_there_is_a_sentence)};

    (void)argv;
    return argc > 1 ? cmocka_run_group_tests(without, NULL, NULL)
                    : cmocka_run_group_tests(with, NULL, NULL);
}
