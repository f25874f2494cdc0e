/* SPDX-License-Identifier: MIT */
/* fveval gallery: who of the known people is on each of these photographs, or none of them. Closed set, open set, and
 * the file to hand in, from one pass over the images. */
#include "tools/fveval.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "common/report.h"
#include "tools/command.h"
#include "tools/eval_net.h"
#include "tools/gallery_spec.h"
#include "tools/results.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct gallery_settings {
    const char *db, *gallery, *probes, *dev, *probe_labels, *dev_labels, *templates, *pool, *ties,
        *reject, *layout, *output, *answers;
    double threshold;
    struct eval_net_settings net;
};

static const char *const pools[] = {"max", "mean", NULL};
static const char *const ties[] = {"optimistic", "pessimistic", NULL};

#define FIELD(f) offsetof(struct gallery_settings, f)
/* clang-format off */
static const struct fv_opt gallery_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE",
     "the data set that holds the images; a list with commas is one", 0, 0, NULL},
    {"gallery", 'g', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(gallery), "SPEC", "the people who are known", 0, 0, NULL},
    {"probes", 'p', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(probes), "SPEC", "the images to be answered", 0, 0, NULL},
    {"probe-labels", 0, FV_OPT_STRING, 0, FIELD(probe_labels), "FILE", "who they are, one a line or column label",
     0, 0, NULL},
    {"dev", 0, FV_OPT_STRING, 0, FIELD(dev), "SPEC", "others, on which the threshold is chosen", 0, 0, NULL},
    {"dev-labels", 0, FV_OPT_STRING, 0, FIELD(dev_labels), "FILE", "who they are", 0, 0, NULL},
    {"threshold", 't', FV_OPT_REAL, 0, FIELD(threshold), "T", "reject scores below, instead of one chosen on --dev",
     -2, 2, NULL},
    {"reject", 0, FV_OPT_STRING, 0, FIELD(reject), "LABEL", "the answer for somebody who is not in the gallery",
     0, 0, NULL},
    {"pool", 0, FV_OPT_CHOICE, 0, FIELD(pool), "HOW", "of an identity's images the best one counts, or their mean",
     0, 0, pools},
    {"ties", 0, FV_OPT_CHOICE, 0, FIELD(ties), "HOW", "identities that score the same as the right one", 0, 0, ties},
    {"templates", 0, FV_OPT_STRING, 0, FIELD(templates), "FILE", "'image template media' (IJB): lists are of templates",
     0, 0, NULL},
    {"submission", 0, FV_OPT_STRING, 0, FIELD(layout), "NAME", "layout of the file to hand in", 0, 0, NULL},
    {"output", 'o', FV_OPT_STRING, 0, FIELD(output), "FILE", "that file", 0, 0, NULL},
    {"answers", 0, FV_OPT_STRING, 0, FIELD(answers), "FILE", "write every probe with its answer and score as CSV",
     0, 0, NULL},
    EVAL_NET_OPTS,
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_gallery_cmd = {
    .name = "fveval gallery",
    .summary = "Finds people in a gallery: rank-1, CMC, TPIR at FPIR, a file to hand in.",
    .usage = "CHECKPOINT --db FILE --gallery SPEC --probes SPEC [options]",
    .min_args = 1,
    .max_args = 1,
};

enum { GALLERY, PROBES, DEV, SETS };

struct hunt {
    const struct gallery_settings *s;
    struct eval_net net;
    struct eval_images images;
    struct fv_templates templates;
    struct gallery_set set[SETS];
    float *v[SETS];        /* (n, dim) */
    uint32_t *label[SETS]; /* (n) by the numbering of the gallery; others behind it */
    const char **identity; /* (identities) of the gallery */
    uint32_t identities;
    struct fv_answer *answer[SETS];
    double threshold;
};

/* --- images and people ---------------------------------------------------------------------------- */

