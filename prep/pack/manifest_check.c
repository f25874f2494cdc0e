/* SPDX-License-Identifier: MIT */
/* A stanza of a manifest and a packed file: what it asks of packing, what it says of the result. */
#include "prep/pack/manifest.h"

#include "common/err.h"
#include "prep/pack/libraries.h"
#include "prep/prep.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- packing by a stanza -------------------------------------------------------------------------- */

int fv_manifest_apply(const struct fv_data_set *d, struct fv_pack_settings *s)
{
    const struct fv_opt_group group = {"", fv_pack_opts, s};
    for (int i = 0; i < d->options; i++)
        FV_TRY(fv_opt_set(&group, 1, d->option[i].name, d->option[i].value));
    return 0;
}

int fv_manifest_has_option(const struct fv_data_set *d, const char *name)
{
    for (int i = 0; i < d->options; i++)
        if (strcmp(d->option[i].name, name) == 0)
            return 1;
    return 0;
}

static const struct fv_opt *find_option(const char *name)
{
    const struct fv_opt *o = fv_pack_opts;
    while (o->name && strcmp(o->name, name) != 0)
        o++;
    return o;
}

int fv_manifest_allows(const struct fv_manifest *m, const struct fv_data_set *d,
                       const struct fv_pack_settings *s)
{
    struct fv_pack_settings told;
    char here[128], there[128];
    fv_pack_defaults(&told);
    FV_TRY(fv_manifest_apply(d, &told));
    for (int i = 0; i < d->options; i++) {
        const struct fv_opt *o = find_option(d->option[i].name);
        fv_opt_format(o, s, here, sizeof here);
        fv_opt_format(o, &told, there, sizeof there);
        if (strcmp(here, there) != 0)
            return fv_err(FV_EUSAGE, "--%s %s contradicts %s, where [%s] has %s = %s", o->name,
                          here, m->path, d->name, o->name, d->option[i].value);
    }
    return 0;
}

/* --- a packed file -------------------------------------------------------------------------------- */

static void count_all(const struct fv_store_info *i, uint64_t count[FV_MANIFEST_COUNTS])
{
    count[FV_IDENTITIES] = i->labels;
    count[FV_TRAIN_IDENTITIES] = i->train_labels;
    count[FV_HOLDOUT_IDENTITIES] = i->labels - i->train_labels;
    count[FV_IMAGES] = i->images;
    count[FV_TRAIN_IMAGES] = i->split_images[FV_SPLIT_TRAIN];
    count[FV_VAL_IMAGES] = i->split_images[FV_SPLIT_VAL];
    count[FV_HOLDOUT_IMAGES] = i->split_images[FV_SPLIT_HOLDOUT];
}

/* Who is compared. */
struct sides {
    const struct fv_manifest *m;
    const struct fv_data_set *d;
    const struct fv_store *s;
};

static int differs(const struct sides *x, const char *key, const char *here, const char *there)
{
    return fv_err(FV_ECORRUPT, "%s: is not [%s] of %s: that has %s = %s, this has %s",
                  fv_store_path(x->s), x->d->name, x->m->path, key, there, here);
}

static int check_form(const struct sides *x)
{
    const struct fv_store_info *info = fv_store_info(x->s);
    struct fv_pack_settings told;
    char here[24], there[24];
    fv_pack_defaults(&told);
    FV_TRY(fv_manifest_apply(x->d, &told));
    if (fv_manifest_has_option(x->d, "codec") && strcmp(told.codec, info->codec) != 0)
        return differs(x, "codec", info->codec, told.codec);
    if (!fv_manifest_has_option(x->d, "size") || told.size == info->width)
        return 0;
    snprintf(here, sizeof here, "%d", info->width);
    snprintf(there, sizeof there, "%" PRId64, told.size);
    return differs(x, "size", here, there);
}

static int check_counts(const struct sides *x)
{
    uint64_t count[FV_MANIFEST_COUNTS];
    char here[24], there[24];
    count_all(fv_store_info(x->s), count);
    for (int k = 0; k < FV_MANIFEST_COUNTS; k++) {
        if (!(x->d->counted >> k & 1) || count[k] == x->d->count[k])
            continue;
        snprintf(here, sizeof here, "%" PRIu64, count[k]);
        snprintf(there, sizeof there, "%" PRIu64, x->d->count[k]);
        return differs(x, fv_manifest_count_keys[k], here, there);
    }
    return 0;
}

static int check_digest(const struct sides *x, int packed_here)
{
    const uint64_t digest = fv_store_info(x->s)->digest;
    const struct fv_manifest_digest *other = NULL;
    char here[24], there[200];
    for (int i = 0; i < x->d->digests; i++) {
        const struct fv_manifest_digest *g = &x->d->digest[i];
        if (g->value == digest)
            return 1;
        if (!other && (!packed_here || fv__libraries_hold(g->libraries)))
            other = g;
    }
    if (!other)
        return 0;
    snprintf(here, sizeof here, "%016" PRIx64, digest);
    snprintf(there, sizeof there, "%016" PRIx64 "%s%s", other->value,
             *other->libraries ? " with " : "", other->libraries);
    return differs(x, "digest", here, there);
}

int fv_manifest_check(const struct fv_manifest *m, const struct fv_data_set *d,
                      const struct fv_store *s, int packed_here)
{
    const struct sides x = {m, d, s};
    FV_TRY(check_form(&x));
    FV_TRY(check_counts(&x));
    return check_digest(&x, packed_here);
}

int fv_manifest_recognise(const struct fv_manifest *m, const struct fv_store *s,
                          const struct fv_data_set **out)
{
    const uint64_t digest = fv_store_info(s)->digest;
    for (size_t i = 0; i < m->sets; i++)
        for (int k = 0; k < m->set[i].digests; k++)
            if (m->set[i].digest[k].value == digest) {
                *out = &m->set[i];
                return 0;
            }
    *out = NULL;
    return fv_err(FV_ENOTFOUND, "%s: has digest %016" PRIx64 ", which is that of no data set in %s",
                  fv_store_path(s), digest, m->path);
}

/* --- a new stanza --------------------------------------------------------------------------------- */

/* The options that it was packed with, less those that do not show in the digest. */
static void write_options(FILE *to, const char *lines)
{
    static const char *const unseen[] = {"level =", "dict ="};
    while (*lines) {
        const size_t n = strcspn(lines, "\n");
        int seen = 1;
        for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
            seen &= strncmp(lines, unseen[i], strlen(unseen[i])) != 0;
        if (seen)
            fprintf(to, "%.*s\n", (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
}

char *fv_manifest_stanza(const struct fv_store *s, const char *name, const char *layout)
{
    const struct fv_store_info *info = fv_store_info(s);
    const char *libraries = fv__libraries_of_photos();
    uint64_t count[FV_MANIFEST_COUNTS];
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);
    if (!to)
        return NULL;
    fprintf(to, "[%s]\n", name);
    for (int i = 0; fv_manifest_text_keys[i]; i++)
        fprintf(to, "# %s =\n", fv_manifest_text_keys[i]);
    fprintf(to, "layout = %s\n", layout);
    write_options(to, info->packed_with);
    count_all(info, count);
    for (int k = 0; k < FV_MANIFEST_COUNTS; k++)
        fprintf(to, "%s = %" PRIu64 "\n", fv_manifest_count_keys[k], count[k]);
    fprintf(to, "digest = %016" PRIx64 "%s%s\n", info->digest, *libraries ? " with " : "",
            libraries);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}
