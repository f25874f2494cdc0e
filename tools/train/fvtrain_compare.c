/* SPDX-License-Identifier: MIT */
/* fvtrain compare: runs side by side, and of their settings those that differ: what was tried, and what came of it. */
#include "tools/train/fvtrain.h"

#include "tools/command.h"
#include "tools/results.h"
#include "tools/train/run_curves.h"
#include "tools/train/run_record.h"
#include "tools/train/text_table.h"

#include "common/err.h"
#include "common/fs.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct options {
    int json;
    const char *plot;
};

static const struct fv_opt opts[] = {
    {.name = "plot",
     .type = FV_OPT_STRING,
     .offset = offsetof(struct options, plot),
     .metavar = "FILE.png",
     .help = "draw their learning curves in one picture"},
    {.name = "json",
     .type = FV_OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "print an object for programs"},
    {.name = NULL},
};

enum { LONG_VALUE = 28 }; /* columns of a value that gets lines of its own */

const struct fv_command fvtrain_compare_cmd = {
    .name = "fvtrain compare",
    .summary = "Runs side by side, and the settings that differ.",
    .usage = "RUN RUN... [--plot FILE.png] [--json]",
    .notes = "A difference to the first run stands in brackets. 'fvtrain ls --help' says what the "
             "rows are.",
    .min_args = 2,
    .max_args = FV_OPT_MAX_ARGS,
};

struct runs {
    struct run_record run[FV_OPT_MAX_ARGS];
    int n;
};

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The last part of its path, if no other run has the same. */
static const char *short_name(const struct runs *r, int i)
{
    const char *name = last_part(r->run[i].folder);
    for (int k = 0; k < r->n; k++)
        if (k != i && strcmp(last_part(r->run[k].folder), name) == 0)
            return r->run[i].folder;
    return name;
}

/* Names of all settings, each once, in order of appearance: fn is called with each. */
static int for_each_setting(const struct runs *r, int (*fn)(void *ctx, const char *name), void *ctx)
{
    for (int i = 0; i < r->n; i++)
        for (const char *line = r->run[i].settings; *line;) {
            const size_t length = strcspn(line, "\n");
            const char *equals = memmem(line, length, " = ", 3);
            char *name = equals ? strndup(line, (size_t)(equals - line)) : NULL, *seen = NULL;
            for (int k = 0; name && k < i && !seen; k++)
                seen = run_record_setting(&r->run[k], name);
            const int rc = name && !seen ? fn(ctx, name) : 0;
            free(name);
            free(seen);
            FV_TRY(rc);
            line += length + (line[length] == '\n');
        }
    return 0;
}

struct differing {
    const struct runs *runs;
    struct text_table brief;
    struct text_table lengthy;
    json_t *json;
};

static void add_brief(struct differing *d, const char *name, char *const *value)
{
    text_table_add_text(&d->brief, name);
    for (int i = 0; i < d->runs->n; i++)
        text_table_add_text(&d->brief, value[i] ? value[i] : "-");
}

static void add_lengthy(struct differing *d, const char *name, char *const *value)
{
    for (int i = 0; i < d->runs->n; i++) {
        text_table_add_text(&d->lengthy, i ? "" : name);
        text_table_add_text(&d->lengthy, short_name(d->runs, i));
        text_table_add_text(&d->lengthy, value[i] ? value[i] : "-");
    }
}

static int add_if_differing(void *ctx, const char *name)
{
    struct differing *d = ctx;
    char *value[FV_OPT_MAX_ARGS];
    int differ = 0, is_long = 0;
    json_t *row = json_array();
    for (int i = 0; i < d->runs->n; i++) {
        value[i] = run_record_setting(&d->runs->run[i], name);
        differ |= !value[i] != !value[0] || (value[i] && strcmp(value[i], value[0]) != 0);
        is_long |= value[i] && strlen(value[i]) > LONG_VALUE;
        json_array_append_new(row, value[i] ? results_json_text(value[i]) : json_null());
    }
    if (differ) {
        (is_long ? add_lengthy : add_brief)(d, name, value);
        json_object_set(d->json, name, row);
    }
    json_decref(row);
    for (int i = 0; i < d->runs->n; i++)
        free(value[i]);
    return 0;
}

static const double *number_of(const struct run_record *r, enum run_number what, int best)
{
    return best < 0 ? NULL : &r->epochs.line[best].number[what];
}

/* A row of numbers, the difference to the first one in brackets. */
static void add_numbers(struct text_table *t, const struct runs *r, const char *name,
                        enum run_number what, double factor, int digits, const char *unit)
{
    const double *first = NULL;
    text_table_add(t, "%s", name);
    for (int i = 0; i < r->n; i++) {
        const struct run_record *run = &r->run[i];
        const int best = what == RUN_VAL_ACC ? run->best_cls : run->best_ver;
        const double *value = number_of(run, what, best);
        if (i == 0)
            first = value;
        if (!value || !isfinite(*value))
            text_table_add(t, "-");
        else if (i > 0 && first && isfinite(*first))
            text_table_add(t, "%.*f%s (%+.*f)", digits, *value * factor, unit, digits,
                           (*value - *first) * factor);
        else
            text_table_add(t, "%.*f%s", digits, *value * factor, unit);
    }
}

