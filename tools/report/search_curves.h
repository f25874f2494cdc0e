/* SPDX-License-Identifier: MIT */
/* The plots of a search in a gallery, each an <svg> for a <figure>. */
#ifndef FV_TOOLS_REPORT_SEARCH_CURVES_H
#define FV_TOOLS_REPORT_SEARCH_CURVES_H

#include "trainer/trainer.h"

#include <stdio.h>

/* CMC: mated probes whose own identity is among the first so many, over all ranks, which are on a logarithmic axis. */
int search_curves_cmc(FILE *f, const struct fv_answer *a, size_t n, uint32_t identities,
                      int pessimistic);
/* TPIR over FPIR, which is on a logarithmic axis; both kinds of probes are there. */
int search_curves_open_set(FILE *f, const struct fv_answer *a, size_t n, int pessimistic);

#endif