static int open_sets(struct hunt *h)
{
    const struct gallery_settings *s = h->s;
    const struct fv_templates *t = s->templates ? &h->templates : NULL;

    if (s->templates)
        FV_TRY(fv_templates_read(&h->templates, h->images.store, s->templates));
    FV_TRY(gallery_set_open(&h->set[GALLERY], h->images.store, t, s->gallery, NULL, 1));
    FV_TRY(gallery_set_open(&h->set[PROBES], h->images.store, t, s->probes, s->probe_labels, 0));
    if (s->dev)
        FV_TRY(gallery_set_open(&h->set[DEV], h->images.store, t, s->dev, s->dev_labels, 0));
    for (size_t i = 0; i < h->templates.images; i++)
        FV_TRY(eval_images_want(&h->images, h->templates.image[i].image));
    for (int k = 0; k < SETS && !t; k++)
        for (size_t i = 0; i < h->set[k].n; i++)
            FV_TRY(eval_images_want(&h->images, h->set[k].id[i]));
    return eval_images_place(&h->images);
}

/* The identities of all sets under one numbering, which the gallery begins. Those of whom nothing is said have the
 * reject label for the moment. */
static int number(struct hunt *h, const struct fv_rows *all, uint32_t *label)
{
    uint32_t labels;
    size_t at = 0;

    FV_TRY(fv_rows_labels(all, label, &labels));
    h->identity = calloc(labels + 1, sizeof *h->identity);
    if (!h->identity)
        return fv_err(FV_ENOMEM, "out of memory for %u identities", labels);
    for (int k = 0; k < SETS; k++) {
        h->label[k] = malloc((h->set[k].n + 1) * sizeof *label);
        if (!h->label[k])
            return fv_err(FV_ENOMEM, "out of memory for labels");
        memcpy(h->label[k], label + at, h->set[k].n * sizeof *label);
        for (size_t i = 0; i < h->set[k].n; i++, at++)
            if (!h->identity[label[at]])
                h->identity[label[at]] = all->identity[at];
        if (k == GALLERY)
            while (h->identity[h->identities])
                h->identities++;
    }
    return FV_OK;
}

static int number_people(struct hunt *h)
{
    size_t n = 0;

    for (int k = 0; k < SETS; k++)
        n += h->set[k].n;
    const char **identity = calloc(n + 1, sizeof *identity);
    uint32_t *label = malloc((n + 1) * sizeof *label);
    int rc = identity && label ? FV_OK : fv_err(FV_ENOMEM, "out of memory for labels");
    n = 0;
    for (int k = 0; k < SETS && rc >= 0; k++)
        for (size_t i = 0; i < h->set[k].n && rc >= 0; i++) {
            const char *who = h->set[k].identity[i];
            if (k == GALLERY && (!who || strcmp(who, h->s->reject) == 0))
                rc = fv_err(FV_EINVAL, "gallery: %s: %s", h->set[k].name[i],
                            who ? "its identity is the reject label: choose another with --reject"
                                : "nothing says whom it shows");
            identity[n++] = who ? who : h->s->reject;
        }
    const struct fv_rows all = {.n = n, .identity = identity};
    if (rc >= 0)
        rc = number(h, &all, label);
    free(identity);
    free(label);
    return rc;
}

/* --- vectors -------------------------------------------------------------------------------------- */

static int pool_templates(const struct hunt *h, const float *emb, int dim, float **pooled)
{
    struct fv_pool_item *item = malloc((h->templates.images + 1) * sizeof *item);

    *pooled = malloc((h->templates.n + 1) * (size_t)dim * sizeof **pooled);
    int rc = item && *pooled ? FV_OK
                             : fv_err(FV_ENOMEM, "out of memory for %zu templates", h->templates.n);
    for (size_t i = 0; i < h->templates.images && rc >= 0; i++) {
        const struct fv_template_image *t = &h->templates.image[i];
        item[i] = (struct fv_pool_item){h->images.position[t->image], t->template, t->media};
    }
    if (rc >= 0)
        rc = fv_pool_templates(emb, dim, item, h->templates.images, *pooled);
    free(item);
    return rc;
}

static int gather(struct hunt *h, const float *emb, int dim)
{
    const size_t row = (size_t)dim;

    for (int k = 0; k < SETS; k++) {
        h->v[k] = malloc((h->set[k].n + 1) * row * sizeof **h->v);
        if (!h->v[k])
            return fv_err(FV_ENOMEM, "out of memory for %zu embeddings", h->set[k].n);
        for (size_t i = 0; i < h->set[k].n; i++) {
            const uint32_t id = h->set[k].id[i];
            memcpy(h->v[k] + i * row, emb + (h->templates.n ? id : h->images.position[id]) * row,
                   row * sizeof *emb);
        }
    }
    return FV_OK;
}

