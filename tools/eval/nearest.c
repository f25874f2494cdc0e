/* SPDX-License-Identifier: MIT */
#include "tools/eval/nearest.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>

static int nearest_first(const void *a, const void *b)
{
    const struct nearest *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->label > y->label) - (x->label < y->label);
}

int nearest_rank(struct nearest *near, const struct eval_images *im, const float *emb,
                 const float *photo, int dim)
{
    const struct fv_store_info *info = fv_store_info(im->store);
    struct fv_store_image one;

    for (uint64_t l = 0; l < info->labels; l++)
        near[l] = (struct nearest){-INFINITY, l, 0};
    for (uint64_t i = 0; i < info->images; i++) {
        FV_TRY(fv_store_image(im->store, i, &one));
        if (!(im->splits >> one.split & 1))
            continue;
        const double score = fv_score_two(emb + (size_t)im->position[i] * (size_t)dim, photo, dim);
        if (score > near[one.label].score)
            near[one.label] = (struct nearest){score, one.label, i};
    }
    qsort(near, info->labels, sizeof *near, nearest_first);
    return FV_OK;
}
