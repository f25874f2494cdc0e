/* SPDX-License-Identifier: MIT */
/* cuDNN has a plan for every convolution of every architecture, and the fused graphs where the backend counts on
 * them: asked for described devices, so that no GPU is needed. Acceptance is what this shows; that a plan computes the
 * right thing can only be seen on a device.
 *
 * Arguments: device_sm75.json device_sm80.json device_sm90.json, then ARCH SIZE... for one architecture, "all", or
 * "all/16": every sixteenth of all convolutions. */
#include "trainer/cuda/cudnn_plan.h"

#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "trainer/net/net.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 256, MAX_CONVS = 1024, MAX_SIZES = 8, DEVICES = 3 };

static const char *device_file[DEVICES];
static const char *only;
static int size[MAX_SIZES], sizes, every = 1;

/* The distinct convolutions of all nets, as lowering asks for them: channels padded to whole vectors. */
static struct conv {
    struct fv_conv_key key;
    int first; /* reads the image: has no data gradient */
} conv[MAX_CONVS];
static int convs, nets;

static int padded(int channels)
{
    return (channels + 7) / 8 * 8;
}

static void add_conv(const struct fv_net *net, const struct fv_node *n)
{
    const struct fv_node *in = &net->node[n->in[0]];
    const struct fv_conv_key key = {.n = BATCH,
                                    .h = in->h,
                                    .w = in->w,
                                    .c = padded(in->c),
                                    .k = padded(n->c),
                                    .window = n->window,
                                    .stride = n->stride,
                                    .pad = n->pad};
    for (int i = 0; i < convs; i++)
        if (memcmp(&conv[i].key, &key, sizeof key) == 0) {
            conv[i].first &= in->kind == FV_NODE_INPUT;
            return;
        }
    assert_true(convs < MAX_CONVS);
    conv[convs++] = (struct conv){key, in->kind == FV_NODE_INPUT};
}

/* Has kernels of our own; other groups become one. */
static int is_depthwise(const struct fv_net *net, const struct fv_node *o)
{
    return o->groups > 1 && o->groups == o->c && net->node[o->in[0]].c == o->c;
}

static void collect(void)
{
    for (int a = 0; fv_archs[a]; a++) {
        if (strcmp(only, "all") != 0 && strcmp(only, fv_archs[a]->name) != 0)
            continue;
        for (int s = 0; s < sizes; s++) {
            const struct fv_arch_settings settings = {.size = size[s],
                                                      .classes = 1000,
                                                      .stem = "auto",
                                                      .mean = {0.5f, 0.5f, 0.5f},
                                                      .std = {0.5f, 0.5f, 0.5f}};
            struct fv_net *net;
            assert_int_equal(fv_net_build(&net, fv_archs[a]->name, &settings), 0);
            for (int i = 0; i < net->nodes; i++)
                if (net->node[i].kind == FV_NODE_CONV && !is_depthwise(net, &net->node[i]))
                    add_conv(net, &net->node[i]);
            fv_net_free(&net);
            nets++;
        }
    }
}

static void thin_out(void)
{
    int kept = 0;
    for (int i = 0; i < convs; i += every)
        conv[kept++] = conv[i];
    convs = kept;
}

static struct fv_cudnn *describe(int device)
{
    struct fv_cudnn *c;
    char *json;
    size_t n;
    assert_int_equal(fv_file_read(device_file[device], 65536, &json, &n), 0);
    int rc = fv_cudnn_describe(&c, json);
    free(json);
    if (rc < 0)
        fail_msg("%s: %s", device_file[device], fv_err_text());
    return c;
}

static int plan_exists(struct fv_cudnn *c, struct fv_conv_key key, enum fv_conv_graph graph,
                       enum fv_cudnn_type type)
{
    const struct fv_plan_settings s = {.cache = NULL};
    struct fv_cudnn_plan *p;
    key.graph = graph;
    key.type = type;
    int rc = fv_cudnn_plan_find(&p, c, &key, &s);
    if (rc == 0)
        assert_non_null(p->plan);
    else
        assert_int_equal(rc, FV_EUNSUPPORTED);
    fv_cudnn_plan_free(&p);
    return rc == 0;
}

