/* SPDX-License-Identifier: MIT */
#include "tools/report/pictures.h"

#include "common/err.h"
#include "tools/report/eyes.h"
#include "tools/report/html.h"

enum { HARDEST = 12 };

struct hardest {
    size_t at[HARDEST]; /* hardest first */
    int n;
};

/* Of one kind. Equal scores stand in the order of the list. */
static void find(struct hardest *h, const struct report_verification *v, int same)
{
    h->n = 0;
    for (size_t i = 0; i < v->pairs; i++) {
        int k = h->n;
        if ((v->same[i] != 0) != same)
            continue;
        for (; k > 0; k--) {
            const double other = v->score[h->at[k - 1]];
            if (same ? v->score[i] >= other : v->score[i] <= other)
                break;
            if (k < HARDEST)
                h->at[k] = h->at[k - 1];
        }
        if (k < HARDEST)
            h->at[k] = i;
        h->n += k < HARDEST && h->n < HARDEST;
    }
}

static int put_pair(FILE *f, struct eyes *e, const struct report_verification *v, size_t i)
{
    const struct fv_pair *p = &v->pair[i];
    struct fv_store_image a, b;

    FV_TRY(fv_store_image(v->store, p->a, &a));
    FV_TRY(fv_store_image(v->store, p->b, &b));
    fputs("<li><div class=\"two\">", f);
    FV_TRY(eyes_put(f, e, p->a));
    FV_TRY(eyes_put(f, e, p->b));
    fprintf(f, "</div><p class=\"score\">%.4f</p><p class=\"meta\">", v->score[i]);
    html_text(f, a.name);
    fputs("<br>", f);
    html_text(f, b.name);
    fputs("</p></li>\n", f);
    return FV_OK;
}

static int put_kind(FILE *f, struct eyes *e, const struct report_verification *v, int same)
{
    struct hardest h;

    find(&h, v, same);
    fputs(same
              ? "<section>\n<h2>Hardest genuine pairs</h2>\n<p class=\"note\">One person, yet the "
                "lowest scores.</p>\n"
              : "<section>\n<h2>Hardest impostor pairs</h2>\n<p class=\"note\">Two people, yet the "
                "highest scores.</p>\n",
          f);
    fputs("<ul class=\"pairs\">\n", f);
    for (int i = 0; i < h.n; i++)
        FV_TRY(put_pair(f, e, v, h.at[i]));
    fputs("</ul>\n</section>\n", f);
    return FV_OK;
}

int pictures_write(FILE *f, const struct report_verification *v)
{
    struct eyes e;

    int rc = eyes_open(&e, v->store);
    if (rc >= 0)
        rc = put_kind(f, &e, v, 1);
    if (rc >= 0)
        rc = put_kind(f, &e, v, 0);
    eyes_close(&e);
    return rc;
}
