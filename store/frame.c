/* SPDX-License-Identifier: MIT */
#include "store/frame.h"
#include "common/err.h"

#include <stdlib.h>
#include <zstd.h>

struct fv_frame {
    int level;
    ZSTD_DCtx *d;
    ZSTD_CCtx *c; /* made by the first pack: decoders never need it */
};

static int no_memory(void)
{
    return fv_err(FV_ENOMEM, "out of memory for zstd");
}

int fv__frame_open(struct fv_frame **out, int level)
{
    struct fv_frame *f = calloc(1, sizeof *f);

    *out = NULL;
    if (!f)
        return no_memory();
    f->level = level;
    f->d = ZSTD_createDCtx();
    if (!f->d) {
        fv__frame_close(&f);
        return no_memory();
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
    ZSTD_freeCCtx(f->c);
    free(f);
    *frame = NULL;
}

size_t fv__frame_bound(size_t content)
{
    return ZSTD_compressBound(content);
}

int fv__frame_pack(struct fv_frame *f, const struct fv_dict *dict, struct fv_span content,
                   uint8_t *dst, size_t *n)
{
    const size_t room = ZSTD_compressBound(content.n);

    if (!f->c && !(f->c = ZSTD_createCCtx()))
        return no_memory();
    const size_t size =
        dict ? ZSTD_compress_usingCDict(f->c, dst, room, content.p, content.n, fv__dict_pack(dict))
             : ZSTD_compressCCtx(f->c, dst, room, content.p, content.n, f->level);
    if (ZSTD_isError(size))
        return fv_err(FV_EINVAL, "zstd level %d: %s", f->level, ZSTD_getErrorName(size));
    *n = size;
    return FV_OK;
}

size_t fv__frame_content(struct fv_span src)
{
    const unsigned long long n = ZSTD_getFrameContentSize(src.p, src.n);

    return n == ZSTD_CONTENTSIZE_UNKNOWN || n == ZSTD_CONTENTSIZE_ERROR ? 0 : (size_t)n;
}

int fv__frame_unpack(struct fv_frame *f, const struct fv_dict *dict, struct fv_span src,
                     uint8_t *content, size_t room, size_t *n)
{
    /* zstd itself would take any number of frames. */
    if (ZSTD_findFrameCompressedSize(src.p, src.n) != src.n)
        return fv_err(FV_ECORRUPT, "the payload is not one zstd frame");
    /* Without a dictionary zstd refuses a frame that names one; the other way round it would not. */
    if (dict && ZSTD_getDictID_fromFrame(src.p, src.n) != fv__dict_id(dict))
        return fv_err(FV_ECORRUPT, "the payload was made with another dictionary");
    const size_t size =
        ZSTD_decompress_usingDDict(f->d, content, room, src.p, src.n, fv__dict_unpack(dict));
    if (ZSTD_isError(size))
        return fv_err(FV_ECORRUPT, "zstd: %s", ZSTD_getErrorName(size));
    *n = size;
    return FV_OK;
}
