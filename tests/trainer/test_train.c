/* SPDX-License-Identifier: MIT */
/* Training learns, keeps what was best, says when it cannot go on; a checkpoint alone gives the net back. */
#include "train_fixture.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/run/snapshot.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <unistd.h>

static struct fixture fix;
static struct fv_train_result result;

/* One run for all: long enough to learn, noisy enough to have ups and downs. */
enum { EPOCHS = 12 };

static int setup(void **state)
{
    (void)state;
    fixture_open(&fix);
    fix.settings.epochs = EPOCHS;
    fix.settings.save_every = 0;
    fix.data.result = &result;
    fix.train.noise = fix.val.noise = fix.verify.noise = 160;
    assert_int_equal(fixture_run(&fix, "run", 0), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&fix);
    return 0;
}

struct epoch {
    double loss, val_loss, val_acc, eer, auc;
};

static void read_epochs(struct epoch *e)
{
    char *text;
    size_t n;
    int i = 0;
    assert_log_whole(&fix, "run");
    assert_int_equal(fv_file_read(fixture_path(&fix, "run", "log.jsonl"), 1 << 24, &text, &n), 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = json_loads(line, 0, NULL);
        if (strcmp(json_string_value(json_object_get(o, "type")), "epoch") == 0) {
            assert_true(i < EPOCHS);
            e[i++] = (struct epoch){json_real_value(json_object_get(o, "loss")),
                                    json_real_value(json_object_get(o, "val_loss")),
                                    json_number_value(json_object_get(o, "val_acc")),
                                    json_number_value(json_object_get(o, "eer")),
                                    json_number_value(json_object_get(o, "auc"))};
        }
        json_decref(o);
    }
    assert_int_equal(i, EPOCHS);
    free(text);
}

static void test_learns(void **state)
{
    (void)state;
    struct epoch e[EPOCHS];
    read_epochs(e);
    /* of four classes a guess hits a quarter, at a loss of log 4 */
    assert_true(e[EPOCHS - 1].loss < 0.5 * e[0].loss);
    assert_true(e[EPOCHS - 1].val_loss < 0.7);
    assert_true(e[EPOCHS - 1].val_acc > 0.75);
    assert_true(e[EPOCHS - 1].auc > 0.9);
}

static double meta_number(const struct fv_st *st, const char *key)
{
    const char *text = fv_st_meta(st, key);
    assert_non_null(text);
    return strtod(text, NULL);
}

/* What the run says of itself is what its checkpoint tells, and again when nothing was left to do. */
static void test_result(void **state)
{
    (void)state;
    const struct fv_train_result first = result;
    struct fv_st *st;
    assert_int_equal(fv_st_open(&st, fixture_path(&fix, "run", "last.safetensors")), 0);
    assert_int_equal(result.epochs, EPOCHS);
    assert_int_equal(meta_number(st, "best_cls_epoch"), result.cls_epoch);
    assert_int_equal(meta_number(st, "best_ver_epoch"), result.ver_epoch);
    assert_true(result.cls_epoch > 0 && result.ver_epoch > 0);
    assert_true(meta_number(st, "best_cls_accuracy") == result.best_acc);
    assert_true(meta_number(st, "best_ver_eer") == result.best_eer);
    assert_true(meta_number(st, "best_ver_auc") == result.best_auc);
    fv_st_close(&st);
    memset(&result, 0, sizeof result);
    assert_int_equal(fixture_run(&fix, "run", 1), 0);
    assert_memory_equal(&result, &first, sizeof first);
}

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g and %.17g differ by more than %g", a, b, tolerance);
}

/* The first epoch with the highest accuracy is kept, and its net scores just that. */
static void test_best_cls(void **state)
{
    (void)state;
    struct epoch e[EPOCHS];
    struct fv_st *st;
    struct fv_model *m;
    int best = 0;
    double accuracy, loss;
    read_epochs(e);
    for (int i = 1; i < EPOCHS; i++)
        best = e[i].val_acc > e[best].val_acc ? i : best;
    const char *path = fixture_path(&fix, "run", "best_cls.safetensors");
    assert_int_equal(fv_st_open(&st, path), 0);
    assert_int_equal(meta_number(st, "epoch"), best + 1);
    assert_int_equal(meta_number(st, "best_cls_epoch"), best + 1);
    fv_st_close(&st);

    assert_int_equal(fv_model_open(&m, path, "ref", 1, 7), 0);
    assert_int_equal(fv_model_accuracy(m, &fix.val.source, &accuracy, &loss, NULL), 0);
    assert_near(accuracy, e[best].val_acc, 1e-8);
    assert_near(loss, e[best].val_loss, 1e-5);
    fv_model_close(&m);
}

