/* SPDX-License-Identifier: MIT */
/* Backends in modules: where they are looked for, what is said of one that cannot be opened, that errors of both sides
 * are one sentence a thread, and what `auto` makes of it.
 * usage: test_module SOUND FOREIGN LACKING */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/module.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char **argument; /* the modules */

/* The table of this program: a module, then a backend of its own */

static int load(const struct fv_backend **out)
{
    return fv__module_open(out, argument[1], "fake", "install it");
}

static int plain_open(struct fv_device **out, const struct fv_device_settings *s)
{
    (void)s;
    *out = NULL;
    return 0;
}

static const struct fv_backend row = {.name = "fake", .help = "in a module", .load = load};
static const struct fv_backend plain = {
    .name = "plain", .help = "always opens", .open = plain_open};
const struct fv_backend *const fv_backends[] = {&row, &plain, NULL};

/* Finding */

static char root[64];

static const char *below_root(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

/* A file with the folders that it is in. */
static void put(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s", below_root(name));
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(path, 0755);
    }
    const int fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static void finds(const char *program, const char *file, const char *expected)
{
    char path[FV__MODULE_PATH];
    char *real, *wanted;
    assert_int_equal(fv__module_find(path, below_root(program), file, "parts", "fake"), 0);
    real = realpath(path, NULL);
    wanted = realpath(below_root(expected), NULL);
    assert_non_null(wanted);
    assert_string_equal(real, wanted);
    free(real);
    free(wanted);
}

static void is_found_where_it_was_built_and_where_it_was_installed(void **state)
{
    char path[FV__MODULE_PATH], installed[256];
    (void)state;
    snprintf(root, sizeof root, "/tmp/test_module.XXXXXX");
    assert_non_null(mkdtemp(root));
    put("build/tools/fvtrain");
    put("build/tests/cuda/gpu_nets");
    put("build/parts/libone.so");
    finds("build/tools", "libone.so", "build/parts/libone.so");
    finds("build/tests/cuda", "libone.so", "build/parts/libone.so");

    /* what is installed under any prefix, before all else */
    put("usr/parts/libtwo.so");
    put("usr/bin/fvtrain");
    finds("usr/bin", "libtwo.so", "usr/parts/libtwo.so");
    snprintf(installed, sizeof installed, "usr/bin/%s/libtwo.so", FV_MODULES_FROM_PROGRAMS);
    put(installed);
    finds("usr/bin", "libtwo.so", installed);

    assert_int_equal(fv__module_find(path, below_root("usr/bin"), "libthree.so", "parts", "fake"),
                     FV_EUNSUPPORTED);
    assert_non_null(strstr(fv_err_text(), "backend fake: its module libthree.so is not in "));
    assert_non_null(strstr(fv_err_text(), FV_MODULES));
    /* of this program: it is in a build folder too, where nothing has that name */
    assert_int_equal(fv__module_find(path, NULL, "libthree.so", "parts", "fake"), FV_EUNSUPPORTED);
    snprintf(path, sizeof path, "rm -r %s", root);
    assert_int_equal(system(path), 0);
}

/* Opening */

static void one_that_cannot_be_opened_is_told_of_in_one_sentence(void **state)
{
    const struct fv_backend *b = NULL;
    (void)state;
    assert_int_equal(fv__module_open(&b, argument[2], "fake", "install it"), FV_EVERSION);
    assert_non_null(strstr(fv_err_text(), "backend fake: "));
    assert_non_null(strstr(fv_err_text(), argument[2]));
    assert_non_null(strstr(fv_err_text(), "of another build of fv"));

    assert_int_equal(fv__module_open(&b, argument[3], "fake", "install it"), FV_EUNSUPPORTED);
    assert_non_null(strstr(fv_err_text(), "backend fake: libfv-is-nowhere.so.7: "));
    assert_non_null(strstr(fv_err_text(), ": install it"));
    assert_null(strchr(fv_err_text(), '\n'));

    /* a file that is no shared object, and a shared object that is no module */
    assert_int_equal(fv__module_open(&b, "/etc/passwd", "fake", "install it"), FV_EUNSUPPORTED);
    assert_non_null(strstr(fv_err_text(), "/etc/passwd"));
    assert_int_equal(fv__module_open(&b, "libm.so.6", "fake", "install it"), FV_EVERSION);
    assert_null(b);
}

static void *fail_elsewhere(void *backend)
{
    const struct fv_backend *b = backend;
    static char text[FV_ERR_TEXT_MAX];
    struct fv_device *device;
    b->open(&device, &(struct fv_device_settings){.index = 2});
    fv_err_save(text);
    return text;
}

static void errors_are_one_sentence_a_thread_on_both_sides(void **state)
{
    const struct fv_backend *b;
    struct fv_device *device;
    pthread_t t;
    void *text;
    (void)state;
    assert_int_equal(fv__module_open(&b, argument[1], "fake", "install it"), 0);
    assert_string_equal(b->name, "fake");
    fv_err(FV_EIO, "of the program");
    assert_int_equal(b->open(&device, &(struct fv_device_settings){.index = 1}), FV_EBACKEND);
    assert_string_equal(fv_err_text(), "the module has no device 1");
    assert_int_equal(pthread_create(&t, NULL, fail_elsewhere, (void *)(uintptr_t)b), 0);
    pthread_join(t, &text);
    assert_string_equal(text, "the module has no device 2");
    assert_string_equal(fv_err_text(), "the module has no device 1");
}

static void auto_passes_over_one_that_does_not_open(void **state)
{
    const struct fv_backend *b;
    struct fv_device *device;
    char why[FV_ERR_TEXT_MAX] = "left over";
    const struct fv_device_settings s = {.index = 3, .passed_over = why};
    (void)state;
    assert_int_equal(fv_backend_open("auto", &s, &b, &device), 0);
    assert_ptr_equal(b, &plain);
    assert_string_equal(why, "the module has no device 3");
    assert_int_equal(fv_backend_open("plain", &s, &b, &device), 0);
    assert_string_equal(why, "");
    assert_int_equal(fv_backend_open("fake", &s, &b, &device), FV_EBACKEND);
    assert_string_equal(fv_err_text(), "the module has no device 3");
    assert_null(b);
}

/* The first is what the user came for, and why it is not to be had is not lost behind what the last one says. */
static void auto_that_finds_none_says_it_of_each(void **state)
{
    const struct fv_backend *b;
    struct fv_device *device;
    char why[FV_ERR_TEXT_MAX] = "left over";
    const struct fv_device_settings s = {.dtype = "bf16", .passed_over = why};
    (void)state;
    assert_int_equal(fv_backend_open("auto", &s, &b, &device), FV_EUSAGE);
    assert_string_equal(fv_err_text(),
                        "backend fake computes in fp32, not in bf16: leave out --dtype; "
                        "backend plain computes in fp32, not in bf16: leave out --dtype");
    assert_string_equal(why, "");
    assert_null(b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_found_where_it_was_built_and_where_it_was_installed),
        cmocka_unit_test(one_that_cannot_be_opened_is_told_of_in_one_sentence),
        cmocka_unit_test(errors_are_one_sentence_a_thread_on_both_sides),
        cmocka_unit_test(auto_passes_over_one_that_does_not_open),
        cmocka_unit_test(auto_that_finds_none_says_it_of_each),
    };
    if (argc != 4)
        return 2;
    argument = argv;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
