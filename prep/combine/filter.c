/* SPDX-License-Identifier: MIT */
/* fvprep filter: some identities of a data set, with the splits that they have there. */
#include "common/err.h"
#include "common/fs.h"
#include "prep/combine/copy_set.h"
#include "prep/pack/packed_with.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(f) offsetof(struct fv_filter_settings, f)

/* clang-format off */
const struct fv_opt fv_filter_opts[] = {
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "FILE",
     "the data set to write", 0, 0, NULL},
    {"identities", 0, FV_OPT_STRING, 0, FIELD(identities), "LIST",
     "keep these: a text file, one name a line", 0, 0, NULL},
    {"exclude", 0, FV_OPT_FLAG, 0, FIELD(exclude), NULL,
     "drop those of the list, keep the others", 0, 0, NULL},
    {"min-images", 0, FV_OPT_INT, 0, FIELD(min_images), "N",
     "drop identities with fewer images", 1, 1e9, NULL},
    {"overwrite", 0, FV_OPT_FLAG, 0, FIELD(overwrite), NULL,
     "replace an existing data set", 0, 0, NULL},
    {"threads", 'j', FV_OPT_INT, 0, FIELD(threads), "N",
     "threads that check records; 0: one per processor", 0, 256, NULL},
    {.name = NULL},
};
/* clang-format on */

static const size_t list_limit = (size_t)1 << 30; /* bytes */

/* --- the list of names ---------------------------------------------------------------------------- */

struct names {
    char *text, **at; /* sorted, each once */
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(struct names *l)
{
    free(l->text);
    free(l->at);
}

/* Cuts the text at line ends; spaces within a name stay. */
static int cut_lines(struct names *l)
{
    size_t lines = 1;
    for (const char *p = l->text; *p; p++)
        lines += *p == '\n';
    l->at = malloc(lines * sizeof *l->at);
    if (!l->at)
        return fv_err(FV_ENOMEM, "out of memory for %zu names", lines);
    for (char *save, *s = strtok_r(l->text, "\r\n", &save); s; s = strtok_r(NULL, "\r\n", &save))
        l->at[l->n++] = s;
    return 0;
}

static int read_names(struct names *l, const char *path)
{
    size_t bytes, kept = 0;
    FV_TRY(fv_file_read(path, list_limit, &l->text, &bytes));
    FV_TRY(cut_lines(l));
    qsort(l->at, l->n, sizeof *l->at, by_name);
    for (size_t i = 0; i < l->n; i++)
        if (i == 0 || strcmp(l->at[i], l->at[i - 1]) != 0)
            l->at[kept++] = l->at[i];
    l->n = kept;
    return 0;
}

/* --- who stays ------------------------------------------------------------------------------------ */

/* Marks those of the list; says how many names nobody has. */
static int mark_listed(uint8_t *listed, const struct fv_store *store, const char *path,
                       const struct fv_report *r)
{
    struct names l = {0};
    size_t found = 0;
    int rc = read_names(&l, path);
    for (uint64_t i = 0; rc == 0 && i < fv_store_info(store)->labels; i++) {
        struct fv_store_label label;
        rc = fv_store_label(store, i, &label);
        listed[i] = rc == 0 && bsearch(&label.name, l.at, l.n, sizeof *l.at, by_name) != NULL;
        found += listed[i];
    }
    if (rc == 0 && found == 0)
        rc = fv_err(FV_ENOTFOUND, "%s: none of its %zu names is an identity of %s", path, l.n,
                    fv_store_path(store));
    else if (rc == 0 && found < l.n)
        fv_say(r, FV_LEVEL_WARN, "%s: %zu of its %zu names are no identities of %s", path,
               l.n - found, l.n, fv_store_path(store));
    free_names(&l);
    return rc;
}

static int choose(uint8_t *keep, const struct fv_store *store, const struct fv_filter_settings *s,
                  const struct fv_report *r)
{
    const uint64_t labels = fv_store_info(store)->labels;
    uint64_t few = 0;
    memset(keep, 1, labels);
    if (s->identities)
        FV_TRY(mark_listed(keep, store, s->identities, r));
    for (uint64_t i = 0; i < labels; i++) {
        struct fv_store_label label;
        FV_TRY(fv_store_label(store, i, &label));
        keep[i] ^= s->exclude != 0;
        few += keep[i] && label.count < (uint64_t)s->min_images;
        keep[i] &= label.count >= (uint64_t)s->min_images;
    }
    if (few)
        fv_say(r, FV_LEVEL_INFO, "%" PRIu64 " identities have fewer than %" PRId64 " images", few,
               s->min_images);
    return 0;
}

static int filter(struct fv_store *store, const struct fv_filter_settings *s,
                  const char *packed_with, const struct fv_report *r, struct fv_moved *out)
{
    uint8_t *keep = malloc(fv_store_info(store)->labels);
    const struct fv_copy c = {.from = store,
                              .keep = keep,
                              .output = s->output,
                              .overwrite = s->overwrite,
                              .threads = (int)s->threads,
                              .packed_with = packed_with,
                              .what = "filter",
                              .report = r};
    int rc = keep ? choose(keep, store, s, r) : fv_err(FV_ENOMEM, "out of memory for identities");
    if (rc == 0)
        rc = fv__copy_set(&c, out);
    free(keep);
    return rc;
}

int fv_filter_run(const struct fv_filter_settings *s, const char *const *paths, size_t n,
                  const struct fv_report *r, struct fv_moved *out)
{
    struct fv_store *store = NULL;
    char *packed_with;
    *out = (struct fv_moved){0};
    if (s->exclude && !s->identities)
        return fv_err(FV_EUSAGE, "--exclude: needs --identities, the list to exclude");
    int rc = fv__packed_with_of(&packed_with, paths, n, r);
    if (rc == 0)
        rc = fv_store_open_many(&store, paths, n);
    if (rc == 0)
        rc = filter(store, s, packed_with, r, out);
    fv_store_close(&store);
    free(packed_with);
    return rc;
}
