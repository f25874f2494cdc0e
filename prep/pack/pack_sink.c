/* SPDX-License-Identifier: MIT */
/* What passes here passes in packing order, whatever thread was first, so everything decided here (labels, splits,
 * what is said) is the same for any number of threads. Which images become validation images is decided when
 * the last photo of their identity has passed, since a share of its images means of the good ones.
 */
#include "prep/pack/packing.h"

#include "common/err.h"
#include "prep/pack/split.h"

#include <stdlib.h>

enum { DROPPED_ON_CONSOLE = 20 };

static int is_held_out(const struct fv_packing *p)
{
    return p->identity >= p->plan.training;
}

/* The rule's share of the images whose split nobody gave, with those of the data set that they are added to. */
static int choose_validation(struct fv_packing *p)
{
    const struct fv_listed_identity *id = p->plan.identity[p->identity];
    size_t n = p->open, count = fv__split_count(p->s->val, n + id->has_train + id->has_val);
    count = count > id->has_val ? count - id->has_val : 0;
    count = count < n ? count : n;
    if (count == n && n > 0 && p->given_train + id->has_train == 0)
        count = n - 1; /* a training identity keeps an image to train on */
    uint8_t *chosen = calloc(n ? n : 1, 1);
    int rc = chosen ? fv__split_choose((uint64_t)p->s->seed, FV_SPLIT_IMAGES, p->open_name, n,
                                       count, chosen)
                    : fv_err(FV_ENOMEM, "out of memory for %zu images", n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (chosen[i])
            rc = fv_store_set_split(p->writer, p->open_image[i], FV_SPLIT_VAL);
    free(chosen);
    p->result->val_images += count;
    p->result->train_images -= count;
    return rc;
}

/* An identity of which nothing was packed has no label. */
static void tell_dropped(struct fv_packing *p)
{
    if (p->dropped < DROPPED_ON_CONSOLE)
        fv_say(p->report, FV_LEVEL_WARN, "%s: no usable photo, identity dropped",
               p->plan.identity[p->identity]->name);
    else if (p->dropped == DROPPED_ON_CONSOLE)
        fv_say(p->report, FV_LEVEL_WARN, "further identities without a usable photo are not named");
    p->dropped++;
}

/* Called when the current identity's last photo has passed. */
static int end_identity(struct fv_packing *p)
{
    const struct fv_listed_identity *id = p->plan.identity[p->identity];
    const int is_new = id->standing == FV_STANDING_NEW;
    if (is_new && p->images < (size_t)p->s->min_images) {
        FV_TRY(fv__rejects_few(&p->rejects, id->name, p->images));
        p->result->few++;
    }
    if (is_new && p->images == 0)
        tell_dropped(p);
    if (p->images == 0)
        return 0;
    p->result->identities++;
    if (!is_held_out(p))
        return choose_validation(p);
    p->result->holdout_identities++;
    return 0;
}

static void begin_identity(struct fv_packing *p, size_t identity)
{
    p->identity = identity;
    p->images = p->given_train = p->open = 0;
    p->photos_left = identity < p->plan.identities ? p->plan.identity[identity]->count : 0;
}

static int put_image(struct fv_packing *p, const struct fv_listed_photo *photo,
                     const struct fv_pipe_item *item)
{
    enum fv_split split = is_held_out(p)                 ? FV_SPLIT_HOLDOUT
                          : photo->split == FV_SPLIT_VAL ? FV_SPLIT_VAL
                                                         : FV_SPLIT_TRAIN;
    if (p->images == 0)
        FV_TRY(fv_store_put_label(p->writer, p->plan.identity[p->identity]->name, is_held_out(p)));
    FV_TRY(fv_store_put(p->writer, item->record, item->n, photo->name, split));
    FV_TRY(
        fv__duplicates_add(&p->duplicates, fv_store_content(p->writer, p->result->packed), photo));
    if (photo->split == FV_SPLIT_BY_RULE) {
        p->open_name[p->open] = photo->name;
        p->open_image[p->open++] = p->result->packed;
    }
    p->given_train += photo->split == FV_SPLIT_TRAIN;
    p->images++;
    p->result->kept += (uint64_t)item->kept;
    p->result->packed++;
    *(split == FV_SPLIT_HOLDOUT ? &p->result->holdout_images
      : split == FV_SPLIT_VAL   ? &p->result->val_images
                                : &p->result->train_images) += 1;
    return 0;
}

static int remark_on(struct fv_packing *p, const char *name, const struct fv_format *unlike)
{
    struct fv_refusal why;
    fv__refuse(&why, FV_REMARK_SUFFIX, "%s", unlike->name);
    p->result->misnamed++;
    return fv__rejects_remark(&p->rejects, "packed", name, &why);
}

int fv__sink_take(struct fv_packing *p, size_t at, const struct fv_pipe_item *item)
{
    const struct fv_listed_photo *photo = p->plan.photo[at];
    while (p->photos_left == 0) {
        FV_TRY(end_identity(p));
        begin_identity(p, p->identity + 1);
    }
    p->photos_left--;
    p->result->bytes += photo->bytes;
    if (item->refused)
        FV_TRY(fv__rejects_add(&p->rejects, photo->name, &item->why));
    else if (p->s->strict && p->rejects.n)
        p->images++; /* nothing will be packed: the rest is looked through */
    else
        FV_TRY(put_image(p, photo, item));
    if (item->unlike)
        FV_TRY(remark_on(p, photo->name, item->unlike));
    return 0;
}

int fv__sink_begin(struct fv_packing *p)
{
    size_t most = 1;
    for (size_t i = 0; i < p->listing.identities; i++)
        most = p->listing.identity[i].count > most ? p->listing.identity[i].count : most;
    p->open_name = malloc(most * sizeof *p->open_name);
    p->open_image = malloc(most * sizeof *p->open_image);
    if (!p->open_name || !p->open_image)
        return fv_err(FV_ENOMEM, "out of memory for %zu names", most);
    begin_identity(p, 0);
    return 0;
}

int fv__sink_end(struct fv_packing *p)
{
    for (; p->identity < p->plan.identities; begin_identity(p, p->identity + 1))
        FV_TRY(end_identity(p));
    return 0;
}
