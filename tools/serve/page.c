/* SPDX-License-Identifier: MIT */
#include "tools/serve/page.h"

#include "common/err.h"
#include "tools/report/html.h"
#include "tools/report/verification.h"
#include "tools/serve/page_script.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- for people ----------------------------------------------------------------------------------- */

static void put_form(FILE *f, const struct answerer *s)
{
    fputs("<form method=\"post\" action=\"/\" enctype=\"multipart/form-data\">\n", f);
    for (int i = 0; i < HTTP_PHOTOS; i++)
        fprintf(f,
                "<label>%s<span class=\"note\">%s</span><input type=\"file\" name=\"photo\" "
                "accept=\"image/*\"%s></label>\n",
                i ? "A second photo" : "A photo",
                i ? "to compare with the first; may be left out" : "choose one, or drop it here",
                i ? "" : " required");
    fputs("<button type=\"submit\">Compare</button>\n</form>\n<p class=\"note\">", f);
    fprintf(f, "%" PRIu64 " people are known, by %u images. ", fv_store_info(s->net.store)->labels,
            s->known.n);
    fputs(s->aligned ? "Photos are taken as cut to the face already. "
                     : "A photo is framed as the images of the gallery were. ",
          f);
    fputs("Nothing that is sent is kept.</p>\n", f);
}

static int put_near(FILE *f, const struct answerer *s, const struct answer *a, int which)
{
    const struct fv_store_info *info = fv_store_info(s->net.store);
    struct fv_store_label who;

    fprintf(f, "<h3>Nearest to photo %d</h3>\n<ol class=\"near\">\n", which + 1);
    for (int i = 0; i < a->top && a->near[which][i].score > -INFINITY; i++) {
        const struct nearest *near = &a->near[which][i];
        struct http_photo jpeg = {0};
        FV_TRY(fv_store_label(s->net.store, near->label, &who));
        FV_TRY(answer_picture(s->net.store, near->image, &jpeg));
        fputs("<li>", f);
        html_jpeg(f, jpeg.p, jpeg.n, info->width, info->height, who.name);
        free(jpeg.p);
        fprintf(f, "<p class=\"score\">%.4f</p><p class=\"meta\">", near->score);
        html_text(f, who.name);
        fputs("</p></li>\n", f);
    }
    fputs("</ol>\n", f);
    return FV_OK;
}

/* The sentence on top: a score alone says nothing. */
static void put_verdict(FILE *f, const struct answerer *s, const struct answer *a)
{
    const double t = s->calibration.threshold;

    fputs("<p class=\"lead\">", f);
    if (a->photos == 2)
        fprintf(f, "The two photos score <strong>%.4f</strong>", a->score);
    else
        fprintf(f, "The nearest person scores <strong>%.4f</strong>", a->score);
    if (isnan(t))
        fputs(". What that means is not known: there are no pairs to count on.</p>\n", f);
    else
        fprintf(f, ", %s the threshold of %.4f: <strong>%s</strong>.</p>\n",
                a->score >= t ? "at or above" : "below", t,
                a->score >= t ? "taken for one person" : "taken for two people");
    if (a->photos == 1)
        fputs("<p class=\"note\">The threshold is of two photos; among many people a chance match "
              "is as much more likely.</p>\n",
              f);
}

static int put_answer(FILE *f, const struct answerer *s, const struct answer *a)
{
    const struct fv_store_info *info = fv_store_info(s->net.store);
    char *rows = report_rows(&a->meaning);

    fputs("<section aria-live=\"polite\">\n<h2>Answer</h2>\n", f);
    put_verdict(f, s, a);
    fputs("<div class=\"shown\">\n", f);
    for (int i = 0; i < a->photos; i++) {
        fputs("<figure>", f);
        html_jpeg(f, a->picture[i].p, a->picture[i].n, info->width, info->height,
                  i ? "photo 2 as the net sees it" : "photo 1 as the net sees it");
        fprintf(f, "<figcaption>Photo %d, as the net sees it</figcaption></figure>\n", i + 1);
    }
    fputs(
        "</div>\n<h3>What the score means</h3>\n<table>\n<thead><tr><th scope=\"col\">Measure</th>"
        "<th scope=\"col\">Value</th></tr></thead>\n<tbody>\n",
        f);
    fputs(rows ? rows : "", f);
    fputs("</tbody>\n</table>\n", f);
    free(rows);
    for (int i = 0; i < a->photos; i++)
        FV_TRY(put_near(f, s, a, i));
    fputs("</section>\n", f);
    return FV_OK;
}

