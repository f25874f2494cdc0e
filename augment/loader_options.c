/* SPDX-License-Identifier: MIT */
/* The loader's settings and figures by name, for programs that were built apart from the library. The names are those
 * of the option table, plus what a program of fv sets by itself; the texts live in the options, since a struct of
 * settings only points to them. */
#include "augment/augment.h"

#include <stdlib.h>
#include <string.h>

struct text {
    struct text *next;
    char value[];
};

struct fv_loader_options {
    struct fv_loader_settings set;
    const char *split;
    struct text *texts; /* every value that was set */
};

#define FIELD(f) offsetof(struct fv_loader_options, f)
static const struct fv_opt own_opts[] = {
    {"split", 0, FV_OPT_STRING, 0, FIELD(split), "NAMES",
     "which images: train, val, holdout, or several with commas", 0, 0, NULL},
    {"endless", 0, FV_OPT_FLAG, 0, FIELD(set.endless), NULL,
     "epochs without end, in whole batches; else one pass, whose last batch may be short", 0, 0,
     NULL},
    {0},
};
#undef FIELD

enum { GROUPS = 2 };

static void groups_of(const struct fv_loader_options *o, struct fv_opt_group g[GROUPS])
{
    /* Getting never writes; setting comes with options that may be written. */
    struct fv_loader_options *w = (struct fv_loader_options *)(uintptr_t)o;

    g[0] = (struct fv_opt_group){.opts = fv_loader_opts, .settings = &w->set};
    g[1] = (struct fv_opt_group){.opts = own_opts, .settings = w};
}

int fv_loader_options_row(size_t i, const char **name, const char **help)
{
    const struct fv_opt *const tables[] = {fv_loader_opts, own_opts};

    for (int t = 0; t < GROUPS; t++)
        for (const struct fv_opt *row = tables[t]; row->name; row++)
            if (i-- == 0) {
                *name = row->name;
                *help = row->help;
                return 1;
            }
    return 0;
}

/* "a, b, c" into list. */
static void join(char *list, size_t room, const char *name)
{
    const size_t n = strlen(list);

    snprintf(list + n, room - n, "%s%s", n ? ", " : "", name);
}

static int unknown_option(const char *name)
{
    char list[FV_ERR_TEXT_MAX] = "";
    const char *row, *help;

    for (size_t i = 0; fv_loader_options_row(i, &row, &help); i++)
        join(list, sizeof list, row);
    return fv_err(FV_ENOTFOUND, "a loader has no option '%s': there are %s", name, list);
}

int fv_loader_options_new(struct fv_loader_options **out)
{
    struct fv_loader_options *o = *out = calloc(1, sizeof *o);

    if (!o)
        return fv_err(FV_ENOMEM, "out of memory for the loader's options");
    fv_loader_defaults(&o->set);
    o->split = fv_split_names[FV_SPLIT_TRAIN];
    return FV_OK;
}

void fv_loader_options_free(struct fv_loader_options **options)
{
    struct fv_loader_options *o = *options;

    if (!o)
        return;
    while (o->texts) {
        struct text *next = o->texts->next;
        free(o->texts);
        o->texts = next;
    }
    free(o);
    *options = NULL;
}

/* "train,val" as a set of bits. */
static int parse_splits(const char *names, unsigned *splits)
{
    *splits = 0;
    for (const char *p = names;; p++) {
        const size_t n = strcspn(p, ",");
        int split = 0;
        while (fv_split_names[split] &&
               (strlen(fv_split_names[split]) != n || strncmp(fv_split_names[split], p, n) != 0))
            split++;
        if (!fv_split_names[split])
            return fv_err(FV_EUSAGE, "split: '%.*s' is not one of train, val, holdout", (int)n, p);
        *splits |= 1u << split;
        p += n;
        if (!*p)
            return FV_OK;
    }
}

