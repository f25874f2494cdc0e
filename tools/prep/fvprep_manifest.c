/* SPDX-License-Identifier: MIT */
#include "tools/prep/fvprep_manifest.h"

#include "common/err.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(f) offsetof(struct manifest_use, f)
/* clang-format off */
const struct fv_opt manifest_pack_opts[] = {
    {"manifest", 0, FV_OPT_STRING, 0, FIELD(path), "FILE",
     "pack the data set NAME of this file, with its options, and check what comes of it", 0, 0, NULL},
    {"stanza", 0, FV_OPT_FLAG, 0, FIELD(stanza), NULL,
     "also print what a manifest says of such a data set", 0, 0, NULL},
    {.name = NULL},
};
const struct fv_opt manifest_verify_opts[] = {
    {"manifest", 0, FV_OPT_STRING, 0, FIELD(path), "FILE",
     "prove that it is the data set NAME of this file, or find out which it is", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */

void manifest_end(struct manifest_use *u)
{
    fv_manifest_close(&u->manifest);
}

/* --- pack ----------------------------------------------------------------------------------------- */

static int open_stanza(struct manifest_use *u, const struct fv_args *args, const char **photos)
{
    if (!u->path && args->n > 1)
        return fv_err(FV_EUSAGE,
                      "'%s' is one argument too many: a data set's name goes with --manifest",
                      args->arg[1]);
    *photos = args->arg[args->n - 1];
    if (!u->path)
        return FV_OK;
    FV_TRY(fv_manifest_open(&u->manifest, u->path));
    if (args->n < 2)
        return fv_err(FV_EUSAGE, "--manifest: NAME and PHOTOS are needed, not only '%s'", *photos);
    return fv_manifest_find(u->manifest, args->arg[0], &u->set);
}

int manifest_parse_pack(const struct fv_command *cmd, struct manifest_use *u,
                        struct fv_pack_settings *s, struct talk *talk, int argc, char **argv,
                        const char **photos)
{
    const struct fv_opt_group groups[] = {{"options", fv_pack_opts, s},
                                          {"data set", manifest_pack_opts, u},
                                          {"output", talk_opts, talk},
                                          {"tracing", tool_trace_opts, &talk->trace}};
    enum { GROUPS = sizeof groups / sizeof *groups };
    struct fv_args args;

    *u = (struct manifest_use){0};
    fv_pack_defaults(s);
    const int rc = tool_begin(cmd, groups, GROUPS, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(open_stanza(u, &args, photos));
    if (!u->set)
        return FV_OK;
    fv_pack_defaults(s);
    FV_TRY(fv_manifest_apply(u->set, s));
    FV_TRY(fv_opt_parse(cmd, groups, GROUPS, argc, argv, &args));
    return fv_manifest_allows(u->manifest, u->set, s);
}

/* The name of the file, as far as it makes a name. */
static void name_of_output(const char *output, char *name, size_t room)
{
    const char *slash = strrchr(output, '/');
    char *dot;

    snprintf(name, room, "%s", slash && slash[1] ? slash + 1 : output);
    if ((dot = strrchr(name, '.')) && dot != name)
        *dot = 0;
    for (char *p = name; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *p))
            *p = '-';
}

static const char *agreement(const struct fv_data_set *d, int result)
{
    if (result < 0)
        return "no";
    if (result > 0)
        return "size, counts and digest";
    return d->digests ? "size and counts; no digest is recorded for the libraries here"
                      : "size and counts; no digest is recorded";
}

/* A shard is not held against the whole: fvprep verify can do that for all of them. */
static int add_agreement(const struct manifest_use *u, const struct fv_store *store,
                         const struct fv_pack_settings *s, struct results *r)
{
    const int part = s->shard && !fv_manifest_has_option(u->set, "shard");
    const int rc = part ? 0 : fv_manifest_check(u->manifest, u->set, store, 1);

    results_string(r, "data_set", u->set->name);
    results_string(r, "agrees", part ? "not checked: a shard of it" : agreement(u->set, rc));
    return rc < 0 ? rc : FV_OK;
}

int manifest_check_packed(const struct manifest_use *u, const struct fv_pack_settings *s,
                          const struct fv_pack_result *p, int json, struct results *r,
                          char **stanza)
{
    struct fv_store *store;
    char name[128];
    int rc = FV_OK;

    *stanza = NULL;
    FV_TRY(fv_store_open(&store, s->output));
    if (u->set)
        rc = add_agreement(u, store, s, r);
    name_of_output(s->output, name, sizeof name);
    if (u->stanza || json) {
        *stanza = fv_manifest_stanza(store, u->set ? u->set->name : name, p->layout);
        if (!*stanza && rc == FV_OK)
            rc = fv_err(FV_ENOMEM, "out of memory for a stanza");
    }
    fv_store_close(&store);
    if (json && *stanza) {
        results_string(r, "stanza", *stanza);
        free(*stanza);
        *stanza = NULL;
    }
    return rc;
}

/* --- verify --------------------------------------------------------------------------------------- */

int manifest_open_for(struct manifest_use *u, const char *name, const struct fv_store *s)
{
    FV_TRY(fv_manifest_open(&u->manifest, u->path));
    return name ? fv_manifest_find(u->manifest, name, &u->set)
                : fv_manifest_recognise(u->manifest, s, &u->set);
}

int manifest_prove(const struct manifest_use *u, const struct fv_store *s, struct results *r)
{
    const int rc = fv_manifest_check(u->manifest, u->set, s, 0);

    if (rc == 0)
        return fv_err(
            FV_ENOTFOUND,
            "%s: size and counts are those of [%s], but %s has no digest to prove it: its "
            "own is %016" PRIx64,
            fv_store_path(s), u->set->name, u->path, fv_store_info(s)->digest);
    FV_TRY(rc);
    results_string(r, "data_set", u->set->name);
    if (u->set->text[FV_TITLE])
        results_string(r, "title", u->set->text[FV_TITLE]);
    return FV_OK;
}
