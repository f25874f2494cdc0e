/* SPDX-License-Identifier: MIT */
/* A search of a gallery from the images to the answers: which images, whom they show, their vectors, and who of the
 * gallery is nearest to each probe. */
#ifndef FV_TOOLS_GALLERY_HUNT_H
#define FV_TOOLS_GALLERY_HUNT_H

#include "tools/eval/eval_net.h"
#include "tools/eval/gallery_spec.h"

struct gallery_settings {
    const char *db, *gallery, *probes, *dev, *probe_labels, *dev_labels, *templates, *pool, *ties,
        *reject, *layout, *output, *answers, *report;
    double threshold, level;
    int64_t bootstrap, seed;
    struct eval_net_settings net;
};
extern const char *const gallery_pools[]; /* max, mean; ends with NULL, as the next one */
extern const char *const gallery_ties[];  /* optimistic, pessimistic */

enum { HUNT_GALLERY, HUNT_PROBES, HUNT_DEV, HUNT_SETS };

struct gallery_hunt {
    const struct gallery_settings *s;
    struct eval_net net;
    struct eval_images images;
    struct fv_templates templates;
    struct gallery_set set[HUNT_SETS];
    float *v[HUNT_SETS];        /* (n, dim) */
    uint32_t *label[HUNT_SETS]; /* (n) by the numbering of the gallery; others behind it */
    uint32_t labels;            /* of all sets */
    const char **identity;      /* (labels); the gallery's are the first */
    uint32_t identities;        /* of the gallery */
    struct fv_answer *answer[HUNT_SETS];
    double threshold; /* of rejection; -INFINITY: of nobody */
};

/* Finds the images and people that the settings name; the net is loaded after that. s outlives h. After a failure too,
 * gallery_hunt_close is to be called. */
int gallery_hunt_open(struct gallery_hunt *h, const struct gallery_settings *s,
                      const char *checkpoint);
/* Embeds, and answers each probe. */
int gallery_hunt_answer(struct gallery_hunt *h);
void gallery_hunt_close(struct gallery_hunt *h);

int gallery_hunt_pessimistic(const struct gallery_hunt *h);
/* The answer as the file to hand in has it: an identity, or the reject label. */
const char *gallery_hunt_text(const struct gallery_hunt *h, const struct fv_answer *a);

#endif
