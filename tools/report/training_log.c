/* SPDX-License-Identifier: MIT */
#include "tools/report/training_log.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/report/curves.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_MAX_BYTES = 1 << 30 };

struct epochs {
    struct curves_epoch *e;
    size_t n, room;
};

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static int add(struct epochs *all, const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));

    if (!type || strcmp(type, "epoch") != 0 || !isfinite(number(o, "epoch")))
        return FV_OK;
    if (all->n == all->room) {
        const size_t room = all->room ? 2 * all->room : 64;
        void *more = realloc(all->e, room * sizeof *all->e);
        if (!more)
            return fv_err(FV_ENOMEM, "out of memory for %zu epochs", room);
        all->e = more;
        all->room = room;
    }
    all->e[all->n++] = (struct curves_epoch){
        number(o, "epoch"),   number(o, "loss"), number(o, "val_loss"), number(o, "acc"),
        number(o, "val_acc"), number(o, "eer"),  number(o, "lr")};
    return FV_OK;
}

static int read_epochs(struct epochs *all, char *text, size_t n)
{
    int rc = FV_OK;

    for (size_t at = 0; at < n && rc >= 0;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', n - at);
        const size_t length = end ? (size_t)(end - line) : n - at;
        json_t *o = json_loadb(line, length, 0, NULL);
        if (o)
            rc = add(all, o);
        json_decref(o);
        at += length + 1;
    }
    return rc;
}

static int put_section(FILE *f, const struct epochs *all)
{
    fputs("<section>\n<h2>Training</h2>\n<div class=\"plots\">\n<figure>\n<h3>Loss</h3>\n", f);
    FV_TRY(curves_loss(f, all->e, all->n));
    fputs("</figure>\n<figure>\n<h3>Accuracy and error</h3>\n", f);
    FV_TRY(curves_shares(f, all->e, all->n));
    fputs("</figure>\n</div>\n<p class=\"note\">Of training images as they are augmented; of "
          "validation images as they are.</p>\n</section>\n",
          f);
    return FV_OK;
}

int training_log_write(FILE *f, const char *path)
{
    struct epochs all = {0};
    char *text;
    size_t n;

    FV_TRY(fv_file_read(path, LOG_MAX_BYTES, &text, &n));
    int rc = read_epochs(&all, text, n);
    free(text);
    if (rc >= 0 && all.n > 1)
        rc = put_section(f, &all);
    free(all.e);
    return rc;
}
