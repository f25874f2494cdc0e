/* SPDX-License-Identifier: MIT */
/* Records are copied by reference from one map to the writer; those with another dictionary are made anew on
 * all threads. Equal input gives equal bytes: the writer sees the same records, in the order in which packing
 * all of them at once would have given them.
 */
#include "prep/combine/copy_set.h"

#include "common/cpu.h"
#include "common/err.h"
#include "prep/pack/ordered.h"
#include "prep/pack/packed_with.h"
#include "store/buffer.h"
#include "store/reader.h"
#include "store/recode.h"

#include <stdlib.h>

struct copying {
    const struct fv_copy *c;
    struct fv_store_settings settings;
    struct fv_dict *dict;
    struct fv_store_writer *writer;
    uint32_t *image; /* those of kept identities */
    uint64_t images, recoded;
    uint32_t label; /* the one that was put last; UINT32_MAX: none */
};

struct slot {
    struct fv_span record;
    struct fv_buffer made; /* holds it when it was made anew */
    int is_made;
};

static int open_hand(void *ctx, void **hand)
{
    const struct copying *x = ctx;
    struct fv_recoder *r;
    int rc = fv__recoder_open(&r, x->c->from, x->dict, x->settings.level);
    *hand = r;
    return rc;
}

static void close_hand(void *hand)
{
    struct fv_recoder *r = hand;
    fv__recoder_close(&r);
}

static int read_record(void *ctx, void *hand, uint64_t job, void *slot)
{
    const struct copying *x = ctx;
    struct slot *s = slot;
    s->is_made = fv__recoder_read(hand, x->image[job], &s->record);
    if (s->is_made != 1)
        return s->is_made;
    s->made.n = 0;
    FV_TRY(fv__buffer_append(&s->made, s->record.p, s->record.n));
    s->record = fv__buffer_view(&s->made);
    return 0;
}

static void close_slot(void *slot)
{
    fv__buffer_free(&((struct slot *)slot)->made);
}

static int put_record(void *ctx, uint64_t job, void *slot)
{
    struct copying *x = ctx;
    const struct slot *s = slot;
    struct fv_store_image im;
    struct fv_store_label label;
    FV_TRY(fv_store_image(x->c->from, x->image[job], &im));
    if (im.label != x->label) {
        FV_TRY(fv_store_label(x->c->from, im.label, &label));
        FV_TRY(fv_store_put_label(x->writer, label.name, label.holdout));
        x->label = im.label;
    }
    FV_TRY(fv_store_put(x->writer, s->record.p, s->record.n, im.name, im.split));
    x->recoded += s->is_made == 1;
    fv_progress(x->c->report, &(struct fv_progress){x->c->what, "img", job + 1, x->images, ""});
    return 0;
}

/* --- one run -------------------------------------------------------------------------------------- */

static int list_images(struct copying *x)
{
    const struct fv_store_info *info = fv_store_info(x->c->from);
    x->image = malloc(info->images * sizeof *x->image);
    if (!x->image)
        return fv_err(FV_ENOMEM, "out of memory for a list of images");
    for (uint64_t l = 0; l < info->labels; l++) {
        struct fv_store_label label;
        FV_TRY(fv_store_label(x->c->from, l, &label));
        for (uint64_t i = 0; i < label.count && (!x->c->keep || x->c->keep[l]); i++)
            x->image[x->images++] = (uint32_t)(label.first + i);
    }
    return x->images ? 0
                     : fv_err(FV_ENOTFOUND, "%s: no identity is left", fv_store_path(x->c->from));
}

static int choose_settings(struct copying *x)
{
    const struct fv_store_info *info = fv_store_info(x->c->from);
    struct fv_pack_settings packed;
    char *memory;
    fv_pack_defaults(&packed);
    int rc = fv__packed_with_read(&packed, &memory, x->c->packed_with, fv_store_path(x->c->from));
    free(memory);
    /* A later program's options do not hinder copying. */
    x->settings = (struct fv_store_settings){.height = info->height,
                                             .width = info->width,
                                             .codec = info->codec,
                                             .level = (int)packed.level,
                                             .packed_with = x->c->packed_with};
    FV_TRY(rc == FV_ENOMEM ? rc : 0);
    FV_TRY(fv__recode_dict(&x->dict, x->c->from, x->settings.level));
    x->settings.dict = x->dict;
    return 0;
}

static int copy(struct copying *x)
{
    const struct fv_ordered job = {
        .threads = x->c->threads > 0 ? x->c->threads : fv_cpu_count(),
        .jobs = x->images,
        .ctx = x,
        .open_hand = open_hand,
        .close_hand = close_hand,
        .work = read_record,
        .sink = put_record,
        .close_slot = close_slot,
        .slot_bytes = sizeof(struct slot),
    };
    FV_TRY(fv_store_create(&x->writer, x->c->output, &x->settings, x->c->overwrite));
    FV_TRY(fv__ordered_run(&job));
    return fv_store_finish(&x->writer);
}

int fv__moved_read(struct fv_moved *out, const char *path)
{
    struct fv_store *store;
    FV_TRY(fv_store_open(&store, path));
    const struct fv_store_info *i = fv_store_info(store);
    *out = (struct fv_moved){.images = i->images,
                             .identities = i->labels,
                             .holdout_identities = i->labels - i->train_labels,
                             .train_images = i->split_images[FV_SPLIT_TRAIN],
                             .val_images = i->split_images[FV_SPLIT_VAL],
                             .holdout_images = i->split_images[FV_SPLIT_HOLDOUT],
                             .digest = i->digest,
                             .file_bytes = i->file_bytes,
                             .record_bytes = i->record_bytes};
    fv_store_close(&store);
    return 0;
}

int fv__copy_set(const struct fv_copy *c, struct fv_moved *out)
{
    struct copying x = {.c = c, .label = UINT32_MAX};
    int rc = list_images(&x);
    if (rc == 0)
        rc = choose_settings(&x);
    if (rc == 0)
        rc = copy(&x);
    fv_store_discard(&x.writer);
    fv_dict_close(&x.dict);
    free(x.image);
    if (rc < 0)
        return rc;
    FV_TRY(fv__moved_read(out, c->output));
    out->recoded = x.recoded;
    return 0;
}
