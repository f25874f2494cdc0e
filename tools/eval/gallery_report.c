/* SPDX-License-Identifier: MIT */
#include "tools/eval/gallery_report.h"

#include <math.h>
#include <stdlib.h>

static uint32_t nearest_image(const void *ctx, size_t probe, uint32_t identity)
{
    const struct gallery_hunt *h = ctx;
    const int dim = fv_model_net(h->net.model)->embedding;
    const float *p = h->v[HUNT_PROBES] + probe * (size_t)dim;
    double best = -INFINITY;
    uint32_t image = 0;

    for (size_t i = 0; i < h->set[HUNT_GALLERY].n; i++) {
        if (h->label[HUNT_GALLERY][i] != identity)
            continue;
        const double score = fv_score_two(p, h->v[HUNT_GALLERY] + i * (size_t)dim, dim);
        if (score > best) {
            best = score;
            image = h->set[HUNT_GALLERY].id[i];
        }
    }
    return image;
}

int gallery_report_write(const struct gallery_hunt *h, const char *checkpoint, const char *rows,
                         const struct fv_opt *opts)
{
    const struct fv_opt_group group = {"", opts, (void *)h->s};
    char *settings = fv_opt_write_text(&group, 1);
    const struct report_identification r = {
        .making = {checkpoint, fv_model_info(h->net.model), h->net.store, settings},
        .figures = rows,
        .answer = h->answer[HUNT_PROBES],
        .probes = h->set[HUNT_PROBES].n,
        .identities = h->identities,
        .gallery = h->set[HUNT_GALLERY].n,
        .pessimistic = gallery_hunt_pessimistic(h),
        .threshold = h->threshold,
        .image = h->templates.n ? NULL : h->set[HUNT_PROBES].id,
        .identity = h->identity,
        .nearest = nearest_image,
        .ctx = h,
        .gallery_v = h->v[HUNT_GALLERY],
        .probe_v = h->v[HUNT_PROBES],
        .dim = fv_model_net(h->net.model)->embedding,
    };
    const int rc = report_identification(h->s->report, &r);

    free(settings);
    return rc;
}
