/* SPDX-License-Identifier: MIT */
/* The order is that of a reader's questions: what came out, can it be believed, how do the errors trade off, what do
 * the worst ones look like, how was it made. */
#include "tools/report/verification.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/report/curves.h"
#include "tools/report/html.h"
#include "tools/report/pictures.h"
#include "tools/report/training_log.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GROUPS = 8, GROUP_IMAGES = 25 };

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

char *report_rows(const struct results *r)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    int rows = 0;

    if (!f)
        return NULL;
    for (int i = 0; i < r->n; i++) {
        const char *key = r->row[i].key;
        if (r->row[i].silent)
            continue;
        if (rows > 0 && !*key) { /* goes on with the row above */
            fputs("<br>", f);
        } else {
            fputs(rows++ ? "</td></tr>\n<tr><th scope=\"row\">" : "<tr><th scope=\"row\">", f);
            for (; *key; key++)
                html_text_n(f, *key == '_' ? " " : key, 1);
            fputs("</th><td>", f);
        }
        html_text(f, r->row[i].text ? r->row[i].text : "");
    }
    fputs(rows ? "</td></tr>\n" : "", f);
    return fclose(f) == 0 ? text : NULL;
}

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

/* 3000 as 3,000 */
static void put_count(FILE *f, uint64_t n)
{
    if (n >= 1000) {
        put_count(f, n / 1000);
        fprintf(f, ",%03d", (int)(n % 1000));
    } else {
        fprintf(f, "%d", (int)n);
    }
}

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
        put_count(f, (uint64_t)(1 / rate + 0.5));
        fprintf(f,
                " impostors may pass, it recognises <strong>%.2f&nbsp;%%</strong> of genuine pairs",
                100 * t.tpr);
    }
    fputs(".</p>\n<p class=\"note\">Measured on ", f);
    put_count(f, r->genuine);
    fputs(" genuine and ", f);
    put_count(f, r->impostor);
    fputs(" impostor pairs. What they cannot resolve: a false match rate below 1 in ", f);
    put_count(f, r->impostor);
    if (rate > 0) {
        fputs("; and below 1 in ", f);
        put_count(f, (uint64_t)(1 / rate + 0.5));
        fputs(" a rate rests on fewer than 30 false matches, and is unreliable.</p>\n", f);
    } else {
        fputs("; and any rate rests on fewer than 30 false matches, and is unreliable.</p>\n", f);
    }
}

static void put_head(FILE *f, const struct report_verification *v)
{
    fputs("<header>\n<p class=\"kind\">Face verification report</p>\n<h1>", f);
    html_text(f, base_name(v->checkpoint));
    if (v->others)
        fprintf(f, " and %d more", v->others);
    fputs(" on ", f);
    html_text(f, base_name(fv_store_path(v->store)));
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
    struct fv_eer eer;

    fv_roc_eer(&v->curve[0].roc, &eer);
    return curves_scores(f, v->score, v->same, v->pairs, eer.threshold);
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

static int put_plane(FILE *f, const struct report_verification *v, const struct groups *g)
{
    struct fv_store_label who;
    struct pca p;

    FV_TRY(pca_make(&p, g->v, g->images, v->dim));
    fputs("<figure>\n<h3>Embeddings</h3>\n", f);
    const int rc = curves_plane(f, &p, g->group, g->images);
    fprintf(f,
            "<figcaption>%zu images in the plane of their two principal components, which hold "
            "%.0f&nbsp;%% of the variance. Each digit is an identity: ",
            g->images, 100 * (p.share[0] + p.share[1]));
    for (int i = 0; i < g->n && fv_store_label(v->store, g->label[i], &who) >= 0; i++) {
        fprintf(f, "%s<span class=\"key\" style=\"color:var(--c%d)\">%d</span>&nbsp;",
                i ? ", " : "", 11 + i, i + 1);
        html_text(f, who.name);
    }
    fputs(".</figcaption>\n</figure>\n", f);
    pca_free(&p);
    return rc;
}

static int draw_embeddings(FILE *f, const struct report_verification *v)
{
    struct groups *g = calloc(1, sizeof *g);
    int rc = g ? find_groups(g, v) : fv_err(FV_ENOMEM, "out of memory");

    if (rc >= 0 && g->images >= 3)
        rc = put_plane(f, v, g);
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

/* --- how it was made ------------------------------------------------------------------------------ */

static void put_row(FILE *f, const char *name, size_t n, const char *value, size_t value_n)
{
    fputs("<tr><th scope=\"row\">", f);
    html_text_n(f, name, n);
    fputs("</th><td>", f);
    html_text_n(f, value, value_n);
    fputs("</td></tr>\n", f);
}

static void put_lines(FILE *f, const char *lines)
{
    while (*lines) {
        const size_t length = strcspn(lines, "\n");
        const char *equals = memmem(lines, length, " = ", 3);
        if (equals)
            put_row(f, lines, (size_t)(equals - lines), equals + 3,
                    (size_t)(lines + length - equals) - 3);
        lines += length + (lines[length] == '\n');
    }
}

static void put_text_row(FILE *f, const char *name, const char *value)
{
    put_row(f, name, strlen(name), value, strlen(value));
}

static void put_table(FILE *f, const char *title)
{
    fprintf(f,
            "<h3>%s</h3>\n<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Value"
            "</th></tr></thead>\n<tbody>\n",
            title);
}

static void put_making(FILE *f, const struct report_verification *v)
{
    const struct fv_store_info *info = fv_store_info(v->store);
    const time_t now = time(NULL);
    char text[96] = "";
    struct tm tm;

    fputs("<section>\n<h2>How it was made</h2>\n", f);
    put_table(f, "Net and data");
    put_text_row(f, "checkpoint", v->checkpoint);
    put_text_row(f, "net", v->model);
    put_text_row(f, "data set", fv_store_path(v->store));
    snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 " identities, %d x %d px, %s",
             info->images, info->labels, info->width, info->height, info->codec);
    put_text_row(f, "images", text);
    snprintf(text, sizeof text, "%016" PRIx64, info->digest);
    put_text_row(f, "digest of the data", text);
    if (gmtime_r(&now, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm))
        put_text_row(f, "made", text);
    put_text_row(f, "made by", "fv " FV_VERSION);
    fputs("</tbody>\n</table>\n", f);
    put_table(f, "Settings");
    put_lines(f, v->settings);
    fputs("</tbody>\n</table>\n", f);
    put_table(f, "How the data was packed");
    put_lines(f, info->packed_with);
    fputs("</tbody>\n</table>\n</section>\n", f);
}

static int write_page(FILE *f, const struct report_verification *v)
{
    html_begin(f, "Face verification report", NULL);
    put_head(f, v);
    FV_TRY(put_plots(f, v));
    if (v->pair)
        FV_TRY(pictures_write(f, v));
    put_making(f, v);
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
    const int rc = write_page(file.f, v);
    if (rc < 0) {
        fv_file_discard(&file);
        return rc;
    }
    return fv_file_commit(&file);
}
