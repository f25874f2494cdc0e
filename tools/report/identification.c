/* SPDX-License-Identifier: MIT */
/* The order is that of a reader's questions: how often the right one is found, what of strangers, what do the worst
 * answers look like, how was it made. */
#include "tools/report/identification.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/report/curves.h"
#include "tools/report/html.h"
#include "tools/report/map.h"
#include "tools/report/misses.h"
#include "tools/report/search_curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- what came out -------------------------------------------------------------------------------- */

static void put_summary(FILE *f, const struct report_identification *r, const struct fv_probes *p)
{
    fputs("<p class=\"lead\">", f);
    if (p->mated) {
        fprintf(f,
                "Of people who are in the gallery, <strong>%.1f&nbsp;%%</strong> are found at the "
                "first place",
                100 * fv_gallery_cmc(r->answer, r->probes, 1, r->pessimistic));
        fprintf(f, " (by chance: %.2g&nbsp;%%)", 100.0 / r->identities);
    } else {
        fputs("Nobody of those looked for is in the gallery", f);
    }
    fputs(". ", f);
    if (isfinite(r->threshold))
        fprintf(f,
                "With rejection below %.4f, <strong>%.1f&nbsp;%%</strong> of all answers are right",
                r->threshold, 100 * fv_gallery_accuracy(r->answer, r->probes, r->threshold));
    else
        fprintf(f, "Nobody is rejected, and <strong>%.1f&nbsp;%%</strong> of all answers are right",
                100 * fv_gallery_accuracy(r->answer, r->probes, -INFINITY));
    fputs(".</p>\n<p class=\"note\">Measured on ", f);
    report_count(f, p->mated);
    fputs(" probes of people in the gallery and ", f);
    report_count(f, p->strangers);
    fputs(" of strangers. The gallery holds ", f);
    report_count(f, r->gallery);
    fputs(r->image ? " images of " : " templates of ", f);
    report_count(f, r->identities);
    fputs(" people.", f);
    if (p->strangers) {
        fputs(" An FPIR below 1 in ", f);
        report_count(f, p->strangers);
        fputs(" cannot be resolved; one below 30 in as many is unreliable.", f);
    }
    fputs("</p>\n", f);
}

static void put_head(FILE *f, const struct report_identification *r, const struct fv_probes *p)
{
    fputs("<header>\n<p class=\"kind\">Face identification report</p>\n<h1>", f);
    html_text(f, report_base_name(r->making.checkpoint));
    fputs(" on ", f);
    html_text(f, report_base_name(fv_store_path(r->making.store)));
    fputs("</h1>\n", f);
    put_summary(f, r, p);
    fputs("</header>\n<main>\n<section>\n<h2>Figures</h2>\n<table>\n<thead><tr><th scope=\"col\">"
          "Measure</th><th scope=\"col\">Value</th></tr></thead>\n<tbody>\n",
          f);
    fputs(r->figures, f);
    fputs("</tbody>\n</table>\n</section>\n", f);
}

/* --- plots ---------------------------------------------------------------------------------------- */

static void begin_figure(FILE *f, const char *title)
{
    fprintf(f, "<figure>\n<h3>%s</h3>\n", title);
}

static void end_figure(FILE *f, const char *caption)
{
    fprintf(f, "<figcaption>%s</figcaption>\n</figure>\n", caption);
}

/* Of a mated probe the score with its own identity, of a stranger the highest with anybody. */
static int put_scores(FILE *f, const struct report_identification *r)
{
    static const struct curves_kinds kinds = {
        {"strangers, with anybody", "mated, with their own"},
        "probes",
        "threshold",
        "Histograms of the scores of strangers and of mated probes"};
    double *score = malloc((r->probes + 1) * sizeof *score);
    uint8_t *same = malloc(r->probes + 1);
    size_t n = 0;

    for (size_t i = 0; score && same && i < r->probes; i++) {
        const struct fv_answer *a = &r->answer[i];
        if (a->truth == FV_PROBE_UNKNOWN)
            continue;
        same[n] = a->truth != FV_PROBE_STRANGER;
        score[n] = same[n] ? (double)a->mate : (double)a->score;
        n++;
    }
    const int rc = score && same ? curves_scores(f, score, same, n, r->threshold, &kinds)
                                 : fv_err(FV_ENOMEM, "out of memory for %zu scores", r->probes);
    free(score);
    free(same);
    return rc;
}