int fv_loader_options_set(struct fv_loader_options *o, const char *name, const char *value)
{
    struct fv_opt_group groups[GROUPS];
    unsigned splits;

    if (strcmp(name, "split") == 0)
        FV_TRY(parse_splits(value, &splits));
    struct text *copy = malloc(sizeof *copy + strlen(value) + 1);
    if (!copy)
        return fv_err(FV_ENOMEM, "out of memory for the loader's options");
    strcpy(copy->value, value);
    groups_of(o, groups);
    const int rc = fv_opt_set(groups, GROUPS, name, copy->value);
    if (rc < 0) {
        free(copy);
        if (rc == FV_ENOTFOUND)
            return unknown_option(name);
        const char *sentence = fv_err_text(); /* of an option on a command line */
        return fv_err(rc, "%s", sentence + (strncmp(sentence, "--", 2) == 0 ? 2 : 0));
    }
    copy->next = o->texts;
    o->texts = copy;
    return FV_OK;
}

/* A preset may change from one version to the next: the text says what it stands for. */
int fv_loader_options_text(const struct fv_loader_options *o, char *text, size_t room)
{
    struct fv_opt_group groups[GROUPS];
    struct fv_loader_options plain = *o;
    char *policy;

    FV_TRY(fv_policy_expand(&policy, o->set.policy));
    plain.set.policy = policy;
    groups_of(&plain, groups);
    char *lines = fv_opt_write_text(groups, GROUPS);
    free(policy);
    if (!lines)
        return fv_err(FV_ENOMEM, "out of memory for the loader's options");
    const int n = snprintf(text, room, "%s", lines);
    free(lines);
    return n;
}

void fv_loader_options_allocator(struct fv_loader_options *o, const struct fv_allocator *a)
{
    o->set.allocator = a;
}

void fv_loader_options_report(struct fv_loader_options *o, const struct fv_report *r)
{
    o->set.report = r;
}

int fv_loader_open_options(struct fv_loader **out, struct fv_store *store,
                           const struct fv_loader_options *o)
{
    struct fv_loader_settings set = o->set;

    *out = NULL;
    FV_TRY(parse_splits(o->split, &set.splits));
    return fv_loader_open(out, store, &set);
}

/* clang-format off */
#define FIGURE(f) {#f, offsetof(struct fv_loader_stats, f)}
/* clang-format on */
static const struct {
    const char *name;
    size_t offset;
} figures[] = {
    FIGURE(images),   FIGURE(batches),          FIGURE(bad),
    FIGURE(replaced), FIGURE(left_out),         FIGURE(decode_ns),
    FIGURE(warp_ns),  FIGURE(colour_ns),        FIGURE(erase_ns),
    FIGURE(mix_ns),   FIGURE(producer_wait_ns), FIGURE(consumer_wait_ns),
    FIGURE(threads),
};
enum { FIGURES = sizeof figures / sizeof figures[0] };
_Static_assert(sizeof(struct fv_loader_stats) == FIGURES * sizeof(uint64_t), "a figure has no row");

int fv_loader_stat_row(size_t i, const char **name)
{
    if (i >= FIGURES)
        return 0;
    *name = figures[i].name;
    return 1;
}

int fv_loader_stat(const struct fv_loader *l, const char *name, uint64_t *value)
{
    char list[FV_ERR_TEXT_MAX] = "";
    struct fv_loader_stats stats;

    fv_loader_stats(l, &stats);
    for (int i = 0; i < FIGURES; i++) {
        if (strcmp(figures[i].name, name) == 0) {
            memcpy(value, (const char *)&stats + figures[i].offset, sizeof *value);
            return FV_OK;
        }
        join(list, sizeof list, figures[i].name);
    }
    return fv_err(FV_ENOTFOUND, "a loader has no figure '%s': there are %s", name, list);
}

size_t fv_batch_bytes(void)
{
    return sizeof(struct fv_batch);
}

const char *fv_version(void)
{
    return FV_VERSION;
}
