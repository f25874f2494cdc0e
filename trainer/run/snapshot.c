/* SPDX-License-Identifier: MIT */
/* Numbers are written as text that reads back to the same bits (%.17g). Whatever reading finds in a file is held
 * against the net before it is used.
 */
#include "trainer/run/snapshot.h"

#include "common/err.h"
#include "common/fs.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Raised when a reader of the old meaning would go wrong. Version 1 had SGD alone, and no digest. */
static const char format_version[] = "2", oldest_version[] = "1";

enum { OPTIONAL = -1 }; /* a file of the current version may lack it */

/* Every number of struct fv_progress_state, once, for writing and reading. */
static const struct {
    const char *key;
    size_t offset;
    int real;
    int since; /* the version that brought it, or OPTIONAL; it is 0 in files before that */
} numbers[] = {
    {"step", offsetof(struct fv_progress_state, step), 0, 1},
    {"epoch", offsetof(struct fv_progress_state, epoch), 0, 1},
    {"epoch_images", offsetof(struct fv_progress_state, images), 0, 1},
    {"epoch_loss_sum", offsetof(struct fv_progress_state, loss_sum), 1, 1},
    {"epoch_correct_sum", offsetof(struct fv_progress_state, correct_sum), 1, 1},
    {"not_finite", offsetof(struct fv_progress_state, not_finite), 0, 1},
    {"best_cls_epoch", offsetof(struct fv_progress_state, cls_epoch), 0, 1},
    {"best_cls_accuracy", offsetof(struct fv_progress_state, best_acc), 1, 1},
    {"best_ver_epoch", offsetof(struct fv_progress_state, ver_epoch), 0, 1},
    {"best_ver_eer", offsetof(struct fv_progress_state, best_eer), 1, 1},
    {"best_ver_auc", offsetof(struct fv_progress_state, best_auc), 1, 1},
    {"updates", offsetof(struct fv_progress_state, updates), 0, 2},
    {"broken_step", offsetof(struct fv_progress_state, broken), 0, 2},
    {"watched_epoch", offsetof(struct fv_progress_state, watched_epoch), 0, 2},
    {"watched_best", offsetof(struct fv_progress_state, watched_best), 1, 2},
    {"epoch_term_images", offsetof(struct fv_progress_state, terms.images), 0, OPTIONAL},
    {"epoch_term_sum_1", offsetof(struct fv_progress_state, terms.term[0]), 1, OPTIONAL},
    {"epoch_term_sum_2", offsetof(struct fv_progress_state, terms.term[1]), 1, OPTIONAL},
    {"epoch_term_sum_3", offsetof(struct fv_progress_state, terms.term[2]), 1, OPTIONAL},
    {"epoch_term_sum_4", offsetof(struct fv_progress_state, terms.term[3]), 1, OPTIONAL},
    {"epoch_active_images", offsetof(struct fv_progress_state, terms.active_images), 0, OPTIONAL},
    {"epoch_active_sum", offsetof(struct fv_progress_state, terms.active), 1, OPTIONAL},
    {"epoch_distance_sum", offsetof(struct fv_progress_state, terms.distance), 1, OPTIONAL},
};
_Static_assert(FV_LOSS_TERMS == 4, "a row for each term");
enum { NUMBERS = sizeof numbers / sizeof *numbers, METAS = NUMBERS + 24, VALUE = 96 };

/* Writing: the lists that fv_st_write takes, and what they point to. */

struct draft {
    struct fv_st_tensor *tensor;
    int tensors;
    struct fv_st_meta meta[METAS];
    int metas;
    char value[METAS][VALUE];
    char digest[FV_SNAPSHOT_DIGEST];
    char **name; /* made here: as many as tensors at most */
    int names;
};

static void draft_free(struct draft *d)
{
    for (int i = 0; i < d->names; i++)
        free(d->name[i]);
    free(d->name);
    free(d->tensor);
}