static void plain_graphs(int device, const enum fv_cudnn_type *types)
{
    struct fv_cudnn *c = describe(device);
    int asked = 0, missing = 0;
    for (int i = 0; i < convs; i++)
        for (const enum fv_cudnn_type *t = types; *t != FV_CUDNN_TYPES; t++)
            for (int graph = FV_CONV_FORWARD; graph <= FV_CONV_WGRAD; graph++) {
                if (graph == FV_CONV_DGRAD && conv[i].first)
                    continue;
                asked++;
                if (!plan_exists(c, conv[i].key, (enum fv_conv_graph)graph, *t)) {
                    missing++;
                    print_message("no plan: %s\n", fv_err_text());
                }
            }
    print_message("%s: %d plans for %d convolutions of %d nets\n", c->device, asked - missing,
                  convs, nets);
    fv_cudnn_close(&c);
    assert_int_equal(missing, 0);
}

static void test_sm75(void **state)
{
    (void)state;
    plain_graphs(0, (const enum fv_cudnn_type[]){FV_CUDNN_F16, FV_CUDNN_F32, FV_CUDNN_TYPES});
}

static void test_sm80(void **state)
{
    (void)state;
    plain_graphs(
        1, (const enum fv_cudnn_type[]){FV_CUDNN_BF16, FV_CUDNN_F16, FV_CUDNN_F32, FV_CUDNN_TYPES});
}

static void test_sm90(void **state)
{
    (void)state;
    plain_graphs(
        2, (const enum fv_cudnn_type[]){FV_CUDNN_BF16, FV_CUDNN_F16, FV_CUDNN_F32, FV_CUDNN_TYPES});
}

/* The chain of fp16. */
static void fused_graphs(int device)
{
    static const enum fv_conv_graph fused[] = {FV_CONV_FORWARD_STATS, FV_CONV_BN_FORWARD_STATS,
                                               FV_CONV_BN_WGRAD, FV_CONV_DGRAD_BN};
    struct fv_cudnn *c = describe(device);
    int there[FV_CONV_GRAPHS] = {0}, asked = 0, missing = 0;
    for (int i = 0; i < convs; i++) {
        if (conv[i].first)
            continue;
        asked++;
        for (size_t f = 0; f < sizeof fused / sizeof fused[0]; f++) {
            int yes = plan_exists(c, conv[i].key, fused[f], FV_CUDNN_F16);
            there[fused[f]] += yes;
            missing += !yes;
            if (!yes)
                print_message("no plan: %s\n", fv_err_text());
        }
    }
    print_message("%s: of %d convolutions behind a batch norm", c->device, asked);
    for (size_t f = 0; f < sizeof fused / sizeof fused[0]; f++)
        print_message(", %d %s", there[fused[f]], fv_conv_graph_names[fused[f]]);
    print_message("\n");
    fv_cudnn_close(&c);
    assert_int_equal(missing, 0);
}

static void test_fused_sm80(void **state)
{
    (void)state;
    fused_graphs(1);
}

static void test_fused_sm90(void **state)
{
    (void)state;
    fused_graphs(2);
}

static const struct fv_conv_key a_conv = {.graph = FV_CONV_FORWARD,
                                          .type = FV_CUDNN_BF16,
                                          .n = BATCH,
                                          .h = 14,
                                          .w = 14,
                                          .c = 128,
                                          .k = 128,
                                          .window = 3,
                                          .stride = 1,
                                          .pad = 1};

