/* SPDX-License-Identifier: MIT */
/* fvprep codecs: which way to store one's own images. */
#include "tools/prep/fvprep_codecs.h"

#include "common/err.h"
#include "common/report.h"
#include "prep/prep.h"
#include "tools/prep/fvprep_talk.h"
#include "tools/results.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

const struct fv_command fvprep_codecs_cmd = {
    .name = "fvprep codecs",
    .summary = "Tries each way to store images on some of yours: size, speed and loss, to choose "
               "one by.",
    .usage = "PHOTOS|FILE [options]",
    .notes =
        "PHOTOS as for fvprep pack; or FILE, a data set, whose images are taken for originals. "
        "What is shown\n"
        "was measured here and now: some of the images were packed and read back, on one thread.\n"
        "\n"
        "  bytes     of an image's record, on average\n"
        "  file      of all images, as far as those that were tried tell\n"
        "  overhead  of such a file beyond its records\n"
        "  loss      PSNR over all channels; none: every bit comes back\n"
        "  kept      images that were stored as the files they are\n"
        "\n"
        "  fvprep codecs photos --size 112",
    .min_args = 1,
    .max_args = 1,
};

static void print_text(const char *title, const struct fv_codecs_result *r)
{
    printf("%s: %" PRIu64 " of %" PRIu64 " images, %d x %d\n", title, r->sampled, r->images,
           r->width, r->height);
    printf("  codec   quality  dict     bytes        file  overhead   encode/s  decode/s      loss"
           "  kept\n");
    for (int i = 0; i < r->trials; i++) {
        const struct fv_codec_trial *t = &r->trial[i];
        char quality[16] = "-", loss[16] = "none";
        if (t->quality)
            snprintf(quality, sizeof quality, "%d", t->quality);
        if (isfinite(t->psnr_db))
            snprintf(loss, sizeof loss, "%.1f dB", t->psnr_db);
        printf("  %-7s %7s  %-4s  %8.0f  %7.1f MB  %7.1f %%  %9.0f  %8.0f  %8s  %4.0f %%\n",
               t->codec, quality, t->dict_bytes ? "yes" : "no", t->bytes_per_image,
               (double)t->file_bytes * 1e-6, (t->overhead - 1) * 100, t->encode_per_s,
               t->decode_per_s, loss, 100.0 * (double)t->kept / (double)r->sampled);
    }
}

static void print_json(const char *title, const struct fv_codecs_result *r)
{
    json_t *all = json_array();
    for (int i = 0; i < r->trials; i++) {
        const struct fv_codec_trial *t = &r->trial[i];
        json_t *one =
            json_pack("{s:s, s:i, s:I, s:f, s:f, s:I, s:I, s:f, s:f}", "codec", t->codec, "quality",
                      t->quality, "dict_bytes", (json_int_t)t->dict_bytes, "bytes_per_image",
                      t->bytes_per_image, "overhead", t->overhead, "file_bytes",
                      (json_int_t)t->file_bytes, "kept", (json_int_t)t->kept, "encode_images_per_s",
                      t->encode_per_s, "decode_images_per_s", t->decode_per_s);
        json_object_set_new(one, "psnr_db",
                            isfinite(t->psnr_db) ? json_real(t->psnr_db) : json_null());
        json_array_append_new(all, one);
    }
    json_t *top = json_pack("{s:o, s:I, s:I, s:i, s:i, s:o}", "file", results_json_text(title),
                            "images", (json_int_t)r->images, "sampled", (json_int_t)r->sampled,
                            "width", r->width, "height", r->height, "codecs", all);
    json_dumpf(top, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(top);
}

int fvprep_codecs(int argc, char **argv)
{
    struct fv_codecs_settings s;
    struct fv_codecs_result result;
    struct talk talk;
    struct fv_args args;
    fv_codecs_defaults(&s);
    int rc =
        talk_parse(&fvprep_codecs_cmd, fv_codecs_opts(), &s, talk_opts, &talk, argc, argv, &args);
    if (rc)
        return rc;
    talk_stop_on_signals();
    FV_TRY(fv_codecs_run(&s, args.arg[0], talk_console(&fvprep_codecs_cmd, &talk), &result));
    fv_console_endline();
    (talk.json ? print_json : print_text)(args.arg[0], &result);
    return 0;
}
