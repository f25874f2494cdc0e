/* SPDX-License-Identifier: MIT */
#include "common/opt.h"
#include "common/err.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *field(const struct fv_opt *o, void *settings)
{
    return (char *)settings + o->offset;
}

/* --- one value ------------------------------------------------------------------------------------ */

static int bad_value(const struct fv_opt *o, const char *value, const char *wanted)
{
    return fv_err(FV_EUSAGE, "--%s: '%s' is not %s", o->name, value, wanted);
}

static int parse_flag(const struct fv_opt *o, const char *value, int *out)
{
    if (strcmp(value, "yes") == 0 || strcmp(value, "1") == 0)
        *out = 1;
    else if (strcmp(value, "no") == 0 || strcmp(value, "0") == 0)
        *out = 0;
    else
        return bad_value(o, value, "yes or no");
    return FV_OK;
}

static int in_range(const struct fv_opt *o, double v)
{
    return (o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max);
}

static int parse_int(const struct fv_opt *o, const char *value, int64_t *out)
{
    char *end, wanted[96];

    errno = 0;
    const long long v = strtoll(value, &end, 10);
    if (end == value || *end || errno)
        return bad_value(o, value, "a whole number");
    if (!in_range(o, (double)v)) {
        snprintf(wanted, sizeof wanted, "within %.0f to %.0f", o->min, o->max);
        return bad_value(o, value, wanted);
    }
    *out = v;
    return FV_OK;
}

static int parse_real(const struct fv_opt *o, const char *value, double *out)
{
    char *end, wanted[96];
    double v = strtod(value, &end);

    if (end != value && o->type == FV_OPT_SHARE && *end == '%') {
        v /= 100;
        end++;
    }
    if (end == value || *end || !isfinite(v))
        return bad_value(o, value,
                         o->type == FV_OPT_SHARE ? "a share such as 0.15 or 15%" : "a number");
    if (o->type == FV_OPT_SHARE ? v < 0 || v > 1 : !in_range(o, v)) {
        snprintf(wanted, sizeof wanted, "within %g to %g", o->type == FV_OPT_SHARE ? 0 : o->min,
                 o->type == FV_OPT_SHARE ? 1 : o->max);
        return bad_value(o, value, wanted);
    }
    *out = v;
    return FV_OK;
}

static int parse_choice(const struct fv_opt *o, const char *value, const char **out)
{
    char list[256] = "one of";
    size_t n = strlen(list);

    for (const char *const *c = o->choices; *c; c++) {
        if (strcmp(*c, value) == 0) {
            *out = *c;
            return FV_OK;
        }
        n += (size_t)snprintf(list + n, n < sizeof list ? sizeof list - n : 0, "%s %s",
                              c == o->choices ? "" : ",", *c);
        if (n > sizeof list)
            n = sizeof list;
    }
    return bad_value(o, value, list);
}

static int set_value(const struct fv_opt *o, void *settings, const char *value)
{
    void *p = field(o, settings);

    switch (o->type) {
    case FV_OPT_FLAG:
        return parse_flag(o, value, p);
    case FV_OPT_INT:
        return parse_int(o, value, p);
    case FV_OPT_REAL:
    case FV_OPT_SHARE:
        return parse_real(o, value, p);
    case FV_OPT_CHOICE:
        return parse_choice(o, value, p);
    default:
        /* Saved settings have a line each. */
        if (!(o->flags & FV_OPT_TRANSIENT) && strchr(value, '\n'))
            return bad_value(o, value, "text of one line");
        *(const char **)p = value;
        return FV_OK;
    }
}

/* --- names ---------------------------------------------------------------------------------------- */

static const struct fv_opt *find(const struct fv_opt_group *g, int ng, const char *name, size_t n,
                                 void **settings)
{
    for (int i = 0; i < ng; i++)
        for (const struct fv_opt *o = g[i].opts; o->name; o++)
            if (strlen(o->name) == n && strncmp(o->name, name, n) == 0) {
                *settings = g[i].settings;
                return o;
            }
    return NULL;
}

static const struct fv_opt *find_letter(const struct fv_opt_group *g, int ng, char letter,
                                        void **settings)
{
    for (int i = 0; i < ng; i++)
        for (const struct fv_opt *o = g[i].opts; o->name; o++)
            if (o->letter == letter) {
                *settings = g[i].settings;
                return o;
            }
    return NULL;
}

static int distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    int row[MAX + 1];
    const int n = (int)strnlen(b, MAX);

    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int keep = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            const int edit = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            row[j] = keep < edit ? keep : edit;
        }
    }
    return row[n];
}

const char *fv_opt_nearest(const char *name, const char *const *valid)
{
    const char *best = NULL;
    int best_d = (int)(strlen(name) / 3) + 2;

    for (; *valid; valid++) {
        const int d = distance(name, *valid);
        if (d < best_d) {
            best_d = d;
            best = *valid;
        }
    }
    return best;
}

static const char *nearest_option(const struct fv_opt_group *g, int ng, const char *name)
{
    enum { MAX = 255 };
    const char *names[MAX + 1];
    int n = 0;

    for (int i = 0; i < ng; i++)
        for (const struct fv_opt *o = g[i].opts; o->name && n < MAX; o++)
            names[n++] = o->name;
    names[n] = NULL;
    return fv_opt_nearest(name, names);
}

static int unknown_option(const struct fv_command *cmd, const struct fv_opt_group *g, int ng,
                          const char *arg)
{
    char name[48];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(arg, "="), arg);
    const char *near = nearest_option(g, ng, name);
    if (near)
        return fv_err(FV_EUSAGE, "unknown option --%s: did you mean --%s?", name, near);
    return fv_err(FV_EUSAGE, "unknown option --%s: see '%s --help'", name, cmd->name);
}

