/* SPDX-License-Identifier: MIT */
/* A folder that holds one folder per identity, or such trees under the names of splits:
 *
 *   photos/alice/1.jpg                       the seeded rule makes the splits
 *   photos/train/alice/1.jpg, photos/val/alice/9.jpg, photos/test/bob/1.jpg
 *
 * The latter is meant when every folder on top has the name of a split, and one that of training. Then an
 * identity in several trees is one identity. Without a tree for validation the rule still chooses among the
 * photos of train/.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/import/importer.h"
#include "prep/import/walk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    int split;
} tree_names[] = {
    {"train", FV_SPLIT_TRAIN},       {"training", FV_SPLIT_TRAIN},  {"train_data", FV_SPLIT_TRAIN},
    {"val", FV_SPLIT_VAL},           {"valid", FV_SPLIT_VAL},       {"validation", FV_SPLIT_VAL},
    {"val_data", FV_SPLIT_VAL},      {"dev", FV_SPLIT_VAL},         {"test", FV_SPLIT_HOLDOUT},
    {"test_data", FV_SPLIT_HOLDOUT}, {"holdout", FV_SPLIT_HOLDOUT},
};
enum { TREE_NAMES = sizeof tree_names / sizeof *tree_names };

static int recognise(const char *path)
{
    return fv_is_folder(path) ? 10 : 0;
}

static int split_of(const char *name)
{
    for (int i = 0; i < TREE_NAMES; i++)
        if (strcasecmp(tree_names[i].name, name) == 0)
            return tree_names[i].split;
    return FV_SPLITS;
}

/* Which splits' trees these are; 0 when they are none. */
static unsigned find_trees(const char *root, char *const *name, size_t n)
{
    unsigned found = 0;
    for (size_t i = 0; i < n; i++) {
        if (name[i][0] == '.' || !fv__walk_has_folder(root, name[i]))
            continue;
        if (split_of(name[i]) == FV_SPLITS)
            return 0;
        found |= 1u << split_of(name[i]);
    }
    return found & 1u << FV_SPLIT_TRAIN ? found : 0;
}

static int walk_trees(struct fv_listing *l, char *const *name, size_t n, unsigned found,
                      const struct fv_report *r)
{
    int has_val = (found & 1u << FV_SPLIT_VAL) != 0;
    for (size_t i = 0; i < n; i++) {
        int split = split_of(name[i]);
        if (split == FV_SPLITS || !fv__walk_has_folder(l->root, name[i]))
            continue; /* files beside the trees are no photos of anybody */
        if (split == FV_SPLIT_TRAIN && !has_val)
            split = FV_SPLIT_BY_RULE;
        fv_say(r, FV_LEVEL_INFO, "%s/%s: identity folders of split %s", l->root, name[i],
               split == FV_SPLIT_BY_RULE ? "train, --val chooses among them"
                                         : fv_split_names[split]);
        FV_TRY(fv__walk_tree(l, name[i], split));
    }
    return 0;
}

static int walk_root(struct fv_listing *l, const struct fv_report *r)
{
    char **name = NULL;
    size_t n = 0;
    int rc = fv__walk_names(l->root, &name, &n); /* what is wrong with it, the walk will say */
    if (rc < 0)
        return rc;
    unsigned found = rc == 0 ? find_trees(l->root, name, n) : 0;
    rc = found ? walk_trees(l, name, n, found, r) : fv__walk_tree(l, "", FV_SPLIT_BY_RULE);
    fv__walk_free_names(name, n);
    return rc;
}

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)s;
    FV_TRY(fv__listing_begin(out, path));
    FV_TRY(walk_root(out, r));
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
    .help = "one folder per identity, its photos at any depth below; or such trees in train/, "
            "val/, test/",
    .recognise = recognise,
    .list = list,
};
