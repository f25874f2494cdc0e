/* SPDX-License-Identifier: MIT */
/* fvprep merge: the files as one data set (store/store.h), copied. */
#include "common/err.h"
#include "prep/combine/copy_set.h"
#include "prep/pack/packed_with.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(f) offsetof(struct fv_merge_settings, f)

/* clang-format off */
const struct fv_opt fv_merge_opts[] = {
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "FILE",
     "the data set to write", 0, 0, NULL},
    {"overwrite", 0, FV_OPT_FLAG, 0, FIELD(overwrite), NULL,
     "replace an existing data set", 0, 0, NULL},
    {"threads", 'j', FV_OPT_INT, 0, FIELD(threads), "N",
     "threads that check records; 0: one per processor", 0, 256, NULL},
    {.name = NULL},
};
/* clang-format on */

static int merge(const struct fv_merge_settings *s, const char *const *paths, size_t n,
                 const char *packed_with, const struct fv_report *r, struct fv_moved *out)
{
    struct fv_store *store;
    int rc = fv_store_open_many(&store, paths, n);
    if (rc == FV_EEXIST) /* each could be opened before, by itself */
        return fv_err(FV_EUSAGE, "a file is named twice");
    FV_TRY(rc);
    const struct fv_copy c = {.from = store,
                              .output = s->output,
                              .overwrite = s->overwrite,
                              .threads = (int)s->threads,
                              .packed_with = packed_with,
                              .what = "merge",
                              .report = r};
    rc = fv__copy_set(&c, out);
    fv_store_close(&store);
    return rc;
}

int fv_merge_run(const struct fv_merge_settings *s, const char *const *paths, size_t n,
                 const struct fv_report *r, struct fv_moved *out)
{
    char *packed_with;
    *out = (struct fv_moved){0};
    FV_TRY(fv__packed_with_of(&packed_with, paths, n, r));
    int rc = merge(s, paths, n, packed_with, r, out);
    free(packed_with);
    return rc;
}
