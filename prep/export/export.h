/* SPDX-License-Identifier: MIT */
/* What an export writes: two tables. A format is how images are laid out in the new folder, an image file is
 * what each of them becomes. Each is one file (export_NAME.c, image_NAME.c) and one row in prep/meson.build.
 */
#ifndef FV_PREP_EXPORT_H
#define FV_PREP_EXPORT_H

#include "prep/prep.h"
#include "store/buffer.h"
#include "store/store.h"

/* One image on its way out. Everything is valid during the call only. */
struct fv_export_image {
    uint64_t image; /* its id in the data set */
    uint64_t nth;   /* among the exported ones of its split, in their order, from 0 */
    struct fv_store_image is;
    const char *identity;
    struct fv_span file; /* the bytes of its file */
};

/* What a format knows from the start. */
struct fv_export {
    const struct fv_store *store;
    const struct fv_export_settings *s;
    const struct fv_report *report;
    const char *folder;         /* where to write; it is there, and empty but for a hidden file */
    const char *suffix;         /* of image files, ".png" */
    uint64_t images[FV_SPLITS]; /* how many will come */
};

struct fv_export_format {
    const char *name, *help;
    int takes_flat, takes_shuffle, takes_shard_bytes;   /* options that mean something to it */
    int (*open)(void **ctx, const struct fv_export *e); /* *e outlives ctx */
    /* Images come by label and name, or in any order where they may be shuffled. */
    int (*put)(void *ctx, const struct fv_export_image *image);
    int (*finish)(void *ctx); /* what stands at the end of files, tables */
    void (*close)(void *ctx); /* accepts NULL and what failed to open */
};
extern const struct fv_export_format *const fv_export_formats[]; /* NULL-terminated */

/* A context belongs to one thread. Contents of the codec of the same name are such files as they are. */
struct fv_image_file {
    const char *name, *help, *suffix;
    int takes_quality;
    int (*open)(void **ctx, int width, int height, int quality); /* quality 0: its own choice */
    /* rgb: (height, width, 3). The file replaces what is in *out. */
    int (*encode)(void *ctx, const uint8_t *rgb, struct fv_buffer *out);
    void (*close)(void *ctx); /* accepts NULL */
};
extern const struct fv_image_file *const fv_image_files[]; /* NULL-terminated */
extern const struct fv_image_file fv_image_file_png;       /* for pictures of other sorts too */

#endif
