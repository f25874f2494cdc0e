/* SPDX-License-Identifier: MIT */
/* Files to be handed in: the layouts that a course (CMU 11-785, HW2P2) has asked for, semester by semester. */
#ifndef FV_TRAINER_SUBMISSION_H
#define FV_TRAINER_SUBMISSION_H

#include <stddef.h>

struct fv_submission {
    size_t n;
    const char *const *first,
        *const *second;  /* (n) names of what was compared, for layouts with names; second may be
                                                 NULL where a row is one image */
    const double *score; /* (n) of layouts of scores */
    const char *const *identity; /* (n) of layouts of identities and classes */
};

/* What a row answers: whom a probe of a gallery shows; how alike a pair is; which class an image is of. */
enum fv_submission_kind { FV_SUBMISSION_IDENTITIES, FV_SUBMISSION_SCORES, FV_SUBMISSION_CLASSES };

/* Layout i: 1, its name, a sentence, and its kind; 0 after the last. */
int fv_submission_layout(size_t i, const char **name, const char **help, int *kind);
/* FV_EUSAGE lists the names of that kind. */
int fv_submission_check(const char *layout, int kind);
/* Whole or not at all. */
int fv_submission_write(const struct fv_submission *s, const char *layout, const char *path);

#endif
