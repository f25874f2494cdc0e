/* SPDX-License-Identifier: MIT */
/* fvprep export: image files are made on all threads, and laid out in order by one of them into a folder that
 * appears only when all is in it. So the result does not depend on the number of threads.
 */
#include "prep/export/export.h"

#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/rng.h"
#include "prep/export/new_folder.h"
#include "prep/pack/ordered.h"
#include "store/coder.h"

#include <stdlib.h>
#include <string.h>

struct exporting {
    struct fv_export e;
    struct fv_store *store;
    const struct fv_export_format *format;
    const struct fv_image_file *file;
    int as_it_is; /* contents are such files already */
    struct fv_new_folder folder;
    void *ctx;       /* the format's */
    uint32_t *image; /* which ones, in their order */
    uint64_t images;
    uint64_t put[FV_SPLITS];
    struct fv_export_result *result;
};

/* --- which images --------------------------------------------------------------------------------- */

/* FV_SPLITS for all; FV_EUSAGE for an unknown name. */
static int split_of(const char *name)
{
    if (strcmp(name, "all") == 0)
        return FV_SPLITS;
    for (int i = 0; i < FV_SPLITS; i++)
        if (strcmp(fv_split_names[i], name) == 0)
            return i;
    return fv_err(FV_EUSAGE, "--split: unknown split '%s': valid are all, train, val, holdout",
                  name);
}

static void shuffle(struct exporting *x, const uint32_t *chosen)
{
    for (uint64_t i = 0; i < x->images; i++)
        x->image[i] = chosen[fv_rng_permute((uint64_t)x->e.s->seed, 0, x->images, i)];
}

static int choose_images(struct exporting *x)
{
    const uint64_t n = fv_store_info(x->store)->images;
    const int split = split_of(x->e.s->split);
    struct fv_store_image im;
    FV_TRY(split);
    uint32_t *chosen = malloc(n * sizeof *chosen);
    x->image = malloc(n * sizeof *x->image);
    int rc = chosen && x->image ? 0 : fv_err(FV_ENOMEM, "out of memory for a list of images");
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        rc = fv_store_image(x->store, i, &im);
        if (rc == 0 && (split == FV_SPLITS || (int)im.split == split)) {
            chosen[x->images++] = (uint32_t)i;
            x->e.images[im.split]++;
        }
    }
    if (rc == 0 && x->images == 0)
        rc = fv_err(FV_ENOTFOUND, "%s: has no image in split %s", fv_store_path(x->store),
                    x->e.s->split);
    if (rc == 0 && x->e.s->shuffle)
        shuffle(x, chosen);
    else if (rc == 0)
        memcpy(x->image, chosen, x->images * sizeof *chosen);
    free(chosen);
    return rc;
}

/* --- their files ---------------------------------------------------------------------------------- */

struct hand {
    const struct fv_image_file *file;
    struct fv_decoder *decoder;
    void *ctx;
    uint8_t *rgb;
};

static int open_hand(void *ctx, void **out)
{
    const struct exporting *x = ctx;
    const struct fv_store_info *info = fv_store_info(x->store);
    struct hand *h = calloc(1, sizeof *h);
    if (!(*out = h))
        return fv_err(FV_ENOMEM, "out of memory");
    h->file = x->file;
    h->rgb = malloc((size_t)info->height * (size_t)info->width * 3 + FV_DECODE_PAD);
    if (!h->rgb)
        return fv_err(FV_ENOMEM, "out of memory for an image");
    FV_TRY(fv_decoder_open(&h->decoder, x->store));
    return h->file->open(&h->ctx, info->width, info->height, (int)x->e.s->quality);
}

static void close_hand(void *hand)
{
    struct hand *h = hand;
    if (!h)
        return;
    h->file->close(h->ctx);
    fv_decoder_close(&h->decoder);
    free(h->rgb);
    free(h);
}

static int make_file(void *ctx, void *hand, uint64_t job, void *slot)
{
    const struct exporting *x = ctx;
    struct hand *h = hand;
    struct fv_buffer *file = slot;
    struct fv_span content;
    if (!x->as_it_is) {
        FV_TRY(fv__decoder_prove(h->decoder, x->image[job], h->rgb));
        return h->file->encode(h->ctx, h->rgb, file);
    }
    FV_TRY(fv__decoder_content(h->decoder, x->image[job], &content));
    file->n = 0;
    return fv__buffer_append(file, content.p, content.n);
}

static void close_slot(void *slot)
{
    fv__buffer_free(slot);
}

