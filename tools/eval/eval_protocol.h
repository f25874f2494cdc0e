/* SPDX-License-Identifier: MIT */
/* --protocol: the figures of a known protocol, by its own conventions beside ours. */
#ifndef FV_TOOLS_EVAL_PROTOCOL_H
#define FV_TOOLS_EVAL_PROTOCOL_H

#include "tools/eval/eval_figures.h"

#include <stdio.h>

struct eval_protocol {
    const char *name; /* NULL: none */
    /* filled in by eval_protocol_check */
    const struct fv_protocol *row; /* NULL: none */
};
extern const struct fv_opt eval_protocol_opts[];

/* After parsing, before eval_figures_check: takes over rates, rule and folds. FV_EUSAGE. */
int eval_protocol_check(struct eval_protocol *p, struct eval_figures *f);
/* eval_figures_add_all, and what the protocol adds to it. form: of the list; NULL: there was none. */
int eval_protocol_add(struct results *r, const struct eval_protocol *p, const char *form,
                      struct eval_figures *f, const struct fv_roc *roc,
                      const struct eval_scores *s);
/* For --help. */
void eval_protocol_list(FILE *f);

#endif
