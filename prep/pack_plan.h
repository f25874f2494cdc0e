/* SPDX-License-Identifier: MIT */
/* In which order photos are packed, and whose identities are held out. */
#ifndef FV_PREP_PACK_PLAN_H
#define FV_PREP_PACK_PLAN_H

#include "prep/prep.h"
#include "prep/scan.h"

struct fv_pack_plan {
    /* in packing order: training ones by name, then held-out ones */
    const struct fv_scan_identity **identity;
    size_t identities, training; /* how many; how many of them are training ones */
    const char **file;           /* all photos, identity by identity */
    size_t files;
    void *memory;
};

/* Pointers lead into *scan, which must outlive the plan. */
int fv__plan_make(struct fv_pack_plan *out, const struct fv_scan *scan,
                  const struct fv_pack_settings *s, int threads);
void fv__plan_free(struct fv_pack_plan *p); /* accepts a zeroed one */

#endif