static void add_text(struct draft *d, const char *key, const char *value)
{
    d->meta[d->metas++] = (struct fv_st_meta){key, value};
}

__attribute__((format(printf, 3, 4))) static void add(struct draft *d, const char *key,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->value[d->metas], VALUE, fmt, ap);
    va_end(ap);
    add_text(d, key, d->value[d->metas]);
}

static void add_metadata(struct draft *d, const struct fv_snapshot *s)
{
    const struct fv_net *net = s->net;
    const struct fv_node *input = &net->node[0];
    add_text(d, "format",
             "pt"); /* what loaders of safetensors expect of torch's names and layouts */
    add_text(d, "fv_checkpoint", format_version);
    add_text(d, "program", "fv " FV_VERSION);
    add_text(d, "arch", net->arch);
    add_text(d, "stem", s->stem);
    add_text(d, "loss", net->loss.text);
    add(d, "size", "%d", net->size);
    add(d, "classes", "%d", net->classes);
    add(d, "embedding", "%d", net->embedding);
    add(d, "embedding_asked", "%d", net->embedding_asked);
    add_text(d, "colour_order", "RGB");
    add(d, "mean", "%.9g %.9g %.9g", (double)input->mean[0], (double)input->mean[1],
        (double)input->mean[2]);
    add(d, "std", "%.9g %.9g %.9g", (double)input->std[0], (double)input->std[1],
        (double)input->std[2]);
    add_text(d, "backend", s->backend);
    add_text(d, "optim", fv_optim_rules[s->optim].name);
    add(d, "epochs", "%llu", (unsigned long long)s->epochs);
    add(d, "steps_per_epoch", "%llu", (unsigned long long)s->steps_per_epoch);
    add(d, "schedule_position", "%.17g", (double)s->at.step / (double)s->steps_per_epoch);
    add(d, "lr", "%.17g", s->lr);
    for (int i = 0; i < NUMBERS; i++) {
        const char *field = (const char *)&s->at + numbers[i].offset;
        if (numbers[i].real)
            add(d, numbers[i].key, "%.17g", *(const double *)field);
        else
            add(d, numbers[i].key, "%llu", (unsigned long long)*(const uint64_t *)field);
    }
    add_text(d, "data", s->data_id);
    add_text(d, "settings", s->settings);
}

static void add_tensor(struct draft *d, const char *name, const struct fv_tensor *t,
                       const float *data)
{
    struct fv_st_tensor *out = &d->tensor[d->tensors++];
    *out = (struct fv_st_tensor){.name = name,
                                 .dtype = "F32",
                                 .ndim = t->ndim,
                                 .data = data,
                                 .bytes = t->count * sizeof(float)};
    for (int i = 0; i < t->ndim; i++)
        out->dim[i] = t->dim[i];
}

static const char *make_name(struct draft *d, const char *prefix, const char *stem,
                             const char *suffix)
{
    char *name = fv_format("%s%s%s", prefix, stem, suffix);
    if (name)
        d->name[d->names++] = name;
    return name;
}

/* The tensors of one vector under "<prefix><name>"; with buffers where the vector has them. */
static int add_vector(struct draft *d, const struct fv_net *net, const char *prefix,
                      const float *vector, int buffers)
{
    for (int i = 0; i < net->tensors; i++) {
        if (net->tensor[i].buffer && !buffers)
            continue;
        const char *name = make_name(d, prefix, net->tensor[i].name, "");
        if (!name)
            return FV_ENOMEM;
        add_tensor(d, name, &net->tensor[i], vector + net->tensor[i].offset);
    }
    return 0;
}

/* What a state's tensors are called before the tensor's own name. */
static void state_prefix(enum fv_optim_kind kind, int state, char prefix[64])
{
    if (state == FV_STATE_EMA)
        strcpy(prefix, "ema.");
    else if (state == FV_STATE_SUM)
        strcpy(prefix, "grad.");
    else
        snprintf(prefix, 64, "optim.%s.", fv_optim_rules[kind].state[state]);
}

