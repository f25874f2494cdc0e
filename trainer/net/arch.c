/* SPDX-License-Identifier: MIT */
/* Finds an architecture by name and builds its net. The table itself is written by the build. */
#include "trainer/net/net.h"

#include "common/err.h"

#include <string.h>

enum { MIN_SIZE = 8, MAX_SIZE = 2048, MAX_CLASSES = 1 << 24 };

static int find(const struct fv_arch **out, const char *name)
{
    char valid[256] = "";
    for (int i = 0; fv_archs[i]; i++) {
        if (strcmp(fv_archs[i]->name, name) == 0) {
            *out = fv_archs[i];
            return 0;
        }
        strncat(valid, i ? ", " : "", sizeof valid - strlen(valid) - 1);
        strncat(valid, fv_archs[i]->name, sizeof valid - strlen(valid) - 1);
    }
    return fv_err(FV_ENOTFOUND, "there is no architecture '%s'; valid: %s", name, valid);
}

int fv_net_build(struct fv_net **out, const char *arch, const struct fv_arch_settings *s)
{
    const struct fv_arch *a = NULL;
    *out = NULL;
    FV_TRY(find(&a, arch));
    if (s->size < MIN_SIZE || s->size > MAX_SIZE)
        return fv_err(FV_EINVAL, "%s: images of %d px: %d .. %d are supported", arch, s->size,
                      MIN_SIZE, MAX_SIZE);
    if (s->classes < 1 || s->classes > MAX_CLASSES)
        return fv_err(FV_EINVAL, "%s: %d classes: 1 .. %d are supported", arch, s->classes,
                      MAX_CLASSES);
    FV_TRY(fv_net_new(out, a->name));
    int rc = a->build(*out, s);
    if (rc == 0)
        rc = fv_net_finish(*out);
    if (rc < 0)
        fv_net_free(out);
    return rc;
}
