/* SPDX-License-Identifier: MIT */
/* fveval embed: the embeddings of a data set's images as files that other programs read, and beside them a file of
 * names, so that whoever takes them knows which row is which photo of whom. */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "common/report.h"
#include "tools/command.h"
#include "tools/eval/eval_net.h"
#include "tools/report/map.h"
#include "tools/results.h"

#include <stdlib.h>
#include <string.h>

struct embed_settings {
    const char *db, *output, *names, *picture, *split;
    struct eval_net_settings net;
};

#define FIELD(f) offsetof(struct embed_settings, f)
/* clang-format off */
static const struct fv_opt embed_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE",
     "the data set that holds the images; a list with commas is one", 0, 0, NULL},
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "FILE",
     "NAME.npy, NAME.csv or NAME.faiss; several with commas", 0, 0, NULL},
    {"names", 0, FV_OPT_STRING, 0, FIELD(names), "FILE", "CSV of names and identities; unset: NAME.names.csv",
     0, 0, NULL},
    {"picture", 0, FV_OPT_STRING, 0, FIELD(picture), "FILE.svg", "a map of them, numbered by identity: t-SNE, or "
     "principal components of more than 2000", 0, 0, NULL},
    {"split", 0, FV_OPT_STRING, 0, FIELD(split), "LIST", "all, or of train, val, holdout", 0, 0, NULL},
    EVAL_NET_OPTS,
    EVAL_OUTPUT_OPTS(net.),
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_embed_cmd = {
    .name = "fveval embed",
    .summary = "Writes embeddings of images for NumPy, FAISS and others.",
    .usage = "CHECKPOINT --db FILE -o NAME.npy [options]",
    .notes =
        "Vectors have unit length: their inner product is the cosine that 'fveval pairs' scores "
        "by.\n\n"
        "  fveval embed best.safetensors --db faces.lmdb --split holdout -o faces.npy,faces.faiss\n"
        "  fveval score faces.npy --all",
    .min_args = 1,
    .max_args = 1,
};

/* The next path of a list with commas, to free; NULL after the last. */
static char *next_path(const char **list)
{
    const size_t n = strcspn(*list, ",");
    char *path = n ? strndup(*list, n) : NULL;

    *list += n + ((*list)[n] == ',');
    return path;
}

static int check_outputs(const char *list)
{
    int rc = *list ? FV_OK : fv_err(FV_EUSAGE, "--output names no file");

    while (*list && rc >= 0) {
        char *path = next_path(&list);
        rc = path ? fv_vectors_check_path(path) : fv_err(FV_EUSAGE, "--output has an empty name");
        free(path);
    }
    return rc;
}

static int write_outputs(const struct fv_vectors *v, const struct fv_rows *rows, const char *list)
{
    int rc = FV_OK;

    while (*list && rc >= 0) {
        char *path = next_path(&list);
        rc = path ? fv_vectors_write(v, rows, path) : fv_err(FV_ENOMEM, "out of memory");
        free(path);
    }
    return rc;
}

/* "NAME.names.csv" for the first of the files; NULL when out of memory. */
static char *names_beside(const char *list)
{
    const size_t n = strcspn(list, ",");
    size_t stem = n;

    while (stem > 0 && list[stem - 1] != '.' && list[stem - 1] != '/')
        stem--;
    return fv_format("%.*s.names.csv", (int)(stem && list[stem - 1] == '.' ? stem - 1 : n), list);
}

static int take_names(struct fv_rows *rows, const struct eval_images *im)
{
    const uint64_t all = fv_store_info(im->store)->images;
    struct fv_store_image one;
    struct fv_store_label who;

    rows->name = calloc(im->n + 1, sizeof *rows->name);
    rows->identity = calloc(im->n + 1, sizeof *rows->identity);
    if (!rows->name || !rows->identity)
        return fv_err(FV_ENOMEM, "out of memory for %u names", im->n);
    for (uint64_t i = 0; i < all; i++) {
        FV_TRY(fv_store_image(im->store, i, &one));
        if (!(im->splits >> one.split & 1))
            continue;
        FV_TRY(fv_store_label(im->store, one.label, &who));
        rows->name[rows->n] = one.name;
        rows->identity[rows->n++] = who.name;
    }
    return FV_OK;
}

