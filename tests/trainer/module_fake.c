/* SPDX-License-Identifier: MIT */
/* Modules for test_module.c, by what is defined: a sound one, one of another build, one that needs a library which is
 * nowhere. Its device is a refusal. */
#include "trainer/module.h"

#include "common/api.h"
#include "common/err.h"

static int fake_open(struct fv_device **out, const struct fv_device_settings *s)
{
    *out = NULL;
    return fv_err(FV_EBACKEND, "the module has no device %d", s->index);
}

static const struct fv_backend fake = {.name = "fake", .help = "refuses", .open = fake_open};

#ifdef FAKE_LACKS
int fake_library(void);

static void share(char *(*of_program)(void))
{
    if (fake_library())
        fv__err_share(of_program);
}
#else
#define share fv__err_share
#endif

FV_API extern const struct fv_module fv_module;
const struct fv_module fv_module = {
#ifdef FAKE_FOREIGN
    FV_VERSION " 0 0",
#else
    fv__module_key,
#endif
    &fake, share};