static void add_best_epochs(struct text_table *t, const struct runs *r, const char *name, int cls)
{
    text_table_add(t, "%s", name);
    for (int i = 0; i < r->n; i++) {
        const int best = cls ? r->run[i].best_cls : r->run[i].best_ver;
        if (best < 0)
            text_table_add(t, "-");
        else
            text_table_add(t, "%llu", (unsigned long long)r->run[i].epochs.line[best].epoch);
    }
}

static void add_speed(struct text_table *t, const struct runs *r)
{
    text_table_add(t, "img/s");
    for (int i = 0; i < r->n; i++) {
        const double now = r->run[i].img_per_s, first = r->run[0].img_per_s;
        if (!isfinite(now))
            text_table_add(t, "-");
        else if (i > 0 && first > 0)
            text_table_add(t, "%.0f (x%.2f)", now, now / first);
        else
            text_table_add(t, "%.0f", now);
    }
}

static void add_head(struct text_table *t, const struct runs *r)
{
    text_table_add(t, "%s", "");
    for (int i = 0; i < r->n; i++)
        text_table_add_text(t, short_name(r, i));
    text_table_add(t, "state");
    for (int i = 0; i < r->n; i++)
        text_table_add(t, "%s", r->run[i].state);
    text_table_add(t, "epochs");
    for (int i = 0; i < r->n; i++) {
        const struct run_lines *e = &r->run[i].epochs;
        text_table_add(t, "%llu of %llu", e->n ? (unsigned long long)e->line[e->n - 1].epoch : 0ULL,
                       (unsigned long long)r->run[i].epochs_wanted);
    }
}

static int print_tables(const struct runs *r, struct differing *d)
{
    struct text_table t = {.columns = r->n + 1, .right = d->brief.right};
    add_head(&t, r);
    add_numbers(&t, r, "accuracy", RUN_VAL_ACC, 100, 2, " %");
    add_best_epochs(&t, r, "  at epoch", 1);
    add_numbers(&t, r, "EER", RUN_EER, 100, 2, " %");
    add_numbers(&t, r, "AUC", RUN_AUC, 1, 4, "");
    add_best_epochs(&t, r, "  at epoch", 0);
    add_speed(&t, r);
    FV_TRY(text_table_print(&t, stdout));
    const int none = d->brief.cells + d->lengthy.cells == 0;
    printf(none ? "\nno setting differs\n" : "\nsettings that differ\n");
    FV_TRY(text_table_print(&d->brief, stdout));
    return text_table_print(&d->lengthy, stdout);
}

static void print_json(const struct runs *r, json_t *differing)
{
    json_t *o = json_object(), *all = json_array();
    for (int i = 0; i < r->n; i++)
        json_array_append_new(all, run_record_json(&r->run[i]));
    json_object_set_new(o, "runs", all);
    json_object_set(o, "differ", differing);
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(13));
    putchar('\n');
    json_decref(o);
}

static int compare(const struct runs *r, const struct options *o)
{
    static const char left[FV_OPT_MAX_ARGS + 1] = "lllllllllllllllll";
    struct differing d = {.runs = r,
                          .brief = {.columns = r->n + 1, .right = left},
                          .lengthy = {.columns = 3, .right = left},
                          .json = json_object()};
    if (o->plot && r->n > RUN_CURVES_MAX)
        return fv_err(FV_EUSAGE, "--plot draws at most %d runs", RUN_CURVES_MAX);
    int rc = for_each_setting(r, add_if_differing, &d);
    if (rc == 0 && o->json)
        print_json(r, d.json);
    else if (rc == 0)
        rc = print_tables(r, &d);
    json_decref(d.json);
    text_table_free(&d.brief);
    text_table_free(&d.lengthy);
    return rc == 0 && o->plot ? run_curves_draw(o->plot, "--plot", r->run, r->n) : rc;
}

int fvtrain_compare(int argc, char **argv)
{
    struct options o = {0};
    const struct fv_opt_group group = {"Options", opts, &o};
    struct fv_args args;
    int rc = tool_parse(&fvtrain_compare_cmd, &group, 1, argc, argv, &args);
    if (rc)
        return rc;
    struct runs *r = calloc(1, sizeof *r);
    rc = r ? 0 : fv_err(FV_ENOMEM, "out of memory");
    for (int i = 0; rc == 0 && i < args.n; i++) {
        rc = run_record_read(&r->run[i], args.arg[i]);
        r->n += rc == 0;
    }
    if (rc == 0)
        rc = compare(r, &o);
    for (int i = 0; r && i < r->n; i++)
        run_record_free(&r->run[i]);
    free(r);
    return rc;
}
