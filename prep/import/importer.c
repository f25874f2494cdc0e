/* SPDX-License-Identifier: MIT */
/* The table of layouts, and the choice among them. */
#include "prep/import/importer.h"

#include "common/err.h"
#include "prep/import/faces.h"
#include "prep/import/lfs.h"
#include "prep/photo/photo_file.h"
#include "prep/prep.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct fv_importer *const importers[] = {
    &fv__import_folders,
    &fv__import_list,
    &fv__import_recordio,
    &fv__import_bin,
    &fv__import_vggface2,
    &fv__import_hw2p2,
    NULL,
};
enum { IMPORTERS = sizeof importers / sizeof *importers };

const struct fv_importer *fv__importer_at(size_t i)
{
    return i < IMPORTERS ? importers[i] : NULL;
}

int fv_layout_at(size_t i, const char *path, const char **name, const char **help, int *certainty)
{
    const struct fv_importer *importer = fv__importer_at(i);
    if (!importer)
        return 0;
    *name = importer->name;
    *help = importer->help;
    *certainty = path ? importer->recognise(path) : 0;
    return 1;
}

/* Appends a name to a list of them in a sentence. */
static void add_name(char *names, size_t room, const char *name)
{
    size_t n = strlen(names);
    snprintf(names + n, room - n, "%s%s", n ? ", " : "", name);
}

static int find_by_name(const struct fv_importer **out, const char *name)
{
    char valid[256] = "auto";
    for (size_t i = 0; importers[i]; i++) {
        *out = importers[i];
        if (strcmp(importers[i]->name, name) == 0)
            return 0;
        add_name(valid, sizeof valid, importers[i]->name);
    }
    return fv_err(FV_EUSAGE, "--layout: unknown layout '%s': valid are %s", name, valid);
}

/* The most certain one. What is not there, and what nothing recognises but is no file, is left to identity
 * folders, which say what is wrong with it. */
static int recognise(const struct fv_importer **out, const char *path)
{
    struct stat st;
    char names[256] = "";
    int certain = 0, equal = 0;
    *out = &fv__import_folders;
    for (size_t i = 0; importers[i]; i++) {
        int c = importers[i]->recognise(path);
        if (c < certain || c == 0)
            continue;
        if (c > certain) {
            *out = importers[i];
            certain = c;
            equal = 0;
            names[0] = 0;
        }
        equal++;
        add_name(names, sizeof names, importers[i]->name);
    }
    if (equal > 1)
        return fv_err(FV_EUSAGE, "'%s' may be of layout %s: say which with --layout", path, names);
    if (!certain && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return fv_err(FV_ENOTFOUND,
                      "'%s' is of no known layout: name it with --layout, or give the folder that "
                      "holds one folder per identity",
                      path);
    return 0;
}

/* A list that was asked for must have to do with the photos. */
static int attach_faces(struct fv_listing *l, const char *path, const struct fv_report *r)
{
    size_t found;
    FV_TRY(fv__faces_attach(l, path, "", r, &found));
    if (found == 0)
        return fv_err(FV_ENOTFOUND,
                      "%s: none of its rows is about a photo that is packed: paths begin at '%s'",
                      path, l->root);
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
        rc = attach_faces(out, s->boxes, r);
    if (rc == 0 && s->landmarks)
        rc = attach_faces(out, s->landmarks, r);
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
