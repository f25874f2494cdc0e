/* SPDX-License-Identifier: MIT */
/* The order is that of a reader's questions: what came out, can it be believed, how do the errors trade off, what do
 * the worst ones look like, how was it made. */
#include "tools/report/verification.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/report/curves.h"
#include "tools/report/html.h"
#include "tools/report/map.h"
#include "tools/report/parts.h"
#include "tools/report/pictures.h"
#include "tools/report/training_log.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 8, GROUP_IMAGES = 25 };

void report_take_interval(struct report_verification *v, const struct results *r)
{
    for (int i = 0; i < r->n; i++) {
        const json_t *o = r->row[i].json;
        if (strcmp(r->row[i].key, "eer_interval") != 0 || !json_is_object(o))
            continue;
        v->eer_low = json_number_value(json_object_get(o, "low"));
        v->eer_high = json_number_value(json_object_get(o, "high"));
        v->level = json_number_value(json_object_get(o, "level"));
    }
}

/* --- what came out -------------------------------------------------------------------------------- */

/* The strictest of 1 in 10, 100, ... impostors that 30 of them still speak for; 0: none. */
static double reliable_rate(const struct fv_roc *r)
{
    double best = 0;

    for (double rate = 0.1; rate >= 1e-6; rate /= 10) {
        struct fv_tpr t;
        fv_roc_tpr(r, rate, &t);
        if (!t.unreliable && !t.below_resolution)
            best = rate;
    }
    return best;
}

static void put_summary(FILE *f, const struct report_verification *v)
{
    const struct fv_roc *r = &v->curve[0].roc;
    const double rate = reliable_rate(r);
    struct fv_eer eer;
    struct fv_tpr t;

    fv_roc_eer(r, &eer);
    fputs(
        "<p class=\"lead\">At the threshold where both errors are equal, the net errs in <strong>",
        f);
    fprintf(f, "%.2f&nbsp;%%</strong> of pairs", 100 * eer.eer);
    if (v->level > 0)
        fprintf(f, " (%g&nbsp;%% interval over identities: %.2f to %.2f&nbsp;%%)", 100 * v->level,
                100 * v->eer_low, 100 * v->eer_high);
    if (rate > 0) {
        fv_roc_tpr(r, rate, &t);
        fputs(". Where 1 in ", f);
        report_count(f, (uint64_t)(1 / rate + 0.5));
        fprintf(f,
                " impostors may pass, it recognises <strong>%.2f&nbsp;%%</strong> of genuine pairs",
                100 * t.tpr);
    }
    fputs(".</p>\n<p class=\"note\">Measured on ", f);
    report_count(f, r->genuine);
    fputs(" genuine and ", f);
    report_count(f, r->impostor);
    fputs(" impostor pairs. What they cannot resolve: a false match rate below 1 in ", f);
    report_count(f, r->impostor);
    if (rate > 0) {
        fputs("; and below 1 in ", f);
        report_count(f, (uint64_t)(1 / rate + 0.5));
        fputs(" a rate rests on fewer than 30 false matches, and is unreliable.</p>\n", f);
    } else {
        fputs("; and any rate rests on fewer than 30 false matches, and is unreliable.</p>\n", f);
    }
}

static void put_head(FILE *f, const struct report_verification *v)
{
    fputs("<header>\n<p class=\"kind\">Face verification report</p>\n<h1>", f);
    html_text(f, report_base_name(v->checkpoint));
    if (v->others)
        fprintf(f, " and %d more", v->others);
    fputs(" on ", f);
    html_text(f, report_base_name(fv_store_path(v->store)));
    fputs("</h1>\n", f);
    put_summary(f, v);
    fputs("</header>\n<main>\n<section>\n<h2>Figures</h2>\n<table>\n<thead><tr><th scope=\"col\">"
          "Measure</th><th scope=\"col\">Value</th></tr></thead>\n<tbody>\n",
          f);
    fputs(v->figures, f);
    fputs("</tbody>\n</table>\n</section>\n", f);
}

/* --- plots ---------------------------------------------------------------------------------------- */

static int put_figure(FILE *f, const char *title, const char *caption,
                      int (*draw)(FILE *f, const struct report_verification *v),
                      const struct report_verification *v)
{
    fprintf(f, "<figure>\n<h3>%s</h3>\n", title);
    FV_TRY(draw(f, v));
    fprintf(f, "<figcaption>%s</figcaption>\n</figure>\n", caption);
    return FV_OK;
}

static int draw_roc(FILE *f, const struct report_verification *v)
{
    return curves_roc(f, v->curve, v->curves);
}

static int draw_det(FILE *f, const struct report_verification *v)
{
    return curves_det(f, v->curve, v->curves);
}

