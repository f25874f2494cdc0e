/* SPDX-License-Identifier: MIT */
/* Photos in: from folders of photographs to a data set (store/store.h), and demo faces to try it with. */
#ifndef FV_PREP_PREP_H
#define FV_PREP_PREP_H

#include "common/opt.h"
#include "common/report.h"
#include "prep/pack/manifest.h"

#include <stdatomic.h>
#include <stdint.h>

struct fv_pack_settings {
    /* what the data set is */
    int64_t size;      /* pixels a side (default 112) */
    const char *frame; /* "photo", by "box" or "landmarks", or "auto" (default): by what is given */
    const char *fit;   /* photo: "cover" (default), "contain" or "stretch" makes it square ... */
    double crop;       /* ... of whose side this share is kept, around the centre (1) */
    double margin;     /* box: its longer side is lengthened by this share of it (0.3) */
    const char *codec; /* "pixels" (default), "jpeg" */
    int64_t quality;   /* of a codec that loses some: 1 to 100; 0: the codec's own */
    int64_t level;     /* zstd (default 6) */
    const char *dict;  /* a trained zstd dictionary: "auto" (default), "yes", "no" */
    /* share of identities kept out of training, for open-set verification (0) */
    double holdout_ids;
    double val;        /* share of each remaining identity's images kept for validation (0) */
    int64_t seed;      /* of both splits (1) */
    const char *shard; /* "2/3": the second of three parts; NULL: all */
    /* how this run goes */
    const char *output;            /* -o */
    const char *layout;            /* how the photos lie: "auto", "folders", ... */
    const char *root;              /* where the paths in a list begin; NULL: its folder */
    const char *boxes, *landmarks; /* lists of where the faces are; NULL: none */
    const char *rejects; /* list of refused files; NULL: "<output minus .lmdb>.rejects.tsv" */
    int64_t min_images;  /* identities with fewer are listed (1) */
    int strict;          /* a refused file is an error */
    int overwrite;
    int64_t threads; /* 0: all */
    /* Data to commit at once; 0: as befits the store. No option, as the file's bytes depend on it: for tests, which
     * have little data and want to see more than one commit. */
    uint64_t commit_bytes;
};
extern const struct fv_opt fv_pack_opts[];
void fv_pack_defaults(struct fv_pack_settings *s);

enum { FV_PACK_REASONS = 48 };
struct fv_pack_result {
    uint64_t files, packed, rejected, identities, holdout_identities, train_images, val_images,
        holdout_images;
    uint64_t known;    /* left out: the data set that they were for has them */
    uint64_t ignored;  /* passed over without being meant as photos */
    uint64_t misnamed; /* packed, but of another format than their names say */
    uint64_t kept;     /* images that are their photo's own file */
    uint64_t resumed;  /* images taken over from an interrupted run */
    /* images that show the very picture of an earlier one; those of them under another identity */
    uint64_t duplicates, mislabelled;
    uint64_t few;   /* identities with fewer than min_images images */
    uint64_t bytes; /* of all photos as they are stored */
    struct fv_pack_reason {
        const char *code; /* as in the list of refused files */
        uint64_t files;
    } reason[FV_PACK_REASONS]; /* the refused ones; only reasons that occurred */
    int reasons;
    uint64_t digest, file_bytes, record_bytes, dict_bytes;
    const char *layout; /* that the photos were found to have */
    double seconds;
};
/* The layouts that photos may come in: 1 and the i-th one's name and what it is, or 0 after the last. With a
 * path, *certainty is how far it looks like that layout, 0 to 100. */
int fv_layout_at(size_t i, const char *path, const char **name, const char **help, int *certainty);

/* photos: a folder or file of any layout. A bad file is reported by name with its reason, counted, listed in
 * the rejects file and skipped. */
int fv_pack_run(const struct fv_pack_settings *s, const char *photos, const struct fv_report *r,
                struct fv_pack_result *out);

/* What each way to store images would make of these: see which to choose. */
struct fv_codecs_settings {
    struct fv_pack_settings
        pack;       /* size, framing, level and layout: as the photos would be packed */
    int64_t sample; /* images to try on (256) */
};
const struct fv_opt *fv_codecs_opts(void);
void fv_codecs_defaults(struct fv_codecs_settings *s);

enum { FV_CODEC_TRIALS_MAX = 16 };
struct fv_codec_trial {
    const char *codec;
    int quality;                       /* 0: lossless */
    uint64_t dict_bytes;               /* 0: without a dictionary */
    double bytes_per_image;            /* of its record */
    uint64_t file_bytes;               /* of all images, as far as the sample tells */
    double overhead;                   /* of that file to its records */
    uint64_t kept;                     /* images of the sample that are their photo's own file */
    double encode_per_s, decode_per_s; /* images, by the processor time of one thread */
    double psnr_db;                    /* INFINITY: to the bit */
};
struct fv_codecs_result {
    uint64_t images, sampled; /* of the whole input, of which some are tried */
    int width, height;
    int trials;
    struct fv_codec_trial trial[FV_CODEC_TRIALS_MAX];
};
/* input: photos in any layout, or a data set, whose images are taken for originals. */
int fv_codecs_run(const struct fv_codecs_settings *s, const char *input, const struct fv_report *r,
                  struct fv_codecs_result *out);