static void test_best_ver(void **state)
{
    (void)state;
    struct epoch e[EPOCHS];
    struct fv_st *st;
    struct fv_model *m;
    int best = 0;
    read_epochs(e);
    for (int i = 1; i < EPOCHS; i++)
        if (e[i].eer < e[best].eer || (e[i].eer == e[best].eer && e[i].auc > e[best].auc))
            best = i;
    const char *path = fixture_path(&fix, "run", "best_ver.safetensors");
    assert_int_equal(fv_st_open(&st, path), 0);
    assert_int_equal(meta_number(st, "best_ver_epoch"), best + 1);
    assert_near(meta_number(st, "best_ver_eer"), e[best].eer, 1e-8);
    fv_st_close(&st);

    assert_int_equal(fv_model_open(&m, path, "ref", 1, 3), 0);
    const int dim = fv_model_net(m)->embedding;
    float *emb = malloc(20 * (size_t)dim * sizeof *emb);
    double score[FIXTURE_PAIRS];
    uint8_t same[FIXTURE_PAIRS];
    struct fv_roc roc;
    struct fv_eer eer;
    assert_int_equal(fv_model_embed(m, &fix.verify.source, 0, emb, NULL), 0);
    for (int i = 0; i < 20; i++) {
        double square = 0;
        for (int k = 0; k < dim; k++)
            square += (double)emb[i * dim + k] * (double)emb[i * dim + k];
        assert_near(square, 1, 1e-6);
    }
    fv_score_pairs(emb, dim, fix.pair, FIXTURE_PAIRS, score);
    for (int i = 0; i < FIXTURE_PAIRS; i++)
        same[i] = fix.pair[i].same;
    assert_int_equal(fv_roc_make(&roc, score, same, FIXTURE_PAIRS), 0);
    fv_roc_eer(&roc, &eer);
    assert_near(eer.eer, e[best].eer, 1e-8);
    fv_roc_free(&roc);
    free(emb);
    fv_model_close(&m);
}

/* With the mirror image added, image and mirror image have the same embedding. */
static void test_flip(void **state)
{
    (void)state;
    struct fv_model *m;
    assert_int_equal(fv_model_open(&m, fixture_path(&fix, "run", "last.safetensors"), "ref", 1, 8),
                     0);
    const int dim = fv_model_net(m)->embedding;
    struct synthetic one, other;
    synthetic_open(&one, FIXTURE_CLASSES, 1, 1, 12, 0, 9);
    synthetic_open(&other, FIXTURE_CLASSES, 1, 1, 12, 0, 9);
    one.noise = other.noise = 0;
    other.mirror = 1;
    float a[64], b[64], plain[64];
    assert_true(dim <= 64);
    assert_int_equal(fv_model_embed(m, &one.source, 0, plain, NULL), 0);
    assert_int_equal(fv_model_embed(m, &one.source, 1, a, NULL), 0);
    assert_int_equal(fv_model_embed(m, &other.source, 1, b, NULL), 0);
    assert_memory_equal(a, b, (size_t)dim * sizeof *a);
    double dot = 0;
    for (int k = 0; k < dim; k++)
        dot += (double)plain[k] * (double)a[k];
    assert_true(dot < 1 - 1e-9);
    /* As the net gives them: both add up, and of unit length the first is the embedding. */
    float sum[64];
    assert_int_equal(fv_model_embed_raw(m, &one.source, 0, a, NULL), 0);
    assert_int_equal(fv_model_embed_raw(m, &other.source, 0, b, NULL), 0);
    assert_int_equal(fv_model_embed_raw(m, &one.source, 1, sum, NULL), 0);
    double square = 0;
    for (int k = 0; k < dim; k++)
        square += (double)a[k] * (double)a[k];
    assert_true(fabs(sqrt(square) - 1) > 1e-3);
    for (int k = 0; k < dim; k++) {
        assert_near((double)sum[k], (double)a[k] + (double)b[k], 1e-6 * sqrt(square));
        assert_near((double)plain[k], (double)a[k] / sqrt(square), 1e-6);
    }
    synthetic_close(&one);
    synthetic_close(&other);
    fv_model_close(&m);
}

