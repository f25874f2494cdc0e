/* SPDX-License-Identifier: MIT */
/* fvprep export: a data set back to what other programs read. */
#include "tools/fvprep_export.h"

#include "common/err.h"
#include "common/report.h"
#include "prep/prep.h"
#include "tools/fvprep_talk.h"
#include "tools/results.h"

#include <inttypes.h>

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
