/* SPDX-License-Identifier: MIT */
/* The table of layouts, and the choice among them. */
#include "prep/importer.h"

#include "common/err.h"
#include "prep/faces.h"
#include "prep/lfs.h"
#include "prep/photo_file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct fv_importer *const importers[] = {
    &fv__import_folders,
    &fv__import_list,
    NULL,
};
enum { IMPORTERS = sizeof importers / sizeof *importers };

const struct fv_importer *fv__importer_at(size_t i)
{
    return i < IMPORTERS ? importers[i] : NULL;
}

static int find_by_name(const struct fv_importer **out, const char *name)
{
    char valid[256] = "auto";
    for (size_t i = 0; importers[i]; i++) {
        *out = importers[i];
        if (strcmp(importers[i]->name, name) == 0)
            return 0;
        size_t n = strlen(valid);
        snprintf(valid + n, sizeof valid - n, ", %s", importers[i]->name);
    }
    return fv_err(FV_EUSAGE, "--layout: unknown layout '%s': valid are %s", name, valid);
}

/* The most certain one. Nothing and folders that nothing recognises are left to identity folders, which
 * say what is wrong with them. */
static int recognise(const struct fv_importer **out, const char *path)
{
    struct stat st;
    const struct fv_importer *best = NULL, *equal = NULL;
    int certain = 0;
    for (size_t i = 0; importers[i]; i++) {
        int c = importers[i]->recognise(path);
        if (c > certain) {
            best = importers[i];
            equal = NULL;
            certain = c;
        } else if (c == certain && c > 0) {
            equal = importers[i];
        }
    }
    if (equal)
        return fv_err(FV_EUSAGE, "'%s' may be of layout %s or %s: say which with --layout", path,
                      best->name, equal->name);
    if (!best && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return fv_err(FV_ENOTFOUND,
                      "'%s' is of no known layout: name it with --layout, or give the folder that "
                      "holds one folder per identity",
                      path);
    *out = best ? best : &fv__import_folders;
    return 0;
}

int fv__import(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
               const struct fv_report *r)
{
    const struct fv_importer *importer = NULL;
    *out = (struct fv_listing){0};
    if (s->layout && strcmp(s->layout, "auto") != 0)
        FV_TRY(find_by_name(&importer, s->layout));
    else
        FV_TRY(recognise(&importer, path));
    int rc = importer->list(out, path, s, r);
    out->importer = importer;
    if (rc == 0 && s->boxes)
        rc = fv__faces_attach(out, s->boxes, "", r);
    if (rc == 0 && s->landmarks)
        rc = fv__faces_attach(out, s->landmarks, "", r);
    if (rc < 0)
        fv__listing_free(out);
    return rc;
}

static int read_file(const struct fv_listing *l, const struct fv_listed_photo *p, uint8_t **buf,
                     size_t *room, size_t *n, struct fv_refusal *why)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", l->root, p->path ? p->path : p->name) >=
        (int)sizeof path)
        return fv__refuse(why, FV_REJECT_UNREADABLE, "its path has more than %zu bytes",
                          sizeof path - 1);
    return fv__photo_file_read(path, buf, room, n, why);
}

int fv__import_read(const struct fv_listing *l, const struct fv_listed_photo *p, uint8_t **buf,
                    size_t *room, size_t *n, struct fv_refusal *why)
{
    int rc = l->importer->read ? l->importer->read(l, p, buf, room, n, why)
                               : read_file(l, p, buf, room, n, why);
    if (rc == 0 && fv__lfs_is_pointer(*buf, *n))
        rc = fv__refuse(why, FV_REJECT_LFS_POINTER, "%s", "");
    return rc;
}