/* All that resuming and rebuilding needs is there under the names that torchvision uses. */
static void test_checkpoint_contents(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "format",    "fv_checkpoint",    "program", "arch", "stem",    "size", "classes",
        "embedding", "colour_order",     "mean",    "std",  "backend", "lr",   "settings",
        "data",      "schedule_position"};
    struct fv_st *st;
    struct fv_st_tensor t;
    int64_t batches;
    assert_int_equal(fv_st_open(&st, fixture_path(&fix, "run", "last.safetensors")), 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!fv_st_meta(st, keys[i]))
            fail_msg("no '%s'", keys[i]);
    assert_string_equal(fv_st_meta(st, "settings"), fix.data.settings_text);
    assert_string_equal(fv_st_meta(st, "data"), fix.data.data_id);
    assert_int_equal(meta_number(st, "step"), EPOCHS * FIXTURE_STEPS);
    assert_int_equal(fv_st_tensor(st, "bn1.num_batches_tracked", &t), 0);
    assert_string_equal(t.dtype, "I64");
    assert_int_equal(t.ndim, 0);
    memcpy(&batches, t.data, sizeof batches);
    assert_int_equal(batches, EPOCHS * FIXTURE_STEPS);
    assert_int_equal(fv_st_tensor(st, "conv1.weight", &t), 0);
    assert_int_equal(fv_st_tensor(st, "optim.momentum.conv1.weight", &t), 0);
    assert_int_equal(fv_st_tensor(st, "bn1.running_var", &t), 0);
    assert_int_equal(fv_st_tensor(st, "optim.momentum.bn1.running_var", &t), FV_ENOTFOUND);
    fv_st_close(&st);
}

static void assert_says(int rc, int code, const char *says)
{
    assert_int_equal(rc, code);
    if (!strstr(fv_err_text(), says))
        fail_msg("says \"%s\", should say \"%s\"", fv_err_text(), says);
}

/* Diverged training ends with a sentence and leaves the last good checkpoint alone. */
static void test_diverged(void **state)
{
    (void)state;
    char *before, *after;
    size_t n, m;
    const struct fv_train_settings settings = fix.settings;
    const char *path = fixture_path(&fix, "diverged", "last.safetensors");
    fix.settings.epochs = 1;
    assert_int_equal(fixture_run(&fix, "diverged", 0), 0);
    assert_int_equal(fv_file_read(path, 1 << 24, &before, &n), 0);
    fix.settings.epochs = 20;
    fix.settings.lr = 1e36;
    fix.settings.schedule = "constant";
    assert_says(fixture_run(&fix, "diverged", 1), FV_EBACKEND, "--lr");
    fix.settings = settings;
    path = fixture_path(&fix, "diverged", "last.safetensors");
    assert_int_equal(fv_file_read(path, 1 << 24, &after, &m), 0);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    free(before);
    free(after);
}

/* In a long epoch, ten such steps in a row are enough. */
static void test_not_finite_in_a_row(void **state)
{
    (void)state;
    const struct fv_train_settings settings = fix.settings;
    struct synthetic longer;
    synthetic_open(&longer, FIXTURE_CLASSES, 30 * FIXTURE_BATCH, FIXTURE_BATCH, 12, 1, 1);
    fix.settings.lr = 1e36;
    fix.data.train = &longer.source;
    assert_says(fixture_run(&fix, "row", 0), FV_EBACKEND,
                "10 times in a row, now first in the output of ");
    assert_int_equal(access(fixture_path(&fix, "row", "last.safetensors"), F_OK), -1);
    assert_true(longer.ticket < 15);
    fix.settings = settings;
    fix.data.train = &fix.train.source;
    synthetic_close(&longer);
}