/* Numbers are those of identities, in the order of the names; where there are too many to be read, dots. */
static int write_picture(const char *path, const struct fv_vectors *v, const struct fv_rows *rows,
                         struct results *r)
{
    enum { MOST_IDENTITIES = 99, MOST_NUMBERS = 600 };
    uint32_t *label = malloc((v->n + 1) * sizeof *label), labels = 0;
    int *group = malloc((v->n + 1) * sizeof *group);
    const char *kind = "";

    int rc = label && group ? fv_rows_labels(rows, label, &labels)
                            : fv_err(FV_ENOMEM, "out of memory for %zu labels", v->n);
    for (size_t i = 0; i < v->n && rc >= 0; i++)
        group[i] = (int)label[i] + 1;
    if (rc >= 0) {
        const struct map_points p = {v->v, v->n, v->dim, group,
                                     labels > MOST_IDENTITIES || v->n > MOST_NUMBERS};
        rc = map_write_svg(path, &p, &kind);
    }
    if (rc >= 0)
        results_string(r, "picture", path);
    if (rc >= 0)
        results_string(r, "picture_by", kind);
    free(label);
    free(group);
    return rc;
}

static int write_all(const struct embed_settings *s, const struct fv_vectors *v,
                     const struct fv_rows *rows, struct results *r)
{
    char *beside = s->names ? strdup(s->names) : names_beside(s->output);
    int rc = beside ? fv_rows_write(rows, beside) : fv_err(FV_ENOMEM, "out of memory");

    if (rc >= 0)
        rc = write_outputs(v, rows, s->output);
    results_int(r, "images", v->n, NULL);
    results_int(r, "dimensions", (uint64_t)v->dim, NULL);
    results_string(r, "output", s->output);
    results_string(r, "names", beside ? beside : "");
    if (rc >= 0 && s->picture)
        rc = write_picture(s->picture, v, rows, r);
    free(beside);
    return rc;
}

static int embed(const struct embed_settings *s, const struct eval_images *im,
                 const struct eval_net *net)
{
    struct fv_vectors v = {.n = im->n, .dim = fv_model_net(net->model)->embedding};
    struct fv_rows rows = {0};
    struct results r = {0};

    int rc = eval_net_embed(net, im, &v.v);
    if (rc >= 0)
        rc = take_names(&rows, im);
    if (rc >= 0)
        results_string(&r, "model", fv_model_info(net->model));
    if (rc >= 0)
        rc = write_all(s, &v, &rows, &r);
    fv_console_endline();
    if (rc >= 0)
        results_print(&r, s->db, s->net.json);
    else
        results_free(&r);
    fv_rows_free(&rows);
    fv_vectors_free(&v);
    return rc;
}

int fveval_embed(int argc, char **argv)
{
    struct embed_settings s = {.split = "all", .net = EVAL_NET_DEFAULTS};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", embed_opts, &s},
                                          {"tracing", tool_trace_opts, &trace}};
    struct eval_images im = {0};
    struct eval_net net;
    struct fv_args args;

    int rc = tool_parse(&fveval_embed_cmd, groups, 2, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(check_outputs(s.output));
    FV_TRY(tool_trace_start(&trace));
    rc = eval_net_open(&net, &s.net, s.db);
    im.store = net.store;
    im.report = net.report;
    if (rc >= 0)
        rc = eval_images_want_splits(&im, s.split);
    if (rc >= 0)
        rc = eval_net_load(&net, args.arg[0]);
    if (rc >= 0)
        rc = embed(&s, &im, &net);
    eval_images_free(&im);
    eval_net_close(&net);
    return rc;
}
