/* SPDX-License-Identifier: MIT */
/* fvprep: photos to a data set, and questions about one. Each subcommand is a row of the table at the end; it
 * parses its options, calls one function of a library and prints what came of it.
 */
#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/opt.h"
#include "common/report.h"
#include "prep/prep.h"
#include "store/store.h"
#include "tools/command.h"
#include "tools/prep/fvprep_codecs.h"
#include "tools/prep/fvprep_manifest.h"
#include "tools/prep/fvprep_move.h"
#include "tools/prep/fvprep_preview.h"
#include "tools/prep/fvprep_talk.h"
#include "tools/results.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

/* --- pack ----------------------------------------------------------------------------------------- */

static const struct fv_command pack_cmd = {
    .name = "fvprep pack",
    .summary = "Packs photos into one data set: square 8-bit sRGB images, labels, splits.",
    .usage = "PHOTOS -o FILE [options]\n"
             "       fvprep pack --manifest FILE NAME PHOTOS -o FILE [options]",
    .notes = "PHOTOS holds one folder per identity, with its photos at any depth, or is of another "
             "layout:\n"
             "'fvprep layouts' lists them. Each photo is turned upright, cropped to its centre "
             "square and\n"
             "resized. A photo that cannot be used is named, listed with its reason in the rejects "
             "file, and\n"
             "skipped. Splits that PHOTOS gives are kept; the shares below apply to what is left. "
             "The data\n"
             "set does not depend on the number of threads. Whatever ends a run, the same command "
             "goes on where\n"
             "it stopped.\n"
             "\n"
             "With --manifest, NAME is a data set that FILE describes: its options are the "
             "stanza's, and one that\n"
             "differs is refused. Counts and digest of what was packed are compared with the "
             "stanza's. Where they\n"
             "differ, that is said and the exit status is 1; the data set, whole but another one, "
             "is kept.\n"
             "\n"
             "  fvprep pack photos -o faces.lmdb --holdout-ids 15% --val 10%\n"
             "  fvprep pack --manifest data.manifest lfw lfw-deepfunneled -o lfw.lmdb",
    .min_args = 1,
    .max_args = 2,
};

static double per_second(const struct fv_pack_result *p, double n)
{
    return p->seconds > 0 ? n / p->seconds : 0;
}

static void print_reasons(struct results *r, const struct fv_pack_result *p)
{
    struct result_count count[FV_PACK_REASONS];
    for (int i = 0; i < p->reasons; i++)
        count[i] = (struct result_count){p->reason[i].code, p->reason[i].files};
    results_counts(r, "refused_for", count, p->reasons);
}

/* What was packed, and how it stands to the manifest. */
static int tell_packed(const struct manifest_use *u, const struct fv_pack_settings *s,
                       const struct fv_pack_result *p, int json)
{
    struct results r = {0};
    char *stanza;
    results_int(&r, "files", p->files, NULL);
    results_int(&r, "refused", p->rejected, NULL);
    if (p->reasons || json)
        print_reasons(&r, p);
    results_int(&r, "ignored", p->ignored, NULL);
    results_int(&r, "misnamed", p->misnamed, NULL);
    results_int(&r, "images", p->packed, NULL);
    if (p->resumed || json)
        results_int(&r, "resumed", p->resumed, "%" PRIu64 " images from an interrupted run",
                    p->resumed);
    results_int(&r, "duplicates", p->duplicates, NULL);
    if (p->mislabelled || json)
        results_int(&r, "mislabelled", p->mislabelled,
                    "%" PRIu64 " duplicates under another identity", p->mislabelled);
    results_int(&r, "identities", p->identities, NULL);
    if (s->min_images > 1 || p->few || json)
        results_int(&r, "small_identities", p->few,
                    "%" PRIu64 " with fewer than %" PRId64 " images", p->few, s->min_images);
    results_int(&r, "holdout_identities", p->holdout_identities, NULL);
    results_int(&r, "train_images", p->train_images, NULL);
    results_int(&r, "val_images", p->val_images, NULL);
    results_int(&r, "holdout_images", p->holdout_images, NULL);
    if (p->kept || json)
        results_int(&r, "kept_as_they_are", p->kept, "%" PRIu64 " JPEG files, not encoded again",
                    p->kept);
    results_int(&r, "file_bytes", p->file_bytes, "%" PRIu64 ", %.3f times its records",
                p->file_bytes, ratio(p->file_bytes, p->record_bytes));
    char digest[24];
    snprintf(digest, sizeof digest, "%016" PRIx64, p->digest);
    results_string(&r, "digest", digest);
    results_int(&r, "photo_bytes", p->bytes, NULL);
    results_real(&r, "seconds", p->seconds, "%.1f, %.0f files and %.1f MB a second", p->seconds,
                 per_second(p, (double)p->files), per_second(p, (double)p->bytes * 1e-6));
    int rc = manifest_check_packed(u, s, p, json, &r, &stanza);
    results_print(&r, s->output, json);
    if (stanza)
        printf("\n%s", stanza);
    free(stanza);
    return rc;
}