static int embed(struct hunt *h)
{
    const int dim = fv_model_net(h->net.model)->embedding;
    float *emb, *pooled = NULL;
    int rc = eval_net_embed(&h->net, &h->images, &emb);

    if (rc >= 0 && h->templates.n)
        rc = pool_templates(h, emb, dim, &pooled);
    if (rc >= 0)
        rc = gather(h, pooled ? pooled : emb, dim);
    free(emb);
    free(pooled);
    return rc;
}

/* --- answers -------------------------------------------------------------------------------------- */

static int answer_set(struct hunt *h, const struct fv_gallery *g, int k)
{
    const struct gallery_set *set = &h->set[k];

    h->answer[k] = calloc(set->n + 1, sizeof *h->answer[k]);
    if (!h->answer[k])
        return fv_err(FV_ENOMEM, "out of memory for %zu answers", set->n);
    for (size_t i = 0; i < set->n; i++)
        h->answer[k][i].truth = !set->identity[i]                ? FV_PROBE_UNKNOWN
                                : h->label[k][i] < g->identities ? h->label[k][i]
                                                                 : FV_PROBE_STRANGER;
    return set->n ? fv_gallery_search(g, h->v[k], set->n, h->answer[k]) : FV_OK;
}

static int answer(struct hunt *h, int dim)
{
    struct fv_gallery g = {h->v[GALLERY], h->label[GALLERY], h->set[GALLERY].n, h->identities, dim};
    float *mean = NULL;
    uint32_t *of = NULL;
    int rc = FV_OK;

    if (strcmp(h->s->pool, pools[1]) == 0) {
        mean = malloc(g.identities * (size_t)dim * sizeof *mean);
        of = malloc(g.identities * sizeof *of);
        rc = mean && of ? fv_gallery_mean(&g, mean, of)
                        : fv_err(FV_ENOMEM, "out of memory for %u templates", g.identities);
        g = (struct fv_gallery){mean, of, g.identities, g.identities, dim};
    }
    for (int k = PROBES; k < SETS && rc >= 0; k++)
        rc = answer_set(h, &g, k);
    free(mean);
    free(of);
    return rc;
}

static const char *answer_text(const struct hunt *h, const struct fv_answer *a)
{
    return (double)a->score >= h->threshold ? h->identity[a->best] : h->s->reject;
}

/* --- what they say -------------------------------------------------------------------------------- */

static int choose_threshold(struct hunt *h, struct results *r)
{
    double accuracy;

    h->threshold = h->s->threshold > -2 ? h->s->threshold : -INFINITY;
    if (h->s->dev) {
        const struct fv_probes p = fv_gallery_count(h->answer[DEV], h->set[DEV].n);
        if (p.mated + p.strangers == 0)
            return fv_err(FV_EUSAGE,
                          "%s: nothing says who they are, so no threshold can be chosen: give "
                          "--dev-labels",
                          h->s->dev);
        const double t = fv_gallery_threshold(h->answer[DEV], h->set[DEV].n, &accuracy);
        h->threshold = h->s->threshold > -2 ? h->threshold : t;
        results_int(r, "dev_probes", h->set[DEV].n,
                    "%zu (%" PRIu64 " in the gallery, %" PRIu64 " strangers)", h->set[DEV].n,
                    p.mated, p.strangers);
        results_real(r, "dev_accuracy",
                     fv_gallery_accuracy(h->answer[DEV], h->set[DEV].n, h->threshold), "%.4f%s",
                     fv_gallery_accuracy(h->answer[DEV], h->set[DEV].n, h->threshold),
                     h->s->threshold > -2 ? "" : " (the threshold is chosen on these: optimistic)");
    }
    if (h->threshold == -INFINITY)
        results_string(r, "threshold", "none: nobody is rejected");
    else
        results_real(r, "threshold", h->threshold, "%.4f", h->threshold);
    return FV_OK;
}