int fv_opt_set(const struct fv_opt_group *groups, int ngroups, const char *name, const char *value)
{
    void *settings;
    const struct fv_opt *o = find(groups, ngroups, name, strlen(name), &settings);

    if (o)
        return set_value(o, settings, value);
    const char *near = nearest_option(groups, ngroups, name);
    if (near)
        return fv_err(FV_ENOTFOUND, "unknown setting '%s': did you mean '%s'?", name, near);
    return fv_err(FV_ENOTFOUND, "unknown setting '%s'", name);
}

/* --- the command line ----------------------------------------------------------------------------- */

enum { MAX_SEEN = 256 };
struct parse {
    const struct fv_command *cmd;
    const struct fv_opt_group *groups;
    int ngroups;
    int argc;
    char **argv;
    int i; /* next argument */
    const struct fv_opt *seen[MAX_SEEN];
    int nseen;
};

static void mark_seen(struct parse *p, const struct fv_opt *o)
{
    if (p->nseen < MAX_SEEN)
        p->seen[p->nseen++] = o;
}

static int take_value(struct parse *p, const struct fv_opt *o, void *settings, const char *attached)
{
    const char *value = attached;

    mark_seen(p, o);
    if (o->type == FV_OPT_FLAG)
        return set_value(o, settings, value ? value : "yes");
    if (!value) {
        if (p->i >= p->argc)
            return fv_err(FV_EUSAGE, "--%s needs a value: %s", o->name, o->help);
        value = p->argv[p->i++];
    }
    return set_value(o, settings, value);
}

static int long_option(struct parse *p, const char *arg)
{
    const size_t n = strcspn(arg, "=");
    void *settings;
    const struct fv_opt *o = find(p->groups, p->ngroups, arg, n, &settings);

    if (o)
        return take_value(p, o, settings, arg[n] ? arg + n + 1 : NULL);
    if (strncmp(arg, "no-", 3) == 0 && !arg[n]) {
        o = find(p->groups, p->ngroups, arg + 3, n - 3, &settings);
        if (o && o->type == FV_OPT_FLAG)
            return take_value(p, o, settings, "no");
    }
    return unknown_option(p->cmd, p->groups, p->ngroups, arg);
}

static int short_option(struct parse *p, const char *arg)
{
    void *settings;
    const struct fv_opt *o = find_letter(p->groups, p->ngroups, arg[0], &settings);

    if (!o)
        return fv_err(FV_EUSAGE, "unknown option -%c: see '%s --help'", arg[0], p->cmd->name);
    return take_value(p, o, settings, arg[1] ? arg + 1 : NULL);
}

static int check_required(const struct parse *p)
{
    for (int i = 0; i < p->ngroups; i++)
        for (const struct fv_opt *o = p->groups[i].opts; o->name; o++) {
            int seen = !(o->flags & FV_OPT_REQUIRED);
            for (int k = 0; k < p->nseen; k++)
                seen |= p->seen[k] == o;
            if (!seen)
                return fv_err(FV_EUSAGE, "--%s %s is required: %s", o->name,
                              o->metavar ? o->metavar : "VALUE", o->help);
        }
    return FV_OK;
}

static int positional(struct parse *p, struct fv_args *out, const char *arg)
{
    if (out->n >= p->cmd->max_args || out->n >= FV_OPT_MAX_ARGS)
        return fv_err(FV_EUSAGE, "unexpected argument '%s': usage: %s %s", arg, p->cmd->name,
                      p->cmd->usage);
    out->arg[out->n++] = arg;
    return FV_OK;
}

int fv_opt_parse(const struct fv_command *cmd, const struct fv_opt_group *groups, int ngroups,
                 int argc, char **argv, struct fv_args *out)
{
    struct parse p = {
        .cmd = cmd, .groups = groups, .ngroups = ngroups, .argc = argc, .argv = argv, .i = 1};
    int only_args = 0;

    *out = (struct fv_args){0};
    while (p.i < argc) {
        const char *arg = argv[p.i++];
        if (only_args || arg[0] != '-' || arg[1] == '\0') {
            FV_TRY(positional(&p, out, arg));
        } else if (strcmp(arg, "--") == 0) {
            only_args = 1;
        } else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            out->help = 1;
            return FV_OK;
        } else if (arg[1] == '-') {
            FV_TRY(long_option(&p, arg + 2));
        } else {
            FV_TRY(short_option(&p, arg + 1));
        }
    }
    FV_TRY(check_required(&p));
    if (out->n < cmd->min_args)
        return fv_err(FV_EUSAGE, "too few arguments: usage: %s %s", cmd->name, cmd->usage);
    return FV_OK;
}

/* --- saved settings ------------------------------------------------------------------------------- */

int fv_opt_read_text(const struct fv_opt_group *groups, int ngroups, char *text, const char *origin)
{
    int line = 0;

    for (char *s = text, *next; s && *s; s = next) {
        next = strchr(s, '\n');
        if (next)
            *next++ = '\0';
        line++;
        if (*s == '\0' || *s == '#')
            continue;
        char *eq = strstr(s, " = ");
        if (!eq)
            return fv_err(FV_ECORRUPT, "%s: line %d is not 'name = value'", origin, line);
        *eq = '\0';
        for (char *end = eq; end > s && end[-1] == ' ';) /* values may stand in a column */
            *--end = '\0';
        const int rc = fv_opt_set(groups, ngroups, s, eq + 3);
        if (rc < 0)
            return fv_err(rc, "%s: line %d: %s", origin, line, fv_err_text());
    }
    return FV_OK;
}
