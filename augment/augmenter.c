/* SPDX-License-Identifier: MIT */
#include "augment/augmenter.h"
#include "augment/dsp.h"
#include "augment/policy.h"
#include "common/err.h"

#include <stdlib.h>
#include <string.h>

struct fv_augmenter {
    struct fv_augmenter_settings set;
    struct fv_policy *policy;
    struct fv_dsp dsp;
    struct fv_plan *plan; /* (batch) */
    struct fv_mix mix;
    void *scratch;
};

int fv_augmenter_open(struct fv_augmenter **out, const struct fv_augmenter_settings *s)
{
    const size_t image = (size_t)s->out_h * (size_t)s->out_w * 3;
    const size_t render = fv_render_scratch(s->src_h, s->src_w, s->out_h, s->out_w);

    *out = NULL;
    struct fv_augmenter *a = calloc(1, sizeof *a);
    if (!a)
        return fv_err(FV_ENOMEM, "out of memory");
    a->set = *s;
    fv_dsp_init(&a->dsp);
    int rc = fv_policy_parse(&a->policy, s->policy);
    if (rc >= 0) {
        a->plan = calloc((size_t)s->batch, sizeof *a->plan);
        a->scratch = aligned_alloc(64, ((render > image ? render : image) + 63) / 64 * 64);
        if (!a->plan || !a->scratch)
            rc = fv_err(FV_ENOMEM, "out of memory for a batch of %d images", s->batch);
    }
    if (rc < 0)
        fv_augmenter_close(&a);
    *out = a;
    return rc;
}

void fv_augmenter_close(struct fv_augmenter **augmenter)
{
    struct fv_augmenter *a = *augmenter;

    if (!a)
        return;
    fv_policy_free(&a->policy);
    free(a->plan);
    free(a->scratch);
    free(a);
    *augmenter = NULL;
}

const char *fv_augmenter_policy(const struct fv_augmenter *a)
{
    return fv_policy_text(a->policy);
}

void fv_augmenter_repeat(struct fv_augmenter *a, const uint8_t *const *src, struct fv_batch *b)
{
    const struct fv_augmenter_settings *s = &a->set;
    const size_t image = (size_t)s->out_h * (size_t)s->out_w * 3;

    for (int i = 0; i < b->n; i++)
        fv_render(&a->dsp, &a->plan[i], src[i], s->src_h, s->src_w, b->pixels + (size_t)i * image,
                  s->out_h, s->out_w, a->scratch, NULL);
    fv_mix_apply(&a->dsp, &a->mix, b, a->scratch);
}

void fv_augmenter_run(struct fv_augmenter *a, uint32_t epoch, uint32_t step,
                      const uint8_t *const *src, struct fv_batch *b)
{
    const struct fv_augmenter_settings *s = &a->set;

    for (int i = 0; i < b->n; i++)
        fv_policy_plan(a->policy, s->seed, epoch, b->image[i], s->src_h, s->src_w, s->out_h,
                       s->out_w, &a->plan[i]);
    fv_policy_plan_batch(a->policy, s->seed, epoch, step, b->n, s->out_h, s->out_w, &a->mix);
    fv_augmenter_repeat(a, src, b);
}
