/* SPDX-License-Identifier: MIT */
/* The builder: resnet18 against torchvision's state_dict (golden/trainer_resnet18_names.txt), the rule for the
 * stem, the initialisers' moments, and what must be refused. */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/net/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *golden_path, *docs_path;

static struct fv_net *make(const char *arch, int size, int classes, const char *stem)
{
    struct fv_arch_settings s = {size, classes, stem, {.5f, .5f, .5f}, {.25f, .25f, .25f}, 0, NULL};
    struct fv_net *net = NULL;
    if (fv_net_build(&net, arch, &s) < 0)
        fail_msg("%s", fv_err_text());
    return net;
}

/* One line of the golden file: a name and its dimensions. */
static int parse(char *line, char *name, int dim[4])
{
    int used, ndim = 0;
    assert_int_equal(sscanf(line, "%127s%n", name, &used), 1);
    while (ndim < 4 && sscanf(line += used, "%d%n", &dim[ndim], &used) == 1)
        ndim++;
    return ndim;
}

static void resnet18_is_torchvisions(void **state)
{
    struct fv_net *net = make("resnet18", 224, 1000, "auto");
    FILE *f = fopen(golden_path, "r");
    char line[256], name[128];
    int lines = 0, at = 0;

    (void)state;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    for (; fgets(line, sizeof line, f); lines++) {
        int dim[4], ndim = parse(line, name, dim);
        if (strstr(name, "num_batches_tracked"))
            continue;
        assert_true(at < net->tensors);
        const struct fv_tensor *t = &net->tensor[at];
        assert_string_equal(t->name, name);
        assert_int_equal(t->ndim, ndim);
        for (int i = 0; i < ndim; i++)
            assert_int_equal(t->dim[i], dim[i]);
        assert_int_equal(t->buffer, strstr(name, "running_") != NULL);
        assert_int_equal(t->no_decay, t->ndim == 1 && !t->buffer);
        assert_int_equal(fv_net_find_tensor(net, name), at);
        at++;
    }
    fclose(f);
    assert_int_equal(lines, 122);
    assert_int_equal(at, net->tensors);
    assert_int_equal(net->params, 11689512);
    assert_int_equal(net->buffers, 9600);
    assert_int_equal(net->embedding, 512);
    /* torchvision documents 1.814 G for this net; exactly: */
    assert_int_equal(fv_net_macs(net), 1814073344);
    fv_net_free(&net);
    assert_null(net);
}

/* Every float of the arena belongs to one tensor; buffers come after everything that is trained. */
static void arena_has_no_holes(void **state)
{
    struct fv_net *net = make("tiny", 20, 3, "auto");
    size_t end = 0;
    (void)state;
    for (int buffer = 0; buffer < 2; buffer++) {
        for (int i = 0; i < net->tensors; i++) {
            if (net->tensor[i].buffer != buffer)
                continue;
            assert_int_equal(net->tensor[i].offset, end);
            end += net->tensor[i].count;
        }
        assert_int_equal(end, net->params + (buffer ? net->buffers : 0));
    }
    fv_net_free(&net);
}

static void stem_follows_the_size(void **state)
{
    static const struct {
        int size;
        const char *stem;
        int window, first_stage; /* of conv1; side on which layer1 works */
    } rule[] = {{112, "auto", 7, 28}, {65, "auto", 7, 17}, {64, "auto", 3, 32},
                {33, "auto", 3, 17},  {32, "auto", 3, 32}, {16, "auto", 3, 16},
                {64, "7x7", 7, 16},   {112, "3x3", 3, 56}};
    (void)state;
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++) {
        struct fv_net *net = make("resnet18", rule[i].size, 10, rule[i].stem);
        assert_int_equal(net->node[1].window, rule[i].window);
        for (int k = 0; k < net->nodes; k++)
            if (strcmp(net->node[k].name, "layer1.0.conv1") == 0)
                assert_int_equal(net->node[k].h, rule[i].first_stage);
        fv_net_free(&net);
    }
}

