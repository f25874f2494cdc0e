/* SPDX-License-Identifier: MIT */
#include "tools/report/training_log.h"

#include "common/err.h"
#include "common/line_file.h"
#include "tools/report/curves.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static int read_epochs(struct epochs *all, const char *path)
{
    struct fv_line_file l;
    int rc = fv_line_file_open(&l, path);

    while (rc >= 0 && (rc = fv_line_file_next(&l)) == 1) {
        json_t *o = json_loadb(l.line, l.n, 0, NULL);
        rc = add(all, o);
        json_decref(o);
    }
    fv_line_file_close(&l);
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

    int rc = read_epochs(&all, path);
    if (rc >= 0 && all.n > 1)
        rc = put_section(f, &all);
    free(all.e);
    return rc;
}