static int put_file(void *ctx, uint64_t job, void *slot)
{
    struct exporting *x = ctx;
    struct fv_export_image im = {.image = x->image[job], .file = fv__buffer_view(slot)};
    struct fv_store_label label;
    FV_TRY(fv_store_image(x->store, im.image, &im.is));
    FV_TRY(fv_store_label(x->store, im.is.label, &label));
    im.identity = label.name;
    im.nth = x->put[im.is.split]++;
    FV_TRY(x->format->put(x->ctx, &im));
    x->result->images++;
    x->result->image_bytes += im.file.n;
    fv_progress(x->e.report, &(struct fv_progress){"export", "img", job + 1, x->images, ""});
    return 0;
}

/* --- one run -------------------------------------------------------------------------------------- */

static int check_options(const struct fv_export_format *f, const struct fv_export_settings *s)
{
    const struct {
        const char *name;
        int given, taken;
    } option[] = {{"--flat", s->flat, f->takes_flat},
                  {"--shuffle", s->shuffle, f->takes_shuffle},
                  {"--shard-bytes", s->shard_bytes != 0, f->takes_shard_bytes}};
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        if (option[i].given && !option[i].taken)
            return fv_err(FV_EUSAGE, "%s: does not go with --format %s", option[i].name, f->name);
    return 0;
}

static int find_format(struct exporting *x)
{
    char valid[128] = "";
    for (int i = 0; fv_export_formats[i]; i++) {
        x->format = fv_export_formats[i];
        if (strcmp(x->format->name, x->e.s->format) == 0)
            return check_options(x->format, x->e.s);
        size_t n = strlen(valid);
        snprintf(valid + n, sizeof valid - n, "%s%s", n ? ", " : "", x->format->name);
    }
    return fv_err(FV_EUSAGE, "--format: unknown format '%s': valid are %s", x->e.s->format, valid);
}

/* "auto" is what the contents are already, else the first row. */
static int find_image_file(struct exporting *x)
{
    char valid[128] = "auto";
    const char *name = x->e.s->image, *codec = fv_store_info(x->store)->codec;
    const int is_auto = strcmp(name, "auto") == 0;
    x->file = NULL;
    for (int i = 0; fv_image_files[i]; i++) {
        const struct fv_image_file *f = fv_image_files[i];
        if (strcmp(f->name, is_auto ? codec : name) == 0)
            x->file = f;
        size_t n = strlen(valid);
        snprintf(valid + n, sizeof valid - n, ", %s", f->name);
    }
    if (!x->file && is_auto)
        x->file = fv_image_files[0];
    if (!x->file)
        return fv_err(FV_EUSAGE, "--image: unknown kind '%s': valid are %s", name, valid);
    x->as_it_is = strcmp(x->file->name, codec) == 0;
    x->e.suffix = x->file->suffix;
    if (x->e.s->quality && x->as_it_is)
        return fv_err(FV_EUSAGE, "--quality: this set holds its %s files as they are",
                      x->file->name);
    if (x->e.s->quality && !x->file->takes_quality)
        return fv_err(FV_EUSAGE, "--quality: %s files have none", x->file->name);
    return 0;
}

static int export_all(struct exporting *x)
{
    const struct fv_ordered job = {
        .jobs = x->images,
        .threads = x->e.s->threads > 0 ? (int)x->e.s->threads : fv_cpu_count(),
        .ctx = x,
        .open_hand = open_hand,
        .close_hand = close_hand,
        .work = make_file,
        .sink = put_file,
        .close_slot = close_slot,
        .slot_bytes = sizeof(struct fv_buffer),
    };
    FV_TRY(fv__new_folder_open(&x->folder, x->e.s->output));
    x->e.folder = x->folder.part;
    int rc = x->format->open(&x->ctx, &x->e);
    if (rc >= 0)
        rc = fv__ordered_run(&job);
    if (rc >= 0)
        rc = x->format->finish(x->ctx);
    x->format->close(x->ctx);
    return rc < 0 ? rc : fv__new_folder_commit(&x->folder);
}

int fv_export_run(const struct fv_export_settings *s, const char *store, const struct fv_report *r,
                  struct fv_export_result *out)
{
    uint64_t start_ns = fv_now_ns();
    struct exporting x = {.e = {.s = s, .report = r}, .result = out};
    *out = (struct fv_export_result){0};
    int rc = find_format(&x);
    if (rc == 0)
        rc = fv_store_open(&x.store, store);
    x.e.store = x.store;
    if (rc == 0)
        rc = find_image_file(&x);
    if (rc == 0)
        rc = choose_images(&x);
    if (rc == 0)
        rc = export_all(&x);
    out->kind = x.file ? x.file->name : NULL;
    fv__new_folder_close(&x.folder);
    fv_store_close(&x.store);
    free(x.image);
    out->seconds = (double)(fv_now_ns() - start_ns) * 1e-9;
    return rc;
}
