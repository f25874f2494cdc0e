/* SPDX-License-Identifier: MIT */
#include "trainer/files/init.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/files/origin.h"
#include "trainer/files/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const prefixes[] = {"module.", "model.", "backbone.", "net.", "encoder."};
enum { PREFIXES = sizeof prefixes / sizeof *prefixes, NAMES_SHOWN = 8 };

/* What a tensor of the file is for. */
struct match {
    int tensor; /* of the net; -1: none */
    int stripped;
    int skip; /* counts neither as taken nor as left: a counter, an optimiser's state */
};

struct loading {
    struct fv_weights file;
    const struct fv_net *net;
    const char *path;
    struct match *match; /* of each tensor of the file */
    int *from;           /* of each tensor of the net: which of the file; -1: none */
    const struct fv_report *report;
    struct fv_init_result result;
};

static int begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static int ends(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

/* The net's tensor that a name means, with as few prefixes taken away as possible. */
static struct match find(const struct fv_net *net, const char *name)
{
    for (int stripped = 0;; stripped++) {
        const int tensor = fv_net_find_tensor(net, name);
        int p = 0;
        if (tensor >= 0)
            return (struct match){.tensor = tensor, .stripped = stripped};
        while (p < PREFIXES && !begins(name, prefixes[p]))
            p++;
        if (p == PREFIXES)
            return (struct match){.tensor = -1};
        name += strlen(prefixes[p]);
    }
}

/* Of a checkpoint of fvtrain the average counts where there is one, and states of training do not. */
static struct match find_own(const struct loading *l, const char *name, int averaged)
{
    const int average = begins(name, "ema.");
    struct match m = {.tensor = -1, .skip = 1};
    if (begins(name, "optim.") || begins(name, "grad."))
        return m;
    if (!average && averaged)
        return m;
    return find(l->net, average ? name + 4 : name);
}

static int same_shape(const struct fv_weight *w, const struct fv_tensor *t)
{
    int same = w->ndim == t->ndim;
    for (int i = 0; same && i < t->ndim; i++)
        same = w->dim[i] == t->dim[i];
    return same;
}

static int match_all(struct loading *l)
{
    int averaged = 0;
    for (int i = 0; i < l->file.weights; i++)
        averaged |= begins(l->file.weight[i].name, "ema.");
    for (int i = 0; i < l->file.weights; i++) {
        const char *name = l->file.weight[i].name;
        struct match m = l->file.is_checkpoint ? find_own(l, name, averaged) : find(l->net, name);
        m.skip |= ends(name, "num_batches_tracked");
        l->match[i] = m;
        if (m.tensor < 0)
            continue;
        const int other = l->from[m.tensor];
        if (other >= 0 && l->match[other].stripped == m.stripped)
            return fv_err(FV_EINVAL, "%s: '%s' and '%s' both mean %s of %s", l->path,
                          l->file.weight[other].name, name, l->net->tensor[m.tensor].name,
                          l->net->arch);
        if (other < 0 || m.stripped < l->match[other].stripped)
            l->from[m.tensor] = i;
    }
    return 0;
}

/* Over the first convolutions, blue and red change places. */
static void swap_colours(const struct fv_net *net, int tensor, float *w)
{
    for (int i = 0; i < net->nodes; i++) {
        const struct fv_node *o = &net->node[i];
        if (o->kind != FV_NODE_CONV || o->in[0] != 0 || o->tensor[0] != tensor || o->groups != 1)
            continue;
        const struct fv_tensor *t = &net->tensor[tensor];
        const size_t area = (size_t)t->dim[2] * (size_t)t->dim[3];
        for (size_t at = 0; at < t->count; at += 3 * area)
            for (size_t k = at; k < at + area; k++) {
                const float red = w[k];
                w[k] = w[k + 2 * area];
                w[k + 2 * area] = red;
            }
    }
}

static int take(struct loading *l, int tensor, int bgr, float *arena)
{
    const struct fv_tensor *t = &l->net->tensor[tensor];
    const struct fv_weight *w = &l->file.weight[l->from[tensor]];
    float *to = arena + t->offset;
    int rc = fv_weight_read(w, to);
    if (rc < 0) {
        char why[FV_ERR_TEXT_MAX];
        fv_err_save(why);
        return fv_err(rc, "%s: %s", l->path, why);
    }
    for (size_t i = 0; i < t->count; i++)
        if (!isfinite(to[i]))
            return fv_err(FV_EINVAL, "%s: the tensor '%s' is not finite", l->path, w->name);
    if (bgr)
        swap_colours(l->net, tensor, to);
    l->result.taken++;
    l->result.params += t->buffer ? 0 : t->count;
    return 0;
}

/* --- what is told --------------------------------------------------------------------------------- */

/* "64x3x7x7" */
static const char *shape_text(char *text, size_t n, int ndim, const int64_t *dim)
{
    size_t used = 0;
    snprintf(text, n, "a scalar");
    for (int i = 0; i < ndim && used < n; i++)
        used += (size_t)snprintf(text + used, n - used, "%s%lld", i ? "x" : "", (long long)dim[i]);
    return text;
}

/* One row of the table: up to NAMES_SHOWN names, then how many more. */
struct row {
    char text[640];
    int names;
};

static void add_name(struct row *row, const char *name, const char *remark)
{
    const size_t used = strlen(row->text);
    if (row->names++ < NAMES_SHOWN)
        snprintf(row->text + used, sizeof row->text - used, "%s%.60s%s", used ? ", " : "", name,
                 remark);
}

static void say_row(const struct loading *l, const char *what, const struct row *row)
{
    if (row->names > NAMES_SHOWN)
        fv_say(l->report, FV_LEVEL_INFO, "  %-12s %5d  %s and %d more", what, row->names, row->text,
               row->names - NAMES_SHOWN);
    else if (row->names > 0)
        fv_say(l->report, FV_LEVEL_INFO, "  %-12s %5d  %s", what, row->names, row->text);
}

static void tell_fresh(struct loading *l)
{
    struct row missing = {0}, other = {0};
    for (int i = 0; i < l->net->tensors; i++) {
        const struct fv_tensor *t = &l->net->tensor[i];
        char here[64], there[64], remark[160];
        int64_t dim[4];
        if (l->from[i] < 0) {
            add_name(&missing, t->name, "");
            continue;
        }
        const struct fv_weight *w = &l->file.weight[l->from[i]];
        if (same_shape(w, t))
            continue;
        for (int k = 0; k < t->ndim; k++)
            dim[k] = t->dim[k];
        snprintf(remark, sizeof remark, " (%s there, %s here)",
                 shape_text(there, sizeof there, w->ndim, w->dim),
                 shape_text(here, sizeof here, t->ndim, dim));
        add_name(&other, t->name, remark);
    }
    l->result.fresh = missing.names + other.names;
    say_row(l, "not there", &missing);
    say_row(l, "other shape", &other);
}

static void tell_left(struct loading *l)
{
    struct row left = {0};
    for (int i = 0; i < l->file.weights; i++)
        if (!l->match[i].skip && (l->match[i].tensor < 0 || l->from[l->match[i].tensor] != i))
            add_name(&left, l->file.weight[i].name, "");
    l->result.left = left.names;
    say_row(l, "left over", &left);
}

/* The net that a checkpoint of fvtrain holds has seen its colours in some way; another way makes its weights worse. */
static void warn_of_colours(const struct loading *l)
{
    const struct fv_node *in = &l->net->node[0];
    const struct fv_weights *f = &l->file;
    int same = 1;
    for (int c = 0; c < 3; c++)
        same &= fabsf(in->mean[c] - f->mean[c]) < 1e-6f && fabsf(in->std[c] - f->std[c]) < 1e-6f;
    if (f->is_checkpoint && !same)
        fv_say(l->report, FV_LEVEL_WARN,
               "%s was trained with --mean %g,%g,%g --std %g,%g,%g, and this run has others",
               l->path, (double)f->mean[0], (double)f->mean[1], (double)f->mean[2],
               (double)f->std[0], (double)f->std[1], (double)f->std[2]);
}

static void warn_of_origin(const struct loading *l, int bgr)
{
    const struct fv_origin *o = fv__origin_of(&l->file, l->net->arch);
    const struct fv_node *in = &l->net->node[0];
    char words[400];
    if (o && fv__origin_differs(o, l->path, in->mean, in->std, bgr, words, sizeof words))
        fv_say(l->report, FV_LEVEL_WARN, "%s", words);
}

static int load(struct loading *l, int bgr, float *arena)
{
    l->match = calloc((size_t)l->file.weights + 1, sizeof *l->match);
    l->from = malloc((size_t)l->net->tensors * sizeof *l->from);
    if (!l->match || !l->from)
        return fv_err(FV_ENOMEM, "%s: out of memory", l->path);
    for (int i = 0; i < l->net->tensors; i++)
        l->from[i] = -1;
    FV_TRY(match_all(l));
    for (int i = 0; i < l->net->tensors; i++)
        if (l->from[i] >= 0 && same_shape(&l->file.weight[l->from[i]], &l->net->tensor[i]))
            FV_TRY(take(l, i, bgr, arena));
    if (l->result.taken == 0)
        return fv_err(
            FV_EINVAL,
            "%s: none of its %d tensors fits %s (its first is '%s', the net's '%s'): is it "
            "of another --arch?",
            l->path, l->file.weights, l->net->arch, l->file.weights ? l->file.weight[0].name : "",
            l->net->tensor[0].name);
    l->result.of = l->net->params;
    fv_say(l->report, FV_LEVEL_INFO, "%s (%s): %zu of %zu parameters begin with its numbers%s",
           l->path, l->file.kind, l->result.params, l->result.of,
           bgr ? ", blue and red changed" : "");
    fv_say(l->report, FV_LEVEL_INFO, "  %-12s %5d", "matched", l->result.taken);
    tell_fresh(l);
    tell_left(l);
    warn_of_colours(l);
    warn_of_origin(l, bgr);
    return 0;
}

int fv_init_load(const char *path, const struct fv_net *net, int bgr, float *arena,
                 const struct fv_report *r, struct fv_init_result *out)
{
    struct loading l = {.net = net, .path = path, .report = r};
    int rc = fv_weights_open(&l.file, path);
    if (rc == 0)
        rc = load(&l, bgr, arena);
    fv_weights_close(&l.file);
    free(l.match);
    free(l.from);
    if (rc == 0 && out)
        *out = l.result;
    return rc;
}
