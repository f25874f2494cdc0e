/* SPDX-License-Identifier: MIT */
/* fvprep preview: one batch of the loader as a contact sheet. The batch comes from the loader that a training uses, so
 * the sheet shows what the net gets, not what somebody thinks it gets. */
#include "tools/prep/fvprep_preview.h"

#include "augment/augment.h"
#include "common/err.h"
#include "common/fs.h"
#include "prep/prep.h"
#include "store/store.h"
#include "tools/prep/fvprep_talk.h"
#include "tools/results.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEAR_PX = 120 }; /* --zoom 0 makes pictures at least so large, or a little less */

struct preview {
    const char *db, *output;
    int64_t epoch, step, columns, zoom;
};

#define FIELD(f) offsetof(struct preview, f)
/* clang-format off */
static const struct fv_opt preview_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE",
     "the data set; a list with commas is one", 0, 0, NULL},
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "PNG", "the picture to write", 0, 0, NULL},
    {"epoch", 0, FV_OPT_INT, 0, FIELD(epoch), "N", "of the batch, from 0", 0, 4294967295.0, NULL},
    {"step", 0, FV_OPT_INT, 0, FIELD(step), "N",
     "of the batch within its epoch, from 0", 0, 4294967295.0, NULL},
    {"columns", 0, FV_OPT_INT, 0, FIELD(columns), "N", "pictures in a row; 0: as looks well", 0, 1000, NULL},
    {"zoom", 0, FV_OPT_INT, 0, FIELD(zoom), "N",
     "how often each pixel comes, along x and y; 0: small pictures larger", 0, 16, NULL},
    {.name = NULL},
};
/* clang-format on */

const struct fv_command fvprep_preview_cmd = {
    .name = "fvprep preview",
    .summary = "Draws a batch as the net will see it: a contact sheet with identities, partners "
               "and their shares.",
    .usage = "--db FILE -o PNG [options]",
    .notes = "With the options of a training, it is the very batch that this training gets at that "
             "epoch and\n"
             "step. Beneath each picture stands its identity. Where another one was mixed in, both "
             "stand there\n"
             "with their shares of the label, lambda and 1 - lambda, and a bar shows them.\n"
             "\n"
             "  fvprep preview --db faces.lmdb -o sheet.png\n"
             "  fvprep preview --db faces.lmdb --aug 'flip,rotate(10),jitter(.2,.2,.2),cutmix' "
             "--epoch 3 -o sheet.png",
    .min_args = 0,
    .max_args = 0,
};

/* About twice as wide as high, without a ragged last row if that can be had. */
static int columns_for(int images)
{
    const int about = (int)ceil(sqrt(2.0 * images));

    for (int columns = about; columns < about + about / 2 && columns <= images; columns++)
        if (images % columns == 0)
            return columns;
    return about < images ? about : images;
}

