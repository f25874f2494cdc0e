/* SPDX-License-Identifier: MIT */
/* Zip archives in memory, as far as torch.save writes them: entries that are stored and not compressed, zip64.
 *
 * Every place and length is held against the file before it is used. An entry's CRC is checked when it is asked for,
 * so that what nobody reads costs nothing.
 */
#ifndef FV_TRAINER_ZIP_READ_H
#define FV_TRAINER_ZIP_READ_H

#include <stddef.h>
#include <stdint.h>

struct fv_zip_entry {
    const char *name; /* in the file, not terminated */
    size_t name_n;
    uint64_t local; /* where its local header is */
    uint64_t n;
    uint32_t crc;
    uint16_t method, flags;
    int checked; /* its CRC was right */
};

struct fv_zip {
    const uint8_t *p;
    size_t n;
    const char *origin;
    struct fv_zip_entry *entry; /* by name */
    size_t entries;
};

/* The bytes must outlive it. FV_ECORRUPT names the file. */
int fv__zip_open(struct fv_zip *z, const uint8_t *p, size_t n, const char *origin);
void fv__zip_close(struct fv_zip *z); /* accepts a zeroed one */
/* FV_ENOTFOUND without the entry, FV_EUNSUPPORTED if it is compressed or encrypted, FV_ECORRUPT if its CRC is
 * another. */
int fv__zip_find(struct fv_zip *z, const char *name, const uint8_t **data, size_t *n);

#endif