/* What cuDNN refuses is refused: bf16 on a device without it, and a fused graph on the stem of three channels. */
static void test_refusals(void **state)
{
    (void)state;
    struct fv_cudnn *old = describe(0), *new = describe(2);
    struct fv_conv_key stem = {
        .n = BATCH, .h = 112, .w = 112, .c = 3, .k = 64, .window = 7, .stride = 2, .pad = 3};
    assert_false(plan_exists(old, a_conv, FV_CONV_FORWARD, FV_CUDNN_BF16));
    assert_non_null(strstr(fv_err_text(), "forward bf16 256x14x14x128 -> 128, 3x3/1 pad 1"));
    assert_non_null(strstr(fv_err_text(), "sm_75"));
    assert_false(plan_exists(new, stem, FV_CONV_BN_WGRAD, FV_CUDNN_F16));
    assert_false(plan_exists(new, a_conv, FV_CONV_BN_WGRAD, FV_CUDNN_BF16));
    fv_cudnn_close(&old);
    fv_cudnn_close(&new);
}

static void test_bytes_of_roles(void **state)
{
    (void)state;
    struct fv_conv_key k = a_conv;
    assert_int_equal(fv_conv_role_bytes(&k, FV_CONV_X), 2 * BATCH * 14 * 14 * 128);
    assert_int_equal(fv_conv_role_bytes(&k, FV_CONV_SUM), 0);
    k.graph = FV_CONV_DGRAD_BN;
    k.stride = 2;
    assert_int_equal(fv_conv_role_bytes(&k, FV_CONV_Y), 2 * BATCH * 7 * 7 * 128);
    assert_int_equal(fv_conv_role_bytes(&k, FV_CONV_EQ_B), 4 * 128);
}

static void test_descriptions(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "[]", "{}", "{\"deviceName\": 1}", "{\"deviceName\": \"x\", \"deviceVer\": 900}"};
    struct fv_cudnn *c;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fv_cudnn_describe(&c, bad[i]), FV_ECORRUPT);
        assert_null(c);
    }
}

/* The cache */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fv-plans-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static void each_file(void (*f)(const char *path))
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            char *path = fv_format("%s/%s", folder, e->d_name);
            f(path);
            free(path);
        }
    closedir(d);
}

static void remove_file(const char *path)
{
    unlink(path);
}

static int remove_folder(void **state)
{
    (void)state;
    each_file(remove_file);
    return rmdir(folder);
}

static void find(struct fv_cudnn_plan **p, struct fv_cudnn *c, const struct fv_conv_key *key)
{
    const struct fv_plan_settings s = {.cache = folder};
    assert_int_equal(fv_cudnn_plan_find(p, c, key, &s), 0);
}

static void assert_same_choice(const struct fv_plan_choice *a, const struct fv_plan_choice *b)
{
    assert_int_equal(a->engine, b->engine);
    assert_int_equal(a->knobs, b->knobs);
    for (int i = 0; i < a->knobs; i++) {
        assert_int_equal(a->knob[i].type, b->knob[i].type);
        assert_int_equal(a->knob[i].value, b->knob[i].value);
    }
}

static void test_cache(void **state)
{
    (void)state;
    struct fv_cudnn *c = describe(2), *other = describe(1);
    struct fv_cudnn_plan *first, *second, *third;
    find(&first, c, &a_conv);
    assert_int_equal(first->from, FV_PLAN_HEURISTIC);
    assert_true(first->choice.knobs > 0);
    find(&second, c, &a_conv);
    assert_int_equal(second->from, FV_PLAN_CACHED);
    assert_same_choice(&first->choice, &second->choice);
    assert_int_equal(first->workspace, second->workspace);
    find(&third, other, &a_conv); /* another device: another plan */
    assert_int_equal(third->from, FV_PLAN_HEURISTIC);
    fv_cudnn_plan_free(&first);
    fv_cudnn_plan_free(&second);
    fv_cudnn_plan_free(&third);
    fv_cudnn_close(&c);
    fv_cudnn_close(&other);
}

static const char *text;
static void overwrite(const char *path)
{
    assert_int_equal(fv_file_write(path, text, strlen(text)), 0);
}

