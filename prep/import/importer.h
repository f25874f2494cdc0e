/* SPDX-License-Identifier: MIT */
/* The layouts in which photos come: each one file import_<name>.c and one row in importer.c. */
#ifndef FV_PREP_IMPORTER_H
#define FV_PREP_IMPORTER_H

#include "common/report.h"
#include "prep/import/listing.h"

#include <stdio.h>

struct fv_import_settings {
    const char *layout; /* a row's name; NULL or "auto": the one that recognises the path */
    const char *root;   /* where the paths in a list begin; NULL: where its layout says */
    const char *boxes, *landmarks; /* lists of where faces are (prep/import/faces.h); NULL: none */
};

struct fv_importer {
    const char *name, *help;
    /* 0 (no) to 100 (certainly): by names and first bytes only. */
    int (*recognise)(const char *path);
    /* Fills *out, from fv__listing_begin to fv__listing_end; it is freed by the caller in any case.
     * FV_EINTR on fv_prep_stop. */
    int (*list)(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
                const struct fv_report *r);
    /* The bytes of one photo; NULL: of the file root/name. *buf grows by realloc, *room is its size.
     * 0; 1 refused, with *why; or a negative code. Any number of threads may call it at once. */
    int (*read)(const struct fv_listing *l, const struct fv_listed_photo *p, uint8_t **buf,
                size_t *room, size_t *n, struct fv_refusal *why);
    /* The pairs that the source itself compares, as fv_pairs_read takes them; NULL: it has none. */
    void (*write_pairs)(const struct fv_listing *l, FILE *to);
    void (*close)(struct fv_listing *l); /* frees l->source; may be NULL */
};

extern const struct fv_importer fv__import_bin, fv__import_folders, fv__import_hw2p2,
    fv__import_list, fv__import_recordio, fv__import_vggface2;

/* Rows of the table; NULL after the last. */
const struct fv_importer *fv__importer_at(size_t i);

/* FV_EUSAGE for an unknown layout, and when several recognise the path; FV_ENOTFOUND when none does. On
 * failure *out is empty. */
int fv__import(struct fv_listing *out, const char *path, const struct fv_import_settings *s,
               const struct fv_report *r);

/* The bytes of a listed photo, as fv_importer.read. */
int fv__import_read(const struct fv_listing *l, const struct fv_listed_photo *p, uint8_t **buf,
                    size_t *room, size_t *n, struct fv_refusal *why);

#endif
