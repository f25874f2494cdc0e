/* SPDX-License-Identifier: MIT */
#include "prep/pack/manifest.h"

#include "common/err.h"
#include "common/fs.h"
#include "prep/pack/libraries.h"
#include "prep/prep.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANIFEST_LIMIT = 1 << 20 };

const char *const fv_manifest_text_keys[] = {[FV_TITLE] = "title",
                                             [FV_SOURCE] = "source",
                                             [FV_LICENCE] = "licence",
                                             [FV_CITATION] = "citation",
                                             NULL};
const char *const fv_manifest_count_keys[] = {[FV_IDENTITIES] = "identities",
                                              [FV_TRAIN_IDENTITIES] = "train-identities",
                                              [FV_HOLDOUT_IDENTITIES] = "holdout-identities",
                                              [FV_IMAGES] = "images",
                                              [FV_TRAIN_IMAGES] = "train-images",
                                              [FV_VAL_IMAGES] = "val-images",
                                              [FV_HOLDOUT_IMAGES] = "holdout-images",
                                              NULL};

/* --- lines ---------------------------------------------------------------------------------------- */

struct reader {
    struct fv_manifest *m;
    char *next;      /* NULL after the last line */
    int line, lines; /* number of the current line; lines taken so far */
};

__attribute__((format(printf, 2, 3))) static int fault(const struct reader *r, const char *fmt, ...)
{
    char text[FV_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return fv_err(FV_ECORRUPT, "%.200s: line %d: %s", r->m->path, r->line, text);
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the line at r->next off and returns it without blanks around it. */
static char *take_line(struct reader *r)
{
    char *from = r->next, *end = strchr(from, '\n');
    r->next = end ? end + 1 : NULL;
    end = end ? end : from + strlen(from);
    *end = 0;
    r->lines++;
    while (end > from && is_blank(end[-1]))
        *--end = 0;
    while (is_blank(*from))
        from++;
    return from;
}

/* Whether the next line goes on with the value of this one. */
static int goes_on(const struct reader *r)
{
    const char *p = r->next;
    if (!p || !is_blank(*p))
        return 0;
    while (is_blank(*p))
        p++;
    return *p && *p != '\n' && *p != '#';
}

/* The next line that is neither empty nor a remark, those that go on with it behind one blank each. NULL at
 * the end. */
static char *next_line(struct reader *r)
{
    while (r->next) {
        char *line = take_line(r);
        r->line = r->lines;
        if (*line == 0 || *line == '#')
            continue;
        while (*line != '[' && goes_on(r)) {
            char *end = line + strlen(line);
            const char *more = take_line(r);
            *end = ' '; /* there was at least the line's own end */
            memmove(end + 1, more, strlen(more) + 1);
        }
        return line;
    }
    return NULL;
}

/* --- one stanza ----------------------------------------------------------------------------------- */

static int is_name(const char *s)
{
    return *s &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == 0;
}

static int begin_stanza(struct reader *r, char *line)
{
    struct fv_manifest *m = r->m;
    char *end = line + strlen(line) - 1, *name = line + 1;
    if (end == line || *end != ']')
        return fault(r, "a data set begins with its name in brackets: [name]");
    *end = 0;
    if (!is_name(name))
        return fault(r, "'%.80s' is no name: letters, digits, '-', '_' and '.' make one", name);
    for (size_t i = 0; i < m->sets; i++)
        if (strcmp(m->set[i].name, name) == 0)
            return fault(r, "[%.80s] is already in line %d", name, m->set[i].line);
    if (m->sets == m->room) {
        const size_t more = m->room ? 2 * m->room : 16;
        struct fv_data_set *grown = realloc(m->set, more * sizeof *grown);
        if (!grown)
            return fv_err(FV_ENOMEM, "out of memory for a manifest");
        m->set = grown;
        m->room = more;
    }
    m->set[m->sets++] = (struct fv_data_set){.name = name, .line = r->line};
    return 0;
}

static int place_of(const char *const *keys, const char *key)
{
    for (int i = 0; keys[i]; i++)
        if (strcmp(keys[i], key) == 0)
            return i;
    return -1;
}

/* Options that say what the data set is, and its layout. */
static int is_option(const struct fv_opt *o)
{
    return !(o->flags & FV_OPT_TRANSIENT) || strcmp(o->name, "layout") == 0;
}

static const struct fv_opt *option_named(const char *key)
{
    for (const struct fv_opt *o = fv_pack_opts; o->name; o++)
        if (is_option(o) && strcmp(o->name, key) == 0)
            return o;
    return NULL;
}

static int unknown_key(const struct reader *r, const char *key)
{
    char valid[FV_ERR_TEXT_MAX] = "digest";
    const char *const *const keys[] = {fv_manifest_text_keys, fv_manifest_count_keys};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; keys[k][i]; i++)
            snprintf(valid + strlen(valid), sizeof valid - strlen(valid), ", %s", keys[k][i]);
    for (const struct fv_opt *o = fv_pack_opts; o->name; o++)
        if (is_option(o))
            snprintf(valid + strlen(valid), sizeof valid - strlen(valid), ", %s", o->name);
    return fault(r, "unknown key '%.40s': valid are %s", key, valid);
}

static int set_text(const struct reader *r, struct fv_data_set *d, int k, const char *value)
{
    if (d->text[k])
        return fault(r, "[%s] already has a %s", d->name, fv_manifest_text_keys[k]);
    d->text[k] = value;
    return 0;
}

static int set_count(const struct reader *r, struct fv_data_set *d, int k, const char *value)
{
    uint64_t v = 0;
    const char *p = value;
    for (; *p >= '0' && *p <= '9' && v < UINT64_MAX / 100; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    if (p == value || *p)
        return fault(r, "'%.80s' is no number of %s", value, fv_manifest_count_keys[k]);
    if (d->counted >> k & 1)
        return fault(r, "[%s] already has %s", d->name, fv_manifest_count_keys[k]);
    d->count[k] = v;
    d->counted |= 1u << k;
    return 0;
}

static int set_option(const struct reader *r, struct fv_data_set *d, const struct fv_opt *o,
                      const char *value)
{
    struct fv_pack_settings scratch;
    const struct fv_opt_group group = {"", fv_pack_opts, &scratch};
    char why[FV_ERR_TEXT_MAX];
    for (int i = 0; i < d->options; i++)
        if (strcmp(d->option[i].name, o->name) == 0)
            return fault(r, "[%s] already has a %s", d->name, o->name);
    if (d->options == FV_MANIFEST_OPTIONS)
        return fault(r, "[%s] has more than %d options", d->name, FV_MANIFEST_OPTIONS);
    fv_pack_defaults(&scratch);
    if (fv_opt_set(&group, 1, o->name, value) < 0) {
        fv_err_save(why);
        return fault(r, "%s", why);
    }
    d->option[d->options++] = (struct fv_manifest_option){o->name, value};
    return 0;
}

/* "0123456789abcdef", perhaps "with libvips 8.14.1, ...". */
static int set_digest(const struct reader *r, struct fv_data_set *d, char *value)
{
    static const char with[] = "with ";
    struct fv_manifest_digest digest = {.libraries = ""};
    char why[FV_ERR_TEXT_MAX], *rest = value + strspn(value, "0123456789abcdef");
    if (rest - value != 16 || (*rest && *rest != ' '))
        return fault(r, "'%.80s' is no digest of 16 hexadecimal digits", value);
    if (*rest) {
        *rest++ = 0;
        if (strncmp(rest, with, sizeof with - 1) != 0)
            return fault(r, "after a digest comes 'with library version, ...', not '%.80s'", rest);
        digest.libraries = rest + sizeof with - 1;
        if (fv__libraries_check(digest.libraries) < 0) {
            fv_err_save(why);
            return fault(r, "%s", why);
        }
    }
    digest.value = strtoull(value, NULL, 16);
    for (int i = 0; i < d->digests; i++)
        if (strcmp(d->digest[i].libraries, digest.libraries) == 0)
            return fault(r, "[%s] already has a digest with %s", d->name,
                         *digest.libraries ? digest.libraries : "any libraries");
    if (d->digests == FV_MANIFEST_DIGESTS)
        return fault(r, "[%s] has more than %d digests", d->name, FV_MANIFEST_DIGESTS);
    d->digest[d->digests++] = digest;
    return 0;
}

static int set_key(const struct reader *r, struct fv_data_set *d, const char *key, char *value)
{
    const struct fv_opt *o = option_named(key);
    int k;
    if (*value == 0)
        return fault(r, "%.40s has no value: leave out what is not known", key);
    if (strcmp(key, "digest") == 0)
        return set_digest(r, d, value);
    if ((k = place_of(fv_manifest_text_keys, key)) >= 0)
        return set_text(r, d, k, value);
    if ((k = place_of(fv_manifest_count_keys, key)) >= 0)
        return set_count(r, d, k, value);
    return o ? set_option(r, d, o, value) : unknown_key(r, key);
}

static int read_line(struct reader *r, char *line)
{
    if (*line == '[')
        return begin_stanza(r, line);
    char *equals = strchr(line, '=');
    if (!equals)
        return fault(r, "'%.80s' is neither '[name]' nor 'key = value'", line);
    char *value = equals + 1;
    *equals = 0;
    while (equals > line && is_blank(equals[-1]))
        *--equals = 0;
    while (is_blank(*value))
        value++;
    if (r->m->sets == 0)
        return fault(r, "'%.40s' stands before the first data set, [name]", line);
    return set_key(r, &r->m->set[r->m->sets - 1], line, value);
}

/* --- the file ------------------------------------------------------------------------------------- */

void fv_manifest_close(struct fv_manifest **manifest)
{
    struct fv_manifest *m = *manifest;
    if (!m)
        return;
    free(m->path);
    free(m->text);
    free(m->set);
    free(m);
    *manifest = NULL;
}

static int read_text(struct fv_manifest *m)
{
    struct reader r = {.m = m, .next = m->text};
    char *line;
    while ((line = next_line(&r)))
        FV_TRY(read_line(&r, line));
    if (m->sets == 0)
        return fv_err(FV_ECORRUPT, "%s: describes no data set", m->path);
    return 0;
}

int fv_manifest_parse(struct fv_manifest **out, const char *path, const char *text, size_t n)
{
    struct fv_manifest *m = *out = calloc(1, sizeof *m);
    if (memchr(text, 0, n)) {
        fv_manifest_close(out);
        return fv_err(FV_ECORRUPT, "%s: is not a text file", path);
    }
    if (m) {
        m->path = strdup(path);
        m->text = strndup(text, n);
    }
    int rc =
        m && m->path && m->text ? read_text(m) : fv_err(FV_ENOMEM, "out of memory for '%s'", path);
    if (rc < 0)
        fv_manifest_close(out);
    return rc;
}

int fv_manifest_open(struct fv_manifest **out, const char *path)
{
    char *text;
    size_t n;
    *out = NULL;
    FV_TRY(fv_file_read(path, MANIFEST_LIMIT, &text, &n));
    int rc = fv_manifest_parse(out, path, text, n);
    free(text);
    return rc;
}

int fv_manifest_find(const struct fv_manifest *m, const char *name, const struct fv_data_set **out)
{
    char valid[300] = "";
    for (size_t i = 0; i < m->sets; i++) {
        *out = &m->set[i];
        if (strcmp(m->set[i].name, name) == 0)
            return 0;
        snprintf(valid + strlen(valid), sizeof valid - strlen(valid), "%s%s", i ? ", " : "",
                 m->set[i].name);
    }
    *out = NULL;
    return fv_err(FV_EUSAGE, "%.100s describes no data set '%.40s': valid are %s", m->path, name,
                  valid);
}
