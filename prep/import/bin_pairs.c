/* SPDX-License-Identifier: MIT */
/* What a pickle must hold to be a list of pairs. Images come as strings (Python 2), as bytes or as numpy arrays
 * of uint8; the answers as a list of truth values or as one array of them.
 */
#include "prep/import/bin_pairs.h"

#include "common/err.h"
#include "prep/import/pickle_numpy.h"

#include <stdlib.h>

static int take_images(struct fv_bin_pairs *out, const struct fv_pickle *p,
                       const struct fv_pickle_value *images, const char *name)
{
    int known = 0; /* whether latin1 is */
    for (uint32_t i = 0; i < 2 * out->pairs; i++) {
        const struct fv_pickle_value *v = fv_pickle_item(p, images, i);
        if (v->kind != FV_PICKLE_BYTES && !(v->kind == FV_PICKLE_ARRAY && v->type == FV_PICKLE_U1))
            return fv_err(FV_ECORRUPT, "%s: image %u is neither bytes nor an array of uint8", name,
                          i);
        out->image[i] = (struct fv_bin_image){v->at, v->n};
        if (v->n == 0)
            continue;
        if (known && out->latin1 != v->latin1)
            return fv_err(FV_ECORRUPT, "%s: image %u is written in another way than those before",
                          name, i);
        out->latin1 = v->latin1;
        known = 1;
    }
    return 0;
}

static int take_answers(struct fv_bin_pairs *out, const struct fv_pickle *p,
                        const struct fv_pickle_value *same, const uint8_t *bytes, const char *name)
{
    for (uint32_t i = 0; i < out->pairs; i++) {
        int64_t answer = -1;
        if (same->kind == FV_PICKLE_ARRAY) {
            answer = bytes[same->at + i];
        } else {
            const struct fv_pickle_value *v = fv_pickle_item(p, same, i);
            if (v->kind == FV_PICKLE_BOOL || v->kind == FV_PICKLE_INT)
                answer = v->number;
        }
        if (answer != 0 && answer != 1)
            return fv_err(FV_ECORRUPT, "%s: the answer of pair %u is neither true nor false", name,
                          i);
        out->same[i] = (uint8_t)answer;
    }
    return 0;
}

static int take_pairs(struct fv_bin_pairs *out, const struct fv_pickle *p, const uint8_t *bytes,
                      const char *name)
{
    const struct fv_pickle_value *top = fv_pickle_top(p);
    if (fv_pickle_count(p, top) != 2)
        return fv_err(FV_ECORRUPT, "%s: is a pickle, but not of two things, images and answers",
                      name);
    const struct fv_pickle_value *images = fv_pickle_item(p, top, 0);
    const struct fv_pickle_value *same = fv_pickle_item(p, top, 1);
    uint64_t n = fv_pickle_count(p, images), answers = fv_pickle_count(p, same);
    if (same->kind == FV_PICKLE_ARRAY && same->type == FV_PICKLE_B1)
        answers = same->n; /* truth values are the same as Latin-1 */
    if (answers == 0 || n != 2 * answers)
        return fv_err(FV_ECORRUPT, "%s: holds %llu images for %llu answers, not two for each", name,
                      (unsigned long long)n, (unsigned long long)answers);
    out->pairs = (size_t)answers;
    out->image = malloc(2 * out->pairs * sizeof *out->image);
    out->same = malloc(out->pairs);
    if (!out->image || !out->same)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", out->pairs);
    FV_TRY(take_images(out, p, images, name));
    return take_answers(out, p, same, bytes, name);
}

int fv__bin_parse(struct fv_bin_pairs *out, const uint8_t *bytes, size_t n, const char *name)
{
    struct fv_pickle p;
    *out = (struct fv_bin_pairs){0};
    FV_TRY(fv_pickle_read(&p, &fv__pickle_numpy, bytes, n, name));
    int rc = take_pairs(out, &p, bytes, name);
    fv_pickle_free(&p);
    if (rc < 0)
        fv__bin_free(out);
    return rc;
}

void fv__bin_free(struct fv_bin_pairs *b)
{
    free(b->image);
    free(b->same);
    *b = (struct fv_bin_pairs){0};
}

long long fv__bin_from_latin1(uint8_t *p, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < 0x80) {
            p[to++] = p[i];
            continue;
        }
        /* U+0080 to U+00FF: C2 or C3, then the low six bits */
        if ((p[i] != 0xc2 && p[i] != 0xc3) || i + 1 == n || (p[i + 1] & 0xc0) != 0x80)
            return -1;
        p[to++] = (uint8_t)((p[i] & 3) << 6 | (p[i + 1] & 0x3f));
        i++;
    }
    return (long long)to;
}