static void add_cmc(struct results *r, const struct fv_answer *a, size_t n, int pessimistic)
{
    static const struct {
        uint32_t rank;
        const char *key;
    } at[] = {{1, "rank_1"}, {5, "rank_5"}, {10, "rank_10"}, {20, "rank_20"}};
    uint64_t tied = 0;

    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const double cmc = fv_gallery_cmc(a, n, at[i].rank, pessimistic);
        results_real(r, at[i].key, cmc, "%.4f", cmc);
    }
    for (size_t i = 0; i < n; i++)
        tied += a[i].equal > 0;
    if (tied)
        results_int(r, "tied_probes", tied, "%" PRIu64 " (%s)", tied, ties[pessimistic]);
}

static int add_open_set(struct results *r, const struct fv_answer *a, size_t n, int pessimistic)
{
    static const struct {
        double fpir;
        const char *key;
    } at[] = {
        {0.1, "tpir_at_fpir_0.1"}, {0.01, "tpir_at_fpir_0.01"}, {0.001, "tpir_at_fpir_0.001"}};
    struct fv_roc roc;

    FV_TRY(fv_gallery_roc(&roc, a, n, pessimistic));
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        struct fv_tpr t;
        fv_roc_tpr(&roc, at[i].fpir, &t);
        results_real(r, at[i].key, t.tpr,
                     "%.4f (realised FPIR %.5f, %" PRIu64 " of %" PRIu64 " strangers%s)", t.tpr,
                     t.fmr, t.false_matches, roc.impostor,
                     t.below_resolution ? "; below the resolution of the data"
                     : t.unreliable     ? "; fewer than 30: unreliable"
                                        : "");
    }
    fv_roc_free(&roc);
    return FV_OK;
}

static int add_figures(struct hunt *h, struct results *r)
{
    const struct fv_answer *a = h->answer[PROBES];
    const size_t n = h->set[PROBES].n;
    const struct fv_probes p = fv_gallery_count(a, n);
    const int pessimistic = strcmp(h->s->ties, ties[1]) == 0;

    results_int(r, "gallery_images", h->set[GALLERY].n, "%zu%s", h->set[GALLERY].n,
                h->templates.n ? " templates" : "");
    results_int(r, "gallery_identities", h->identities, NULL);
    results_int(r, "probes", n,
                "%zu (%" PRIu64 " in the gallery, %" PRIu64 " strangers, %" PRIu64 " unknown)", n,
                p.mated, p.strangers, p.unknown);
    results_int(r, "mated", p.mated, NULL);
    results_int(r, "strangers", p.strangers, NULL);
    FV_TRY(choose_threshold(h, r));
    if (p.mated)
        add_cmc(r, a, n, pessimistic);
    if (p.mated && p.strangers)
        FV_TRY(add_open_set(r, a, n, pessimistic));
    if (p.mated + p.strangers) {
        const double with = fv_gallery_accuracy(a, n, h->threshold),
                     without = fv_gallery_accuracy(a, n, -INFINITY);
        results_real(r, "accuracy", with, "%.4f (right identities and rejections)", with);
        results_real(r, "accuracy_without_rejection", without, "%.4f", without);
    }
    return FV_OK;
}

static int write_answer(FILE *f, const struct hunt *h, size_t i)
{
    const struct fv_answer *a = &h->answer[PROBES][i];
    const char *text[] = {h->set[PROBES].name[i], answer_text(h, a), h->identity[a->best]};
    char *csv;

    for (int k = 0; k < 3; k++) {
        FV_TRY(fv_rows_csv_text(&csv, text[k]));
        fprintf(f, "%s,", csv);
        free(csv);
    }
    fprintf(f, "%.9g,", (double)a->score);
    if (a->truth < FV_PROBE_STRANGER)
        fprintf(f, "%u", 1 + a->better);
    fputc('\n', f);
    return FV_OK;
}

static int write_answers(const struct hunt *h)
{
    struct fv_file f;
    int rc = FV_OK;

    FV_TRY(fv_file_create(&f, h->s->answers));
    fputs("name,answer,nearest,score,rank\n", f.f);
    for (size_t i = 0; i < h->set[PROBES].n && rc >= 0; i++)
        rc = write_answer(f.f, h, i);
    if (rc >= 0)
        return fv_file_commit(&f);
    fv_file_discard(&f);
    return rc;
}