/* An engine that there is not, or knobs that it has not: cuDNN says so, and the plan is chosen anew. */
static void test_foreign_cache(void **state)
{
    (void)state;
    struct fv_cudnn *c = describe(2);
    struct fv_cudnn_plan *p;
    struct fv_plan_choice choice = {.engine = 4000}, seen;
    find(&p, c, &a_conv);
    const struct fv_plan_choice good = p->choice;
    fv_cudnn_plan_free(&p);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(fv_plan_cache_write(folder, c, &a_conv, &choice), 0);
        assert_int_equal(fv_plan_cache_read(folder, c, &a_conv, &seen), 1);
        find(&p, c, &a_conv);
        assert_int_equal(p->from, FV_PLAN_HEURISTIC);
        assert_same_choice(&p->choice, &good);
        fv_cudnn_plan_free(&p);
        choice = good;
        choice.knob[round].value = 123456;
        if (round == 1)
            choice.knob[0].type = 200;
    }
    text = "{\"plan\": \"garbage\"";
    each_file(overwrite);
    find(&p, c, &a_conv);
    assert_int_equal(p->from, FV_PLAN_HEURISTIC);
    fv_cudnn_plan_free(&p);
    fv_cudnn_close(&c);
}

static void test_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"plan\":\"t\",\"engine\":1,\"us\":1}",
        "{\"plan\":\"u\",\"engine\":1,\"us\":1,\"knobs\":[]}",
        "{\"plan\":\"t\",\"engine\":-1,\"us\":1,\"knobs\":[]}",
        "{\"plan\":\"t\",\"engine\":4096,\"us\":1,\"knobs\":[]}",
        "{\"plan\":\"t\",\"engine\":1,\"us\":-1,\"knobs\":[]}",
        "{\"plan\":\"t\",\"engine\":1,\"us\":1,\"knobs\":[[1]]}",
        "{\"plan\":\"t\",\"engine\":1,\"us\":1,\"knobs\":[[256,1]]}",
        "{\"plan\":\"t\",\"engine\":1,\"us\":1,\"knobs\":[[1,8589934592]]}",
        "{\"plan\":\"t\",\"engine\":1,\"us\":1,\"knobs\":{\"1\":2}}",
        "{\"plan\":\"t\",\"engine\":1,\"engine\":2,\"us\":1,\"knobs\":[]}",
    };
    static const char good[] = "{\"plan\":\"t\",\"engine\":7,\"us\":1.5,\"knobs\":[[1,2],[3,-4]]}";
    struct fv_plan_choice c;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fv__plan_cache_parse(bad[i], strlen(bad[i]), "t", &c), 0);
    assert_int_equal(fv__plan_cache_parse(good, strlen(good), "t", &c), 1);
    assert_int_equal(c.engine, 7);
    assert_int_equal(c.knobs, 2);
    assert_int_equal(c.knob[1].value, -4);
    for (size_t n = 0; n < strlen(good); n++)
        assert_int_equal(fv__plan_cache_parse(good, n, "t", &c), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sm75),
        cmocka_unit_test(test_sm80),
        cmocka_unit_test(test_sm90),
        cmocka_unit_test(test_fused_sm80),
        cmocka_unit_test(test_fused_sm90),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bytes_of_roles),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test_setup_teardown(test_cache, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_foreign_cache, make_folder, remove_folder),
        cmocka_unit_test(test_parse),
    };
    if (argc < 3 + DEVICES || argc > 2 + DEVICES + MAX_SIZES)
        return 2;
    for (int i = 0; i < DEVICES; i++)
        device_file[i] = argv[1 + i];
    only = argv[1 + DEVICES];
    if (strncmp(only, "all/", 4) == 0) {
        every = atoi(only + 4);
        only = "all";
    }
    for (int i = 2 + DEVICES; i < argc; i++)
        size[sizes++] = atoi(argv[i]);
    if (every < 1)
        return 2;
    collect();
    thin_out();
    if (nets == 0)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