/* Writes the digest that an altered checkpoint ought to have, over the one that it has. */
static void seal(char *bytes, size_t n)
{
    struct fv_st *st;
    char *copy = malloc(n), digest[FV_SNAPSHOT_DIGEST];
    memcpy(copy, bytes, n);
    assert_int_equal(fv_st_parse(&st, copy, n, "copy"), 0);
    assert_int_equal(fv__snapshot_digest_of(st, digest), 0);
    char *at = memmem(bytes, n, fv_st_meta(st, "digest"), FV_SNAPSHOT_DIGEST - 1);
    assert_non_null(at);
    memcpy(at, digest, FV_SNAPSHOT_DIGEST - 1);
    fv_st_close(&st);
}

/* Fills one tensor of a checkpoint with a number. */
static void patch(const char *path, const char *name, float value)
{
    char *bytes;
    size_t n;
    uint64_t header;
    assert_int_equal(fv_file_read(path, 1 << 24, &bytes, &n), 0);
    memcpy(&header, bytes, sizeof header);
    json_t *root = json_loadb(bytes + 8, header, 0, NULL);
    const json_t *range = json_object_get(json_object_get(root, name), "data_offsets");
    const json_int_t begin = json_integer_value(json_array_get(range, 0)),
                     end = json_integer_value(json_array_get(range, 1));
    assert_true(end > begin);
    for (json_int_t at = begin; at < end; at += (json_int_t)sizeof value)
        memcpy(bytes + 8 + header + at, &value, sizeof value);
    seal(bytes, n);
    assert_int_equal(fv_file_write(path, bytes, n), 0);
    json_decref(root);
    free(bytes);
}

/* A checkpoint from before the sums of terms were kept is resumed: it lacks nothing that training needs. */
static void test_checkpoint_without_terms(void **state)
{
    (void)state;
    static const char *const key[] = {"\"epoch_term_", "\"epoch_active_", "\"epoch_distance_"};
    const struct fv_train_settings settings = fix.settings;
    char *bytes;
    size_t n, renamed = 0;
    fix.settings.epochs = 1;
    assert_int_equal(fixture_run(&fix, "terms", 0), 0);
    const char *path = fixture_path(&fix, "terms", "last.safetensors");
    assert_int_equal(fv_file_read(path, 1 << 24, &bytes, &n), 0);
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        for (char *at; (at = memmem(bytes, n, key[i], strlen(key[i]))); renamed++)
            at[1] = 'x';
    assert_int_equal(renamed, FV_LOSS_TERMS + 4);
    seal(bytes, n);
    assert_int_equal(fv_file_write(path, bytes, n), 0);
    free(bytes);
    fix.settings.epochs = 2;
    if (fixture_run(&fix, "terms", 1) != 0)
        fail_msg("%s", fv_err_text());
    fix.settings = settings;
}

static char warning[256];

static void keep_warning(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx;
    if (level == FV_LEVEL_WARN)
        snprintf(warning, sizeof warning, "%s", text);
}

/* A net of which some embedding is zero goes on training: that epoch has no EER, and none is made up. */
static void test_dead_embedding(void **state)
{
    (void)state;
    const struct fv_train_settings settings = fix.settings;
    static const char *const bn[] = {"layer2.0.bn2", "layer2.0.downsample.1"};
    char name[64], *text;
    size_t n;
    fix.settings.epochs = 1;
    assert_int_equal(fixture_run(&fix, "dead", 0), 0);
    const char *path = fixture_path(&fix, "dead", "last.safetensors");
    for (int i = 0; i < 2; i++)
        for (int bias = 0; bias < 2; bias++) {
            snprintf(name, sizeof name, "optim.momentum.%s.%s", bn[i], bias ? "bias" : "weight");
            patch(path, name, 0);
            patch(path, name + strlen("optim.momentum."), bias ? -1 : 0);
        }
    fix.settings.epochs = 2;
    fix.report.message = keep_warning;
    assert_int_equal(fixture_run(&fix, "dead", 1), 0);
    fix.report.message = NULL;
    fix.settings = settings;
    if (!strstr(warning, "epoch 2 not measured: embeddings: "))
        fail_msg("warns \"%s\"", warning);
    assert_int_equal(fv_file_read(fixture_path(&fix, "dead", "log.jsonl"), 1 << 24, &text, &n), 0);
    const char *second = strstr(text, "\"step\":12,\"epoch\":2");
    assert_non_null(second);
    assert_non_null(strstr(second, "val_acc"));
    assert_null(strstr(second, "eer"));
    free(text);
}