static int add_states(struct draft *d, const struct fv_snapshot *s)
{
    char prefix[64];
    for (int i = 0; i < FV_STATES; i++) {
        if (!s->state[i] || (i == FV_STATE_SUM && !s->half_step))
            continue;
        state_prefix(s->optim, i, prefix);
        FV_TRY(add_vector(d, s->net, prefix, s->state[i], i == FV_STATE_EMA));
    }
    return 0;
}

/* The widest type first, as they lie in the file: the digest goes by that order. */
static int add_net(struct draft *d, const struct fv_net *net, const float *arena,
                   const int64_t *batches)
{
    for (int i = 0; i < net->nodes; i++) {
        if (net->node[i].kind != FV_NODE_BN)
            continue;
        const char *name = make_name(d, "", net->node[i].name, ".num_batches_tracked");
        if (!name)
            return FV_ENOMEM;
        d->tensor[d->tensors++] = (struct fv_st_tensor){
            .name = name, .dtype = "I64", .data = batches, .bytes = sizeof *batches};
    }
    for (int i = 0; i < net->tensors; i++)
        add_tensor(d, net->tensor[i].name, &net->tensor[i], arena + net->tensor[i].offset);
    return 0;
}

static int check_finite(const char *path, const struct fv_net *net, const float *v, size_t n,
                        const char *what)
{
    for (int i = 0; i < net->tensors; i++) {
        const struct fv_tensor *t = &net->tensor[i];
        for (size_t k = t->offset; k < t->offset + t->count && k < n; k++)
            if (!isfinite(v[k]))
                return fv_err(
                    FV_EBACKEND,
                    "%s: training has diverged, %s of '%s' is no longer finite; the last "
                    "checkpoint is from before: lower --lr, or let it rise with --warmup 1",
                    path, what, t->name);
    }
    return 0;
}

int fv__snapshot_check(const struct fv_snapshot *s, const char *path)
{
    const struct fv_net *net = s->net;
    FV_TRY(check_finite(path, net, s->arena, net->params + net->buffers, "a weight or statistic"));
    for (int i = 0; i < FV_STATES; i++)
        if (s->state[i] && i != FV_STATE_SUM)
            FV_TRY(check_finite(path, net, s->state[i], fv_state_count(net, (enum fv_state)i),
                                i == FV_STATE_EMA ? "the average" : "an optimiser's state"));
    return 0;
}

static int write_draft(struct draft *d, const char *path, const struct fv_snapshot *s, int model)
{
    const float *arena = model && s->state[FV_STATE_EMA] ? s->state[FV_STATE_EMA] : s->arena;
    const int64_t batches = (int64_t)s->at.step;
    const size_t most = (2 + FV_STATES) * (size_t)s->net->tensors + (size_t)s->net->nodes;
    d->tensor = calloc(most, sizeof *d->tensor);
    d->name = calloc(most, sizeof *d->name);
    int rc = d->tensor && d->name ? add_net(d, s->net, arena, &batches) : FV_ENOMEM;
    if (rc == 0 && !model)
        rc = add_states(d, s);
    if (rc < 0)
        return fv_err(rc, "%s: out of memory", path);
    add_metadata(d, s);
    FV_TRY(fv__snapshot_digest(d->tensor, d->tensors, d->meta, d->metas, d->digest));
    add_text(d, "digest", d->digest);
    return fv_st_write(path, d->tensor, d->tensors, d->meta, d->metas);
}

static int write_snapshot(const char *path, const struct fv_snapshot *s, int model)
{
    struct draft *d = calloc(1, sizeof *d);
    int rc = d ? write_draft(d, path, s, model) : fv_err(FV_ENOMEM, "%s: out of memory", path);
    if (d)
        draft_free(d);
    free(d);
    return rc;
}

