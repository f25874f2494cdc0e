/* SPDX-License-Identifier: MIT */
/* What is known of data sets: how they are packed, how much is in them, and the digest of what comes of it. A data
 * set is packed by its stanza and held against it, then or later.
 *
 *   [lfw]
 *   title = Labeled Faces in the Wild
 *   layout = folders
 *   identities = 5749
 *   images = 13233
 *   digest = 0123456789abcdef with libvips 8.14.1, libjpeg-turbo 2.1.5
 *
 * Keys are title, source, licence and citation (for people); layout and those options of fvprep pack that say what
 * the data set is; the counts; and any number of digests, each with the libraries it was seen with, since
 * decoders differ in their rounding. What is not known is not there. A value goes on in lines that begin with a
 * blank. Lines that begin with '#' are remarks.
 */
#ifndef FV_PREP_MANIFEST_H
#define FV_PREP_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

struct fv_pack_settings;
struct fv_store;

enum { FV_MANIFEST_OPTIONS = 32, FV_MANIFEST_DIGESTS = 16 };

enum fv_manifest_text { FV_TITLE, FV_SOURCE, FV_LICENCE, FV_CITATION, FV_MANIFEST_TEXTS };
enum fv_manifest_count {
    FV_IDENTITIES,
    FV_TRAIN_IDENTITIES,
    FV_HOLDOUT_IDENTITIES,
    FV_IMAGES,
    FV_TRAIN_IMAGES,
    FV_VAL_IMAGES,
    FV_HOLDOUT_IMAGES,
    FV_MANIFEST_COUNTS
};
/* Their keys, in this order. */
extern const char *const fv_manifest_text_keys[], *const fv_manifest_count_keys[];

struct fv_manifest_option {
    const char *name, *value;
};

struct fv_manifest_digest {
    uint64_t value;
    const char *libraries; /* "libvips 8.14.1, librsvg 2.54.7"; "" holds for any */
};

struct fv_data_set {
    const char *name;
    const char *text[FV_MANIFEST_TEXTS]; /* NULL: unknown */
    struct fv_manifest_option option[FV_MANIFEST_OPTIONS];
    int options;
    uint64_t count[FV_MANIFEST_COUNTS];
    unsigned counted; /* bit k: count[k] is known */
    struct fv_manifest_digest digest[FV_MANIFEST_DIGESTS];
    int digests;
    int line; /* of its name */
};

struct fv_manifest {
    char *path, *text;
    struct fv_data_set *set;
    size_t sets;
    size_t room;
};

/* A fault is FV_ECORRUPT and names its line. All texts live until close. */
int fv_manifest_open(struct fv_manifest **out, const char *path);
/* The same on text in memory, which is copied. */
int fv_manifest_parse(struct fv_manifest **out, const char *path, const char *text, size_t n);
void fv_manifest_close(struct fv_manifest **m);
/* FV_EUSAGE lists the names that there are. */
int fv_manifest_find(const struct fv_manifest *m, const char *name, const struct fv_data_set **out);

/* Sets layout and options as the stanza has them; their texts stay the manifest's. */
int fv_manifest_apply(const struct fv_data_set *d, struct fv_pack_settings *s);
int fv_manifest_has_option(const struct fv_data_set *d, const char *name);
/* FV_EUSAGE names an option that differs from the stanza's. */
int fv_manifest_allows(const struct fv_manifest *m, const struct fv_data_set *d,
                       const struct fv_pack_settings *s);

/* Whether a packed file is that data set. 1: its digest proves it. 0: size, codec and counts are the stanza's, and
 * it has no digest to compare with. FV_ECORRUPT says with both figures what differs. packed_here: this run has
 * just made it, so that digests seen with other libraries say nothing against it. */
int fv_manifest_check(const struct fv_manifest *m, const struct fv_data_set *d,
                      const struct fv_store *s, int packed_here);
/* The data set that has the file's digest: FV_ENOTFOUND says that none has. */
int fv_manifest_recognise(const struct fv_manifest *m, const struct fv_store *s,
                          const struct fv_data_set **out);
/* The stanza of a file that this process has just packed; free it. NULL when out of memory. */
char *fv_manifest_stanza(const struct fv_store *s, const char *name, const char *layout);

#endif
