/* SPDX-License-Identifier: MIT */
/* The subcommands of fveval: one file each, one row each in fveval.c. */
#ifndef FV_TOOLS_FVEVAL_H
#define FV_TOOLS_FVEVAL_H

#include "common/opt.h"

/* Rows of option tables that commands share, for a table that has FIELD(name). */
/* clang-format off */
#define FVEVAL_NET_OPTS \
    {"backend", 0, FV_OPT_STRING, 0, FIELD(backend), "NAME", "what computes", 0, 0, NULL}, \
    {"batch", 'b', FV_OPT_INT, 0, FIELD(batch), "N", "images in a batch", 1, 4096, NULL}, \
    {"threads", 'j', FV_OPT_INT, 0, FIELD(threads), "N", "threads of the backend; 0: one per processor", 0, 4096, NULL}
#define FVEVAL_OUTPUT_OPTS \
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print the result as JSON", 0, 0, NULL}, \
    {"quiet", 'q', FV_OPT_FLAG, 0, FIELD(quiet), NULL, "only the result, warnings and errors", 0, 0, NULL}
/* clang-format on */

extern const struct fv_command fveval_pairs_cmd, fveval_embed_cmd, fveval_score_cmd,
    fveval_gallery_cmd, fveval_verify_cmd, fveval_identify_cmd, fveval_submit_cmd, fveval_serve_cmd;

int fveval_pairs(int argc, char **argv);
int fveval_embed(int argc, char **argv);
int fveval_score(int argc, char **argv);
int fveval_gallery(int argc, char **argv);
int fveval_verify(int argc, char **argv);
int fveval_identify(int argc, char **argv);
int fveval_submit(int argc, char **argv);
int fveval_serve(int argc, char **argv);

#endif