static int zoom_for(int width)
{
    const int zoom = (int)lround((double)NEAR_PX / width);

    return zoom > 1 ? zoom : 1;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The texts beneath a picture, in one allocation each. */
static int describe(struct fv_sheet_cell *cell, const struct fv_batch *b, int i,
                    const struct fv_store *store)
{
    const size_t bytes = (size_t)b->height * (size_t)b->width * 3;
    struct fv_store_label label, partner;

    FV_TRY(fv_store_label(store, (uint64_t)b->label[i], &label));
    const double lambda = (double)b->lambda[i];
    const int mixed = lambda < 1;
    *cell = (struct fv_sheet_cell){.rgb = b->pixels + (size_t)i * bytes, .share = lambda};
    cell->first = mixed ? fv_format("%.2f %s", lambda, label.name) : fv_format("%s", label.name);
    if (mixed) {
        FV_TRY(fv_store_label(store, (uint64_t)b->label_mix[i], &partner));
        cell->second = fv_format("%.2f %s", 1 - lambda, partner.name);
    }
    if (!cell->first || (mixed && !cell->second))
        return fv_err(FV_ENOMEM, "out of memory for the texts of a sheet");
    return FV_OK;
}

static int draw_batch(const struct preview *p, const struct fv_loader_settings *s,
                      const struct fv_batch *b, const struct fv_store *store)
{
    struct fv_sheet_cell *cell = calloc((size_t)b->n, sizeof *cell);
    char *title =
        fv_format("%s · epoch %" PRIu32 " · step %" PRIu32, base_name(p->db), b->epoch, b->step);
    const char *none = s->policy && *s->policy ? s->policy : "none";
    char *subtitle =
        fv_format("%s%s · seed %" PRId64 " · %d × %d pixels",
                  strcmp(none, "none") == 0 ? "not augmented" : none,
                  strcmp(s->mode, "exact") == 0 ? " · exact" : "", s->seed, b->width, b->height);
    int rc = cell && title && subtitle
                 ? FV_OK
                 : fv_err(FV_ENOMEM, "out of memory for a sheet of %d pictures", b->n);

    for (int i = 0; rc == FV_OK && i < b->n; i++)
        rc = describe(&cell[i], b, i, store);
    if (rc == FV_OK) {
        const struct fv_sheet sheet = {.title = title,
                                       .subtitle = subtitle,
                                       .height = b->height,
                                       .width = b->width,
                                       .zoom = p->zoom ? (int)p->zoom : zoom_for(b->width),
                                       .columns = p->columns ? (int)p->columns : columns_for(b->n),
                                       .cells = b->n,
                                       .cell = cell};
        rc = fv_sheet_write(&sheet, p->output);
    }
    for (int i = 0; cell && i < b->n; i++) {
        free((char *)cell[i].first);
        free((char *)cell[i].second);
    }
    free(cell);
    free(title);
    free(subtitle);
    return rc;
}

static void tell(const struct preview *p, const struct fv_batch *b, int json)
{
    struct results r = {0};
    uint64_t mixed = 0;

    for (int i = 0; i < b->n; i++)
        mixed += b->lambda[i] < 1;
    results_int(&r, "images", (uint64_t)b->n, NULL);
    results_int(&r, "mixed", mixed, NULL);
    results_int(&r, "epoch", b->epoch, NULL);
    results_int(&r, "step", b->step, NULL);
    results_print(&r, p->output, json);
}

/* The batch belongs to the loader: everything is done with it before the loader closes. */
static int preview(const struct preview *p, const struct fv_loader_settings *s,
                   struct fv_store *store, int json)
{
    struct fv_loader *l = NULL;
    const struct fv_batch *b;

    FV_TRY(fv_loader_open(&l, store, s));
    const struct fv_batch_source *source = fv_loader_source(l);
    int rc = FV_OK;
    if ((uint64_t)p->step >= source->batches_per_epoch)
        rc = fv_err(FV_EUSAGE, "--step %" PRId64 ": an epoch has %" PRIu64 " batches of %d images",
                    p->step, source->batches_per_epoch, source->batch);
    if (rc == FV_OK)
        rc = source->seek(source->ctx,
                          (uint64_t)p->epoch * source->batches_per_epoch + (uint64_t)p->step);
    if (rc == FV_OK)
        rc = source->next(source->ctx, &b);
    if (rc == 1 && b->n == 0)
        rc = fv_err(FV_EINVAL,
                    "batch %" PRId64 " of rank %" PRId64 " has no images: use a smaller --world or "
                    "another --step",
                    p->step, s->rank);
    if (rc == 0 || rc == 1)
        rc = rc ? draw_batch(p, s, b, store)
                : fv_err(FV_EINVAL, "there is no batch %" PRId64, p->step);
    if (rc == FV_OK)
        tell(p, b, json);
    fv_loader_close(&l);
    return rc;
}

int fvprep_preview(int argc, char **argv)
{
    struct preview p = {0};
    struct fv_loader_settings s;
    struct talk talk = {0};
    struct fv_args args;
    struct fv_store *store;

    fv_loader_defaults(&s);
    const struct fv_opt_group groups[] = {{"options", preview_opts, &p},
                                          {"the batch", fv_loader_opts, &s},
                                          {"output", talk_brief_opts, &talk}};
    int rc = tool_begin(&fvprep_preview_cmd, groups, 3, argc, argv, &args);
    if (rc)
        return rc;
    if (strcmp(s.policy, "list") == 0) {
        fv_policy_help(stdout);
        return FV_OK;
    }
    s.report = talk_console(&fvprep_preview_cmd, &talk);
    FV_TRY(fv_store_open(&store, p.db));
    if (fv_store_info(store)->split_images[FV_SPLIT_TRAIN] < (uint64_t)s.batch)
        s.endless = 0; /* the whole set is one short batch */
    rc = preview(&p, &s, store, talk.json);
    fv_store_close(&store);
    return rc;
}