int page_html(const struct answerer *s, const struct answer *a, const char *complaint,
              struct http_reply *out)
{
    FILE *f = open_memstream(&out->body, &out->n);
    int rc = FV_OK;

    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    html_begin(f, "Face verification", page_script_hash);
    fputs("<main>\n<header>\n<p class=\"kind\">fveval serve</p>\n<h1>Is it the same person?</h1>\n"
          "</header>\n",
          f);
    if (complaint) {
        fputs("<p class=\"wrong\" role=\"alert\">", f);
        html_text(f, complaint);
        fputs("</p>\n", f);
    }
    if (a)
        rc = put_answer(f, s, a);
    put_form(f, s);
    fputs("</main>\n<footer>", f);
    html_text(f, fv_model_info(s->net.model));
    fprintf(f, "</footer>\n<script>%s</script>\n", page_script);
    html_end(f);
    out->type = "text/html; charset=utf-8";
    if (fclose(f) != 0 && rc >= 0)
        rc = fv_err(FV_ENOMEM, "out of memory");
    if (rc < 0) {
        free(out->body);
        out->body = NULL;
    }
    return rc;
}

/* --- for programs --------------------------------------------------------------------------------- */

static json_t *near_json(const struct answerer *s, const struct answer *a, int which)
{
    json_t *list = json_array();
    struct fv_store_label who;
    struct fv_store_image image;

    for (int i = 0; i < a->top && a->near[which][i].score > -INFINITY; i++) {
        const struct nearest *near = &a->near[which][i];
        if (fv_store_label(s->net.store, near->label, &who) < 0 ||
            fv_store_image(s->net.store, near->image, &image) < 0)
            continue;
        json_array_append_new(list, json_pack("{s:o, s:f, s:o}", "identity",
                                              results_json_text(who.name), "score", near->score,
                                              "image", results_json_text(image.name)));
    }
    return list;
}

/* The rows' values go into the object. */
static json_t *answer_json(const struct answerer *s, struct answer *a)
{
    json_t *o = json_object(), *photos = json_array();

    for (int i = 0; i < a->meaning.n; i++)
        if (a->meaning.row[i].json) {
            json_object_set(o, a->meaning.row[i].key, a->meaning.row[i].json);
        }
    for (int i = 0; i < a->photos; i++)
        json_array_append_new(photos, json_pack("{s:o}", "nearest", near_json(s, a, i)));
    json_object_set_new(o, "threshold_meaning", results_json_text(s->calibration.meaning));
    json_object_set_new(o, "framing", results_json_text(a->framing));
    json_object_set_new(o, "photos", photos);
    return o;
}

int page_json(const struct answerer *s, struct answer *a, const char *complaint,
              struct http_reply *out)
{
    const struct fv_store_info *info = fv_store_info(s->net.store);
    json_t *o = complaint ? json_pack("{s:o}", "error", results_json_text(complaint))
                : a       ? answer_json(s, a)
                          : json_object();

    if (!complaint && !a) {
        json_object_set_new(o, "model", results_json_text(fv_model_info(s->net.model)));
        json_object_set_new(o, "gallery", results_json_text(fv_store_path(s->net.store)));
        json_object_set_new(o, "identities", json_integer((json_int_t)info->labels));
        json_object_set_new(o, "images", json_integer((json_int_t)s->known.n));
        if (!isnan(s->calibration.threshold))
            json_object_set_new(o, "threshold", json_real(s->calibration.threshold));
        json_object_set_new(o, "threshold_meaning", results_json_text(s->calibration.meaning));
    }
    out->type = "application/json";
    out->body = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    out->n = out->body ? strlen(out->body) : 0;
    json_decref(o);
    return out->body ? FV_OK : fv_err(FV_ENOMEM, "out of memory");
}