static int draw_scores(FILE *f, const struct report_verification *v)
{
    static const struct curves_kinds kinds = {
        {"impostor", "genuine"},
        "pairs",
        "EER",
        "Histograms of the scores of genuine and of impostor pairs"};
    struct fv_eer eer;

    fv_roc_eer(&v->curve[0].roc, &eer);
    return curves_scores(f, v->score, v->same, v->pairs, eer.threshold, &kinds);
}

/* Up to GROUPS identities, and up to GROUP_IMAGES images of each, the first of those that have several. */
struct groups {
    uint32_t label[GROUPS];
    int n;
    size_t images;
    int group[GROUPS * GROUP_IMAGES];
    float *v; /* (images, dim) */
};

static int find_groups(struct groups *g, const struct report_verification *v)
{
    struct fv_store_image one;
    int of_group = 0;

    g->v = malloc((size_t)GROUPS * GROUP_IMAGES * (size_t)v->dim * sizeof *g->v);
    if (!g->v)
        return fv_err(FV_ENOMEM, "out of memory");
    for (size_t i = 0; i < v->images; i++) {
        FV_TRY(fv_store_image(v->store, v->image[i], &one));
        if (g->n == 0 || one.label != g->label[g->n - 1]) {
            if (g->n == GROUPS)
                break;
            g->label[g->n++] = one.label;
            of_group = 0;
        }
        if (of_group++ >= GROUP_IMAGES)
            continue;
        g->group[g->images] = g->n;
        memcpy(g->v + g->images++ * (size_t)v->dim, v->embedding + i * (size_t)v->dim,
               (size_t)v->dim * sizeof *g->v);
    }
    return FV_OK;
}

static int put_map(FILE *f, const struct report_verification *v, const struct groups *g)
{
    const struct map_points points = {g->v, g->images, v->dim, g->group, 0};
    struct fv_store_label who;
    char *text = NULL;
    size_t size;
    FILE *key = open_memstream(&text, &size);

    if (!key)
        return fv_err(FV_ENOMEM, "out of memory");
    fputs("Each number is an identity: ", key);
    for (int i = 0; i < g->n && fv_store_label(v->store, g->label[i], &who) >= 0; i++) {
        fprintf(key, "%s<span class=\"key\" style=\"color:var(--c%d)\">%d</span>&nbsp;",
                i ? ", " : "", 11 + i, i + 1);
        html_text(key, who.name);
    }
    fputs(".", key);
    const int rc =
        fclose(key) == 0 ? map_put(f, &points, text) : fv_err(FV_ENOMEM, "out of memory");
    free(text);
    return rc;
}

static int draw_embeddings(FILE *f, const struct report_verification *v)
{
    struct groups *g = calloc(1, sizeof *g);
    int rc = g ? find_groups(g, v) : fv_err(FV_ENOMEM, "out of memory");

    if (rc >= 0 && g->images >= 3)
        rc = put_map(f, v, g);
    if (g)
        free(g->v);
    free(g);
    return rc;
}

static int put_plots(FILE *f, const struct report_verification *v)
{
    fputs("<section>\n<h2>Error rates</h2>\n<div class=\"plots\">\n", f);
    FV_TRY(put_figure(f, "ROC", "Higher is better. The left end is one impostor of all.", draw_roc,
                      v));
    FV_TRY(put_figure(f, "DET",
                      "Lower is better. Axes are probits: normally distributed scores give a "
                      "straight line.",
                      draw_det, v));
    FV_TRY(put_figure(f, "Scores",
                      "Where the two overlap, no threshold tells them apart. The dashed line is "
                      "the threshold of equal errors.",
                      draw_scores, v));
    if (v->embedding)
        FV_TRY(draw_embeddings(f, v));
    fputs("</div>\n</section>\n", f);
    return v->log ? training_log_write(f, v->log) : FV_OK;
}

/* --- the page ------------------------------------------------------------------------------------- */

static int write_page(FILE *f, const struct report_verification *v)
{
    html_begin(f, "Face verification report", NULL);
    put_head(f, v);
    FV_TRY(put_plots(f, v));
    if (v->pair)
        FV_TRY(pictures_write(f, v));
    report_making(f, &(struct report_making){v->checkpoint, v->model, v->store, v->settings});
    fputs("</main>\n<footer>A match is a score at or above the threshold. Terms are those of "
          "ISO/IEC 19795-1.</footer>\n",
          f);
    html_end(f);
    return FV_OK;
}

int report_verification(const char *path, const struct report_verification *v)
{
    struct fv_file file;

    if (!v->figures || !v->settings)
        return fv_err(FV_ENOMEM, "out of memory for the report");
    FV_TRY(fv_file_create(&file, path));
    return fv_file_end(&file, write_page(file.f, v));
}
