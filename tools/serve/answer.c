/* SPDX-License-Identifier: MIT */
#include "tools/serve/answer.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/eval/photo_set.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUALITY = 90 };

int answer_picture(const struct fv_store *store, uint64_t image, struct http_photo *jpeg)
{
    const struct fv_store_info *info = fv_store_info(store);
    uint8_t *rgb = malloc((size_t)info->width * (size_t)info->height * 3 + FV_DECODE_PAD);
    struct fv_decoder *d = NULL;

    int rc = rgb ? fv_decoder_open(&d, store) : fv_err(FV_ENOMEM, "out of memory for an image");
    if (rc >= 0)
        rc = fv_decoder_read(d, image, rgb);
    if (rc >= 0)
        rc = fv_jpeg_file_make(&jpeg->p, &jpeg->n, rgb, info->width, info->height, QUALITY);
    fv_decoder_close(&d);
    free(rgb);
    return rc;
}

/* --- from bytes to a set of photos ---------------------------------------------------------------- */

/* Photos as the packer takes them: files. Their names are ours; their formats are found out by their bytes. */
struct files {
    char *folder, *path[HTTP_PHOTOS];
};

static void remove_files(struct files *f)
{
    for (int i = 0; i < HTTP_PHOTOS; i++) {
        if (f->path[i])
            unlink(f->path[i]);
        free(f->path[i]);
    }
    if (f->folder)
        rmdir(f->folder);
    free(f->folder);
    *f = (struct files){0};
}

static int write_files(struct files *f, const struct http_photo *photo, int photos)
{
    const char *tmp = getenv("TMPDIR");

    f->folder = fv_format("%s/fv-serve-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!f->folder)
        return fv_err(FV_ENOMEM, "out of memory");
    if (!mkdtemp(f->folder)) {
        const int rc = fv_err_errno(FV_EIO, "%s: cannot create a temporary folder", f->folder);
        free(f->folder);
        f->folder = NULL;
        return rc;
    }
    for (int i = 0; i < photos; i++) {
        f->path[i] = fv_format("%s/photo%d.jpg", f->folder, i + 1);
        if (!f->path[i])
            return fv_err(FV_ENOMEM, "out of memory");
        FV_TRY(fv_file_write(f->path[i], photo[i].p, photo[i].n));
    }
    return FV_OK;
}

/* "/tmp/fv-serve-x/photo1.jpg: cannot be used: 00000000/photo1.jpg: why" without where it lay. */
static int blame(const struct files *f, int rc)
{
    char why[FV_ERR_TEXT_MAX];

    fv_err_save(why);
    const size_t n = f->folder ? strlen(f->folder) : 0;
    if (n == 0 || strncmp(why, f->folder, n) != 0)
        return rc;
    const char *colon = strstr(why + n, ": "), *again = colon ? strstr(colon, "/photo") : NULL;
    const char *reason = again ? strstr(again, ": ") : NULL;
    if (reason)
        return fv_err(rc, "Photo %c: cannot be used%s", why[n + strlen("/photo")], reason);
    return fv_err(rc, "Photo %c%s", why[n + strlen("/photo")], colon ? colon : "");
}

/* --- the answer ----------------------------------------------------------------------------------- */

static int embed(struct answerer *a, struct fv_store *photos, int n, float *v)
{
    struct eval_images im = {.store = photos};

    int rc = eval_images_want_splits(&im, "all");
    if (rc >= 0 && im.n != (uint32_t)n)
        rc = fv_err(FV_EINVAL, "%u of %d photos can be used", im.n, n);
    if (rc >= 0)
        rc = eval_images_embed(&im, a->net.model, a->net.s->flip, a->net.s->batch, v);
    eval_images_free(&im);
    return rc;
}

static int judge(struct answer *out, struct answerer *a, struct fv_store *photos)
{
    const int dim = fv_model_net(a->net.model)->embedding;
    const size_t d = (size_t)dim;
    float *v = malloc(HTTP_PHOTOS * d * sizeof *v);

    int rc = v ? embed(a, photos, out->photos, v) : fv_err(FV_ENOMEM, "out of memory");
    for (int i = 0; i < out->photos && rc >= 0; i++) {
        rc = nearest_rank(a->near, &a->known, a->emb, v + (size_t)i * d, dim);
        if (rc >= 0)
            rc = answer_picture(photos, (uint64_t)i, &out->picture[i]);
        memcpy(out->near[i], a->near, (size_t)out->top * sizeof *a->near);
    }
    if (rc >= 0) {
        out->score = out->photos == 2 ? fv_score_two(v, v + d, dim) : out->near[0][0].score;
        calibration_judge(&out->meaning, &a->calibration, out->score);
    }
    free(v);
    return rc;
}

int answer_make(struct answer *out, struct answerer *a, const struct http_photo *photo, int photos)
{
    const uint64_t labels = fv_store_info(a->net.store)->labels;
    struct photo_set set = {0};
    struct files f = {0};

    memset(out, 0, sizeof *out);
    out->photos = photos;
    out->top = (uint64_t)a->top < labels ? a->top : (int)labels;
    int rc = write_files(&f, photo, photos);
    if (rc >= 0) {
        rc = photo_set_open(&set, (const char *const *)f.path, photos, a->net.store,
                            fv_model_net(a->net.model)->size, a->aligned);
        if (rc < 0)
            rc = blame(&f, rc);
    }
    if (rc >= 0) {
        memcpy(out->framing, set.framing, sizeof out->framing);
        rc = judge(out, a, set.store);
    }
    photo_set_close(&set);
    remove_files(&f);
    if (rc < 0)
        answer_free(out);
    return rc;
}

void answer_free(struct answer *a)
{
    results_free(&a->meaning);
    for (int i = 0; i < HTTP_PHOTOS; i++)
        free(a->picture[i].p);
    memset(a, 0, sizeof *a);
}
