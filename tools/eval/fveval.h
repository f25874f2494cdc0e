/* SPDX-License-Identifier: MIT */
/* The subcommands of fveval: one file each, one row each in fveval.c. */
#ifndef FV_TOOLS_FVEVAL_H
#define FV_TOOLS_FVEVAL_H

#include "common/opt.h"

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
