/* SPDX-License-Identifier: MIT */
/* A page that says how well a net finds people in a gallery: one HTML file that needs nothing besides itself. */
#ifndef FV_TOOLS_REPORT_IDENTIFICATION_H
#define FV_TOOLS_REPORT_IDENTIFICATION_H

#include "tools/report/parts.h"
#include "trainer/trainer.h"

struct report_identification {
    struct report_making making;
    const char *figures; /* report_rows of what is printed */
    const struct fv_answer *answer;
    size_t probes;
    uint32_t identities; /* of the gallery */
    size_t gallery;      /* images in it, or templates */
    int pessimistic;
    double threshold; /* -INFINITY: nobody is rejected */
    /* For pictures; NULL: of templates, which have none. */
    const uint32_t *image;       /* (probes) */
    const char *const *identity; /* (identities) names */
    /* The image of that identity in the gallery that is most like the probe. */
    uint32_t (*nearest)(const void *ctx, size_t probe, uint32_t identity);
    const void *ctx;
    const float *gallery_v, *probe_v; /* (gallery, dim), (probes, dim) */
    int dim;
};

/* Written whole or not at all. FV_EUNSUPPORTED where there is no gnuplot, FV_EINVAL where nothing is known of who the
 * probes show. */
int report_identification(const char *path, const struct report_identification *r);

#endif
