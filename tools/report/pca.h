/* SPDX-License-Identifier: MIT */
/* The two directions along which vectors differ most: principal components, exact to rounding. */
#ifndef FV_TOOLS_REPORT_PCA_H
#define FV_TOOLS_REPORT_PCA_H

#include <stddef.h>

struct pca {
    double *xy;      /* (n, 2): along the first and the second component, from the mean */
    double share[2]; /* of the variance that each of them has */
};

/* Of v (n, dim). By the inner products of vectors (n, n) or of dimensions (dim, dim), whichever is smaller. A
 * component's sign is such that its largest coordinate is positive. FV_EINVAL when n < 3 or all vectors are equal. */
int pca_make(struct pca *out, const float *v, size_t n, int dim);
void pca_free(struct pca *p);

#endif
