/* SPDX-License-Identifier: MIT */
#include "trainer/eval/allpairs_sides.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

struct place {
    uint32_t label, row;
};

static int by_label(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

int fv__allpairs_sort(const struct fv_allpairs_side *a, int dim, float **v, uint32_t **label)
{
    const size_t bytes = (size_t)dim * sizeof **v;
    struct place *p = malloc((a->n + 1) * sizeof *p);

    *v = malloc((a->n + 1) * bytes);
    *label = malloc((a->n + 1) * sizeof **label);
    if (!p || !*v || !*label) {
        free(p);
        return fv_err(FV_ENOMEM, "out of memory for %zu embeddings", a->n);
    }
    for (size_t i = 0; i < a->n; i++)
        p[i] = (struct place){a->label[i], (uint32_t)i};
    qsort(p, a->n, sizeof *p, by_label);
    for (size_t i = 0; i < a->n; i++) {
        (*label)[i] = p[i].label;
        memcpy(*v + i * (size_t)dim, a->v + (size_t)p[i].row * (size_t)dim, bytes);
    }
    free(p);
    return FV_OK;
}

uint32_t fv__allpairs_lower(const uint32_t *label, size_t n, uint64_t what)
{
    size_t low = 0, high = n;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (label[mid] < what)
            low = mid + 1;
        else
            high = mid;
    }
    return (uint32_t)low;
}