/* Sample moments within five standard errors: for m normal draws the variance has a relative one of sqrt(2/m). */
static void initial_weights_have_their_moments(void **state)
{
    struct fv_net *net = make("resnet18", 112, 40, "auto");
    float *a = calloc(net->params + net->buffers, sizeof *a);
    float *b = calloc(net->params + net->buffers, sizeof *b);
    (void)state;
    fv_net_init(net, 1, a);
    fv_net_init(net, 1, b);
    assert_memory_equal(a, b, (net->params + net->buffers) * sizeof *a);
    fv_net_init(net, 2, b);
    for (int i = 0; i < net->tensors; i++) {
        const struct fv_tensor *t = &net->tensor[i];
        double m = (double)t->count, sum = 0, squares = 0;
        for (size_t k = 0; k < t->count; k++) {
            double x = (double)a[t->offset + k];
            sum += x;
            squares += x * x;
            assert_true(t->ndim == 1 || a[t->offset + k] != b[t->offset + k] || x == 0);
            if (t->ndim == 2)
                assert_true(fabs(x) <= 1 / sqrt(512));
        }
        if (t->ndim == 1 && strncmp(t->name, "fc", 2) != 0) {
            assert_true(sum == (t->init == FV_INIT_ONE ? m : 0) && squares == sum);
            continue;
        }
        double want = t->ndim == 4 ? 2.0 / (t->dim[0] * t->dim[2] * t->dim[3]) : 1.0 / (3 * 512);
        assert_true(fabs(sum / m) <= 5 * sqrt(want / m));
        assert_true(fabs(squares / m - want) <= 5 * want * sqrt(2 / m));
    }
    free(a);
    free(b);
    fv_net_free(&net);
}

/* Element e by the rule in net.h, whatever piece it is asked in; different for another seed, node or ticket. */
static void dropout_is_a_function(void **state)
{
    static const float zero[3], one[3] = {1, 1, 1};
    enum { COUNT = 6000 };
    static float all[COUNT], piece[COUNT];
    struct fv_net *n;
    size_t dropped = 0;
    (void)state;
    assert_int_equal(fv_net_new(&n, "drop"), 0);
    n->seed = 0x123456789abcdef0;
    const int node = fv_net_dropout(n, fv_net_input(n, 8, zero, one), .3);
    assert_int_equal(fv_net_dropout(n, node, 0), node);
    fv_net_dropout_factors(n, node, 77, 0, COUNT, all);
    for (size_t e = 0; e < COUNT; e++) {
        const uint32_t key[2] = {0x9abcdef0, 0x12345678};
        const uint32_t ctr[4] = {FV_RNG_DROPOUT << 24 | (uint32_t)(e / 4), (uint32_t)node, 77, 0};
        uint32_t word[4];
        fv_philox4x32_10(key, ctr, word);
        int gone = word[e % 4] < (uint32_t)((double).3f * 4294967296.0);
        assert_true(all[e] == (gone ? 0.0f : (float)(1 / (1 - (double).3f))));
        dropped += (size_t)gone;
    }
    assert_in_range(dropped, 1800 - 178, 1800 + 178); /* five deviations of sqrt(6000 * .3 * .7) */
    for (size_t first = 0; first < COUNT; first += 501)
        fv_net_dropout_factors(n, node, 77, first, COUNT - first < 501 ? COUNT - first : 501,
                               piece + first);
    assert_memory_equal(all, piece, sizeof all);
    fv_net_dropout_factors(n, node, 78, 0, COUNT, piece);
    assert_memory_not_equal(all, piece, sizeof all);
    n->seed++;
    fv_net_dropout_factors(n, node, 77, 0, COUNT, piece);
    assert_memory_not_equal(all, piece, sizeof all);
    fv_net_free(&n);
}

/* The table in the documentation is the one that is printed. */
static void docs_have_the_table(void **state)
{
    char *table = NULL, *docs = calloc(1, 1 << 16);
    size_t n;
    (void)state;
    FILE *f = open_memstream(&table, &n), *d = fopen(docs_path, "r");
    assert_true(f && d && docs);
    assert_int_equal(fv_arch_write_table(f, 112), 0);
    fclose(f);
    assert_in_range(fread(docs, 1, (1 << 16) - 1, d), 1, (1 << 16) - 2);
    fclose(d);
    if (!strstr(docs, table))
        fail_msg("%s does not show what 'fvtrain --arch list' prints", docs_path);
    free(table);
    free(docs);
}

