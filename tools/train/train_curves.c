/* SPDX-License-Identifier: MIT */
#include "tools/train/train_curves.h"

#include "tools/train/run_curves.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"

#include <stdlib.h>
#include <unistd.h>

enum { EVERY_S = 30, SHARE = 200 }; /* and at most a 200th of the time */

static int draw(const char *folder)
{
    struct run_record run;
    char *png = fv_format("%s/curves.png", folder);
    int rc = png ? run_record_read(&run, folder) : fv_err(FV_ENOMEM, "out of memory");
    if (rc == 0) {
        if (run.epochs.n > 0)
            rc = run_curves_draw(png, "curves.png", &run, 1);
        run_record_free(&run);
    }
    free(png);
    return rc;
}

/* A picture that cannot be drawn is no reason to end. */
static void draw_now(struct train_curves *c)
{
    char before[FV_ERR_TEXT_MAX];
    const uint64_t start_ns = fv_now_ns();
    fv_err_save(before);
    if (draw(c->folder) < 0) {
        c->given_up = 1;
        fv_say(c->report, FV_LEVEL_INFO, "no learning curves: %s", fv_err_text());
    }
    fv_err_restore(0, before);
    c->drawn_ns = fv_now_ns();
    c->cost_ns = c->drawn_ns - start_ns;
}

void train_curves_update(void *curves)
{
    struct train_curves *c = curves;
    const uint64_t now = fv_now_ns();
    if (c->drawn_ns == 0)
        c->drawn_ns = now; /* the first picture comes after a while, too */
    if (!c->given_up && now - c->drawn_ns >= EVERY_S * 1000000000ull &&
        now - c->drawn_ns >= SHARE * c->cost_ns)
        draw_now(c);
}

static int has(const char *folder, const char *name)
{
    char *path = fv_format("%s/%s", folder, name);
    const int there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

void train_curves_finish(struct train_curves *c)
{
    const int wanted = c->drawn_ns != 0 || !has(c->folder, "curves.png");
    if (!c->given_up && wanted && has(c->folder, "log.jsonl")) /* none: the run never began */
        draw_now(c);
}
