/* SPDX-License-Identifier: MIT */
/* The digest of a checkpoint: safetensors has no checksum, and a flipped bit in a weight would be a weight.
 *
 * XXH3, 128 bits, over every metadata key and value but the digest's own and over every tensor's name, type, shape
 * and data, in the file's order. It guards against accidents, not against people.
 */
#include "trainer/run/snapshot.h"

#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char digest_key[] = "digest";

/* With its end, so that no two lists of texts are the same bytes. */
static void add_text(XXH3_state_t *x, const char *text)
{
    XXH3_128bits_update(x, text, strlen(text) + 1);
}

static void add_tensor(XXH3_state_t *x, const struct fv_st_tensor *t)
{
    unsigned char number[8];
    add_text(x, t->name);
    add_text(x, t->dtype);
    for (int i = 0; i <= t->ndim; i++) {
        const uint64_t v = i < t->ndim ? (uint64_t)t->dim[i] : (uint64_t)t->ndim;
        for (int b = 0; b < 8; b++)
            number[b] = (unsigned char)(v >> 8 * b);
        XXH3_128bits_update(x, number, sizeof number);
    }
    if (t->bytes > 0)
        XXH3_128bits_update(x, t->data, t->bytes);
}

int fv__snapshot_digest(const struct fv_st_tensor *t, int tensors, const struct fv_st_meta *m,
                        int metas, char out[FV_SNAPSHOT_DIGEST])
{
    XXH3_state_t *x = XXH3_createState();
    if (!x)
        return fv_err(FV_ENOMEM, "out of memory");
    XXH3_128bits_reset(x);
    for (int i = 0; i < metas; i++)
        if (strcmp(m[i].key, digest_key) != 0) {
            add_text(x, m[i].key);
            add_text(x, m[i].value);
        }
    for (int i = 0; i < tensors; i++)
        add_tensor(x, &t[i]);
    const XXH128_hash_t h = XXH3_128bits_digest(x);
    XXH3_freeState(x);
    snprintf(out, FV_SNAPSHOT_DIGEST, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    return 0;
}

int fv__snapshot_digest_of(const struct fv_st *st, char out[FV_SNAPSHOT_DIGEST])
{
    int tensors = 0, metas = 0, rc = FV_ENOMEM;
    struct fv_st_tensor any, *t;
    struct fv_st_meta *m;
    while (fv_st_tensor_at(st, tensors, &any) == 0)
        tensors++;
    while (fv_st_meta_at(st, metas, &(struct fv_st_meta){0}) == 0)
        metas++;
    t = calloc((size_t)tensors + 1, sizeof *t);
    m = calloc((size_t)metas + 1, sizeof *m);
    for (int i = 0; t && i < tensors; i++)
        fv_st_tensor_at(st, i, &t[i]);
    for (int i = 0; m && i < metas; i++)
        fv_st_meta_at(st, i, &m[i]);
    if (t && m)
        rc = fv__snapshot_digest(t, tensors, m, metas, out);
    free(t);
    free(m);
    return rc < 0 ? fv_err(rc, "out of memory") : 0;
}

int fv__snapshot_verify(const struct fv_st *st, const char *path)
{
    char is[FV_SNAPSHOT_DIGEST];
    const char *was, *version;
    FV_TRY(fv__snapshot_text(st, path, "fv_checkpoint", &version));
    if (strcmp(version, "1") == 0) /* had none */
        return 0;
    FV_TRY(fv__snapshot_text(st, path, digest_key, &was));
    FV_TRY(fv__snapshot_digest_of(st, is));
    if (strcmp(was, is) == 0)
        return 0;
    return fv_err(FV_ECORRUPT,
                  "%s: is damaged, or was altered after fvtrain had written it (digest %s, not the "
                  "%.32s that it names): take another copy or checkpoint",
                  path, is, was);
}
