/* SPDX-License-Identifier: MIT */
/* The homework data of CMU 11-785, part HW2P2, as each semester laid it out:
 *
 *   S19, S20   train_data/{medium,large}/<id>/, validation_classification/medium/<id>/,
 *              test_classification/medium/, validation_verification/, test_verification/
 *   F20, S21   classification_data/{train,val,test}_data/<id>/, verification_data/
 *   S22        classification/classification/{train,dev,test}, verification/verification/{dev,test}
 *   F22..S24   *-classification/{train,dev,test}, verification/{known/<id>,unknown_dev,unknown_test}
 *   F24..S26   cls_data/{train,dev,test}/ with images/ and labels.txt, ver_data/
 *
 * Each row of the table is a folder that may be there. Photos of the verification task show people of whom
 * only pairs are known: each is an identity of its own, held out, named as the photo is, so that the pair
 * lists find them. Test photos without labels are passed over.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/import/import_list.h"
#include "prep/import/importer.h"
#include "prep/import/walk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind {
    TREE,     /* identity folders */
    LABELLED, /* images/ and labels.txt */
    STRANGERS /* photos of whom nothing is said */
};

static const struct part {
    const char *folder; /* a part that begins with '*' stands for the first name that ends so */
    enum kind kind;
    int split;
} parts[] = {
    {"train_data/medium", TREE, FV_SPLIT_TRAIN},
    {"train_data/large", TREE, FV_SPLIT_TRAIN},
    {"validation_classification/medium", TREE, FV_SPLIT_VAL},
    {"test_classification/medium", TREE, FV_SPLIT_HOLDOUT},
    {"validation_verification", STRANGERS, FV_SPLIT_HOLDOUT},
    {"test_verification", STRANGERS, FV_SPLIT_HOLDOUT},

    {"classification_data/train_data", TREE, FV_SPLIT_TRAIN},
    {"classification_data/val_data", TREE, FV_SPLIT_VAL},
    {"classification_data/test_data", TREE, FV_SPLIT_HOLDOUT},
    {"verification_data", STRANGERS, FV_SPLIT_HOLDOUT},

    {"classification/classification/train", TREE, FV_SPLIT_TRAIN},
    {"classification/classification/dev", TREE, FV_SPLIT_VAL},
    {"classification/classification/test", TREE, FV_SPLIT_HOLDOUT},
    {"verification/verification/dev", STRANGERS, FV_SPLIT_HOLDOUT},
    {"verification/verification/test", STRANGERS, FV_SPLIT_HOLDOUT},

    {"*-classification/train", TREE, FV_SPLIT_TRAIN},
    {"*-classification/dev", TREE, FV_SPLIT_VAL},
    {"*-classification/test", TREE, FV_SPLIT_HOLDOUT},
    {"verification/known", TREE, FV_SPLIT_HOLDOUT},
    {"verification/unknown_dev", STRANGERS, FV_SPLIT_HOLDOUT},
    {"verification/unknown_test", STRANGERS, FV_SPLIT_HOLDOUT},
    {"*-verification/known", TREE, FV_SPLIT_HOLDOUT},
    {"*-verification/unknown_dev", STRANGERS, FV_SPLIT_HOLDOUT},
    {"*-verification/unknown_test", STRANGERS, FV_SPLIT_HOLDOUT},

    {"cls_data/train", LABELLED, FV_SPLIT_TRAIN},
    {"cls_data/dev", LABELLED, FV_SPLIT_VAL},
    {"cls_data/test", LABELLED, FV_SPLIT_HOLDOUT},
    {"ver_data", STRANGERS, FV_SPLIT_HOLDOUT},
};
enum { PARTS = sizeof parts / sizeof *parts };

/* The first name in a folder that ends with `end`; NULL for none. Free it. */
static char *find_ending(const char *folder, const char *end, size_t end_n)
{
    char **name, *found = NULL;
    size_t n;
    if (fv__walk_names(folder, &name, &n) != 0)
        return NULL;
    for (size_t i = 0; i < n && !found; i++) {
        size_t k = strlen(name[i]);
        if (k > end_n && memcmp(name[i] + k - end_n, end, end_n) == 0)
            found = strdup(name[i]);
    }
    fv__walk_free_names(name, n);
    return found;
}

