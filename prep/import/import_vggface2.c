/* SPDX-License-Identifier: MIT */
/* VGGFace2 as it is distributed: train/ and test/ hold one folder per identity; beside them, or one folder
 * below in data/, meta/ or bb_landmark/, lie
 *
 *   train_list.txt, test_list.txt                     the photos of each, "n000002/0001_01.jpg"
 *   identity_meta.csv                                 how many photos an identity has, and whether it trains
 *   loose_bb_train.csv, loose_landmark_train.csv      where the faces are; the same for test
 *
 * Where a list of photos is there it decides, and what it names but is not there is refused; else the folders
 * decide. train/ is left to the seeded rule, since the set has no validation photos; test/ is held out.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/import/faces.h"
#include "prep/import/importer.h"
#include "prep/import/table.h"
#include "prep/import/walk.h"
#include "prep/photo/format.h"
#include "prep/prep.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const parts[] = {"train", "test"};

/* The path of one of the set's own files; NULL when it is not there. Free it. */
static char *find_file(const char *root, const char *name)
{
    static const char *const where[] = {"", "data/", "meta/", "bb_landmark/"};
    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        char *path = fv_format("%s/%s%s", root, where[i], name);
        if (path && access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static char *find_part_file(const char *root, const char *begin, const char *part, const char *end)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", begin, part, end);
    return find_file(root, name);
}

static int has_file(const char *root, const char *name)
{
    char *path = find_file(root, name);
    int yes = path != NULL;
    free(path);
    return yes;
}

static int recognise(const char *path)
{
    if (!fv__walk_has_folder(path, "train") && !fv__walk_has_folder(path, "test"))
        return 0;
    return has_file(path, "identity_meta.csv") || has_file(path, "loose_bb_train.csv") ||
                   has_file(path, "loose_bb_test.csv")
               ? 90
               : 0;
}

/* --- photos --------------------------------------------------------------------------------------- */

static int add_listed(struct fv_listing *l, const struct fv_table *t, const char *part, int split)
{
    const char *slash = strchr(t->field[0], '/');
    if (t->fields != 1 || !slash || slash == t->field[0])
        return fv__table_err(t, "is no path of the form n000002/0001_01.jpg");
    char *rel = fv_format("%s/%s", part, t->field[0]);
    char *identity = fv_format("%.*s", (int)(slash - t->field[0]), t->field[0]);
    int rc = rel && identity ? fv__walk_listed(l, identity, rel, NULL, split, 0)
                             : fv_err(FV_ENOMEM, "out of memory for a path");
    free(rel);
    free(identity);
    return rc;
}

static int add_list(struct fv_listing *l, const char *list, const char *part, int split)
{
    struct fv_table t;
    int rc;
    FV_TRY(fv__table_open(&t, list));
    while ((rc = fv__table_next(&t)) == 1) {
        rc = fv_prep_stop ? fv_err(FV_EINTR, "interrupted") : add_listed(l, &t, part, split);
        if (rc < 0)
            break;
    }
    fv__table_close(&t);
    return rc;
}

static int add_part(struct fv_listing *l, const char *part, int split)
{
    if (!fv__walk_has_folder(l->root, part))
        return 0;
    char *list = find_part_file(l->root, "", part, "_list.txt");
    int rc = list ? add_list(l, list, part, split) : fv__walk_tree(l, part, split);
    free(list);
    return rc;
}

/* --- faces ---------------------------------------------------------------------------------------- */

static int attach(struct fv_listing *l, const char *begin, const char *part,
                  const struct fv_report *r)
{
    char *path = find_part_file(l->root, begin, part, ".csv");
    char prefix[16];
    size_t found; /* may be none: the lists of photos may name a few of all */
    snprintf(prefix, sizeof prefix, "%s/", part);
    int rc = path && fv__walk_has_folder(l->root, part)
                 ? fv__faces_attach(l, path, prefix, r, &found)
                 : 0;
    free(path);
    return rc;
}

/* --- identity_meta.csv: Class_ID, Name, Sample_Num, Flag, Gender ------------------------------------ */

struct meta_check {
    uint64_t identities,
        short_of; /* how many have fewer photos than they should, or another place */
    char example[160];
};

static const struct fv_listed_identity *find_identity(const struct fv_listing *l, const char *name)
{
    size_t lo = 0, hi = l->identities;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(l->identity[mid].name, name);
        if (c == 0)
            return &l->identity[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static int check_row(const struct fv_listing *l, const struct fv_table *t, struct meta_check *check)
{
    uint64_t photos;
    if (t->line == 1 && t->fields && strcasecmp(t->field[0], "Class_ID") == 0)
        return 0;
    if (t->fields != 5 || !fv__parse_u64(t->field[2], &photos) ||
        (strcmp(t->field[3], "0") != 0 && strcmp(t->field[3], "1") != 0))
        return fv__table_err(t, "is no row of Class_ID, Name, Sample_Num, Flag, Gender");
    if (!fv__walk_has_folder(l->root, parts[t->field[3][0] == '0']))
        return 0; /* the part is not here at all */
    const struct fv_listed_identity *id = find_identity(l, t->field[0]);
    uint64_t found = id ? id->count : 0;
    check->identities++;
    if (found < photos && check->short_of++ == 0)
        snprintf(check->example, sizeof check->example, "%s: %" PRIu64 " of %" PRIu64, t->field[0],
                 found, photos);
    return 0;
}

static int check_meta(const struct fv_listing *l, const struct fv_report *r)
{
    struct meta_check check = {0};
    struct fv_table t;
    char *path = find_file(l->root, "identity_meta.csv");
    int rc = path ? fv__table_open(&t, path) : 0;
    if (path && rc == 0) {
        while ((rc = fv__table_next(&t)) == 1)
            if ((rc = check_row(l, &t, &check)) < 0)
                break;
        fv__table_close(&t);
    }
    if (rc == 0 && check.short_of)
        fv_say(r, FV_LEVEL_WARN,
               "%s: %" PRIu64 " of its %" PRIu64 " identities have fewer photos here (%s)", path,
               check.short_of, check.identities, check.example);
    free(path);
    return rc;
}

/* --- the importer --------------------------------------------------------------------------------- */

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)s;
    FV_TRY(fv__listing_begin(out, path));
    FV_TRY(add_part(out, "train", FV_SPLIT_BY_RULE));
    FV_TRY(add_part(out, "test", FV_SPLIT_HOLDOUT));
    FV_TRY(fv__listing_end(out));
    if (out->identities == 0)
        return fv_err(FV_ENOTFOUND, "'%s' holds no train/ or test/ with photos of VGGFace2", path);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        FV_TRY(attach(out, "loose_bb_", parts[i], r));
        FV_TRY(attach(out, "loose_landmark_", parts[i], r));
    }
    return check_meta(out, r);
}

const struct fv_importer fv__import_vggface2 = {
    .name = "vggface2",
    .help = "VGGFace2: train/, test/, their lists, identity_meta.csv, loose_bb_*.csv, "
            "loose_landmark_*.csv",
    .recognise = recognise,
    .list = list,
};
