/* SPDX-License-Identifier: MIT */
#include "trainer/module.h"

#include "common/err.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int is_file(char path[FV__MODULE_PATH], const char *a, const char *b, const char *file)
{
    const int n = snprintf(path, FV__MODULE_PATH, "%s/%s/%s", a, b, file);
    return n > 0 && n < FV__MODULE_PATH && access(path, F_OK) == 0;
}

/* By the kernel's word and not dladdr's, which for a program is what it was called as. */
static const char *folder_of_program(char folder[PATH_MAX])
{
    const ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    folder[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    return slash ? folder : NULL;
}

int fv__module_find(char path[FV__MODULE_PATH], const char *program, const char *file,
                    const char *build_folder, const char *backend)
{
    char folder[PATH_MAX];
    char below[64]; /* from build/tools, from build/tests/X */
    if (!program)
        program = folder_of_program(folder);
    if (program && is_file(path, program, FV_MODULES_FROM_PROGRAMS, file))
        return 0;
    for (int up = 0; program && up < 2; up++) {
        snprintf(below, sizeof below, "%s%s", up ? "../../" : "../", build_folder);
        if (is_file(path, program, below, file))
            return 0;
    }
    if (is_file(path, FV_MODULES, ".", file))
        return 0;
    return fv_err(FV_EUNSUPPORTED,
                  "backend %s: its module %s is not in %s: install it there, or use --backend cpu",
                  backend, file, FV_MODULES);
}

int fv__module_open(const struct fv_backend **out, const char *path, const char *backend,
                    const char *remedy)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fv_err(FV_EUNSUPPORTED, "backend %s: %s: %s", backend, dlerror(), remedy);
    const struct fv_module *m = dlsym(library, "fv_module");
    if (!m || strcmp(m->key, fv__module_key) != 0) {
        dlclose(library);
        return fv_err(FV_EVERSION,
                      "backend %s: %s is of another build of fv than this program: build or "
                      "install both together",
                      backend, path);
    }
    m->share_errors(fv__err_sentence);
    *out = m->backend;
    return 0;
}
