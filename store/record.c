/* SPDX-License-Identifier: MIT */
#include "store/record.h"
#include "common/err.h"

#include <string.h>
#include <xxhash.h>

uint16_t fv__get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t fv__get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t fv__get64(const uint8_t *p)
{
    return fv__get32(p) | (uint64_t)fv__get32(p + 4) << 32;
}

void fv__put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void fv__put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

void fv__put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

void fv__record_seal(uint8_t *record, const struct fv_record *r)
{
    fv__put64(record + 8, r->content);
    fv__put32(record + 16, r->payload_bytes);
    fv__put16(record + 20, (uint16_t)r->width);
    fv__put16(record + 22, (uint16_t)r->height);
    record[24] = (uint8_t)r->codec;
    memset(record + 25, 0, 3);
    fv__put64(record, XXH3_64bits(record + 8, FV_RECORD_HEADER - 8 + (size_t)r->payload_bytes));
}

uint64_t fv__record_bytes(const uint8_t *record)
{
    return FV_RECORD_HEADER + (uint64_t)fv__get32(record + 16);
}

int fv__record_parse(const uint8_t *p, size_t n, struct fv_record *out)
{
    if (n < FV_RECORD_HEADER)
        return fv_err(FV_ECORRUPT, "record of %zu bytes is shorter than its header", n);
    const uint32_t payload = fv__get32(p + 16);
    if (payload != n - FV_RECORD_HEADER)
        return fv_err(FV_ECORRUPT, "record says %u bytes of payload and has %zu", payload,
                      n - FV_RECORD_HEADER);
    if (XXH3_64bits(p + 8, n - 8) != fv__get64(p))
        return fv_err(FV_ECORRUPT, "checksum does not match");
    *out = (struct fv_record){
        .content = fv__get64(p + 8),
        .width = fv__get16(p + 20),
        .height = fv__get16(p + 22),
        .codec = p[24],
        .payload = p + FV_RECORD_HEADER,
        .payload_bytes = payload,
    };
    return FV_OK;
}

uint64_t fv__content_hash(const uint8_t *p, size_t n)
{
    return XXH3_64bits(p, n);
}

static int has_control(const char *p, size_t n, char allowed)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)p[i] < ' ' && p[i] != allowed) || p[i] == 127)
            return 1;
    return 0;
}

int fv__name_is_sound(const char *name)
{
    const size_t n = strlen(name);
    return n >= 1 && n <= FV_NAME_MAX && !has_control(name, n, 0);
}

void fv__index_write(uint8_t p[FV_INDEX_ENTRY], const struct fv_index_entry *e)
{
    fv__put32(p, e->block);
    fv__put32(p + 4, e->offset);
    fv__put32(p + 8, e->bytes);
    fv__put32(p + 12, e->label | e->split << 30);
    fv__put64(p + 16, e->content);
}

void fv__index_parse(const uint8_t p[FV_INDEX_ENTRY], struct fv_index_entry *e)
{
    const uint32_t word = fv__get32(p + 12);

    *e = (struct fv_index_entry){.block = fv__get32(p),
                                 .offset = fv__get32(p + 4),
                                 .bytes = fv__get32(p + 8),
                                 .label = word & 0x3fffffffu,
                                 .split = word >> 30,
                                 .content = fv__get64(p + 16)};
}

int fv__settings_parse(const uint8_t *p, size_t n, struct fv_settings_record *out)
{
    if (n < FV_SETTINGS_FIXED || memcmp(p, "FVSTORE", 7) != 0)
        return fv_err(FV_ECORRUPT, "is not an fv data set");
    *out = (struct fv_settings_record){
        .version = fv__get32(p + 8),
        .width = fv__get32(p + 12),
        .height = fv__get32(p + 16),
        .codec = fv__get32(p + 20),
        .text = (const char *)p + FV_SETTINGS_FIXED,
        .text_bytes = fv__get32(p + 24),
    };
    if (p[7] != '2' || out->version != FV_STORE_VERSION)
        return fv_err(
            FV_EVERSION,
            "is a data set of version %u and this program reads version %d: pack it again",
            out->version, FV_STORE_VERSION);
    if (out->width < 1 || out->width > FV_SIDE_MAX || out->height < 1 ||
        out->height > FV_SIDE_MAX || out->text_bytes != n - FV_SETTINGS_FIXED ||
        has_control(out->text, out->text_bytes, '\n'))
        return fv_err(FV_ECORRUPT, "has damaged settings");
    return FV_OK;
}

void fv__complete_write(uint8_t p[FV_COMPLETE_BYTES], const struct fv_complete_record *c)
{
    fv__put64(p, c->images);
    fv__put64(p + 8, c->labels);
    fv__put64(p + 16, c->blocks);
    fv__put64(p + 24, c->record_bytes);
    fv__put64(p + 32, c->digest);
    fv__put64(p + 40, c->tables);
    fv__put64(p + 48, XXH3_64bits(p, 48));
}

int fv__complete_parse(const uint8_t *p, size_t n, struct fv_complete_record *out)
{
    if (n != FV_COMPLETE_BYTES || XXH3_64bits(p, 48) != fv__get64(p + 48))
        return fv_err(FV_ECORRUPT, "has a damaged completion mark");
    *out = (struct fv_complete_record){.images = fv__get64(p),
                                       .labels = fv__get64(p + 8),
                                       .blocks = fv__get64(p + 16),
                                       .record_bytes = fv__get64(p + 24),
                                       .digest = fv__get64(p + 32),
                                       .tables = fv__get64(p + 40)};
    return FV_OK;
}
