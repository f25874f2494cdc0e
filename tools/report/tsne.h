/* SPDX-License-Identifier: MIT */
/* A map of vectors on which neighbours stay neighbours: t-SNE (van der Maaten and Hinton, JMLR 9, 2008), the exact one
 * that compares all with all, with the schedule of scikit-learn: from the principal plane, 250 steps in which
 * attraction counts twelvefold, then 750; the rate is n / 48 (Belkina et al., Nat. Commun. 10, 2019), 50 at least. A
 * result is a function of the vectors alone. Distances between groups mean little, and sizes of groups nothing. */
#ifndef FV_TOOLS_REPORT_TSNE_H
#define FV_TOOLS_REPORT_TSNE_H

#include <stddef.h>

enum { TSNE_MOST = 2000 }; /* a thousand take seconds; it grows with the square */

/* How likely vector i would take j for its neighbour and j would take i, over both: p (n, n), symmetric, of sum 1. Each
 * has as many neighbours as the perplexity says. */
int tsne_neighbours(double *p, const float *v, size_t n, int dim, double perplexity);
/* xy (n, 2). perplexity 0: 30, or (n - 1) / 3 where that is less. *kl (may be NULL): the divergence that is left.
 * FV_EINVAL when n < 4 or all vectors are equal. */
int tsne_make(double *xy, const float *v, size_t n, int dim, double perplexity, double *kl);

#endif
