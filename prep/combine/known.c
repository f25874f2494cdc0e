/* SPDX-License-Identifier: MIT */
/* Nobody moves between training and those held out when photos are added: a model that was trained on the data
 * set before has seen the ones and must not have seen the others.
 */
#include "prep/combine/known.h"

#include "common/err.h"

#include <string.h>

/* 1 and the label of that name among first .. end-1, which are in name order; 0 when there is none. */
static int find_label(const struct fv_store *set, uint64_t first, uint64_t end, const char *name,
                      struct fv_store_label *out)
{
    while (first < end) {
        const uint64_t middle = first + (end - first) / 2;
        FV_TRY(fv_store_label(set, middle, out));
        const int order = strcmp(name, out->name);
        if (order == 0)
            return 1;
        if (order < 0)
            end = middle;
        else
            first = middle + 1;
    }
    return 0;
}

static int count_images(const struct fv_store *set, const struct fv_store_label *label,
                        struct fv_listed_identity *id)
{
    for (uint64_t i = 0; i < label->count; i++) {
        struct fv_store_image im;
        FV_TRY(fv_store_image(set, label->first + i, &im));
        id->has_val += im.split == FV_SPLIT_VAL;
        id->has_train += im.split == FV_SPLIT_TRAIN;
    }
    return 0;
}

static int find_standing(const struct fv_store *set, struct fv_listed_identity *id)
{
    const struct fv_store_info *info = fv_store_info(set);
    struct fv_store_label label;
    int rc = find_label(set, 0, info->train_labels, id->name, &label);
    if (rc == 0)
        rc = find_label(set, info->train_labels, info->labels, id->name, &label);
    if (rc <= 0)
        return rc;
    id->standing = label.holdout ? FV_STANDING_HELD_OUT : FV_STANDING_TRAINED;
    return count_images(set, &label, id);
}

/* What the listing gives where the identity's standing allows it. */
static int settled_split(const struct fv_listed_identity *id, int split)
{
    if (id->standing == FV_STANDING_HELD_OUT)
        return FV_SPLIT_HOLDOUT;
    return id->standing == FV_STANDING_TRAINED && split == FV_SPLIT_HOLDOUT ? FV_SPLIT_VAL : split;
}

int fv__known_settle(struct fv_listing *l, struct fv_store *set, uint64_t *dropped)
{
    const struct fv_store_info *info = fv_store_info(set);
    size_t photos = 0, identities = 0;
    l->known = info->labels;
    l->known_held_out = info->labels - info->train_labels;
    for (size_t k = 0; k < l->identities; k++) {
        struct fv_listed_identity id = l->identity[k];
        const size_t first = photos;
        FV_TRY(find_standing(set, &id));
        for (size_t i = 0; i < id.count; i++) {
            struct fv_listed_photo p = l->photo[id.first + i];
            uint64_t image;
            const int rc = fv_store_find(set, p.name, &image);
            if (rc == 0) {
                ++*dropped;
                continue;
            }
            FV_TRY(rc == FV_ENOTFOUND ? 0 : rc);
            p.split = (int8_t)settled_split(&id, p.split);
            l->photo[photos++] = p;
        }
        id.first = first;
        id.count = photos - first;
        if (id.count || id.standing == FV_STANDING_NEW)
            l->identity[identities++] = id;
    }
    l->photos = photos;
    l->identities = identities;
    return 0;
}

int fv__known_pictures(struct fv_duplicates *d, const struct fv_store *set)
{
    for (uint64_t i = 0; i < fv_store_info(set)->images; i++) {
        struct fv_store_image im;
        struct fv_store_label label;
        FV_TRY(fv_store_image(set, i, &im));
        FV_TRY(fv_store_label(set, im.label, &label));
        FV_TRY(fv__duplicates_know(d, im.content, im.name, label.name));
    }
    return 0;
}