int fv__snapshot_write(const char *path, const struct fv_snapshot *s)
{
    return write_snapshot(path, s, 0);
}

int fv__snapshot_write_model(const char *path, const struct fv_snapshot *s)
{
    return write_snapshot(path, s, 1);
}

/* Reading. */

int fv__snapshot_open(struct fv_st **st, const char *path)
{
    FV_TRY(fv_st_open(st, path));
    int rc = fv__snapshot_verify(*st, path);
    if (rc < 0)
        fv_st_close(st);
    return rc;
}

int fv__snapshot_text(const struct fv_st *st, const char *path, const char *key, const char **out)
{
    const char *version = fv_st_meta(st, "fv_checkpoint");
    if (!version)
        return fv_err(FV_EVERSION,
                      "%s: not a checkpoint of fvtrain (it says nothing of fv_checkpoint)", path);
    if (strcmp(version, format_version) != 0 && strcmp(version, oldest_version) != 0)
        return fv_err(FV_EVERSION,
                      "%s: a checkpoint of format %.20s, this program reads formats %s to %s", path,
                      version, oldest_version, format_version);
    *out = fv_st_meta(st, key);
    return *out ? 0 : fv_err(FV_ECORRUPT, "%s: the metadata lack '%s'", path, key);
}

static int read_count(const struct fv_st *st, const char *path, const char *key, uint64_t most,
                      uint64_t *out)
{
    const char *text;
    char *end;
    FV_TRY(fv__snapshot_text(st, path, key, &text));
    *out = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || *out > most)
        return fv_err(FV_ECORRUPT, "%s: '%s' is not a number for '%s'", path, text, key);
    return 0;
}

static int read_three(const struct fv_st *st, const char *path, const char *key, float out[3])
{
    const char *text;
    char rest;
    FV_TRY(fv__snapshot_text(st, path, key, &text));
    if (sscanf(text, "%f %f %f%c", &out[0], &out[1], &out[2], &rest) != 3)
        return fv_err(FV_ECORRUPT, "%s: '%s' is not three numbers for '%s'", path, text, key);
    return 0;
}

int fv__snapshot_net(const struct fv_st *st, const char *path, struct fv_net **net)
{
    struct fv_arch_settings a = {0};
    const char *arch;
    uint64_t size, classes, embedding, asked = 0;
    *net = NULL;
    FV_TRY(fv__snapshot_text(st, path, "arch", &arch));
    FV_TRY(fv__snapshot_text(st, path, "stem", &a.stem));
    FV_TRY(read_count(st, path, "size", 1 << 14, &size));
    FV_TRY(read_count(st, path, "classes", 1 << 28, &classes));
    FV_TRY(read_count(st, path, "embedding", 1 << 20, &embedding));
    if (fv_st_meta(st, "embedding_asked"))
        FV_TRY(read_count(st, path, "embedding_asked", 1 << 16, &asked));
    FV_TRY(read_three(st, path, "mean", a.mean));
    FV_TRY(read_three(st, path, "std", a.std));
    for (int c = 0; c < 3; c++)
        if (!isfinite(a.mean[c]) || !isfinite(a.std[c]) || !(a.std[c] > 0))
            return fv_err(FV_ECORRUPT, "%s: mean or std of the colours are not usable", path);
    a.size = (int)size;
    a.classes = (int)classes;
    a.embedding = (int)asked;
    a.loss =
        fv_st_meta(st, "loss"); /* NULL, which means ce: there was no other when it was written */
    FV_TRY(fv_net_build(net, arch, &a));
    if ((*net)->embedding == (int)embedding)
        return 0;
    fv_net_free(net);
    return fv_err(FV_ECORRUPT, "%s: embeddings of length %llu do not belong to %s", path,
                  (unsigned long long)embedding, arch);
}

