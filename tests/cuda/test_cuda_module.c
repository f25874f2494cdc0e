/* SPDX-License-Identifier: MIT */
/* The CUDA module as it is built: a program comes to none of CUDA's libraries but by opening it, it exports nothing but
 * its struct, and says of itself what the program's row says.
 * usage: test_cuda_module MODULE */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/module.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

extern const struct fv_backend fv_backend_cuda; /* the row */
static const char *path;

static int is_of_cuda(struct dl_phdr_info *info, size_t bytes, void *count)
{
    static const char *const name[] = {"libcudart", "libcudnn", "libcublas", "libnccl"};
    (void)bytes;
    for (int i = 0; i < 4; i++)
        *(int *)count += strstr(info->dlpi_name, name[i]) != NULL;
    return 0;
}

static int libraries_of_cuda(void)
{
    int count = 0;
    dl_iterate_phdr(is_of_cuda, &count);
    return count;
}

static void is_all_that_needs_cuda(void **state)
{
    const struct fv_backend *b;
    (void)state;
    assert_int_equal(libraries_of_cuda(), 0);
    if (fv__module_open(&b, path, "cuda", "install it") < 0)
        fail_msg("%s", fv_err_text());
    assert_true(libraries_of_cuda() >= 4);
    assert_string_equal(b->name, fv_backend_cuda.name);
    assert_string_equal(b->help, fv_backend_cuda.help);
    assert_int_equal(b->own_memory, fv_backend_cuda.own_memory);
    assert_int_equal(b->takes_dtype, fv_backend_cuda.takes_dtype);
    assert_null(b->load);
}

static void exports_its_struct_alone(void **state)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    (void)state;
    assert_non_null(module);
    assert_non_null(dlsym(module, "fv_module"));
    assert_null(dlsym(module, "fv_err"));
    assert_null(dlsym(module, "fv_backend_cuda"));
    assert_null(dlsym(module, "fv_lower"));
    assert_null(dlsym(module, "fv_k_zero"));
    dlclose(module);
}

/* A device that cannot be opened, here or anywhere: the sentence is the program's. */
static void says_why_there_is_no_device(void **state)
{
    const struct fv_backend *b;
    struct fv_device *device = NULL;
    (void)state;
    assert_int_equal(fv__module_open(&b, path, "cuda", "install it"), 0);
    assert_int_equal(b->open(&device, &(struct fv_device_settings){.index = 1 << 20}),
                     FV_EUNSUPPORTED);
    assert_null(device);
    assert_ptr_equal(strstr(fv_err_text(), "backend cuda: "), fv_err_text());
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_all_that_needs_cuda),
        cmocka_unit_test(exports_its_struct_alone),
        cmocka_unit_test(says_why_there_is_no_device),
    };
    if (argc != 2)
        return 2;
    path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
