/* SPDX-License-Identifier: MIT */
#include "tools/train/run_record.h"

#include "tools/results.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/line_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char *const names[RUN_NUMBERS] = {
    "loss", "acc", "lr", "img_per_s", "data_wait", "val_loss", "val_acc", "eer", "auc"};

/* An optional file: *text is NULL where it is not there or cannot be read. */
static int read_part(const char *folder, const char *name, size_t limit, char **text, size_t *n)
{
    char *path = fv_format("%s/%s", folder, name);
    *text = NULL;
    *n = 0;
    if (!path)
        return fv_err(FV_ENOMEM, "out of memory");
    const int rc = fv_file_read(path, limit, text, n);
    free(path);
    if (rc < 0)
        *text = NULL;
    return rc == FV_ENOMEM ? rc : 0;
}

static double number_or_nan(const json_t *o, const char *name)
{
    const json_t *value = json_object_get(o, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static int add_line(struct run_lines *to, const struct run_line *line)
{
    if (to->n == to->room) {
        const size_t room = to->room ? 2 * to->room : 64;
        struct run_line *more = realloc(to->line, room * sizeof *more);
        if (!more)
            return fv_err(FV_ENOMEM, "out of memory for %zu lines of a log", room);
        to->line = more;
        to->room = room;
    }
    to->line[to->n++] = *line;
    return 0;
}

static int take_line(struct run_record *r, const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_int_t step = json_integer_value(json_object_get(o, "step"));
    const json_int_t epoch = json_integer_value(json_object_get(o, "epoch"));
    if (!type || step < 1 || epoch < 1)
        return 0;
    struct run_line line = {.step = (uint64_t)step, .epoch = (uint64_t)epoch};
    line.time_s = number_or_nan(o, "time");
    if (isfinite(line.time_s))
        r->time_s = line.time_s;
    for (int i = 0; i < RUN_NUMBERS; i++)
        line.number[i] = number_or_nan(o, names[i]);
    if (strcmp(type, "epoch") == 0)
        return add_line(&r->epochs, &line);
    return strcmp(type, "step") == 0 ? add_line(&r->steps, &line) : 0;
}

/* As far as it can be read. *there: it is. */
static int read_log(struct run_record *r, const char *folder, int *there)
{
    struct fv_line_file l;
    char *path = fv_format("%s/log.jsonl", folder);
    int rc = path ? fv_line_file_open(&l, path) : fv_err(FV_ENOMEM, "out of memory");
    *there = rc == 0;
    while (rc == 0 && (rc = fv_line_file_next(&l)) == 1) {
        json_t *o = l.ended ? json_loadb(l.line, l.n, 0, NULL) : NULL;
        rc = take_line(r, o);
        json_decref(o);
    }
    if (path)
        fv_line_file_close(&l);
    free(path);
    return rc == FV_ENOMEM ? rc : 0;
}

static int best(const struct run_lines *epochs, enum run_number what, double sign)
{
    int at = -1;
    for (size_t i = 0; i < epochs->n; i++) {
        const double now = sign * epochs->line[i].number[what];
        if (isfinite(now) && (at < 0 || now > sign * epochs->line[at].number[what]))
            at = (int)i;
    }
    return at;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const struct run_lines *lines, enum run_number what)
{
    double *v = malloc((lines->n + 1) * sizeof *v), m = NAN;
    size_t n = 0;
    for (size_t i = 0; v && i < lines->n; i++)
        if (isfinite(lines->line[i].number[what]))
            v[n++] = lines->line[i].number[what];
    if (n > 0) {
        qsort(v, n, sizeof *v, ascending);
        m = (v[(n - 1) / 2] + v[n / 2]) / 2;
    }
    free(v);
    return m;
}

/* Whether a process holds the lock of this folder: as the kernel lists them, since taking it to find out would get in
 * the way of a run that begins. */
static int is_locked(const char *folder)
{
    struct stat st;
    FILE *f = fopen("/proc/locks", "r");
    char line[256], want[64];
    int found = 0;
    if (f && stat(folder, &st) == 0) {
        snprintf(want, sizeof want, " %02x:%02x:%" PRIuMAX " ", major(st.st_dev), minor(st.st_dev),
                 (uintmax_t)st.st_ino);
        while (!found && fgets(line, sizeof line, f))
            found = strstr(line, " FLOCK ") && strstr(line, want);
    }
    if (f)
        fclose(f);
    return found;
}

static void find_state(struct run_record *r, const char *end, size_t n)
{
    static const char *const valid[] = {"done", "stopped", "failed"};
    json_t *o = end ? json_loadb(end, n, 0, NULL) : NULL;
    const char *state = json_string_value(json_object_get(o, "state"));
    const char *why = json_string_value(json_object_get(o, "why"));
    r->state = "killed";
    if (r->epochs_wanted && r->epochs.n &&
        r->epochs.line[r->epochs.n - 1].epoch >= r->epochs_wanted)
        r->state = "done";
    for (size_t i = 0; state && i < sizeof valid / sizeof valid[0]; i++)
        if (strcmp(state, valid[i]) == 0)
            r->state = valid[i];
    if (why && strcmp(r->state, "failed") == 0)
        r->why = strdup(why);
    if (is_locked(r->folder))
        r->state = "running";
    json_decref(o);
}

static int read_all(struct run_record *r, const char *folder)
{
    char *end;
    size_t end_bytes, n;
    int logged;
    if (!(r->folder = strdup(folder)))
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(read_part(folder, "settings.txt", 1 << 20, &r->settings, &n));
    FV_TRY(read_log(r, folder, &logged));
    if (!r->settings && !logged)
        return fv_err(FV_ENOTFOUND, "%s: is no run: there is no settings.txt and no log.jsonl",
                      folder);
    if (!r->settings && !(r->settings = strdup("")))
        return fv_err(FV_ENOMEM, "out of memory");
    char *epochs = run_record_setting(r, "epochs");
    r->epochs_wanted = epochs ? strtoull(epochs, NULL, 10) : 0;
    free(epochs);
    FV_TRY(read_part(folder, "end.json", 1 << 20, &end, &end_bytes));
    find_state(r, end, end_bytes);
    free(end);
    r->best_cls = best(&r->epochs, RUN_VAL_ACC, 1);
    r->best_ver = best(&r->epochs, RUN_EER, -1);
    r->img_per_s = median(r->epochs.n ? &r->epochs : &r->steps, RUN_IMG_PER_S);
    return 0;
}

int run_record_read(struct run_record *r, const char *folder)
{
    *r = (struct run_record){.time_s = NAN, .best_cls = -1, .best_ver = -1};
    const int rc = read_all(r, folder);
    if (rc < 0)
        run_record_free(r);
    return rc;
}

void run_record_free(struct run_record *r)
{
    free(r->folder);
    free(r->why);
    free(r->settings);
    free(r->steps.line);
    free(r->epochs.line);
    *r = (struct run_record){0};
}

char *run_record_setting(const struct run_record *r, const char *name)
{
    const size_t n = strlen(name);
    for (const char *line = r->settings; *line;) {
        const size_t length = strcspn(line, "\n");
        if (length > n + 3 && strncmp(line, name, n) == 0 && strncmp(line + n, " = ", 3) == 0)
            return strndup(line + n + 3, length - n - 3);
        line += length + (line[length] == '\n');
    }
    return NULL;
}

static void set_number(json_t *o, const char *name, double value)
{
    if (isfinite(value))
        json_object_set_new(o, name, json_real(value));
}

static json_t *settings_json(const struct run_record *r)
{
    json_t *all = json_object();
    for (const char *line = r->settings; *line;) {
        const size_t length = strcspn(line, "\n");
        const char *equals = memmem(line, length, " = ", 3);
        char *name = equals ? strndup(line, (size_t)(equals - line)) : NULL;
        char *value = equals ? strndup(equals + 3, (size_t)(line + length - equals) - 3) : NULL;
        if (name && value)
            json_object_set_new(all, name, results_json_text(value));
        free(name);
        free(value);
        line += length + (line[length] == '\n');
    }
    return all;
}

json_t *run_record_json(const struct run_record *r)
{
    json_t *o = json_object();
    const struct run_line *cls = r->best_cls < 0 ? NULL : &r->epochs.line[r->best_cls];
    const struct run_line *ver = r->best_ver < 0 ? NULL : &r->epochs.line[r->best_ver];
    const struct run_line *last = r->epochs.n ? &r->epochs.line[r->epochs.n - 1] : NULL;
    json_object_set_new(o, "run", results_json_text(r->folder));
    json_object_set_new(o, "state", json_string(r->state));
    if (r->why)
        json_object_set_new(o, "why", results_json_text(r->why));
    json_object_set_new(o, "epochs", json_integer(last ? (json_int_t)last->epoch : 0));
    if (r->epochs_wanted)
        json_object_set_new(o, "epochs_wanted", json_integer((json_int_t)r->epochs_wanted));
    if (cls) {
        set_number(o, "best_accuracy", cls->number[RUN_VAL_ACC]);
        json_object_set_new(o, "best_accuracy_epoch", json_integer((json_int_t)cls->epoch));
    }
    if (ver) {
        set_number(o, "best_eer", ver->number[RUN_EER]);
        set_number(o, "best_eer_auc", ver->number[RUN_AUC]);
        json_object_set_new(o, "best_eer_epoch", json_integer((json_int_t)ver->epoch));
    }
    set_number(o, "img_per_s", r->img_per_s);
    set_number(o, "time", r->time_s);
    json_object_set_new(o, "settings", settings_json(r));
    return o;
}
