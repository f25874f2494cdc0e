/* SPDX-License-Identifier: MIT */
/* A source of batches without a data set: each class is a pattern, each image the pattern with noise of its own.
 * A batch is a function of its ticket, as the trainer demands of every source. */
#ifndef FV_TESTS_SYNTHETIC_H
#define FV_TESTS_SYNTHETIC_H

#include "augment/batch.h"

struct synthetic {
    struct fv_batch_source source; /* what the trainer is given */
    struct fv_batch batch;
    uint64_t ticket, images;
    int endless;      /* shuffled, whole batches, without end; else one pass in order */
    int noise;        /* amplitude: 255 leaves little of the pattern */
    int wrong_labels; /* each image has the label of another class */
    int mirror;       /* all images the other way round */
    uint64_t salt;    /* another salt, other images of the same classes */
    /* Called before a batch is delivered; may be NULL. */
    void (*before)(struct synthetic *s);
};

void synthetic_open(struct synthetic *s, int classes, int images, int batch, int size, int endless,
                    uint64_t salt);
void synthetic_close(struct synthetic *s);

#endif