/* Where the logits are no numbers there is no right answer among them. */
static void test_logits_not_finite(void **state)
{
    (void)state;
    struct fv_model *m;
    double accuracy, loss;
    const struct fv_train_settings settings = fix.settings;
    fix.settings.epochs = 1;
    assert_int_equal(fixture_run(&fix, "huge", 0), 0);
    fix.settings = settings;
    const char *path = fixture_path(&fix, "huge", "last.safetensors");
    patch(path, "bn1.weight", 1e30f);
    patch(path, "layer1.0.bn1.weight", 1e30f);
    patch(path, "fc.weight", 3e38f);
    assert_int_equal(fv_model_open(&m, path, "ref", 1, 8), 0);
    assert_says(fv_model_accuracy(m, &fix.val.source, &accuracy, &loss, NULL), FV_EINVAL,
                "not finite");
    fv_model_close(&m);
}

static void stop(struct synthetic *images)
{
    (void)images;
    fv_train_stop = 1;
}

/* An epoch of which no step had a finite loss has no loss, not one of zero: stopped before its evaluation, with
 * no image counted, it is resumed. */
static void test_epoch_without_loss(void **state)
{
    (void)state;
    static const char counted[] = "\"epoch_images\":\"48\"";
    const struct fv_train_settings settings = fix.settings;
    char *bytes, *at;
    size_t n;
    fix.settings.epochs = 1;
    fix.val.before = stop;
    assert_int_equal(fixture_run(&fix, "lossless", 0), FV_EINTR);
    fix.val.before = NULL;
    fv_train_stop = 0;
    const char *path = fixture_path(&fix, "lossless", "last.safetensors");
    assert_int_equal(fv_file_read(path, 1 << 24, &bytes, &n), 0);
    assert_non_null(at = memmem(bytes, n, counted, sizeof counted - 1));
    memcpy(at + sizeof counted - 4, "00", 2);
    seal(bytes, n);
    assert_int_equal(fv_file_write(path, bytes, n), 0);
    free(bytes);
    assert_int_equal(fixture_run(&fix, "lossless", 1), 0);
    fix.settings = settings;
    path = fixture_path(&fix, "lossless", "log.jsonl");
    assert_int_equal(fv_file_read(path, 1 << 24, &bytes, &n), 0);
    assert_non_null(at = strstr(bytes, "\"epoch\",\"step\":6"));
    assert_null(strstr(at, "\"loss\""));
    assert_non_null(strstr(at, "\"val_loss\""));
    free(bytes);
}

static void test_refuses_requests(void **state)
{
    (void)state;
    const struct fv_train_settings s = fix.settings;
    const struct fv_index_pair pair = fix.pair[3];
    fix.settings.arch = "resnet19";
    assert_says(fixture_run(&fix, "no", 0), FV_ENOTFOUND, "resnet18");
    fix.settings = s;
    fix.settings.backend = "abacus";
    assert_says(fixture_run(&fix, "no", 0), FV_ENOTFOUND, "ref");
    fix.settings = s;
    fix.settings.schedule = "steep";
    assert_says(fixture_run(&fix, "no", 0), FV_ENOTFOUND, "cosine");
    fix.settings = s;
    fix.settings.warmup = EPOCHS + 1;
    assert_says(fixture_run(&fix, "no", 0), FV_EUSAGE, "--warmup");
    fix.settings = s;
    static const char *const colours[] = {"0.5x", "0.1 0.2 0.3", "0.1,0.2", "0.1,0.2,0.3,",
                                          "",     "nan"};
    for (size_t i = 0; i < sizeof colours / sizeof *colours; i++) {
        fix.settings.mean = colours[i];
        assert_says(fixture_run(&fix, "no", 0), FV_EUSAGE, "--mean");
    }
    fix.settings = s;
    fix.train.source.classes = 1;
    assert_says(fixture_run(&fix, "no", 0), FV_EINVAL, "two is the least");
    fix.train.source.classes = FIXTURE_CLASSES;
    fix.train.source.batches_per_epoch = 0;
    assert_says(fixture_run(&fix, "no", 0), FV_EINVAL, "--batch");
    fix.train.source.batches_per_epoch = FIXTURE_STEPS;
    fix.pair[3].b = 20;
    assert_says(fixture_run(&fix, "no", 0), FV_EINVAL, "pair 3");
    fix.pair[3] = pair;
    fix.data.pairs = 20;
    assert_says(fixture_run(&fix, "no", 0), FV_EINVAL, "20 and 0");
    fix.data.pairs = FIXTURE_PAIRS;
    const char *text = fix.data.settings_text;
    fix.data.settings_text = "db = faces\xff.lmdb\n"; /* no checkpoint could be written */
    assert_says(fixture_run(&fix, "no", 0), FV_EINVAL, "UTF-8");
    fix.data.settings_text = text;
    assert_int_equal(access(fixture_path(&fix, "no", ""), F_OK), -1);
}