/* The folder of a part relative to root; NULL when it is not there. Free it. */
static char *find_part(const char *root, const struct part *p)
{
    char *rel = NULL, *star = NULL;
    size_t first = strcspn(p->folder, "/");
    if (p->folder[0] == '*' && !(star = find_ending(root, p->folder + 1, first - 1)))
        return NULL;
    rel = star ? fv_format("%s%s", star, p->folder + first) : strdup(p->folder);
    free(star);
    char *path = rel ? fv_format("%s/%s", root, rel) : NULL;
    if (!path || !fv_is_folder(path)) {
        free(rel);
        rel = NULL;
    }
    free(path);
    return rel;
}

/* How many parts a root has, and whether one of them is for training. */
static int count_parts(const char *root, int *training)
{
    int n = 0;
    *training = 0;
    for (int i = 0; i < PARTS; i++) {
        char *rel = find_part(root, &parts[i]);
        n += rel != NULL;
        *training |= rel && parts[i].split == FV_SPLIT_TRAIN;
        free(rel);
    }
    return n;
}

/* The folder that holds the parts: this one, or its only visible subfolder. NULL for neither. Free it. */
static char *find_root(const char *path)
{
    int training;
    char **name, *only = NULL;
    size_t n, folders = 0;
    if (count_parts(path, &training) >= 2 && training)
        return strdup(path);
    if (fv__walk_names(path, &name, &n) != 0)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        char *below = name[i][0] == '.' ? NULL : fv_format("%s/%s", path, name[i]);
        if (below && fv_is_folder(below) && folders++ == 0)
            only = below;
        else
            free(below);
    }
    fv__walk_free_names(name, n);
    if (folders == 1 && count_parts(only, &training) >= 2 && training)
        return only;
    free(only);
    return NULL;
}

static int recognise(const char *path)
{
    char *root = find_root(path);
    int yes = root != NULL;
    free(root);
    return yes ? 60 : 0;
}

/* labels.txt names photos from images/ on, or from the folder itself. */
static int add_labelled(struct fv_listing *l, const char *rel, int split)
{
    char *labels = fv_format("%s/%s/labels.txt", l->root, rel);
    char *images = fv_format("%s/images/", rel), *direct = fv_format("%s/", rel);
    int rc;
    if (!labels || !images || !direct)
        rc = fv_err(FV_ENOMEM, "out of memory for a path");
    else if (access(labels, F_OK) == 0)
        rc = fv__list_add(l, labels, (const char *const[]){images, direct, NULL}, split);
    else
        rc = fv__listing_ignore(l, rel, FV_IGNORE_UNLABELLED);
    free(labels);
    free(images);
    free(direct);
    return rc;
}

static int add_part(struct fv_listing *l, const struct part *p, const struct fv_report *r)
{
    char *rel = find_part(l->root, p);
    int rc = 0;
    if (!rel)
        return 0;
    fv_say(r, FV_LEVEL_INFO, "%s/%s: %s", l->root, rel,
           p->kind == STRANGERS ? "of nobody known, for pairs" : fv_split_names[p->split]);
    switch (p->kind) {
    case TREE:
        rc = fv__walk_tree(l, rel, p->split);
        break;
    case LABELLED:
        rc = add_labelled(l, rel, p->split);
        break;
    case STRANGERS:
        rc = fv__walk_strangers(l, rel);
        break;
    }
    free(rel);
    return rc;
}

static int list(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r)
{
    (void)s;
    char *root = find_root(path);
    if (!root)
        return fv_err(FV_ENOTFOUND, "'%s' has no two folders of any semester's HW2P2", path);
    int rc = fv__listing_begin(out, root);
    for (int i = 0; rc == 0 && i < PARTS; i++)
        rc = add_part(out, &parts[i], r);
    free(root);
    return rc < 0 ? rc : fv__listing_end(out);
}

const struct fv_importer fv__import_hw2p2 = {
    .name = "hw2p2",
    .help = "the data of CMU 11-785 HW2P2, of any semester from S19 to S26",
    .recognise = recognise,
    .list = list,
};
