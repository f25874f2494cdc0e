/* SPDX-License-Identifier: MIT */
/* fvprep export, filter, merge and append: data sets back to what other programs read, and to other data sets. */
#include "tools/prep/fvprep_move.h"

#include "common/err.h"
#include "common/report.h"
#include "prep/prep.h"
#include "store/store.h"
#include "tools/prep/fvprep_talk.h"
#include "tools/results.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- export --------------------------------------------------------------------------------------- */

const struct fv_command fvprep_export_cmd = {
    .name = "fvprep export",
    .summary = "Writes the images of a data set into a new folder, for other programs.",
    .usage = "FILE -o FOLDER [options]",
    .notes =
        "folders  train/IDENTITY/FILE, val/... and holdout/..., and photos.csv, which says who "
        "each "
        "file is, its\n"
        "         split and under which name it was packed. `fvprep pack FOLDER` reads that: with "
        "the size and\n"
        "         the codec of FILE it makes a data set of the same digest.\n"
        "rec      train.rec, train.idx, train.lst (the same for val and holdout) and property, as "
        "InsightFace\n"
        "         and MXNet have them. Labels are those of FILE.\n"
        "tar      train-000000.tar and so on: WebDataset's shards with IMAGE.png, .cls (the label) "
        "and .json.\n"
        "\n"
        "The folder appears when all is in it.\n"
        "\n"
        "  fvprep export faces.lmdb -o faces\n"
        "  fvprep export faces.lmdb -o shards --format tar --shuffle --split train",
    .min_args = 1,
    .max_args = 1,
};

