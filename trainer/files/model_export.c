/* SPDX-License-Identifier: MIT */
#include "trainer/files/model_export.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/run/snapshot.h"

#include <stdlib.h>
#include <string.h>

const char *const fv_export_outputs[] = {"both", "embedding", "logits", NULL};

int fv__model_find(const struct fv_export_kind **kind, const char *name)
{
    char valid[256] = "";
    for (int i = 0; fv_export_kinds[i]; i++) {
        if (strcmp(fv_export_kinds[i]->name, name) == 0) {
            *kind = fv_export_kinds[i];
            return 0;
        }
        const size_t used = strlen(valid);
        snprintf(valid + used, sizeof valid - used, "%s%s", i ? ", " : "",
                 fv_export_kinds[i]->name);
    }
    return fv_err(FV_ENOTFOUND, "there is no export to '%s'; valid: %s", name, valid);
}

int fv__model_write(const struct fv_export_kind *kind, const struct fv_export *e, const char *path)
{
    struct fv_file file = {0};
    if (kind->write)
        return kind->write(e, path);
    FV_TRY(fv_file_create(&file, path));
    return fv_file_end(&file, kind->print(e, file.f));
}

static int write_one(const struct fv_st *st, const char *from, const struct fv_export_kind *kind,
                     const struct fv_export_settings *s, const char *path, FILE *text)
{
    struct fv_net *net = NULL;
    struct fv_progress_state at = {0};
    float *arena = NULL;
    int rc = fv__snapshot_net(st, from, &net);
    if (rc == 0)
        rc = fv__snapshot_progress(st, from, &at);
    if (rc == 0 && !(arena = malloc((net->params + net->buffers) * sizeof *arena)))
        rc = fv_err(FV_ENOMEM, "%s: out of memory", from);
    if (rc == 0)
        rc = fv__snapshot_weights(st, from, net, arena);
    const struct fv_export e = {.net = net,
                                .arena = arena,
                                .batches = (int64_t)at.step,
                                .normalise = s->normalise,
                                .outputs = s->outputs ? s->outputs : "both"};
    if (rc == 0)
        rc = path ? fv__model_write(kind, &e, path) : kind->print(&e, text);
    free(arena);
    fv_net_free(&net);
    return rc;
}

int fv_model_export(const char *checkpoint, const struct fv_export_settings *s, const char *path,
                    FILE *text)
{
    const struct fv_export_kind *kind = NULL;
    struct fv_st *st;
    FV_TRY(fv__model_find(&kind, s->to));
    if (!path && !kind->print)
        return fv_err(FV_EUSAGE, "where to? -o FILE");
    if (path && fv_same_place(checkpoint, path))
        return fv_err(FV_EUSAGE, "-o %s: is the checkpoint itself: give another name", path);
    char *from = fv_format(fv_is_folder(checkpoint) ? "%s/last.safetensors" : "%s", checkpoint);
    int rc = from ? fv__snapshot_open(&st, from) : fv_err(FV_ENOMEM, "out of memory");
    if (rc == 0) {
        rc = write_one(st, from, kind, s, path, text);
        fv_st_close(&st);
    }
    free(from);
    return rc;
}
