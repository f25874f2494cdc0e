/* SPDX-License-Identifier: MIT */
#include "store/frame.h"
#include "common/err.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct fv_frame {
    int level;
    ZSTD_DCtx *d;
    ZSTD_DDict *ddict;
    /* made by the first pack: decoders never need them */
    ZSTD_CCtx *c;
    ZSTD_CDict *cdict;
    struct fv_span dict;
};

static int no_memory(void)
{
    return fv_err(FV_ENOMEM, "out of memory for zstd");
}

static int take_dict(struct fv_frame *f, struct fv_span dict)
{
    if (dict.n == 0)
        return FV_OK;
    if (ZSTD_getDictID_fromDict(dict.p, dict.n) == 0)
        return fv_err(FV_EINVAL, "its dictionary is not one of zstd");
    uint8_t *copy = malloc(dict.n);
    if (!copy)
        return no_memory();
    memcpy(copy, dict.p, dict.n);
    f->dict = (struct fv_span){copy, dict.n};
    f->ddict = ZSTD_createDDict(copy, dict.n);
    return f->ddict ? FV_OK : fv_err(FV_EINVAL, "its zstd dictionary is damaged");
}

int fv__frame_open(struct fv_frame **out, struct fv_span dict, int level)
{
    struct fv_frame *f = calloc(1, sizeof *f);

    *out = NULL;
    if (!f)
        return no_memory();
    f->level = level;
    f->d = ZSTD_createDCtx();
    const int rc = f->d ? take_dict(f, dict) : no_memory();
    if (rc < 0) {
        fv__frame_close(&f);
        return rc;
    }
    *out = f;
    return FV_OK;
}

void fv__frame_close(struct fv_frame **frame)
{
    struct fv_frame *f = *frame;

    if (!f)
        return;
    ZSTD_freeDCtx(f->d);
    ZSTD_freeDDict(f->ddict);
    ZSTD_freeCCtx(f->c);
    ZSTD_freeCDict(f->cdict);
    free((void *)f->dict.p);
    free(f);
    *frame = NULL;
}

size_t fv__frame_bound(size_t content)
{
    return ZSTD_compressBound(content);
}

static int start_packing(struct fv_frame *f)
{
    if (f->dict.n && !f->cdict)
        f->cdict = ZSTD_createCDict(f->dict.p, f->dict.n, f->level);
    if (f->cdict || !f->dict.n)
        f->c = ZSTD_createCCtx();
    return f->c ? FV_OK : no_memory();
}

int fv__frame_pack(struct fv_frame *f, struct fv_span content, uint8_t *dst, size_t *n)
{
    const size_t room = ZSTD_compressBound(content.n);

    if (!f->c)
        FV_TRY(start_packing(f));
    const size_t size =
        f->cdict ? ZSTD_compress_usingCDict(f->c, dst, room, content.p, content.n, f->cdict)
                 : ZSTD_compressCCtx(f->c, dst, room, content.p, content.n, f->level);
    if (ZSTD_isError(size))
        return fv_err(FV_EINVAL, "zstd level %d: %s", f->level, ZSTD_getErrorName(size));
    *n = size;
    return FV_OK;
}

int fv__frame_unpack(struct fv_frame *f, struct fv_span src, uint8_t *content, size_t room,
                     size_t *n)
{
    /* zstd itself would take any number of frames. */
    if (ZSTD_findFrameCompressedSize(src.p, src.n) != src.n)
        return fv_err(FV_ECORRUPT, "the payload is not one zstd frame");
    const size_t size = ZSTD_decompress_usingDDict(f->d, content, room, src.p, src.n, f->ddict);
    if (ZSTD_isError(size))
        return fv_err(FV_ECORRUPT, "zstd: %s", ZSTD_getErrorName(size));
    *n = size;
    return FV_OK;
}
