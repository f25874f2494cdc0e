/* SPDX-License-Identifier: MIT */
/* The images of the verification pairs come from a loader too: it delivers whole splits in the order of image ids,
 * so a pair's place is the rank of its image among those of the splits that the list touches.
 */
#include "tools/train/train_sources.h"

#include "common/err.h"
#include "common/fs.h"

#include <stdlib.h>
#include <string.h>

static int check_store(const struct fv_store *store, const struct fv_loader_settings *loader)
{
    const struct fv_store_info *info = fv_store_info(store);
    const uint64_t images = info->split_images[FV_SPLIT_TRAIN];
    if (info->train_labels < 2)
        return fv_err(FV_EINVAL,
                      "%s: holds %llu identities to train on, two is the least: pack more of them, "
                      "or hold fewer out",
                      fv_store_path(store), (unsigned long long)info->train_labels);
    if (images < (uint64_t)loader->batch)
        return fv_err(FV_EINVAL,
                      "%s: holds %llu images to train on, less than one batch of %lld: pack more "
                      "of them, or lower "
                      "--batch",
                      fv_store_path(store), (unsigned long long)images, (long long)loader->batch);
    return 0;
}

/* A single pass over whole splits, all of it on every rank. */
static int open_loader(struct fv_loader **out, struct fv_store *store,
                       const struct fv_loader_settings *train, unsigned splits,
                       const char *on_error)
{
    struct fv_loader_settings s = *train;
    s.policy = "";
    s.splits = splits;
    s.order = "sequential";
    s.rank = 0;
    s.world = 1;
    s.endless = 0;
    if (strcmp(s.on_error, "fail") != 0)
        s.on_error = on_error;
    return fv_loader_open(out, store, &s);
}

static unsigned splits_touched(const struct fv_store *store, const struct fv_pairs *pairs)
{
    unsigned splits = 0;
    struct fv_store_image image;
    for (size_t i = 0; i < 2 * pairs->n; i++) {
        const struct fv_pair *p = &pairs->pair[i / 2];
        if (fv_store_image(store, i % 2 ? p->b : p->a, &image) == 0)
            splits |= 1u << image.split;
    }
    return splits;
}

/* Replaces image ids by places in the order in which the loader delivers these splits. */
static int place_pairs(struct train_sources *s, const struct fv_pairs *pairs, unsigned splits)
{
    const uint64_t images = fv_store_info(s->store)->images;
    uint32_t *place = malloc(images * sizeof *place), next = 0;
    s->pair = malloc(pairs->n * sizeof *s->pair);
    if (!place || !s->pair) {
        free(place);
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", pairs->n);
    }
    for (uint64_t i = 0; i < images; i++) {
        struct fv_store_image image;
        if (fv_store_image(s->store, i, &image) == 0 && splits & 1u << image.split)
            place[i] = next++;
    }
    for (size_t i = 0; i < pairs->n; i++)
        s->pair[i] = (struct fv_index_pair){place[pairs->pair[i].a], place[pairs->pair[i].b],
                                            pairs->pair[i].same};
    s->data.pair = s->pair;
    s->data.pairs = pairs->n;
    free(place);
    return 0;
}

/* Without pairs given or to be had, training goes without verification. */
static int draw_pairs(struct fv_pairs *pairs, const struct fv_store *store, int64_t most,
                      uint64_t seed, const struct fv_report *r)
{
    if (most == 0 || fv_store_info(store)->split_images[FV_SPLIT_HOLDOUT] == 0)
        return 0;
    if (most < 2)
        return fv_err(FV_EUSAGE, "--max-pairs %lld: two is the least, 0 for no verification",
                      (long long)most);
    const int rc = fv_pairs_make(pairs, store, FV_SPLIT_HOLDOUT, (size_t)most, seed);
    if (rc != FV_ENOTFOUND)
        return rc;
    fv_say(r, FV_LEVEL_WARN, "no verification: %s", fv_err_text());
    return 0;
}

static int open_verify(struct train_sources *s, const struct fv_loader_settings *loader,
                       const char *pairs_file, int64_t max_pairs, const struct fv_report *r)
{
    struct fv_pairs pairs = {0};
    if (pairs_file)
        FV_TRY(fv_pairs_read(&pairs, s->store, pairs_file, NULL));
    else
        FV_TRY(draw_pairs(&pairs, s->store, max_pairs, (uint64_t)loader->seed, r));
    const unsigned splits = s->verify_splits = splits_touched(s->store, &pairs);
    int rc = 0;
    if (pairs.n > 0) {
        rc = place_pairs(s, &pairs, splits);
        if (rc == 0)
            rc = open_loader(&s->verify, s->store, loader, splits, "replace");
        if (rc == 0)
            s->data.verify = fv_loader_source(s->verify);
    }
    fv_pairs_free(&pairs);
    return rc;
}