/* Gallery and probes by what became of them, evenly thinned to what a map can hold. */
static int put_map(FILE *f, const struct report_identification *r)
{
    enum { MOST = 800, IN_GALLERY = 1, STRANGER, FOUND, MISTAKEN = 5 };
    static const char key[] =
        "<span class=\"key\" style=\"color:var(--c11)\">&bull;</span>&nbsp;gallery, "
        "<span class=\"key\" style=\"color:var(--c13)\">&bull;</span>&nbsp;found, "
        "<span class=\"key\" style=\"color:var(--c15)\">&bull;</span>&nbsp;mistaken, "
        "<span class=\"key\" style=\"color:var(--c12)\">&bull;</span>&nbsp;strangers.";
    const size_t d = (size_t)r->dim, all = r->gallery + r->probes, step = (all + MOST - 1) / MOST;
    float *v = malloc((all / step + 1) * d * sizeof *v);
    int *group = malloc((all / step + 1) * sizeof *group);
    struct map_points p = {v, 0, r->dim, group, 1};
    int rc = v && group ? FV_OK : fv_err(FV_ENOMEM, "out of memory for a map");

    for (size_t i = 0; i < all && rc >= 0; i += step) {
        const size_t k = i < r->gallery ? 0 : i - r->gallery;
        const struct fv_answer *a = &r->answer[k];
        if (i >= r->gallery && a->truth == FV_PROBE_UNKNOWN)
            continue;
        memcpy(v + p.n * d, i < r->gallery ? r->gallery_v + i * d : r->probe_v + k * d,
               d * sizeof *v);
        group[p.n++] = i < r->gallery                  ? IN_GALLERY
                       : a->truth == FV_PROBE_STRANGER ? STRANGER
                       : a->best == a->truth           ? FOUND
                                                       : MISTAKEN;
    }
    if (rc >= 0 && p.n >= 3)
        rc = map_put(f, &p, key);
    free(v);
    free(group);
    return rc;
}

static int put_plots(FILE *f, const struct report_identification *r, const struct fv_probes *p)
{
    fputs("<section>\n<h2>Searches</h2>\n<div class=\"plots\">\n", f);
    if (p->mated) {
        begin_figure(f, "Closed set (CMC)");
        FV_TRY(search_curves_cmc(f, r->answer, r->probes, r->identities, r->pessimistic));
        end_figure(f, "How many of those who are in the gallery are among the first so many.");
    }
    if (p->mated && p->strangers) {
        begin_figure(f, "Open set");
        FV_TRY(search_curves_open_set(f, r->answer, r->probes, r->pessimistic));
        end_figure(f, "Higher is better. The left end is one stranger of all.");
        begin_figure(f, "Scores");
        FV_TRY(put_scores(f, r));
        end_figure(f, "Where the two overlap, no threshold keeps strangers out without losing "
                      "people. The dashed line, if there is one, is where answers are rejected.");
    }
    FV_TRY(put_map(f, r));
    fputs("</div>\n</section>\n", f);
    return FV_OK;
}

static int write_page(FILE *f, const struct report_identification *r, const struct fv_probes *p)
{
    html_begin(f, "Face identification report", NULL);
    put_head(f, r, p);
    FV_TRY(put_plots(f, r, p));
    if (r->image)
        FV_TRY(misses_write(f, r));
    report_making(f, &r->making);
    fputs("</main>\n<footer>A probe is found when its own identity has the highest score, at or "
          "above the threshold. Terms are those of ISO/IEC 19795-1.</footer>\n",
          f);
    html_end(f);
    return FV_OK;
}

int report_identification(const char *path, const struct report_identification *r)
{
    const struct fv_probes p = fv_gallery_count(r->answer, r->probes);
    struct fv_file file;

    if (p.mated + p.strangers == 0)
        return fv_err(FV_EINVAL, "--report: nothing says who the probes show: give --probe-labels");
    if (!r->figures || !r->making.settings)
        return fv_err(FV_ENOMEM, "out of memory for the report");
    FV_TRY(fv_file_create(&file, path));
    return fv_file_end(&file, write_page(file.f, r, &p));
}
