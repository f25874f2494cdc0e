/* SPDX-License-Identifier: MIT */
/* What a manifest does for fvprep: pack goes by a stanza and is held against it, verify proves by one. */
#ifndef FV_TOOLS_FVPREP_MANIFEST_H
#define FV_TOOLS_FVPREP_MANIFEST_H

#include "prep/prep.h"
#include "tools/prep/fvprep_talk.h"
#include "tools/results.h"

struct fv_store;

struct manifest_use {
    const char *path; /* NULL: without one */
    int stanza;       /* pack: print the stanza of what was packed */
    struct fv_manifest *manifest;
    const struct fv_data_set *set;
};
extern const struct fv_opt manifest_pack_opts[], manifest_verify_opts[];

/* Parses the command line of pack twice: for the stanza's name, then over what the stanza says. 1 when --help
 * was asked for and printed. *photos becomes the argument of that name. */
int manifest_parse_pack(const struct fv_command *cmd, struct manifest_use *u,
                        struct fv_pack_settings *s, struct talk *talk, int argc, char **argv,
                        const char **photos);
/* Adds to r what the packed file is by the manifest, and for programs its stanza. On failure r can still be
 * printed, before the sentence. *stanza becomes the text to print after r, or NULL; free it. */
int manifest_check_packed(const struct manifest_use *u, const struct fv_pack_settings *s,
                          const struct fv_pack_result *p, int json, struct results *r,
                          char **stanza);

/* Opens the manifest and finds the data set of that name; NULL: the one whose digest the file has. */
int manifest_open_for(struct manifest_use *u, const char *name, const struct fv_store *s);
/* FV_ECORRUPT when the file is not that data set, FV_ENOTFOUND when nothing proves that it is. */
int manifest_prove(const struct manifest_use *u, const struct fv_store *s, struct results *r);

void manifest_end(struct manifest_use *u);

#endif