int fvprep_export(int argc, char **argv)
{
    struct fv_export_settings s;
    struct fv_export_result result;
    struct results r = {0};
    struct talk talk;
    struct fv_args args;
    fv_export_defaults(&s);
    int rc =
        talk_parse(&fvprep_export_cmd, fv_export_opts, &s, talk_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    talk_stop_on_signals();
    FV_TRY(fv_export_run(&s, args.arg[0], talk_console(&fvprep_export_cmd, &talk), &result));
    fv_console_endline();
    results_string(&r, "format", s.format);
    results_string(&r, "image", result.kind);
    results_int(&r, "images", result.images, NULL);
    results_int(&r, "image_bytes", result.image_bytes, NULL);
    results_real(&r, "seconds", result.seconds, "%.1f, %.0f images a second", result.seconds,
                 result.seconds > 0 ? (double)result.images / result.seconds : 0);
    results_print(&r, s.output, talk.json);
    return 0;
}

/* --- filter and merge ----------------------------------------------------------------------------- */

static void add_moved(struct results *r, const struct fv_moved *m)
{
    char digest[24];
    results_int(r, "images", m->images, NULL);
    results_int(r, "identities", m->identities, NULL);
    results_int(r, "holdout_identities", m->holdout_identities, NULL);
    results_int(r, "train_images", m->train_images, NULL);
    results_int(r, "val_images", m->val_images, NULL);
    results_int(r, "holdout_images", m->holdout_images, NULL);
    if (m->recoded)
        results_int(r, "recoded", m->recoded, "%" PRIu64 " records, for another dictionary",
                    m->recoded);
    results_int(r, "file_bytes", m->file_bytes, NULL);
    snprintf(digest, sizeof digest, "%016" PRIx64, m->digest);
    results_string(r, "digest", digest);
}

static void print_moved(const struct fv_moved *m, const char *output, int json)
{
    struct results r = {0};
    add_moved(&r, m);
    results_print(&r, output, json);
}

/* The files that arguments name, of which each may be several. */
struct paths {
    char **list[FV_OPT_MAX_ARGS];
    const char **path;
    size_t n;
};

static void free_paths(struct paths *p)
{
    for (int i = 0; i < FV_OPT_MAX_ARGS; i++)
        free(p->list[i]);
    free(p->path);
}

/* To be freed in any case. */
static int split_paths(struct paths *p, const struct fv_args *args)
{
    *p = (struct paths){0};
    for (int i = 0; i < args->n; i++) {
        size_t n;
        FV_TRY(fv_store_split_path(&p->list[i], &n, args->arg[i]));
        const char **longer = realloc(p->path, (p->n + n) * sizeof *longer);
        if (!longer)
            return fv_err(FV_ENOMEM, "out of memory");
        p->path = longer;
        for (size_t k = 0; k < n; k++)
            p->path[p->n++] = p->list[i][k];
    }
    return 0;
}

const struct fv_command fvprep_filter_cmd = {
    .name = "fvprep filter",
    .summary = "Copies some identities of a data set, with their splits, into a new one.",
    .usage = "FILE -o FILE [options]",
    .notes = "Labels are given anew, in name order. Records are copied as they are.\n"
             "\n"
             "  fvprep filter faces.lmdb -o large.lmdb --min-images 20\n"
             "  fvprep filter faces.lmdb -o rest.lmdb --identities overlap.txt --exclude",
    .min_args = 1,
    .max_args = 1,
};

int fvprep_filter(int argc, char **argv)
{
    struct fv_filter_settings s = {.min_images = 1};
    struct fv_moved moved;
    struct talk talk;
    struct fv_args args;
    struct paths p;
    int rc =
        talk_parse(&fvprep_filter_cmd, fv_filter_opts, &s, talk_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    talk_stop_on_signals();
    rc = split_paths(&p, &args);
    if (rc == 0)
        rc = fv_filter_run(&s, p.path, p.n, talk_console(&fvprep_filter_cmd, &talk), &moved);
    free_paths(&p);
    FV_TRY(rc);
    fv_console_endline();
    print_moved(&moved, s.output, talk.json);
    return 0;
}

const struct fv_command fvprep_merge_cmd = {
    .name = "fvprep merge",
    .summary = "Copies several data sets of one size and codec into one.",
    .usage = "FILE FILE... -o FILE [options]",
    .notes = "Labels are given anew, in name order; an identity of several files is one identity. "
             "The shards of a\n"
             "set that was packed with --shard give the very bytes that packing it at once gives. "
             "To read several\n"
             "files as one data set without copying them, write them as A,B wherever a data set is "
             "asked for.\n"
             "\n"
             "  fvprep pack photos -o 1.lmdb --shard 1/2      (on one machine)\n"
             "  fvprep pack photos -o 2.lmdb --shard 2/2      (on another one)\n"
             "  fvprep merge 1.lmdb 2.lmdb -o faces.lmdb",
    .min_args = 1,
    .max_args = FV_OPT_MAX_ARGS,
};

int fvprep_merge(int argc, char **argv)
{
    struct fv_merge_settings s = {0};
    struct fv_moved moved;
    struct talk talk;
    struct fv_args args;
    struct paths p;
    int rc = talk_parse(&fvprep_merge_cmd, fv_merge_opts, &s, talk_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    talk_stop_on_signals();
    rc = split_paths(&p, &args);
    if (rc == 0)
        rc = fv_merge_run(&s, p.path, p.n, talk_console(&fvprep_merge_cmd, &talk), &moved);
    free_paths(&p);
    FV_TRY(rc);
    fv_console_endline();
    print_moved(&moved, s.output, talk.json);
    return 0;
}

/* --- append --------------------------------------------------------------------------------------- */

const struct fv_command fvprep_append_cmd = {
    .name = "fvprep append",
    .summary = "Adds to a data set the photos that it lacks: new identities, and new photos of "
               "known ones.",
    .usage = "FILE PHOTOS [options]",
    .notes = "Photos are packed as FILE was; those whose names it has are left out, so PHOTOS may "
             "be the folder that\n"
             "FILE was packed from, grown since. A known identity stays in training or held out; "
             "--holdout-ids and --val\n"
             "of FILE choose among new ones, so that the shares hold for all. A new file replaces "
             "FILE when it is whole.\n"
             "\n"
             "LABELS SHIFT: they are numbers in name order, so a new identity moves all that come "
             "after it. A model that\n"
             "was trained on FILE before has its classes at the old labels: train it anew, or keep "
             "the old file.\n"
             "\n"
             "  fvprep append faces.lmdb photos",
    .min_args = 2,
    .max_args = 2,
};

int fvprep_append(int argc, char **argv)
{
    struct fv_append_settings s;
    struct fv_pack_result packed;
    struct fv_moved moved;
    struct talk talk;
    struct fv_args args;
    fv_append_defaults(&s);
    int rc =
        talk_parse(&fvprep_append_cmd, fv_append_opts, &s, talk_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    talk_stop_on_signals();
    FV_TRY(fv_append_run(&s, args.arg[0], args.arg[1], talk_console(&fvprep_append_cmd, &talk),
                         &packed, &moved));
    fv_console_endline();
    struct results r = {0};
    results_int(&r, "added_images", packed.packed, NULL);
    results_int(&r, "known_photos", packed.known, NULL);
    results_int(&r, "refused", packed.rejected, NULL);
    results_int(&r, "duplicates", packed.duplicates, NULL);
    add_moved(&r, &moved);
    results_print(&r, s.output ? s.output : args.arg[0], talk.json);
    return 0;
}
