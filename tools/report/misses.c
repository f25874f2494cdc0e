/* SPDX-License-Identifier: MIT */
#include "tools/report/misses.h"

#include "common/err.h"
#include "tools/report/eyes.h"
#include "tools/report/html.h"

#include <stdlib.h>

enum { MOST = 12 };

struct kind {
    const char *title, *note;
    int (*is)(const struct report_identification *r, const struct fv_answer *a);
    int lowest; /* scores first; else the highest */
};

static int is_mated(const struct fv_answer *a)
{
    return a->truth < FV_PROBE_STRANGER;
}

static int is_mistaken(const struct report_identification *r, const struct fv_answer *a)
{
    (void)r;
    return is_mated(a) && a->best != a->truth;
}

static int is_taken_in(const struct report_identification *r, const struct fv_answer *a)
{
    return a->truth == FV_PROBE_STRANGER && (double)a->score >= r->threshold;
}

static int is_rejected(const struct report_identification *r, const struct fv_answer *a)
{
    return is_mated(a) && a->best == a->truth && (double)a->score < r->threshold;
}

static const struct kind kinds[] = {
    {"People taken for others",
     "The probe, the one it was taken for, and the one it shows; the highest scores first.",
     is_mistaken, 0},
    {"Strangers taken for somebody",
     "The probe, and the one it was taken for; the highest scores first.", is_taken_in, 0},
    {"People rejected", "The probe, and the one it shows: first of all, but below the threshold.",
     is_rejected, 1},
};

/* The worst, worst first, equal ones in the order of the list; of *all. */
static int find(size_t *at, const struct report_identification *r, const struct kind *k,
                size_t *all)
{
    int n = 0;

    *all = 0;
    for (size_t i = 0; i < r->probes; i++) {
        const struct fv_answer *a = &r->answer[i];
        int place = n;
        if (!k->is(r, a))
            continue;
        ++*all;
        for (; place > 0; place--) {
            const float other = r->answer[at[place - 1]].score;
            if (k->lowest ? a->score >= other : a->score <= other)
                break;
            if (place < MOST)
                at[place] = at[place - 1];
        }
        if (place < MOST)
            at[place] = i;
        n += place < MOST && n < MOST;
    }
    return n;
}

static int put_one(FILE *f, struct eyes *e, const struct report_identification *r, size_t i)
{
    const struct fv_answer *a = &r->answer[i];
    const int mistaken = is_mistaken(r, a);
    struct fv_store_image probe;

    FV_TRY(fv_store_image(e->store, r->image[i], &probe));
    fputs(mistaken ? "<li><div class=\"three\">" : "<li><div class=\"two\">", f);
    FV_TRY(eyes_put(f, e, r->image[i]));
    FV_TRY(eyes_put(f, e, r->nearest(r->ctx, i, a->best)));
    if (mistaken)
        FV_TRY(eyes_put(f, e, r->nearest(r->ctx, i, a->truth)));
    fprintf(f, "</div><p class=\"score\">%.4f", (double)a->score);
    if (mistaken)
        fprintf(f, " <span class=\"meta\">its own %.4f, rank %u</span>", (double)a->mate,
                1 + a->better + (r->pessimistic ? a->equal : 0));
    fputs("</p><p class=\"meta\">", f);
    html_text(f, probe.name);
    fputs("<br>", f);
    html_text(f, r->identity[a->best]);
    if (mistaken) {
        fputs("<br>", f);
        html_text(f, r->identity[a->truth]);
    }
    fputs("</p></li>\n", f);
    return FV_OK;
}

static int put_kind(FILE *f, struct eyes *e, const struct report_identification *r,
                    const struct kind *k)
{
    size_t at[MOST], all;
    const int n = find(at, r, k, &all);

    if (n == 0)
        return FV_OK;
    fprintf(f, "<section>\n<h2>%s</h2>\n<p class=\"note\">%s ", k->title, k->note);
    if ((size_t)n < all)
        fprintf(f, "%d of ", n);
    report_count(f, all);
    fputs(".</p>\n<ul class=\"pairs\">\n", f);
    for (int i = 0; i < n; i++)
        FV_TRY(put_one(f, e, r, at[i]));
    fputs("</ul>\n</section>\n", f);
    return FV_OK;
}

int misses_write(FILE *f, const struct report_identification *r)
{
    struct eyes e;

    int rc = eyes_open(&e, r->making.store);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && rc >= 0; i++)
        rc = put_kind(f, &e, r, &kinds[i]);
    eyes_close(&e);
    return rc;
}
