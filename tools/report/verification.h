/* SPDX-License-Identifier: MIT */
/* A page that says how well a net verifies faces: one HTML file that needs nothing besides itself. */
#ifndef FV_TOOLS_REPORT_VERIFICATION_H
#define FV_TOOLS_REPORT_VERIFICATION_H

#include "store/store.h"
#include "tools/report/parts.h"
#include "tools/report/roc_plot.h"
#include "tools/results.h"

struct report_verification {
    const char *checkpoint, *model; /* its path; what fv_model_info says of it */
    int others;                     /* nets beside it, whose mean score counts */
    const struct fv_store *store;
    const struct roc_curve *curve; /* (curves): the net, then what it is held against */
    int curves;
    const struct fv_pair
        *pair;           /* (pairs) of image ids; NULL: of templates, which have no picture */
    const double *score; /* (pairs) by the net */
    const uint8_t *same; /* (pairs) */
    size_t pairs;
    const float *embedding; /* (images, dim); NULL: none are shown */
    const uint32_t *image;  /* (images) their ids, ascending */
    size_t images;
    int dim;
    double eer_low, eer_high, level; /* its interval over identities; level 0: not known */
    const char *figures;             /* report_rows of what is printed */
    const char *settings;            /* "name = value" lines */
    const char *log;                 /* log.jsonl of the run that trained the net; NULL: none */
};

/* Written whole or not at all. FV_EUNSUPPORTED where there is no gnuplot. */
int report_verification(const char *path, const struct report_verification *v);

/* The interval of the EER, if it is among the rows. */
void report_take_interval(struct report_verification *v, const struct results *r);

#endif
