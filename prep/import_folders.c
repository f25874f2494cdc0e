/* SPDX-License-Identifier: MIT */
/* A folder that holds one folder per identity. */
#include "common/err.h"
#include "prep/importer.h"
#include "prep/walk.h"

#include <sys/stat.h>

static int recognise(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 10 : 0;
}

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)s, (void)r;
    FV_TRY(fv__listing_begin(out, path));
    FV_TRY(fv__walk_tree(out, "", FV_SPLIT_BY_RULE));
    FV_TRY(fv__listing_end(out));
    if (out->identities == 0)
        return fv_err(FV_ENOTFOUND,
                      "'%s' holds no folders: give the folder that holds one folder per "
                      "identity",
                      out->root);
    return 0;
}

const struct fv_importer fv__import_folders = {
    .name = "folders",
    .help = "one folder per identity, its photos at any depth below",
    .recognise = recognise,
    .list = list,
};
