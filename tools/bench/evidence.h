/* SPDX-License-Identifier: MIT */
/* The circumstances of a measurement, for whoever wants to believe, repeat or compare it: machine, libraries, the
 * very program, when, and how it was asked. */
#ifndef FV_TOOLS_EVIDENCE_H
#define FV_TOOLS_EVIDENCE_H

#include "common/opt.h"

struct evidence {
    const char *name; /* of the command; argv[0] is left out */
    int argc;
    char **argv;
    const struct fv_opt_group *groups; /* the options, those not given included */
    int ngroups;
    const char *libraries; /* "LMDB 0.9.24, zstd 1.5.4" */
    const char *backend;   /* as it describes itself; NULL: none took part */
};

/* A JSON object (json_t *), to be given to results_json or freed. What cannot be found out is "unknown". */
void *evidence_make(const struct evidence *e);

#endif
