/* SPDX-License-Identifier: MIT */
/* The digested dictionary, and its training.
 *
 * Eight KiB are enough: a JPEG file of faces repeats its tables and nothing else, and more samples or more room gave
 * nothing further. Of large contents the beginning is enough, too: the time that training takes grows with them.
 * Trained on less data than a dictionary is worth, it would grow the file: no training then.
 */
#include "store/dict.h"
#include "common/err.h"
#include "store/buffer.h"
#include "store/frame.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <zdict.h>
#include <zstd.h>

enum {
    DICT_BYTES = 8192,
    DICT_BYTES_MIN = 512,
    SAMPLE_BYTES = 16384,
    BYTES_PER_DICT_BYTE = 16, /* of samples */
};

struct fv_dict {
    struct fv_span bytes;
    ZSTD_CDict *pack;
    ZSTD_DDict *unpack;
};

static int no_memory(void)
{
    return fv_err(FV_ENOMEM, "out of memory for a dictionary");
}

static int digest(struct fv_dict *d, const void *bytes, size_t n, int level)
{
    uint8_t *copy = malloc(n ? n : 1);

    if (!copy)
        return no_memory();
    if (n)
        memcpy(copy, bytes, n);
    d->bytes = (struct fv_span){copy, n};
    /* zstd takes any bytes for a dictionary without an id, which no frame could be checked against. */
    if (ZSTD_getDictID_fromDict(copy, n) == 0)
        return fv_err(FV_ECORRUPT, "%zu bytes that are no zstd dictionary", n);
    d->unpack = ZSTD_createDDict(copy, n);
    if (level > 0)
        d->pack = ZSTD_createCDict(copy, n, level);
    return d->unpack && (d->pack || level == 0)
               ? FV_OK
               : fv_err(FV_ECORRUPT, "a zstd dictionary that is damaged");
}

int fv_dict_open(struct fv_dict **out, const void *bytes, size_t n, int level)
{
    struct fv_dict *d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d)
        return no_memory();
    const int rc = digest(d, bytes, n, level);
    if (rc < 0) {
        fv_dict_close(&d);
        return rc;
    }
    *out = d;
    return FV_OK;
}

void fv_dict_close(struct fv_dict **dict)
{
    struct fv_dict *d = *dict;

    if (!d)
        return;
    ZSTD_freeCDict(d->pack);
    ZSTD_freeDDict(d->unpack);
    free((void *)d->bytes.p);
    free(d);
    *dict = NULL;
}

struct fv_span fv__dict_bytes(const struct fv_dict *d)
{
    return d ? d->bytes : (struct fv_span){NULL, 0};
}

unsigned fv__dict_id(const struct fv_dict *d)
{
    return ZSTD_getDictID_fromDict(d->bytes.p, d->bytes.n);
}

const struct ZSTD_CDict_s *fv__dict_pack(const struct fv_dict *d)
{
    return d->pack;
}

const struct ZSTD_DDict_s *fv__dict_unpack(const struct fv_dict *d)
{
    return d ? d->unpack : NULL;
}

/* --- training ------------------------------------------------------------------------------------- */

struct fv_dict_samples {
    struct fv_frame *frame;
    struct fv_buffer content, size; /* back to back; as size_t */
};

int fv_dict_samples_open(struct fv_dict_samples **out)
{
    struct fv_dict_samples *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return no_memory();
    const int rc = fv__frame_open(&s->frame, 0);
    if (rc < 0) {
        fv_dict_samples_close(&s);
        return rc;
    }
    *out = s;
    return FV_OK;
}

void fv_dict_samples_close(struct fv_dict_samples **s)
{
    if (!*s)
        return;
    fv__frame_close(&(*s)->frame);
    fv__buffer_free(&(*s)->content);
    fv__buffer_free(&(*s)->size);
    free(*s);
    *s = NULL;
}

int fv_dict_samples_add(struct fv_dict_samples *s, const uint8_t *record, size_t n)
{
    struct fv_record r;
    size_t size;

    FV_TRY(fv__record_parse(record, n, &r));
    const struct fv_span payload = {r.payload, r.payload_bytes};
    const size_t room = fv__frame_content(payload);
    uint8_t *content = malloc(room ? room : 1);
    if (!content)
        return no_memory();
    int rc = fv__frame_unpack(s->frame, NULL, payload, content, room, &size);
    if (rc >= 0 && size > SAMPLE_BYTES)
        size = SAMPLE_BYTES;
    if (rc >= 0)
        rc = fv__buffer_append(&s->content, content, size);
    if (rc >= 0)
        rc = fv__buffer_append(&s->size, &size, sizeof size);
    free(content);
    return rc;
}

int fv_dict_train(struct fv_dict **out, const struct fv_dict_samples *s, int level)
{
    uint8_t bytes[DICT_BYTES];
    const size_t most = s->content.n / BYTES_PER_DICT_BYTE;
    const size_t room = most < DICT_BYTES ? most : DICT_BYTES;

    *out = NULL;
    if (room < DICT_BYTES_MIN)
        return 1;
    const size_t n = ZDICT_trainFromBuffer(bytes, room, s->content.p, (const size_t *)s->size.p,
                                           (unsigned)(s->size.n / sizeof(size_t)));
    if (ZDICT_isError(n)) /* too few samples, or nothing that they share */
        return 1;
    return fv_dict_open(out, bytes, n, level);
}