static int read_tensor(const struct fv_st *st, const char *path, const char *name,
                       const struct fv_tensor *t, float *to)
{
    struct fv_st_tensor found;
    if (fv_st_tensor(st, name, &found) < 0)
        return fv_err(FV_ECORRUPT, "%s: the tensor '%s' is missing", path, name);
    int same = strcmp(found.dtype, "F32") == 0 && found.ndim == t->ndim;
    for (int i = 0; same && i < t->ndim; i++)
        same = found.dim[i] == t->dim[i];
    if (!same || found.bytes != t->count * sizeof(float))
        return fv_err(FV_ECORRUPT, "%s: the tensor '%s' has another type or shape than the net",
                      path, name);
    memcpy(to, found.data, found.bytes);
    for (size_t i = 0; i < t->count; i++)
        if (!isfinite(to[i]))
            return fv_err(FV_ECORRUPT, "%s: the tensor '%s' is not finite", path, name);
    return 0;
}

int fv__snapshot_arena(const struct fv_st *st, const char *path, const struct fv_net *net,
                       float *arena)
{
    for (int i = 0; i < net->tensors; i++)
        FV_TRY(read_tensor(st, path, net->tensor[i].name, &net->tensor[i],
                           arena + net->tensor[i].offset));
    return 0;
}

/* The tensors of one vector, under "<prefix><name>". */
static int read_vector(const struct fv_st *st, const char *path, const struct fv_net *net,
                       const char *prefix, float *vector, int buffers)
{
    for (int i = 0; i < net->tensors; i++) {
        const struct fv_tensor *t = &net->tensor[i];
        if (t->buffer && !buffers)
            continue;
        char *name = fv_format("%s%s", prefix, t->name);
        int rc = name ? read_tensor(st, path, name, t, vector + t->offset)
                      : fv_err(FV_ENOMEM, "%s: out of memory", path);
        free(name);
        FV_TRY(rc);
    }
    return 0;
}

int fv__snapshot_weights(const struct fv_st *st, const char *path, const struct fv_net *net,
                         float *arena)
{
    struct fv_st_tensor any;
    char *first = fv_format("ema.%s", net->tensor[0].name);
    const int averaged = first && fv_st_tensor(st, first, &any) == 0;
    free(first);
    return averaged ? read_vector(st, path, net, "ema.", arena, 1)
                    : fv__snapshot_arena(st, path, net, arena);
}

int fv__snapshot_states(const struct fv_st *st, const char *path, struct fv_snapshot *s)
{
    char prefix[64];
    for (int i = 0; i < FV_STATES; i++) {
        if (!s->state[i] || (i == FV_STATE_SUM && !s->half_step))
            continue;
        state_prefix(s->optim, i, prefix);
        FV_TRY(read_vector(st, path, s->net, prefix, s->state[i], i == FV_STATE_EMA));
    }
    return 0;
}

int fv__snapshot_progress(const struct fv_st *st, const char *path, struct fv_progress_state *at)
{
    const char *version, *text;
    char *end;
    FV_TRY(fv__snapshot_text(st, path, "fv_checkpoint", &version));
    const int old = strcmp(version, oldest_version) == 0;
    *at = (struct fv_progress_state){0};
    for (int i = 0; i < NUMBERS; i++) {
        char *field = (char *)at + numbers[i].offset;
        if ((old && numbers[i].since > 1) ||
            (numbers[i].since == OPTIONAL && !fv_st_meta(st, numbers[i].key)))
            continue;
        if (!numbers[i].real) {
            FV_TRY(read_count(st, path, numbers[i].key, UINT64_MAX / 2, (uint64_t *)field));
            continue;
        }
        FV_TRY(fv__snapshot_text(st, path, numbers[i].key, &text));
        *(double *)field = strtod(text, &end);
        if (end == text || *end || !isfinite(*(double *)field))
            return fv_err(FV_ECORRUPT, "%s: '%s' is not a number for '%s'", path, text,
                          numbers[i].key);
    }
    if (old)
        at->updates = at->step;
    return 0;
}