/* FNV-1a over the pairs: enough to notice that a list has changed. */
static uint64_t pairs_digest(const struct fv_index_pair *pair, size_t n)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < n; i++) {
        const uint32_t word[3] = {pair[i].a, pair[i].b, pair[i].same};
        for (int k = 0; k < 12; k++)
            h = (h ^ (word[k / 4] >> 8 * (k % 4) & 255)) * 0x100000001b3;
    }
    return h;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* "4 to 31 images each, half of them at most 12": how unequal the identities are that training sees. */
static int describe_balance(const struct fv_store *store, char *text, size_t n)
{
    const uint64_t labels = fv_store_info(store)->train_labels;
    uint64_t *count = calloc(labels + 1, sizeof *count);
    struct fv_store_image image;
    if (!count)
        return fv_err(FV_ENOMEM, "out of memory for %llu identities", (unsigned long long)labels);
    for (uint64_t i = 0; i < fv_store_info(store)->images; i++)
        if (fv_store_image(store, i, &image) == 0 && image.split == FV_SPLIT_TRAIN &&
            image.label < labels)
            count[image.label]++;
    qsort(count, labels, sizeof *count, ascending);
    if (labels == 0 || count[0] == count[labels - 1])
        snprintf(text, n, "%llu images each", labels ? (unsigned long long)count[0] : 0ULL);
    else
        snprintf(text, n, "%llu to %llu images each, half of them at most %llu",
                 (unsigned long long)count[0], (unsigned long long)count[labels - 1],
                 (unsigned long long)count[(labels - 1) / 2]);
    free(count);
    return 0;
}

static int describe(struct train_sources *s, const struct fv_report *r)
{
    const struct fv_store_info *info = fv_store_info(s->store);
    const uint64_t *n = info->split_images;
    s->data_id = fv_format("digest = %016llx\nimages = %llu\npairs = %zu\npairs-digest = %016llx\n",
                           (unsigned long long)info->digest, (unsigned long long)info->images,
                           s->data.pairs, (unsigned long long)pairs_digest(s->pair, s->data.pairs));
    if (!s->data_id)
        return fv_err(FV_ENOMEM, "out of memory");
    s->data.data_id = s->data_id;
    char balance[96];
    FV_TRY(describe_balance(s->store, balance, sizeof balance));
    fv_loader_say_threads(s->train);
    fv_say(
        r, FV_LEVEL_INFO,
        "data %s: %llu images of %llu identities, %d px; %llu of %llu identities to train on (%s)",
        fv_store_path(s->store), (unsigned long long)info->images, (unsigned long long)info->labels,
        info->width, (unsigned long long)n[FV_SPLIT_TRAIN], (unsigned long long)info->train_labels,
        balance);
    fv_say(r, FV_LEVEL_INFO,
           "validation: %llu images of the same identities; verification: %zu pairs over %llu "
           "images%s",
           (unsigned long long)n[FV_SPLIT_VAL], s->data.pairs,
           (unsigned long long)(s->data.verify ? s->data.verify->images_per_epoch : 0),
           s->data.verify ? "" : " (fvprep pack --holdout-ids makes some)");
    return 0;
}

static int open_all(struct train_sources *s, const char *db,
                    const struct fv_loader_settings *loader, const char *pairs_file,
                    int64_t max_pairs, const struct fv_report *r)
{
    FV_TRY(fv_store_open(&s->store, db));
    FV_TRY(check_store(s->store, loader));
    FV_TRY(fv_loader_open(&s->train, s->store, loader));
    s->data.train = fv_loader_source(s->train);
    if (fv_store_info(s->store)->split_images[FV_SPLIT_VAL] > 0) {
        FV_TRY(open_loader(&s->val, s->store, loader, 1u << FV_SPLIT_VAL, "skip"));
        s->data.val = fv_loader_source(s->val);
    }
    FV_TRY(open_verify(s, loader, pairs_file, max_pairs, r));
    s->data.loader_bytes =
        fv_loader_memory(s->train) + fv_loader_memory(s->val) + fv_loader_memory(s->verify);
    return describe(s, r);
}

int train_sources_open(struct train_sources *s, const char *db,
                       const struct fv_loader_settings *loader, const char *pairs_file,
                       int64_t max_pairs, const struct fv_report *r)
{
    *s = (struct train_sources){0};
    int rc = open_all(s, db, loader, pairs_file, max_pairs, r);
    if (rc < 0)
        train_sources_close(s);
    return rc;
}

void train_sources_close(struct train_sources *s)
{
    fv_loader_say_bad(s->train);
    fv_loader_say_bad(s->val);
    fv_loader_say_bad(s->verify);
    fv_loader_close(&s->train);
    fv_loader_close(&s->val);
    fv_loader_close(&s->verify);
    fv_store_close(&s->store);
    free(s->pair);
    free(s->data_id);
    *s = (struct train_sources){0};
}