static int run_pack(int argc, char **argv)
{
    struct fv_pack_settings s;
    struct fv_pack_result result;
    struct manifest_use use;
    struct talk talk = {0};
    const char *photos;
    int rc = manifest_parse_pack(&pack_cmd, &use, &s, &talk, argc, argv, &photos);
    if (rc == 0) {
        talk_stop_on_signals();
        rc = fv_pack_run(&s, photos, talk_console(&pack_cmd, &talk), &result);
        fv_console_endline();
        if (rc == 0)
            rc = tell_packed(&use, &s, &result, talk.json);
    }
    manifest_end(&use);
    return rc;
}

/* --- layouts -------------------------------------------------------------------------------------- */

static const struct fv_command layouts_cmd = {
    .name = "fvprep layouts",
    .summary =
        "Lists the layouts that pack takes photos in; with a path, those that it looks like.",
    .usage = "[PHOTOS] [options]",
    .notes = "pack takes the layout that is most certain, or the one named with --layout.\n",
    .min_args = 0,
    .max_args = 1,
};

static int run_layouts(int argc, char **argv)
{
    struct talk talk;
    struct fv_args args;
    const char *name, *help;
    int certainty;
    struct results r = {0};
    int rc = talk_parse(&layouts_cmd, NULL, NULL, talk_brief_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    const char *path = args.n ? args.arg[0] : NULL;
    if (path && access(path, F_OK) != 0)
        return fv_err_errno(FV_ENOTFOUND, "cannot open '%s'", path);
    for (size_t i = 0; fv_layout_at(i, path, &name, &help, &certainty); i++)
        if (path && certainty)
            results_int(&r, name, (uint64_t)certainty, "%d of 100: %s", certainty, help);
        else if (!path)
            results_string(&r, name, help);
    if (r.n == 0)
        return fv_err(FV_ENOTFOUND, "'%s' looks like none of the layouts", path);
    results_print(&r, path ? path : "layouts", talk.json);
    return 0;
}

/* --- synth ---------------------------------------------------------------------------------------- */

static const struct fv_command synth_cmd = {
    .name = "fvprep synth",
    .summary = "Draws demo faces: identities from seeded parameters, each image with its own pose, "
               "light, expression and quality.",
    .usage = "-o FOLDER [options]",
    .notes =
        "The same options give the same files, for any number of threads.\n"
        "\n"
        "  fvprep synth -o demo/photos && fvprep pack demo/photos -o demo/faces.lmdb --size 64",
    .min_args = 0,
    .max_args = 0,
};

static int run_synth(int argc, char **argv)
{
    struct fv_synth_settings s;
    struct results r = {0};
    struct talk talk;
    struct fv_args args;
    fv_synth_defaults(&s);
    int rc = talk_parse(&synth_cmd, fv_synth_opts, &s, talk_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    talk_stop_on_signals();
    FV_TRY(fv_synth_run(&s, talk_console(&synth_cmd, &talk)));
    fv_console_endline();
    results_int(&r, "identities", (uint64_t)s.identities, NULL);
    results_int(&r, "images", (uint64_t)(s.identities * s.images), NULL);
    results_print(&r, s.output, talk.json);
    return 0;
}

/* --- info ----------------------------------------------------------------------------------------- */

static const struct fv_command info_cmd = {
    .name = "fvprep info",
    .summary = "Shows what is in a data set, how it was packed, and how fast it decodes here on "
               "one thread.",
    .usage = "FILE [options]",
    .min_args = 1,
    .max_args = 1,
};

/* Decodes images in order, again from the first when they are few, for a quarter of a second. */
static int measure_decoding(const struct fv_store *store, double *images_per_s)
{
    const struct fv_store_info *info = fv_store_info(store);
    uint8_t *rgb = malloc((size_t)info->height * (size_t)info->width * 3 + FV_DECODE_PAD);
    struct fv_decoder *d = NULL;
    int rc = rgb ? fv_decoder_open(&d, store) : fv_err(FV_ENOMEM, "out of memory for an image");
    uint64_t n = 0, start_ns = fv_now_ns(), now_ns = start_ns;
    for (; rc == 0 && now_ns - start_ns < 250000000u; now_ns = fv_now_ns())
        rc = fv_decoder_read(d, n++ % info->images, rgb);
    *images_per_s = (double)n * 1e9 / (double)(now_ns - start_ns + 1);
    fv_decoder_close(&d);
    free(rgb);
    return rc;
}

static void print_info(const struct fv_store *store, double images_per_s, int json)
{
    const struct fv_store_info *i = fv_store_info(store);
    double image_bytes = (double)i->height * i->width * 3;
    struct results r = {0};
    char digest[24];
    results_int(&r, "version", (uint64_t)i->version, NULL);
    results_int(&r, "height", (uint64_t)i->height, NULL);
    results_int(&r, "width", (uint64_t)i->width, NULL);
    results_string(&r, "codec", i->codec);
    results_int(&r, "images", i->images, NULL);
    results_int(&r, "identities", i->labels, NULL);
    results_int(&r, "training_identities", i->train_labels, NULL);
    results_int(&r, "holdout_identities", i->labels - i->train_labels, NULL);
    results_int(&r, "train_images", i->split_images[FV_SPLIT_TRAIN], NULL);
    results_int(&r, "val_images", i->split_images[FV_SPLIT_VAL], NULL);
    results_int(&r, "holdout_images", i->split_images[FV_SPLIT_HOLDOUT], NULL);
    results_int(&r, "file_bytes", i->file_bytes, NULL);
    results_int(&r, "record_bytes", i->record_bytes, NULL);
    results_int(&r, "dict_bytes", i->dict_bytes, NULL);
    results_real(&r, "bytes_per_image", ratio(i->record_bytes, i->images), "%.0f",
                 ratio(i->record_bytes, i->images));
    results_real(&r, "overhead", ratio(i->file_bytes, i->record_bytes), "%.3f (file to records)",
                 ratio(i->file_bytes, i->record_bytes));
    results_real(&r, "ratio", ratio(i->raw_bytes, i->record_bytes), "%.2f (raw pixels to records)",
                 ratio(i->raw_bytes, i->record_bytes));
    if (images_per_s > 0) {
        results_real(&r, "decode_images_per_s", images_per_s, "%.0f (one thread, now)",
                     images_per_s);
        results_real(&r, "decode_mb_per_s", images_per_s * image_bytes * 1e-6, "%.0f (raw pixels)",
                     images_per_s * image_bytes * 1e-6);
    }
    snprintf(digest, sizeof digest, "%016" PRIx64, i->digest);
    results_string(&r, "digest", digest);
    results_settings(&r, "packed_with", i->packed_with);
    results_print(&r, fv_store_path(store), json);
}

static int run_info(int argc, char **argv)
{
    struct talk talk;
    struct fv_args args;
    struct fv_store *store;
    double images_per_s;
    int rc = talk_parse(&info_cmd, NULL, NULL, talk_brief_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(fv_store_open(&store, args.arg[0]));
    rc = measure_decoding(store, &images_per_s);
    print_info(store, rc == 0 ? images_per_s : 0, talk.json);
    fv_store_close(&store);
    return rc;
}

/* --- verify --------------------------------------------------------------------------------------- */

struct verify_settings {
    int64_t threads;
};

/* clang-format off */
static const struct fv_opt verify_opts[] = {
    {"threads", 'j', FV_OPT_INT, 0, offsetof(struct verify_settings, threads), "N",
     "threads that check; 0: one per processor", 0, 256, NULL},
    {.name = NULL},
};
/* clang-format on */

static const struct fv_command verify_cmd = {
    .name = "fvprep verify",
    .summary = "Reads and checks every record of a data set, its index, its labels and its digest.",
    .usage = "FILE [NAME --manifest FILE] [options]",
    .notes = "  fvprep verify faces.lmdb\n"
             "  fvprep verify faces.lmdb demo --manifest data.manifest",
    .min_args = 1,
    .max_args = 2,
};

static int verify_store(struct fv_store *store, const struct verify_settings *s,
                        struct manifest_use *use, const char *name, const struct talk *talk)
{
    struct results r = {0};
    uint64_t bad = 0;
    if (use->path)
        FV_TRY(manifest_open_for(use, name, store));
    int rc = fv_store_verify(store, s->threads ? (int)s->threads : fv_cpu_count(),
                             talk_console(&verify_cmd, talk), &bad);
    fv_console_endline();
    if (rc < 0 && !bad)
        return rc;
    results_int(&r, "images", fv_store_info(store)->images, NULL);
    results_int(&r, "bad", bad, NULL);
    if (rc == 0 && use->path)
        rc = manifest_prove(use, store, &r);
    results_print(&r, fv_store_path(store), talk->json);
    return rc;
}

static int run_verify(int argc, char **argv)
{
    struct verify_settings s = {0};
    struct manifest_use use = {0};
    struct talk talk = {0};
    const struct fv_opt_group groups[] = {{"options", verify_opts, &s},
                                          {"data set", manifest_verify_opts, &use},
                                          {"output", talk_opts, &talk},
                                          {"tracing", tool_trace_opts, &talk.trace}};
    struct fv_args args;
    struct fv_store *store;
    int rc = tool_begin(&verify_cmd, groups, 4, argc, argv, &args);
    if (rc)
        return rc;
    if (args.n > 1 && !use.path)
        return fv_err(FV_EUSAGE, "'%s' is the name of a data set: --manifest says in which file",
                      args.arg[1]);
    FV_TRY(fv_store_open(&store, args.arg[0]));
    rc = verify_store(store, &s, &use, args.n > 1 ? args.arg[1] : NULL, &talk);
    fv_store_close(&store);
    manifest_end(&use);
    return rc;
}

/* --- pairs ---------------------------------------------------------------------------------------- */

struct pairs_settings {
    const char *output, *split;
    int64_t n, seed;
};

static const char *const pair_splits[] = {"holdout", "val", NULL};

#define FIELD(f) offsetof(struct pairs_settings, f)
/* clang-format off */
static const struct fv_opt pairs_opts[] = {
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "LIST", "the list to write", 0, 0, NULL},
    {"split", 0, FV_OPT_CHOICE, 0, FIELD(split), NULL,
     "people never trained on, or validation images of those trained on", 0, 0, pair_splits},
    {"pairs", 'n', FV_OPT_INT, 0, FIELD(n), "N", "how many, half of them of one person", 2, 1e9, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "chooses the pairs", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

static const struct fv_command pairs_cmd = {
    .name = "fvprep pairs",
    .summary = "Writes a balanced list of image pairs: which two are compared, and whether they "
               "show one person.",
    .usage = "FILE -o LIST [options]",
    .min_args = 1,
    .max_args = 1,
};

static int make_pairs(const struct fv_store *store, const struct pairs_settings *s,
                      const struct fv_report *to, int json)
{
    struct fv_pairs pairs = {0};
    int split = strcmp(s->split, "val") == 0 ? FV_SPLIT_VAL : FV_SPLIT_HOLDOUT;
    int rc = fv_pairs_make(&pairs, store, split, (size_t)s->n, (uint64_t)s->seed);
    if (rc == 0)
        rc = fv_pairs_write(&pairs, store, s->output);
    if (rc == 0) {
        struct results r = {0};
        if (pairs.n / 2 < (size_t)s->n / 2)
            fv_say(to, FV_LEVEL_WARN, "the images give %zu pairs, not %" PRId64, pairs.n, s->n);
        results_int(&r, "pairs", pairs.n, NULL);
        results_int(&r, "genuine", pairs.genuine, NULL);
        results_int(&r, "impostor", pairs.n - pairs.genuine, NULL);
        results_string(&r, "split", s->split);
        results_print(&r, s->output, json);
    }
    fv_pairs_free(&pairs);
    return rc;
}

static int run_pairs(int argc, char **argv)
{
    struct pairs_settings s = {.split = "holdout", .n = 6000, .seed = 1};
    struct talk talk;
    struct fv_args args;
    struct fv_store *store;
    int rc = talk_parse(&pairs_cmd, pairs_opts, &s, talk_brief_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(fv_store_open(&store, args.arg[0]));
    rc = make_pairs(store, &s, talk_console(&pairs_cmd, &talk), talk.json);
    fv_store_close(&store);
    return rc;
}

/* --- the table ------------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
    static const struct tool_command commands[] = {
        {&pack_cmd, run_pack},
        {&layouts_cmd, run_layouts},
        {&synth_cmd, run_synth},
        {&info_cmd, run_info},
        {&verify_cmd, run_verify},
        {&pairs_cmd, run_pairs},
        {&fvprep_export_cmd, fvprep_export},
        {&fvprep_filter_cmd, fvprep_filter},
        {&fvprep_merge_cmd, fvprep_merge},
        {&fvprep_append_cmd, fvprep_append},
        {&fvprep_codecs_cmd, fvprep_codecs},
        {&fvprep_preview_cmd, fvprep_preview},
    };
    return tool_main("fvprep", "Photos to a data set, and questions about one.", commands,
                     sizeof commands / sizeof commands[0], argc, argv);
}
