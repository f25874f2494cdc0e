/* SPDX-License-Identifier: MIT */
/* fvprep append: the photos that a data set lacks are packed beside it, as it was packed, and both are merged.
 * Labels are in name order, so a new identity moves those of others; nobody moves between the splits.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/combine/copy_set.h"
#include "prep/pack/pack.h"
#include "prep/pack/packed_with.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(f) offsetof(struct fv_append_settings, f)
#define RUN(f) offsetof(struct fv_append_settings, run.f)

/* clang-format off */
const struct fv_opt fv_append_opts[] = {
    {"output", 'o', FV_OPT_STRING, 0, FIELD(output), "FILE",
     "the data set to write; unset: in the place of the old one", 0, 0, NULL},
    {"overwrite", 0, FV_OPT_FLAG, 0, FIELD(overwrite), NULL,
     "replace an existing other data set", 0, 0, NULL},
    {"layout", 0, FV_OPT_STRING, 0, RUN(layout), "NAME",
     "how the photos lie; auto: as they look", 0, 0, NULL},
    {"root", 0, FV_OPT_STRING, 0, RUN(root), "FOLDER",
     "where the paths in a list begin; unset: the list's folder", 0, 0, NULL},
    {"boxes", 0, FV_OPT_STRING, 0, RUN(boxes), "FILE",
     "list of the faces' boxes, as for pack", 0, 0, NULL},
    {"landmarks", 0, FV_OPT_STRING, 0, RUN(landmarks), "FILE",
     "list of the faces' landmarks, as for pack", 0, 0, NULL},
    {"rejects", 0, FV_OPT_STRING, 0, RUN(rejects), "FILE",
     "list of refused files; unset: *.append.rejects.tsv beside the data set", 0, 0, NULL},
    {"min-images", 0, FV_OPT_INT, 0, RUN(min_images), "N",
     "new identities with fewer images are listed among the refused files", 0, 1e9, NULL},
    {"strict", 0, FV_OPT_FLAG, 0, RUN(strict), NULL,
     "a refused file is an error: all are listed, and nothing is added", 0, 0, NULL},
    {"threads", 'j', FV_OPT_INT, 0, RUN(threads), "N",
     "threads that decode and encode; 0: one per processor", 0, 256, NULL},
    {.name = NULL},
};
/* clang-format on */

void fv_append_defaults(struct fv_append_settings *s)
{
    *s = (struct fv_append_settings){0};
    fv_pack_defaults(&s->run);
}

struct appending {
    const struct fv_append_settings *s;
    const struct fv_report *report;
    char **list; /* the files of the data set */
    size_t files;
    const char **paths; /* they, and that of the new photos */
    char *added;        /* its name */
    const char *output;
    char *packed_with, *memory;
    struct fv_pack_settings pack;
};

/* The data set that the new photos become first. */
static char *name_of_added(const char *output)
{
    const size_t n = strlen(output), cut = n > 5 && strcmp(output + n - 5, ".lmdb") == 0 ? 5 : 0;
    return fv_format("%.*s.append.lmdb", (int)(n - cut), output);
}

static int choose_output(struct appending *x)
{
    if (!x->s->output && x->files > 1)
        return fv_err(FV_EUSAGE, "--output: name the data set that replaces these %zu files",
                      x->files);
    x->output = x->s->output ? x->s->output : x->list[0];
    x->added = name_of_added(x->output);
    return x->added ? 0 : fv_err(FV_ENOMEM, "out of memory for a path");
}

/* What is in the place of the new photos is replaced if an append that was killed left it, and only then. */
static int check_added(const struct appending *x)
{
    struct fv_store *store;
    int ours = 0;
    if (access(x->added, F_OK) != 0)
        return 0;
    if (fv_store_open(&store, x->added) == 0) {
        ours = strstr(fv_store_info(store)->packed_with, "\n" FV_PACK_ONTO_LINE) != NULL;
        fv_store_close(&store);
    }
    return ours ? 0
                : fv_err(FV_EEXIST,
                         "%s: is already there, where the new photos are packed first: rename it",
                         x->added);
}

/* An output that is in the way is found before the photos are decoded. */
static int check_output(const struct appending *x)
{
    FV_TRY(check_added(x));
    if (!x->s->output || x->s->overwrite || access(x->output, F_OK) != 0)
        return 0;
    return fv_err(FV_EEXIST, "%s: is there already: choose another name or give --overwrite",
                  x->output);
}

/* As the data set was packed; its own size and codec are what counts. */
static int choose_settings(struct appending *x, const struct fv_store *set)
{
    const struct fv_store_info *info = fv_store_info(set);
    x->pack = x->s->run;
    FV_TRY(fv__packed_with_read(&x->pack, &x->memory, x->packed_with, fv_store_path(set)));
    if (info->width != info->height)
        return fv_err(FV_EUNSUPPORTED, "%s: its images are not square", fv_store_path(set));
    x->pack.size = info->width;
    x->pack.codec = info->codec;
    x->pack.output = x->added;
    x->pack.overwrite = 1;
    return 0;
}

static int pack_added(struct appending *x, const char *photos, struct fv_pack_result *packed)
{
    struct fv_store *set;
    FV_TRY(fv_store_open_many(&set, x->paths, x->files));
    int rc = choose_settings(x, set);
    if (rc == 0)
        rc = fv__pack_onto(set, &x->pack, photos, x->report, packed);
    fv_store_close(&set);
    return rc;
}

/* The first n of x->paths. */
static int merge(struct appending *x, size_t n, struct fv_moved *out)
{
    struct fv_store *set;
    FV_TRY(fv_store_open_many(&set, x->paths, n));
    const struct fv_copy c = {.from = set,
                              .output = x->output,
                              .overwrite = !x->s->output || x->s->overwrite,
                              .threads = (int)x->s->run.threads,
                              .packed_with = x->packed_with,
                              .what = "append",
                              .report = x->report};
    int rc = fv__copy_set(&c, out);
    fv_store_close(&set);
    return rc;
}

static int append(struct appending *x, const char *photos, struct fv_pack_result *packed,
                  struct fv_moved *out)
{
    FV_TRY(choose_output(x));
    FV_TRY(check_output(x));
    FV_TRY(fv__packed_with_of(&x->packed_with, x->paths, x->files, x->report));
    int rc = pack_added(x, photos, packed);
    if (rc == FV_ENOTFOUND && packed->known && packed->files == 0)
        return x->s->output ? merge(x, x->files, out) : fv__moved_read(out, x->output);
    FV_TRY(rc);
    x->paths[x->files] = x->added;
    rc = merge(x, x->files + 1, out);
    unlink(x->added);
    return rc;
}

static int list_files(struct appending *x, const char *path)
{
    FV_TRY(fv_store_split_path(&x->list, &x->files, path));
    x->paths = calloc(x->files + 1, sizeof *x->paths);
    if (!x->paths)
        return fv_err(FV_ENOMEM, "out of memory for %zu files", x->files);
    for (size_t i = 0; i < x->files; i++)
        x->paths[i] = x->list[i];
    return 0;
}

int fv_append_run(const struct fv_append_settings *s, const char *path, const char *photos,
                  const struct fv_report *r, struct fv_pack_result *packed, struct fv_moved *out)
{
    struct appending x = {.s = s, .report = r};
    *packed = (struct fv_pack_result){0};
    *out = (struct fv_moved){0};
    int rc = list_files(&x, path);
    if (rc == 0)
        rc = append(&x, photos, packed, out);
    free(x.list);
    free(x.paths);
    free(x.added);
    free(x.packed_with);
    free(x.memory);
    return rc;
}
