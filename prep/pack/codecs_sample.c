/* SPDX-License-Identifier: MIT */
#include "prep/pack/codecs_sample.h"

#include "common/err.h"
#include "prep/import/importer.h"
#include "prep/pack/pack_opts.h"
#include "prep/photo/photo.h"
#include "store/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of pixels in memory. */
#define BYTES_MAX ((size_t)512 << 20)

static size_t image_bytes(const struct fv_codecs_sample *s)
{
    return (size_t)s->width * (size_t)s->height * 3;
}

/* Room for `wanted` images, or for as many as may be. */
static int reserve(struct fv_codecs_sample *s, uint64_t wanted, size_t *most)
{
    const size_t fit = BYTES_MAX / image_bytes(s);
    *most = wanted < fit ? (size_t)wanted : fit ? fit : 1;
    s->rgb = malloc(*most * image_bytes(s) + FV_DECODE_PAD);
    s->file = calloc(*most, sizeof *s->file);
    return s->rgb && s->file ? 0 : fv_err(FV_ENOMEM, "out of memory for %zu images", *most);
}

static int interrupted(const struct fv_report *r, size_t done, size_t of)
{
    fv_progress(r, &(struct fv_progress){"read", "img", done, of, NULL});
    return fv_prep_stop ? fv_err(FV_EINTR, "interrupted") : 0;
}

/* --- photos --------------------------------------------------------------------------------------- */

static int keep_file(struct fv_codecs_sample *s, const uint8_t *bytes, size_t n)
{
    struct fv_codecs_file *f = &s->file[s->n];
    if (!(f->p = malloc(n)))
        return fv_err(FV_ENOMEM, "out of memory for a photo of %zu bytes", n);
    memcpy(f->p, bytes, n);
    f->n = n;
    return 0;
}

/* 1 when the photo was refused. */
static int take_photo(struct fv_codecs_sample *s, struct fv_photo *photo,
                      const struct fv_listing *l, const struct fv_listed_photo *listed)
{
    struct fv_refusal why;
    uint8_t *bytes = NULL;
    size_t room = 0, n = 0;
    int rc = fv__import_read(l, listed, &bytes, &room, &n, &why);
    if (rc == 0)
        rc = fv__photo_decode(photo, bytes, n, fv__listing_face(l, listed),
                              s->rgb + s->n * image_bytes(s), &why);
    if (rc == 0 && fv__photo_is_finished_jpeg(photo))
        rc = keep_file(s, bytes, n);
    free(bytes);
    s->n += rc == 0;
    return rc;
}

static int take_photos(struct fv_codecs_sample *s, const struct fv_listing *l,
                       struct fv_photo *photo, uint64_t wanted, const struct fv_report *r)
{
    size_t most;
    FV_TRY(reserve(s, wanted < l->photos ? wanted : l->photos, &most));
    for (size_t i = 0; i < most; i++) {
        FV_TRY(interrupted(r, i, most));
        FV_TRY(take_photo(s, photo, l, &l->photo[(uint64_t)i * l->photos / most]));
    }
    if (s->n == 0)
        return fv_err(FV_ENOTFOUND, "'%s' holds no usable photo among %zu", l->root, most);
    s->images = (uint64_t)((double)l->photos * (double)s->n / (double)most + 0.5);
    return 0;
}

static int sample_photos(struct fv_codecs_sample *s, const struct fv_codecs_settings *settings,
                         const char *input, const struct fv_report *r)
{
    const struct fv_import_settings import = fv__import_settings_of(&settings->pack);
    struct fv_pack_settings pack = settings->pack;
    struct fv_listing listing = {0};
    struct fv_framing framing;
    struct fv_photo *photo = NULL;
    FV_TRY(fv__framing_of(&pack, &framing));
    s->width = s->height = framing.size;
    int rc = fv__import(&listing, input, &import, r);
    if (rc == 0)
        rc = fv__photo_open(&photo, &framing);
    if (rc == 0)
        rc = take_photos(s, &listing, photo, (uint64_t)settings->sample, r);
    fv__photo_close(&photo);
    fv__listing_free(&listing);
    return rc;
}

/* --- a data set ----------------------------------------------------------------------------------- */

/* LMDB's magic number stands behind the head of its first page. */
static int is_data_set(const char *path)
{
    static const uint8_t magic[] = {0xDE, 0xC0, 0xEF, 0xBE};
    uint8_t head[20] = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    const ssize_t n = read(fd, head, sizeof head);
    close(fd);
    return n == (ssize_t)sizeof head && memcmp(head + 16, magic, sizeof magic) == 0;
}

static int take_images(struct fv_codecs_sample *s, const struct fv_store *store, uint64_t wanted,
                       const struct fv_report *r)
{
    const struct fv_store_info *info = fv_store_info(store);
    struct fv_decoder *d;
    size_t most;
    s->width = info->width;
    s->height = info->height;
    s->images = info->images;
    FV_TRY(reserve(s, wanted < info->images ? wanted : info->images, &most));
    FV_TRY(fv_decoder_open(&d, store));
    int rc = 0;
    for (; rc == 0 && s->n < most; s->n += rc == 0) {
        rc = interrupted(r, s->n, most);
        if (rc == 0)
            rc = fv_decoder_read(d, s->n * info->images / most, s->rgb + s->n * image_bytes(s));
    }
    fv_decoder_close(&d);
    return rc;
}

/* Its images are what they are: options that would frame photos have nothing to say. */
static int refuse_framing(const struct fv_codecs_settings *s, const char *path)
{
    struct fv_codecs_settings given = *s, none;
    fv_codecs_defaults(&none);
    none.pack.level = s->pack.level;
    none.sample = s->sample;
    char *a = fv_opt_write_text(&(struct fv_opt_group){"", fv_codecs_opts(), &given}, 1),
         *b = fv_opt_write_text(&(struct fv_opt_group){"", fv_codecs_opts(), &none}, 1);
    const int same = a && b && strcmp(a, b) == 0;
    free(a);
    free(b);
    return same ? 0
                : fv_err(FV_EUSAGE,
                         "%s is a data set: --size and other options on photos do not apply", path);
}

static int sample_store(struct fv_codecs_sample *s, const struct fv_codecs_settings *settings,
                        const char *input, const struct fv_report *r)
{
    struct fv_store *store;
    FV_TRY(refuse_framing(settings, input));
    FV_TRY(fv_store_open(&store, input));
    const int rc = take_images(s, store, (uint64_t)settings->sample, r);
    fv_store_close(&store);
    return rc;
}

/* --- either --------------------------------------------------------------------------------------- */

int fv__codecs_sample_take(struct fv_codecs_sample *out, const struct fv_codecs_settings *s,
                           const char *input, const struct fv_report *r)
{
    *out = (struct fv_codecs_sample){0};
    return is_data_set(input) ? sample_store(out, s, input, r) : sample_photos(out, s, input, r);
}

void fv__codecs_sample_free(struct fv_codecs_sample *s)
{
    for (size_t i = 0; s->file && i < s->n; i++)
        free(s->file[i].p);
    free(s->file);
    free(s->rgb);
    *s = (struct fv_codecs_sample){0};
}
