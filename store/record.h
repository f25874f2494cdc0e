/* SPDX-License-Identifier: MIT */
/* The bytes of a data set. Everything here is a pure function on bytes, little-endian, bounds-checked.
 *
 * Record: 28 bytes, then the payload; in a block each record starts on 8 bytes. The payload is one zstd frame of
 * the content: what the codec makes of the pixels. A record does not say which image it is, so that it can be
 * copied between data sets; the index does, by the hash of its content
 *
 *      0  u64  XXH3-64 of bytes 8 .. end
 *      8  u64  XXH3-64 of the content, before zstd
 *     16  u32  bytes of the payload
 *     20  u16  width    22  u16  height
 *     24  u8   codec    25  u8[3]  0
 *     28       payload
 *
 * Index: one entry an image
 *
 *      0  u32  block     4  u32  offset in the block     8  u32  bytes of the record
 *     12  u32  label, split in the two highest bits
 *     16  u64  hash of the content, as in the record
 *
 * Settings (key "fv"): "FVSTORE2", then
 *
 *      8  u32  version   12  u32  width   16  u32  height   20  u32  codec
 *     24  u32  bytes of the text that follows: how it was packed
 *
 * Labels (key "labels"): u32 count, then for each: u32 first image, u32 images, u32 held out (0, 1),
 * u32 bytes of the name, the name. Names (key "names"): u64 offset of each name and of the end, then the
 * names back to back. Dictionary (key "dict", absent when there is none): a zstd dictionary, with which all
 * frames were made. Complete (key "complete"):
 *
 *      0  u64  images    8  u64  labels   16  u64  blocks   24  u64  bytes of all records   32  u64  digest
 *     40  u64  XXH3-64 of "fv", "index", "labels", "names" and "dict", one behind the other: checked on
 *             opening
 *     48  u64  XXH3-64 of bytes 0 .. 47
 *
 * The digest is XXH3-64 over width, height and codec (bytes 12 .. 23 of "fv"), bytes 12 .. 23 of each entry of the
 * index, "labels" and "names": equal digests mean equal content, labels, splits and names, however it was
 * compressed.
 */
#ifndef FV_STORE_RECORD_H
#define FV_STORE_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum {
    FV_STORE_VERSION = 2,
    FV_RECORD_HEADER = 28,
    FV_INDEX_ENTRY = 24,
    FV_SETTINGS_FIXED = 28,
    FV_COMPLETE_BYTES = 56,
    FV_RECORD_ALIGN = 8,
    FV_SIDE_MAX = 16384,       /* pixels a side */
    FV_IMAGES_MAX = 178000000, /* their index is one LMDB value: just below 4 GiB */
    FV_NAME_MAX = 4095,        /* bytes of a name */
};

/* Someone else's bytes. */
struct fv_span {
    const uint8_t *p;
    size_t n;
};

struct fv_record {
    uint64_t content; /* its hash */
    int width, height, codec;
    const uint8_t *payload;
    uint32_t payload_bytes;
};
struct fv_index_entry {
    uint32_t block, offset, bytes, label;
    unsigned split;
    uint64_t content;
};
struct fv_settings_record {
    uint32_t version, width, height, codec;
    const char *text; /* not terminated */
    uint32_t text_bytes;
};
struct fv_complete_record {
    uint64_t images, labels, blocks, record_bytes, digest, tables;
};

uint16_t fv__get16(const uint8_t *p);
uint32_t fv__get32(const uint8_t *p);
uint64_t fv__get64(const uint8_t *p);
void fv__put16(uint8_t *p, uint16_t v);
void fv__put32(uint8_t *p, uint32_t v);
void fv__put64(uint8_t *p, uint64_t v);

/* Fills the header before a payload already in place at record + FV_RECORD_HEADER. */
void fv__record_seal(uint8_t *record, const struct fv_record *r);
/* Header and payload together, of a record whose header is there. */
uint64_t fv__record_bytes(const uint8_t *record);
/* FV_ECORRUPT says what is wrong: too short, wrong length, wrong checksum. */
int fv__record_parse(const uint8_t *p, size_t n, struct fv_record *out);
uint64_t fv__content_hash(const uint8_t *p, size_t n);

/* Names stand in text files, one a line, and on terminals: 1 to FV_NAME_MAX bytes, none of them a control character. */
int fv__name_is_sound(const char *name);

void fv__index_write(uint8_t p[FV_INDEX_ENTRY], const struct fv_index_entry *e);
void fv__index_parse(const uint8_t p[FV_INDEX_ENTRY], struct fv_index_entry *e);
/* FV_EVERSION for another version, FV_ECORRUPT for anything that is not settings. */
int fv__settings_parse(const uint8_t *p, size_t n, struct fv_settings_record *out);
void fv__complete_write(uint8_t p[FV_COMPLETE_BYTES], const struct fv_complete_record *c);
int fv__complete_parse(const uint8_t *p, size_t n, struct fv_complete_record *out);

#endif