static int write_submission(const struct hunt *h)
{
    const size_t n = h->set[PROBES].n;
    const char **identity = malloc((n + 1) * sizeof *identity);

    if (!identity)
        return fv_err(FV_ENOMEM, "out of memory for %zu answers", n);
    for (size_t i = 0; i < n; i++)
        identity[i] = answer_text(h, &h->answer[PROBES][i]);
    const struct fv_submission s = {.n = n, .first = h->set[PROBES].name, .identity = identity};
    const int rc = fv_submission_write(&s, h->s->layout, h->s->output);
    free(identity);
    return rc;
}

/* --- the command ---------------------------------------------------------------------------------- */

static int hunt_all(struct hunt *h)
{
    struct results r = {0};

    results_string(&r, "model", fv_model_info(h->net.model));
    int rc = embed(h);
    if (rc >= 0)
        rc = answer(h, fv_model_net(h->net.model)->embedding);
    if (rc >= 0)
        rc = add_figures(h, &r);
    if (rc >= 0 && h->s->output)
        rc = write_submission(h);
    if (rc >= 0 && h->s->answers)
        rc = write_answers(h);
    fv_console_endline();
    if (rc >= 0)
        results_print(&r, h->s->db, h->s->net.json);
    else
        results_free(&r);
    return rc;
}

static void close_hunt(struct hunt *h)
{
    for (int k = 0; k < SETS; k++) {
        gallery_set_close(&h->set[k]);
        free(h->v[k]);
        free(h->label[k]);
        free(h->answer[k]);
    }
    free(h->identity);
    fv_templates_free(&h->templates);
    eval_images_free(&h->images);
    eval_net_close(&h->net);
}

static int check_settings(const struct gallery_settings *s)
{
    if (!s->layout != !s->output)
        return fv_err(FV_EUSAGE, "--submission NAME and --output FILE go together");
    if (s->dev_labels && !s->dev)
        return fv_err(FV_EUSAGE, "--dev-labels is of --dev, which is not given");
    return s->layout ? fv_submission_check(s->layout, 0) : FV_OK;
}

/* --help ends with what a SPEC is and the layouts. */
static int print_help(const struct fv_opt_group *groups)
{
    struct fv_command cmd = fveval_gallery_cmd;
    const char *name, *help;
    char *notes = NULL;
    size_t size;
    int scores;
    FILE *f = open_memstream(&notes, &size);

    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    fprintf(f, "%s\nLayouts of --submission:\n", gallery_spec_help);
    for (size_t i = 0; fv_submission_layout(i, &name, &help, &scores); i++)
        if (!scores)
            fprintf(f, "  %s  %s\n", name, help);
    fputs(
        "\n  fveval gallery best.safetensors --db faces.lmdb --gallery folder:verification/known "
        "\\\n"
        "      --dev folder:verification/unknown_dev --dev-labels verification_dev.csv \\\n"
        "      --probes folder:verification/unknown_test --submission hw2p2-f22 -o submission.csv",
        f);
    if (fclose(f) != 0)
        return fv_err(FV_ENOMEM, "out of memory");
    cmd.notes = notes;
    fv_opt_help(&cmd, groups, 2, stdout);
    free(notes);
    return FV_OK;
}

int fveval_gallery(int argc, char **argv)
{
    struct gallery_settings s = {.pool = pools[0],
                                 .ties = ties[0],
                                 .reject = "n000000",
                                 .threshold = -2,
                                 .net = EVAL_NET_DEFAULTS};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", gallery_opts, &s},
                                          {"tracing", tool_trace_opts, &trace}};
    struct hunt h = {.s = &s};
    struct fv_args args;

    FV_TRY(fv_opt_parse(&fveval_gallery_cmd, groups, 2, argc, argv, &args));
    if (args.help)
        return print_help(groups);
    FV_TRY(check_settings(&s));
    FV_TRY(tool_trace_start(&trace));
    int rc = eval_net_open(&h.net, &s.net, s.db);
    h.images.store = h.net.store;
    h.images.report = h.net.report;
    if (rc >= 0)
        rc = open_sets(&h);
    if (rc >= 0)
        rc = number_people(&h);
    if (rc >= 0)
        rc = eval_net_load(&h.net, args.arg[0]);
    if (rc >= 0)
        rc = hunt_all(&h);
    close_hunt(&h);
    return rc;
}
