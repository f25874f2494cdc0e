/* SPDX-License-Identifier: MIT */
/* fvprep codecs: what each codec would make of these images. A sample of them is packed into a data set of its own
 * for each way to store them, by the same encoder and the same reader that the real one will use, and what is
 * printed was measured on that.
 */
#include "prep/prep.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "prep/pack/codecs_sample.h"
#include "prep/pack/pack_dict.h"
#include "store/codec.h"
#include "store/store.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int qualities[] = {80, 90, 95, 98};
enum { QUALITIES = sizeof qualities / sizeof *qualities, RUNS = 3, RUN_NS = 100000000 };

struct trials {
    const struct fv_codecs_settings *s;
    const struct fv_report *report;
    struct fv_codecs_result *out;
    struct fv_codecs_sample sample;
    int ways;            /* to try */
    char *folder, *path; /* of the data set at hand */
    uint8_t *record, *rgb;
};

/* --- packing -------------------------------------------------------------------------------------- */

static size_t image_bytes(const struct trials *t)
{
    return (size_t)t->sample.width * (size_t)t->sample.height * 3;
}

static const uint8_t *image_of(const struct trials *t, size_t i)
{
    return t->sample.rgb + i * image_bytes(t);
}

static int encode(struct trials *t, struct fv_encoder *e, size_t i, size_t *n, int *kept)
{
    const struct fv_codecs_file *f = &t->sample.file[i];
    *kept = 0;
    if (f->p) {
        const int rc = fv_encoder_adopt(e, f->p, f->n, t->record, n);
        *kept = rc == 0;
        if (rc <= 0)
            return rc;
    }
    return fv_encoder_write(e, image_of(t, i), t->record, n);
}

static int train(struct trials *t, const struct fv_store_settings *s, struct fv_dict **dict)
{
    const size_t due = fv__pack_dict_samples((size_t)t->sample.images);
    const size_t n = due < t->sample.n ? due : t->sample.n;
    struct fv_dict_samples *samples = NULL;
    struct fv_encoder *e = NULL;
    size_t bytes;
    int kept, rc = fv_encoder_open(&e, s);
    if (rc == 0)
        rc = fv_dict_samples_open(&samples);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = encode(t, e, i * t->sample.n / n, &bytes, &kept);
        if (rc == 0)
            rc = fv_dict_samples_add(samples, t->record, bytes);
    }
    if (rc == 0)
        rc = fv_dict_train(dict, samples, s->level);
    fv_dict_samples_close(&samples);
    fv_encoder_close(&e);
    return rc < 0 ? rc : 0;
}

/* All images under one identity. */
static int fill(struct trials *t, struct fv_encoder *e, struct fv_store_writer *w,
                struct fv_codec_trial *trial)
{
    uint64_t encoding_ns = 0;
    FV_TRY(fv_store_put_label(w, "sample", 0));
    for (size_t i = 0; i < t->sample.n; i++) {
        char name[32];
        size_t n;
        int kept;
        snprintf(name, sizeof name, "%010zu", i);
        const uint64_t start_ns = fv_thread_ns();
        FV_TRY(encode(t, e, i, &n, &kept));
        encoding_ns += fv_thread_ns() - start_ns;
        trial->kept += (uint64_t)kept;
        FV_TRY(fv_store_put(w, t->record, n, name, FV_SPLIT_TRAIN));
    }
    trial->encode_per_s = (double)t->sample.n * 1e9 / (double)(encoding_ns + 1);
    return 0;
}

static int pack_sample(struct trials *t, const struct fv_store_settings *s,
                       struct fv_codec_trial *trial)
{
    struct fv_encoder *e;
    struct fv_store_writer *w = NULL;
    FV_TRY(fv_encoder_open(&e, s));
    free(t->record);
    t->record = malloc(fv_encoder_bound(e));
    int rc = t->record ? 0 : fv_err(FV_ENOMEM, "out of memory for a record");
    if (rc == 0)
        rc = fv_store_create(&w, t->path, s, 1);
    if (rc == 0)
        rc = fill(t, e, w, trial);
    if (rc == 0)
        rc = fv_store_finish(&w);
    fv_store_abort(&w);
    fv_encoder_close(&e);
    return rc;
}

/* --- reading back --------------------------------------------------------------------------------- */

static int measure_loss(struct trials *t, struct fv_decoder *d, double *psnr_db)
{
    const size_t n = image_bytes(t);
    double squares = 0;
    for (size_t i = 0; i < t->sample.n; i++) {
        const uint8_t *original = image_of(t, i);
        uint64_t sum = 0;
        FV_TRY(fv_decoder_read(d, i, t->rgb));
        for (size_t k = 0; k < n; k++)
            sum += (uint64_t)((t->rgb[k] - original[k]) * (t->rgb[k] - original[k]));
        squares += (double)sum;
    }
    *psnr_db = squares == 0 ? INFINITY
                            : 10 * log10(255.0 * 255 * (double)n * (double)t->sample.n / squares);
    return 0;
}

/* The best of some runs: what else the machine does can only slow them. */
static int measure_speed(struct trials *t, struct fv_decoder *d, double *images_per_s)
{
    *images_per_s = 0;
    for (int run = 0; run < RUNS; run++) {
        const uint64_t start_ns = fv_thread_ns();
        uint64_t n = 0, now_ns = start_ns;
        for (; now_ns - start_ns < RUN_NS; now_ns = fv_thread_ns())
            FV_TRY(fv_decoder_read(d, n++ % t->sample.n, t->rgb));
        const double speed = (double)n * 1e9 / (double)(now_ns - start_ns);
        *images_per_s = speed > *images_per_s ? speed : *images_per_s;
    }
    return 0;
}

