/* SPDX-License-Identifier: MIT */
/* Files are read by pread, not mapped: one that is cut while we read is then an error and not a signal. */
#include "prep/import/recordio.h"

#include "common/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OLD_MAGIC 0x3ed7230au /* of the first versions, with another split of the length field */

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* n bytes at `at`, which lie within the source. 1 when they do not any more. */
static int read_at(const struct fv_rec_source *s, uint64_t at, uint8_t *to, size_t n)
{
    if (s->memory) {
        memcpy(to, s->memory + at, n);
        return 0;
    }
    while (n) {
        ssize_t k = pread(s->fd, to, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fv_err_errno(FV_EIO, "cannot read the container at byte %llu",
                                (unsigned long long)at);
        if (k == 0)
            return 1;
        to += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return 0;
}

static int damaged(struct fv_rec *rec, const char *why)
{
    rec->why = why;
    return 1;
}

/* What the head of a part must be, and its length. */
static int check_part(const struct fv_rec_source *s, uint64_t at, const uint8_t head[8], int first,
                      uint32_t *length, int *last, struct fv_rec *rec)
{
    uint32_t magic = get32(head), cflag = get32(head + 4) >> 29;
    *length = get32(head + 4) & ((1u << 29) - 1);
    *last = cflag == 0 || cflag == 3;
    if (magic == OLD_MAGIC)
        return damaged(rec, "is of RecordIO's first version, which is not read");
    if (magic != FV_REC_MAGIC)
        return damaged(rec, "does not begin with the magic number");
    if (cflag > 3)
        return damaged(rec, "is of an unknown kind");
    if (first && cflag > 1)
        return damaged(rec, "is the rest of one whose beginning is missing");
    if (!first && cflag < 2)
        return damaged(rec, "lacks its last part");
    if (*length > s->bytes - at - FV_REC_HEADER)
        return damaged(rec, "is longer than the file");
    return 0;
}

static int make_room(uint8_t **buf, size_t *room, size_t n)
{
    if (n <= *room)
        return 0;
    uint8_t *more = realloc(*buf, n);
    if (!more)
        return fv_err(FV_ENOMEM, "out of memory for a record of %zu bytes", n);
    *buf = more;
    *room = n;
    return 0;
}

/* As many of n bytes at `at` as are wanted, behind the rec->bytes of the payload that came before. */
static int take(const struct fv_rec_source *s, uint64_t at, size_t n, size_t want, uint8_t **buf,
                size_t *room, struct fv_rec *rec)
{
    size_t have = (size_t)rec->bytes, left = have < want ? want - have : 0;
    n = n < left ? n : left;
    FV_TRY(make_room(buf, room, have + n));
    return n ? read_at(s, at, *buf + have, n) : 0;
}

int fv__rec_read(const struct fv_rec_source *s, uint64_t at, size_t want, uint8_t **buf,
                 size_t *room, struct fv_rec *rec)
{
    const struct fv_rec_source magic = {-1, (const uint8_t *)"\x0a\x23\xd7\xce", 4};
    uint8_t head[FV_REC_HEADER];
    *rec = (struct fv_rec){.end = at};
    for (int last = 0, first = 1; !last; first = 0) {
        uint32_t n;
        if (rec->end > s->bytes || s->bytes - rec->end < FV_REC_HEADER)
            return damaged(rec, first ? "lies beyond the end of the file" : "lacks its last part");
        int rc = read_at(s, rec->end, head, sizeof head);
        if (rc == 0)
            rc = check_part(s, rec->end, head, first, &n, &last, rec);
        if (rc == 0 && !first) { /* what was cut out */
            rc = take(&magic, 0, 4, want, buf, room, rec);
            rec->bytes += 4;
        }
        if (rc == 0 && rec->bytes + n > FV_REC_MAX_BYTES)
            return damaged(rec, "has more bytes than a photo may have");
        if (rc == 0)
            rc = take(s, rec->end + FV_REC_HEADER, n, want, buf, room, rec);
        if (rc)
            return rc < 0 || rec->why ? rc : damaged(rec, "lies beyond the end of the file");
        rec->bytes += n;
        rec->end += FV_REC_HEADER + (((uint64_t)n + 3) & ~(uint64_t)3);
    }
    return 0;
}

int fv__rec_resync(const struct fv_rec_source *s, uint64_t at, uint64_t *found)
{
    uint8_t block[16384 + FV_REC_HEADER];
    *found = s->bytes;
    for (at = (at + 3) & ~(uint64_t)3; at < s->bytes && s->bytes - at >= FV_REC_HEADER;) {
        uint64_t left = s->bytes - at;
        size_t n = left < sizeof block ? (size_t)left : sizeof block;
        int rc = read_at(s, at, block, n);
        if (rc)
            return rc < 0 ? rc : 0;
        size_t i = 0;
        for (; i + FV_REC_HEADER <= n; i += 4)
            if (get32(block + i) == FV_REC_MAGIC && get32(block + i + 4) >> 29 <= 1) {
                *found = at + i;
                return 0;
            }
        at += i;
    }
    return 0;
}

int fv__rec_parse(struct fv_rec_image *out, const uint8_t *p, size_t have, uint64_t bytes)
{
    if (have < FV_REC_PAYLOAD_HEADER || bytes < have)
        return 0;
    *out = (struct fv_rec_image){.flag = get32(p)};
    if (out->flag > (bytes - FV_REC_PAYLOAD_HEADER) / 4)
        return 0;
    if (out->flag && have < FV_REC_LABEL_BYTES)
        return 0;
    uint32_t bits = get32(p + (out->flag ? FV_REC_PAYLOAD_HEADER : 4));
    memcpy(&out->label, &bits, 4);
    out->id = get32(p + 8) | (uint64_t)get32(p + 12) << 32;
    out->body = FV_REC_PAYLOAD_HEADER + (size_t)out->flag * 4;
    return 1;
}
