/* SPDX-License-Identifier: MIT */
/* From embeddings of images to those of templates, as the IJB protocols have it: within a media (a video) the
 * mean, over media the sum, then unit length. Sums are taken in double, in the order of the items.
 */
#include "trainer/trainer.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Adds the mean of the first media of item[0 .. n) to sum; returns how many items it has. */
static size_t add_media(const float *emb, int dim, const struct fv_pool_item *item, size_t n,
                        double *mean, double *sum)
{
    size_t count = 0;
    memset(mean, 0, (size_t)dim * sizeof *mean);
    for (; count < n && item[count].media == item[0].media; count++)
        for (int k = 0; k < dim; k++)
            mean[k] += (double)emb[(size_t)item[count].row * (size_t)dim + (size_t)k];
    for (int k = 0; k < dim; k++)
        sum[k] += mean[k] / (double)count;
    return count;
}

static int write_unit(const double *sum, int dim, uint32_t template, float *out)
{
    double square = 0;
    for (int k = 0; k < dim; k++)
        square += sum[k] * sum[k];
    const double norm = sqrt(square);
    if (!isfinite(norm) || norm < 1e-12)
        return fv_err(FV_EINVAL, "template %u of the list has no direction (norm %g)", template + 1,
                      norm);
    for (int k = 0; k < dim; k++)
        out[k] = (float)(sum[k] / norm);
    return 0;
}

int fv_pool_templates(const float *emb, int dim, const struct fv_pool_item *item, size_t items,
                      float *out)
{
    double *mean = malloc(2 * (size_t)dim * sizeof *mean), *sum = mean ? mean + dim : NULL;
    int rc = mean ? 0 : fv_err(FV_ENOMEM, "out of memory for a template");
    for (size_t i = 0; i < items && rc == 0;) {
        const uint32_t template = item[i].template;
        size_t end = i;
        while (end < items && item[end].template == template)
            end++;
        memset(sum, 0, (size_t)dim * sizeof *sum);
        while (i < end)
            i += add_media(emb, dim, item + i, end - i, mean, sum);
        rc = write_unit(sum, dim, template, out + (size_t) template * (size_t)dim);
    }
    free(mean);
    return rc;
}