static void refuse(int code, const char *text, const char *arch, struct fv_arch_settings s)
{
    struct fv_net *net = NULL;
    assert_int_equal(fv_net_build(&net, arch, &s), code);
    assert_null(net);
    if (!strstr(fv_err_text(), text))
        fail_msg("'%s' lacks '%s'", fv_err_text(), text);
}

static void bad_settings_are_refused(void **state)
{
    struct fv_arch_settings s = {64, 10, "auto", {0, 0, 0}, {1, 1, 1}, 0, NULL}, t = s;
    (void)state;
    refuse(FV_ENOTFOUND,
           "resnet18, resnet34, resnet50, se-resnet18, se-resnet34, se-resnet50, iresnet18, "
           "iresnet34, "
           "iresnet50, mobilenet-v2, mobilefacenet, tiny",
           "resnet", s);
    t = s;
    t.size = 7;
    refuse(FV_EINVAL, "8 .. 2048", "resnet18", t);
    t = s;
    t.size = 1 << 30;
    refuse(FV_EINVAL, "8 .. 2048", "tiny", t);
    t = s;
    t.classes = 0;
    refuse(FV_EINVAL, "classes", "tiny", t);
    t = s;
    t.stem = "5x5";
    refuse(FV_EINVAL, "auto, 7x7, 3x3", "resnet18", t);
    refuse(FV_EINVAL, "tiny has no stem '5x5'; valid: auto", "tiny", t);
    refuse(FV_EINVAL, "valid: auto, original, small", "mobilenet-v2", t);
    t = s;
    t.embedding = -1;
    refuse(FV_EINVAL, "embedding", "resnet18", t);
    t.embedding = 65537;
    refuse(FV_EINVAL, "1 .. 65536", "iresnet18", t);
    t = s;
    t.std[1] = 0;
    refuse(FV_EINVAL, "positive", "tiny", t);
    t = s;
    t.mean[2] = NAN;
    refuse(FV_EINVAL, "finite", "tiny", t);
}

/* The first mistake of a list of nodes is the one reported. */
static void bad_nodes_are_refused(void **state)
{
    static const float zero[3], one[3] = {1, 1, 1};
    struct fv_net *n = NULL;
    (void)state;
    for (int mistake = 0; mistake < 9; mistake++) {
        static const char *const text[] = {"groups",         "window", "add",   "fc",     "loss",
                                           "does not exist", "loss",   "scale", "dropout"};
        assert_int_equal(fv_net_new(&n, "wrong"), 0);
        int x = fv_net_input(n, 8, zero, one), y = x;
        if (mistake == 0)
            y = fv_net_conv(n, "a", x, 4, 3, 1, 1, 2, 0);
        else if (mistake == 1)
            y = fv_net_maxpool(n, x, 2, 2, 2);
        else if (mistake == 2)
            y = fv_net_add(n, x, fv_net_conv(n, "a", x, 3, 3, 2, 1, 1, 0));
        else if (mistake == 3)
            y = fv_net_fc(n, "a", x, 0, 1);
        else if (mistake == 5)
            y = fv_net_relu(n, 9);
        else if (mistake == 7)
            y = fv_net_scale(n, x, fv_net_gap(n, fv_net_conv(n, "a", x, 4, 1, 1, 0, 1, 0)));
        else if (mistake == 8)
            y = fv_net_dropout(n, x, 1);
        if (mistake != 6)
            fv_net_loss(n, mistake == 4 ? x : fv_net_gap(n, y));
        assert_int_equal(fv_net_finish(n), FV_EINVAL);
        if (!strstr(fv_err_text(), text[mistake]))
            fail_msg("'%s' lacks '%s'", fv_err_text(), text[mistake]);
        fv_net_free(&n);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet18_is_torchvisions),
        cmocka_unit_test(arena_has_no_holes),
        cmocka_unit_test(stem_follows_the_size),
        cmocka_unit_test(initial_weights_have_their_moments),
        cmocka_unit_test(dropout_is_a_function),
        cmocka_unit_test(docs_have_the_table),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test(bad_nodes_are_refused),
    };
    if (argc != 3)
        return 2;
    golden_path = argv[1];
    docs_path = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