/* Training works without either kind of evaluation, and then keeps no best. */
/* An embedding of a length that was asked for is there again when a checkpoint is read. */
static void test_embedding_asked(void **state)
{
    (void)state;
    struct fixture f;
    struct fv_model *m;
    fixture_open(&f);
    f.settings.embedding = 7;
    f.settings.epochs = 1;
    assert_int_equal(fixture_run(&f, "run", 0), 0);
    assert_int_equal(fv_model_open(&m, fixture_path(&f, "run", "last.safetensors"), "ref", 1, 8),
                     0);
    assert_int_equal(fv_model_net(m)->embedding, 7);
    assert_true(fv_net_find_tensor(fv_model_net(m), "neck.0.weight") >= 0);
    fv_model_close(&m);
    f.settings.stem = "7x7";
    assert_int_equal(fixture_run(&f, "other", 0), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "tiny has no stem '7x7'; valid: auto"));
    fixture_close(&f);
}

static void test_without_evaluation(void **state)
{
    (void)state;
    const struct fv_train_data data = fix.data;
    fix.data.val = fix.data.verify = NULL;
    fix.settings.epochs = 1;
    assert_int_equal(fixture_run(&fix, "plain", 0), 0);
    assert_int_equal(access(fixture_path(&fix, "plain", "last.safetensors"), F_OK), 0);
    assert_int_equal(access(fixture_path(&fix, "plain", "best_cls.safetensors"), F_OK), -1);
    assert_int_equal(access(fixture_path(&fix, "plain", "best_ver.safetensors"), F_OK), -1);
    fix.data = data;
    fix.settings.epochs = EPOCHS;
}

static void test_model_refuses(void **state)
{
    (void)state;
    struct fv_model *m;
    const struct fv_st_tensor none = {
        .name = "a", .dtype = "F32", .ndim = 1, .data = "", .bytes = 0};
    char path[128];
    snprintf(path, sizeof path, "%s/foreign.safetensors", fix.root);
    assert_says(fv_model_open(&m, path, "ref", 1, 8), FV_ENOTFOUND, path);
    assert_int_equal(fv_st_write(path, &none, 1, NULL, 0), 0);
    assert_says(fv_model_open(&m, path, "ref", 1, 8), FV_EVERSION, "not a checkpoint of fvtrain");
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_best_cls),
        cmocka_unit_test(test_best_ver),
        cmocka_unit_test(test_flip),
        cmocka_unit_test(test_checkpoint_contents),
        cmocka_unit_test(test_diverged),
        cmocka_unit_test(test_not_finite_in_a_row),
        cmocka_unit_test(test_checkpoint_without_terms),
        cmocka_unit_test(test_dead_embedding),
        cmocka_unit_test(test_logits_not_finite),
        cmocka_unit_test(test_epoch_without_loss),
        cmocka_unit_test(test_refuses_requests),
        cmocka_unit_test(test_embedding_asked),
        cmocka_unit_test(test_without_evaluation),
        cmocka_unit_test(test_model_refuses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