/* Bytes of the file of all images: some do not grow with them, which are the dictionary's, LMDB's two heads and
 * the root of its tree. */
static uint64_t expected_file(const struct fv_store_info *sample, uint64_t images)
{
    const uint64_t fixed = sample->dict_bytes + 3 * (uint64_t)sysconf(_SC_PAGESIZE);
    const double growing = (double)(sample->file_bytes - fixed);
    return fixed + (uint64_t)(growing * (double)images / (double)sample->images);
}

static int read_back(struct trials *t, struct fv_codec_trial *trial)
{
    struct fv_store *store;
    struct fv_decoder *d = NULL;
    FV_TRY(fv_store_open(&store, t->path));
    const struct fv_store_info *info = fv_store_info(store);
    trial->dict_bytes = info->dict_bytes;
    trial->bytes_per_image = (double)info->record_bytes / (double)info->images;
    trial->file_bytes = expected_file(info, t->sample.images);
    trial->overhead =
        (double)trial->file_bytes / (trial->bytes_per_image * (double)t->sample.images);
    int rc = fv_decoder_open(&d, store);
    if (rc == 0)
        rc = measure_loss(t, d, &trial->psnr_db);
    if (rc == 0)
        rc = measure_speed(t, d, &trial->decode_per_s);
    fv_decoder_close(&d);
    fv_store_close(&store);
    return rc;
}

/* --- the trials ----------------------------------------------------------------------------------- */

static int run_trial(struct trials *t, struct fv_codec_trial *trial, int with_dict)
{
    struct fv_dict *dict = NULL;
    struct fv_store_settings s = {.height = t->sample.height,
                                  .width = t->sample.width,
                                  .codec = trial->codec,
                                  .quality = trial->quality,
                                  .level = (int)t->s->pack.level};
    int rc = pack_sample(t, &s, trial);
    if (rc == 0 && with_dict) {
        rc = train(t, &s, &dict);
        s.dict = dict;
        trial->kept = 0;
        if (rc == 0)
            rc = pack_sample(t, &s, trial);
    }
    if (rc == 0)
        rc = read_back(t, trial);
    fv_dict_close(&dict);
    return rc;
}

/* Where images are too few for a dictionary, with and without one are the same. */
static int is_known(const struct fv_codecs_result *out, const struct fv_codec_trial *trial)
{
    for (const struct fv_codec_trial *t = out->trial; t < trial; t++)
        if (t->codec == trial->codec && t->quality == trial->quality &&
            (t->dict_bytes == 0) == (trial->dict_bytes == 0))
            return 1;
    return 0;
}

static int add_trial(struct trials *t, const struct fv_codec *codec, int quality, int with_dict)
{
    struct fv_codecs_result *out = t->out;
    if (fv_prep_stop)
        return fv_err(FV_EINTR, "interrupted");
    if (out->trials == FV_CODEC_TRIALS_MAX)
        return 0;
    struct fv_codec_trial *trial = &out->trial[out->trials];
    *trial = (struct fv_codec_trial){.codec = codec->name, .quality = quality};
    fv_progress(t->report, &(struct fv_progress){"try", "way", (uint64_t)out->trials,
                                                 (uint64_t)t->ways, NULL});
    FV_TRY(run_trial(t, trial, with_dict));
    out->trials += !is_known(out, trial);
    return 0;
}

/* Each codec with the dictionary that it would have, at each quality; and once the other way. */
static int run_trials(struct trials *t)
{
    for (int c = 0; fv_codecs[c]; c++)
        t->ways += (fv_codecs[c]->quality ? QUALITIES : 1) + 1;
    for (int c = 0; fv_codecs[c]; c++) {
        const struct fv_codec *codec = fv_codecs[c];
        const int dict = codec->shares_headers;
        for (int i = 0; i < (codec->quality ? QUALITIES : 1); i++)
            FV_TRY(add_trial(t, codec, codec->quality ? qualities[i] : 0, dict));
        FV_TRY(add_trial(t, codec, codec->quality, !dict));
    }
    return 0;
}

static int make_folder(struct trials *t)
{
    const char *in = getenv("TMPDIR");
    t->folder = fv_format("%s/fvprep-codecs-XXXXXX", in && *in ? in : "/tmp");
    if (!t->folder)
        return fv_err(FV_ENOMEM, "out of memory");
    if (!mkdtemp(t->folder)) {
        const int rc = fv_err_errno(FV_EIO, "cannot make %s", t->folder);
        free(t->folder);
        t->folder = NULL;
        return rc;
    }
    t->path = fv_format("%s/sample.lmdb", t->folder);
    t->rgb = malloc(image_bytes(t) + FV_DECODE_PAD);
    return t->path && t->rgb ? 0 : fv_err(FV_ENOMEM, "out of memory for an image");
}

int fv_codecs_run(const struct fv_codecs_settings *s, const char *input, const struct fv_report *r,
                  struct fv_codecs_result *out)
{
    struct trials t = {.s = s, .report = r, .out = out};
    *out = (struct fv_codecs_result){0};
    int rc = fv__codecs_sample_take(&t.sample, s, input, r);
    if (rc == 0)
        rc = make_folder(&t);
    if (rc == 0) {
        out->images = t.sample.images;
        out->sampled = t.sample.n;
        out->width = t.sample.width;
        out->height = t.sample.height;
        rc = run_trials(&t);
    }
    if (t.path)
        unlink(t.path);
    if (t.folder)
        rmdir(t.folder);
    fv__codecs_sample_free(&t.sample);
    free(t.folder);
    free(t.path);
    free(t.record);
    free(t.rgb);
    return rc;
}