struct fv_synth_settings {
    const char *output; /* folder */
    int64_t identities; /* (default 120) */
    int64_t images;     /* per identity (default 24) */
    int64_t size;       /* pixels a side of the JPEGs (default 128) */
    int64_t seed;
    int64_t threads;
};
extern const struct fv_opt fv_synth_opts[];
void fv_synth_defaults(struct fv_synth_settings *s);
/* Writes <output>/id0001/0001.jpg ...: the same bytes for any number of threads. */
int fv_synth_run(const struct fv_synth_settings *s, const struct fv_report *r);

struct fv_export_settings {
    const char *output; /* folder */
    const char *format; /* "folders", "rec", "tar" */
    const char *image;  /* "auto", "png", "jpeg" */
    int64_t quality;    /* of JPEGs that are made; 0: that of codec jpeg */
    const char *split;  /* "all", or one of fv_split_names */
    int flat;           /* folders: one tree instead of one a split */
    int shuffle;        /* tar: in the random order of seed (1) */
    int64_t seed;
    int64_t shard_bytes; /* tar: a shard is no longer unless its only sample is; 0: 1 GB */
    int64_t threads;     /* 0: all */
};
extern const struct fv_opt fv_export_opts[];
void fv_export_defaults(struct fv_export_settings *s);

struct fv_export_result {
    uint64_t images, image_bytes;
    const char *kind; /* "png" */
    double seconds;
};
/* Writes the images of a data set into a new folder: whole or not at all. */
int fv_export_run(const struct fv_export_settings *s, const char *store, const struct fv_report *r,
                  struct fv_export_result *out);

/* What is in a data set that was made out of others. */
struct fv_moved {
    uint64_t images, identities, holdout_identities, train_images, val_images, holdout_images;
    uint64_t recoded; /* records that were compressed anew, for another dictionary */
    uint64_t digest, file_bytes, record_bytes;
};

/* A contact sheet: pictures of one size in rows. */
struct fv_sheet {
    const char *title, *subtitle; /* subtitle: NULL for none */
    int height, width;            /* of a picture */
    int zoom;                     /* how often each of its pixels comes, along x and y */
    int columns;
    int cells;
    const struct fv_sheet_cell {
        const uint8_t *rgb; /* (height, width, 3) */
        const char *first;  /* a line of text beneath */
        const char *second; /* another one; NULL: none */
        double share; /* 0 to 1: what the first one has of the picture, the rest is the second's */
    } * cell;
};
/* Writes it as a PNG, whole or not at all. Text takes libvips (FV_EUNSUPPORTED without). */
int fv_sheet_write(const struct fv_sheet *s, const char *path);

struct fv_merge_settings {
    const char *output;
    int overwrite;
    int64_t threads; /* 0: all */
};
extern const struct fv_opt fv_merge_opts[];
/* One data set of several files: of the shards of a whole, the bytes of the whole. */
int fv_merge_run(const struct fv_merge_settings *s, const char *const *paths, size_t n,
                 const struct fv_report *r, struct fv_moved *out);

struct fv_filter_settings {
    const char *output;
    const char *identities; /* a text file, one name a line; NULL: all */
    int exclude;            /* all but those */
    int64_t min_images;     /* drops identities with fewer (1) */
    int overwrite;
    int64_t threads; /* 0: all */
};
extern const struct fv_opt fv_filter_opts[];
/* A data set of some of the identities of those in the files. */
int fv_filter_run(const struct fv_filter_settings *s, const char *const *paths, size_t n,
                  const struct fv_report *r, struct fv_moved *out);

struct fv_append_settings {
    const char *output;          /* NULL: in the place of the data set */
    int overwrite;               /* of another output */
    struct fv_pack_settings run; /* how it goes; what describes a data set is the old one's */
};
/* fv_append_settings.output and overwrite, and those of fv_pack_opts that say how a run goes. */
extern const struct fv_opt fv_append_opts[];
void fv_append_defaults(struct fv_append_settings *s);
/* A data set of that at `path` (of one file or several) and the photos that it lacks. *packed is of the latter. */
int fv_append_run(const struct fv_append_settings *s, const char *path, const char *photos,
                  const struct fv_report *r, struct fv_pack_result *packed, struct fv_moved *out);

/* Set by a signal handler, read by every thread: stop soon, clean up, return FV_EINTR. */
extern atomic_int fv_prep_stop;

#endif
