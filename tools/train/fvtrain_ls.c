/* SPDX-License-Identifier: MIT */
/* fvtrain ls: what became of runs, a line each. Of a folder that is no run, the runs in it. */
#include "tools/train/fvtrain.h"

#include "tools/command.h"
#include "tools/results.h"
#include "tools/train/run_record.h"
#include "tools/train/text_table.h"

#include "common/err.h"
#include "common/fs.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    int json;
};

static const struct fv_opt opts[] = {
    {.name = "json",
     .type = FV_OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "print an array of objects for programs"},
    {.name = NULL},
};

const struct fv_command fvtrain_ls_cmd = {
    .name = "fvtrain ls",
    .summary = "What became of runs, a line each.",
    .usage = "[RUNS...] [--json]",
    .notes = "RUNS are run folders or folders of them; without any, the folder runs.\n"
             "\n"
             "states:\n"
             "  running  a process of this machine is training in it\n"
             "  done     it has trained all its epochs, or --patience ended it\n"
             "  stopped  by Ctrl-C or a signal; fvtrain --resume RUN goes on\n"
             "  failed   by an error, which --json has as \"why\"\n"
             "  killed   nothing says how it ended; fvtrain --resume RUN goes on if it has a "
             "checkpoint\n"
             "\n"
             "accuracy is the best on validation images; EER the lowest of verification, AUC that "
             "of the same\n"
             "epoch; img/s the median over epochs.",
    .max_args = FV_OPT_MAX_ARGS,
};

struct list {
    struct run_record *run;
    size_t n;
};

static int add(struct list *l, const char *folder)
{
    struct run_record *more = realloc(l->run, (l->n + 1) * sizeof *more);
    if (!more)
        return fv_err(FV_ENOMEM, "out of memory");
    l->run = more;
    const int rc = run_record_read(&l->run[l->n], folder);
    l->n += rc == 0;
    return rc;
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* The runs in a folder, by name, a number in it counting as one: run-2 before run-10. */
static int add_all(struct list *l, const char *folder)
{
    struct dirent **entry;
    const size_t before = l->n;
    const int n = scandir(folder, &entry, is_visible, versionsort);
    int rc = n < 0 ? fv_err_errno(FV_ENOTFOUND, "%s: cannot be listed", folder) : 0;
    for (int i = 0; i < n; i++) {
        char *path = strcmp(folder, ".") == 0 ? strdup(entry[i]->d_name)
                                              : fv_format("%s/%s", folder, entry[i]->d_name);
        if (rc == 0)
            rc = path ? add(l, path) : fv_err(FV_ENOMEM, "out of memory");
        if (rc == FV_ENOTFOUND)
            rc = 0;
        free(path);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    if (rc == 0 && l->n == before)
        rc = fv_err(FV_ENOTFOUND, "%s: is no run, and there are none in it", folder);
    return rc;
}

static int add_argument(struct list *l, const char *folder)
{
    char *path = strdup(folder);
    for (size_t n = path ? strlen(path) : 0; n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    int rc = path ? add(l, path) : fv_err(FV_ENOMEM, "out of memory");
    if (rc == FV_ENOTFOUND)
        rc = add_all(l, path);
    free(path);
    return rc;
}

static double best(const struct run_record *r, int at, enum run_number what)
{
    return at < 0 ? NAN : r->epochs.line[at].number[what];
}

static void add_number(struct text_table *t, double value, const char *format)
{
    char text[32] = "-";
    if (isfinite(value))
        snprintf(text, sizeof text, strcmp(format, "%") == 0 ? "%.2f %%" : format, value);
    text_table_add(t, "%s", text);
}

static void add_row(struct text_table *t, const struct run_record *r)
{
    char *arch = run_record_setting(r, "arch");
    const uint64_t done = r->epochs.n ? r->epochs.line[r->epochs.n - 1].epoch : 0;
    char of[32] = "";
    if (r->epochs_wanted)
        snprintf(of, sizeof of, "/%llu", (unsigned long long)r->epochs_wanted);
    text_table_add_text(t, r->folder);
    text_table_add(t, "%s", r->state);
    text_table_add(t, "%llu%s", (unsigned long long)done, of);
    text_table_add_text(t, arch ? arch : "-");
    add_number(t, 100 * best(r, r->best_cls, RUN_VAL_ACC), "%");
    add_number(t, 100 * best(r, r->best_ver, RUN_EER), "%");
    add_number(t, best(r, r->best_ver, RUN_AUC), "%.4f");
    add_number(t, r->img_per_s, "%.0f");
    free(arch);
}

static int print_table(const struct list *l)
{
    static const char *const head[] = {"run",      "state", "epochs", "net",
                                       "accuracy", "EER",   "AUC",    "img/s"};
    struct text_table t = {.columns = sizeof head / sizeof head[0], .right = "llrlrrrr"};
    for (int i = 0; i < t.columns; i++)
        text_table_add(&t, "%s", head[i]);
    for (size_t i = 0; i < l->n; i++)
        add_row(&t, &l->run[i]);
    return text_table_print(&t, stdout);
}

static void print_json(const struct list *l)
{
    json_t *all = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(all, run_record_json(&l->run[i]));
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(13));
    putchar('\n');
    json_decref(all);
}

int fvtrain_ls(int argc, char **argv)
{
    struct options o = {0};
    const struct fv_opt_group group = {"Options", opts, &o};
    struct fv_args args;
    struct list l = {0};
    int rc = tool_parse(&fvtrain_ls_cmd, &group, 1, argc, argv, &args);
    if (rc)
        return rc;
    if (args.n == 0)
        args.arg[args.n++] = "runs";
    char why[FV_ERR_TEXT_MAX];
    for (int i = 0; i < args.n; i++) {
        const int failed = add_argument(&l, args.arg[i]);
        if (failed < 0 && rc == 0) { /* the others are listed all the same */
            rc = failed;
            fv_err_save(why);
        }
    }
    if (o.json)
        print_json(&l);
    else if (l.n > 0) {
        const int printed = print_table(&l);
        if (rc == 0 && (rc = printed) < 0)
            fv_err_save(why);
    }
    for (size_t i = 0; i < l.n; i++)
        run_record_free(&l.run[i]);
    free(l.run);
    return rc < 0 ? fv_err_restore(rc, why) : 0;
}
