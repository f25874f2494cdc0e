/* SPDX-License-Identifier: MIT */
#include "tools/eval/photo_set.h"

#include "common/err.h"
#include "common/fs.h"
#include "prep/prep.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the packer said of a photo that it did not take. */
struct complaint {
    char text[400];
};

static void remember(void *ctx, enum fv_level level, const char *text)
{
    struct complaint *c = ctx;

    if (level <= FV_LEVEL_WARN && !c->text[0])
        snprintf(c->text, sizeof c->text, "%s", text);
}

/* --- settings ------------------------------------------------------------------------------------- */

/* The options that decide about pixels, out of "name = value" lines. The values stay in `text`, which is cut up. */
static int take_settings(struct fv_pack_settings *s, char *text)
{
    static const char *const wanted[] = {"size",  "frame",   "fit",   "crop", "margin",
                                         "codec", "quality", "level", NULL};
    const struct fv_opt_group group = {"", fv_pack_opts, s};

    char *rest = text;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *value = strstr(line, " = ");
        if (!value)
            continue;
        *value = '\0';
        for (int i = 0; wanted[i]; i++)
            if (strcmp(line, wanted[i]) == 0)
                FV_TRY(fv_opt_set(&group, 1, line, value + 3));
    }
    return FV_OK;
}

static int settle(struct photo_set *set, struct fv_pack_settings *s, const struct fv_store *like,
                  int aligned)
{
    if (aligned) {
        s->frame = "photo";
        s->fit = "cover";
        s->crop = 1;
    } else if (like && strcmp(s->frame, "photo") != 0)
        return fv_err(FV_EUNSUPPORTED,
                      "%s was framed by %s, and nothing says where the face is in a single photo: "
                      "cut it as the data "
                      "set's are, and say --aligned",
                      fv_store_path(like), s->frame);
    snprintf(set->framing, sizeof set->framing, "%s, crop %g, %d px%s", s->fit, s->crop,
             (int)s->size,
             aligned ? ", said to be aligned"
             : like  ? ", as the data set"
                     : "");
    return FV_OK;
}

/* --- the temporary files -------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void photo_set_close(struct photo_set *set)
{
    enum { OPEN_FOLDERS = 8 };

    fv_store_close(&set->store);
    if (set->folder)
        nftw(set->folder, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    free(set->folder);
    *set = (struct photo_set){0};
}

static int make_folder(struct photo_set *set)
{
    const char *tmp = getenv("TMPDIR");

    set->folder = fv_format("%s/fv-photos-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!set->folder)
        return fv_err(FV_ENOMEM, "out of memory");
    if (!mkdtemp(set->folder)) {
        const int rc = fv_err_errno(FV_EIO, "%s: cannot create a temporary folder", set->folder);
        free(set->folder);
        set->folder = NULL;
        return rc;
    }
    return FV_OK;
}

/* A link "photos/00000001/NAME" to the photo: a folder is an identity. */
static int link_photo(const struct photo_set *set, const char *photo, int i)
{
    const char *slash = strrchr(photo, '/');
    char *whole = realpath(photo, NULL), *folder, *link = NULL;

    if (!whole)
        return fv_err_errno(FV_ENOTFOUND, "%s: cannot open", photo);
    folder = fv_format("%s/photos/%08d", set->folder, i);
    if (folder)
        link = fv_format("%s/%s", folder, slash ? slash + 1 : photo);
    int rc = folder && link ? fv_mkdirs(folder) : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0 && symlink(whole, link) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot create", link);
    free(whole);
    free(folder);
    free(link);
    return rc;
}

/* --- packing -------------------------------------------------------------------------------------- */

static int check_all(const struct photo_set *set, const char *const *photo, int n,
                     const struct fv_pack_result *result, const struct complaint *c)
{
    struct fv_store_label who;
    int i = 0;

    if (result->packed == (uint64_t)n)
        return FV_OK;
    for (; set->store && i < n - 1; i++) /* the first that is missing */
        if (fv_store_label(set->store, (uint64_t)i, &who) < 0 || atoi(who.name) != i)
            break;
    return fv_err(FV_EINVAL, "%s: cannot be used: %s", photo[i],
                  c->text[0] ? c->text : "it is no photograph");
}

static int pack(struct photo_set *set, const char *const *photo, int n, struct fv_pack_settings *s)
{
    struct complaint c = {{0}};
    const struct fv_report report = {.ctx = &c, .message = remember};
    char *photos = fv_format("%s/photos", set->folder),
         *lmdb = fv_format("%s/photos.lmdb", set->folder);
    struct fv_pack_result result;

    int rc = photos && lmdb ? FV_OK : fv_err(FV_ENOMEM, "out of memory");
    s->output = lmdb;
    s->layout = "folders";
    s->dict = "no";
    s->threads = 1;
    if (rc >= 0)
        rc = fv_pack_run(s, photos, &report, &result);
    if (rc < 0 && c.text[0])
        rc = fv_err(FV_EINVAL, "%s: cannot be used: %s", photo[0], c.text);
    if (rc >= 0)
        rc = fv_store_open(&set->store, lmdb);
    if (rc >= 0)
        rc = check_all(set, photo, n, &result, &c);
    free(photos);
    free(lmdb);
    return rc;
}

int photo_set_open(struct photo_set *set, const char *const *photo, int n,
                   const struct fv_store *like, int size, int aligned)
{
    struct fv_pack_settings s;
    char *text = like ? strdup(fv_store_info(like)->packed_with) : NULL;

    *set = (struct photo_set){0};
    fv_pack_defaults(&s);
    s.size = size;
    s.frame = "photo";
    int rc = like && !text ? fv_err(FV_ENOMEM, "out of memory") : FV_OK;
    if (rc >= 0 && like)
        rc = take_settings(&s, text);
    if (rc >= 0)
        rc = settle(set, &s, like, aligned);
    if (rc >= 0)
        rc = make_folder(set);
    for (int i = 0; i < n && rc >= 0; i++)
        rc = link_photo(set, photo[i], i);
    if (rc >= 0)
        rc = pack(set, photo, n, &s);
    free(text);
    if (rc < 0)
        photo_set_close(set);
    return rc;
}
