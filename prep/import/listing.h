/* SPDX-License-Identifier: MIT */
/* What is to be packed: identities, their photos, what is known of each, and what was refused.
 *
 * An importer (prep/import/importer.h) fills a listing; everything after it knows listings only. Identities and
 * the photos of each are sorted bytewise by name, so the result does not depend on the order in which
 * they were found.
 */
#ifndef FV_PREP_LISTING_H
#define FV_PREP_LISTING_H

#include "prep/pack/reject.h"
#include "prep/photo/face.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

enum {
    FV_SPLIT_BY_RULE = -1
}; /* no split is given: the seeded rule of prep/pack/split.h decides */

struct fv_listed_photo {
    const char *name; /* in the data set: relative to the root, or from a container's key; unique */
    const char *path; /* of its file, relative to the root; NULL: its name is */
    const char *identity;
    uint64_t at,
        bytes;      /* container: where its record begins and its length; file: bytes = its size */
    uint64_t stamp; /* file: time of its last change in ns; 0 for what has none */
    uint32_t face;  /* 0: none is known, else listing.face[face - 1] */
    int8_t split;   /* enum fv_split, or FV_SPLIT_BY_RULE */
};

/* How the data set that photos are added to (prep/combine/known.h) has an identity. */
enum fv_standing { FV_STANDING_NEW, FV_STANDING_TRAINED, FV_STANDING_HELD_OUT };

struct fv_listed_identity {
    const char *name;
    size_t first, count; /* its photos: photo[first .. first+count-1]; may be none */
    enum fv_standing standing;
    uint32_t has_train, has_val; /* images in the data set that the photos are added to */
};

struct fv_note {
    const char *name; /* as a photo's */
    struct fv_refusal reason;
};
struct fv_notes {
    struct fv_note *at;
    size_t n, room;
};

struct fv_importer;
struct fv_text_block;

struct fv_listing {
    char *root; /* the folder that names are relative to, or the container; no '/' at its end */
    struct fv_listed_identity *identity;
    size_t identities;
    struct fv_listed_photo *photo;
    size_t photos;
    struct fv_face *face;
    size_t faces;
    struct fv_notes refused;      /* meant as a photo, but cannot be one */
    struct fv_notes ignored;      /* passed over without being meant as one */
    size_t known, known_held_out; /* identities of the data set that the photos are added to */
    const struct fv_importer *importer;
    void *source; /* the importer's own */
    /* inside */
    size_t identity_room, photo_room, face_room;
    struct fv_text_block *text; /* all names */
};

/* What is known of a photo's face, or NULL. */
const struct fv_face *fv__listing_face(const struct fv_listing *l, const struct fv_listed_photo *p);

/* Building. Texts are copied. All return 0 or FV_ENOMEM. */
int fv__listing_begin(struct fv_listing *l, const char *root);
/* In any order. p->identity is not read; p->name is NULL to say only that there is such an identity. */
int fv__listing_add(struct fv_listing *l, const char *identity, const struct fv_listed_photo *p);
/* *number becomes what fv_listed_photo.face refers to this face by. */
int fv__listing_add_face(struct fv_listing *l, const struct fv_face *face, uint32_t *number);
int fv__listing_refuse(struct fv_listing *l, const char *name, enum fv_reject why,
                       const char *detail);
int fv__listing_ignore(struct fv_listing *l, const char *name, enum fv_reject why);
/* Sorts, and settles given splits: who has a photo to train on (one given to TRAIN, or left to the rule)
 * is a training identity, all others are held out. HOLDOUT photos of a training identity validate where no
 * photo was given to VAL, and are passed over otherwise. Two photos of one name: FV_ECORRUPT names it. */
int fv__listing_end(struct fv_listing *l);

void fv__listing_free(struct fv_listing *l); /* accepts a zeroed one */

#endif
