/* SPDX-License-Identifier: MIT */
/* cuDNN's graphs as fv builds, chooses, caches and runs them, on the stand-in for the library: each graph of each
 * storage type and several shapes against loops in double; which engine is taken, by its notes, its workspace and its
 * time; and what is said when none is. */
#include "tests/cuda/conv_reference.h"
#include "tests/cuda/device_host_math.h"
#include "tests/cuda/standin/standin.h"
#include "tests/cuda/standin/standin_cudnn.h"
#include "trainer/cuda/device_cuda_gpu.h"

#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char device[] = "stand-in, sm_90, 1 SMs";

static int begin(void **state)
{
    (void)state;
    standin_cudnn_reset();
    standin.sm = 90;
    standin.memory_bytes = (size_t)1 << 30;
    standin.lazy = 1;
    return 0;
}

/* Nothing is left behind. */
static int end(void **state)
{
    (void)state;
    size_t free_bytes, total_bytes;
    assert_int_equal(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
    assert_int_equal(free_bytes, total_bytes);
    assert_int_equal(standin_cudnn.live, 0);
    assert_int_equal(standin_cudnn.rubbish, 0);
    return 0;
}

/* Operands */

struct operands {
    void *host[FV_CONV_ROLES], *at[FV_CONV_ROLES], *workspace;
    double *value[FV_CONV_ROLES], *size[FV_CONV_ROLES];
};

/* Numbers of [-1, 1), and what must be positive of [0.5, 1.5). */
static double draw(uint32_t *state, enum fv_conv_role role)
{
    *state = *state * 1664525u + 1013904223u;
    const double u = (double)(*state >> 8) / (1 << 24);
    return role == FV_CONV_RSTD || role == FV_CONV_SCALE                           ? u + 0.5
           : role == FV_CONV_BETA || role == FV_CONV_MEAN || role == FV_CONV_SHIFT ? u - 0.5
                                                                                   : 2 * u - 1;
}

static void operands_new(struct operands *o, const struct fv_conv_key *k, size_t workspace)
{
    uint32_t state = 1;
    *o = (struct operands){0};
    for (int role = 0; role < FV_CONV_ROLES; role++) {
        const size_t bytes = fv_conv_role_bytes(k, role), count = conv_reference_count(k, role);
        const enum fv_low_dtype type = conv_reference_type(k, role);
        if (bytes == 0)
            continue;
        o->host[role] = malloc(bytes);
        o->value[role] = calloc(count, sizeof(double));
        o->size[role] = calloc(count, sizeof(double));
        assert_int_equal(cudaMalloc(&o->at[role], bytes), cudaSuccess);
        if (conv_reference_is_output(k, role))
            continue;
        for (size_t i = 0; i < count; i++) {
            host_store(o->host[role], type, i, draw(&state, role));
            o->value[role][i] = (double)host_load(o->host[role], type, i);
        }
        assert_int_equal(cudaMemcpy(o->at[role], o->host[role], bytes, cudaMemcpyHostToDevice),
                         cudaSuccess);
    }
    if (workspace)
        assert_int_equal(cudaMalloc(&o->workspace, workspace), cudaSuccess);
}

static void operands_free(struct operands *o)
{
    for (int role = 0; role < FV_CONV_ROLES; role++) {
        cudaFree(o->at[role]);
        free(o->host[role]);
        free(o->value[role]);
        free(o->size[role]);
    }
    cudaFree(o->workspace);
}

/* How far a result may lie from the reference: half a step of its type, fp32's rounding of the sums, and what the
 * library makes of values that it has not rounded, where it may: squares are twice as far off. */
static double tolerance(const struct fv_conv_key *k, enum fv_conv_role role, double want,
                        double size)
{
    static const double half_step[] = {
        [FV_LOW_F32] = 0x1p-24, [FV_LOW_BF16] = 0x1p-8, [FV_LOW_F16] = 0x1p-11};
    const double of_wide =
        standin_cudnn.wide ? 2 * half_step[conv_reference_type(k, FV_CONV_X)] : 0;
    return 1.01 * half_step[conv_reference_type(k, role)] * fabs(want) + size * (2e-6 + of_wide) +
           1e-7;
}

/* Where the relu's argument is about zero, either answer is right. */
static int at_a_kink(const struct fv_conv_key *k, const struct operands *o, size_t i)
{
    const size_t c = i % (size_t)k->c;
    const double z = (o->value[FV_CONV_X][i] - o->value[FV_CONV_MEAN][c]) *
                         o->value[FV_CONV_RSTD][c] * o->value[FV_CONV_GAMMA][c] +
                     o->value[FV_CONV_BETA][c];
    return fabs(z) < 1e-6;
}

static void compare_role(const struct fv_conv_key *k, struct operands *o, enum fv_conv_role role)
{
    char text[160];
    const enum fv_low_dtype type = conv_reference_type(k, role);
    fv_conv_key_text(k, text, sizeof text);
    cudaMemcpy(o->host[role], o->at[role], fv_conv_role_bytes(k, role), cudaMemcpyDeviceToHost);
    for (size_t i = 0; i < conv_reference_count(k, role); i++) {
        const double got = (double)host_load(o->host[role], type, i), want = o->value[role][i];
        if (!(fabs(got - want) <= tolerance(k, role, want, o->size[role][i])) &&
            !(role == FV_CONV_G && at_a_kink(k, o, i)))
            fail_msg("%s: argument %d, element %zu: %.9g, expected %.9g", text, (int)role, i, got,
                     want);
        o->value[role][i] = got;
    }
}

/* What the convolution makes, and then what is to be the sums of just that. */
static void compare(const struct fv_conv_key *k, struct operands *o)
{
    const enum fv_conv_role made = conv_reference_made(k);
    conv_reference(k, o->value, o->size);
    compare_role(k, o, made);
    conv_reference_sums(k, o->value, o->size);
    for (int role = 0; role < FV_CONV_ROLES; role++)
        if (role != (int)made && conv_reference_is_output(k, role) && o->at[role])
            compare_role(k, o, (enum fv_conv_role)role);
}

/* Every graph */

static const struct fv_conv_key shapes[] = {
    {.n = 2, .h = 9, .w = 7, .c = 8, .k = 16, .window = 3, .stride = 1, .pad = 1},
    {.n = 3, .h = 8, .w = 8, .c = 16, .k = 24, .window = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 7, .w = 10, .c = 24, .k = 8, .window = 1, .stride = 1, .pad = 0},
    {.n = 2, .h = 7, .w = 6, .c = 16, .k = 16, .window = 1, .stride = 2, .pad = 0},
    {.n = 1, .h = 14, .w = 11, .c = 8, .k = 40, .window = 7, .stride = 2, .pad = 3},
    {.n = 2, .h = 6, .w = 5, .c = 8, .k = 8, .window = 5, .stride = 1, .pad = 2},
    {.n = 2, .h = 9, .w = 8, .c = 8, .k = 8, .window = 3, .stride = 2, .pad = 0},
    {.n = 4, .h = 1, .w = 1, .c = 32, .k = 8, .window = 3, .stride = 1, .pad = 1},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void check_graph(struct fv_cudnn *c, struct fv_conv_key key, int graph, int type)
{
    const struct fv_plan_settings s = {.workspace_limit = (size_t)1 << 30};
    struct fv_cudnn_plan *p;
    struct operands o;
    key.graph = (enum fv_conv_graph)graph;
    key.type = (enum fv_cudnn_type)type;
    if (fv_cudnn_plan_find(&p, c, &key, &s) < 0)
        fail_msg("%s", fv_err_text());
    operands_new(&o, &key, p->workspace);
    if (fv_cudnn_plan_run(c, p, o.at, o.workspace) < 0)
        fail_msg("%s", fv_err_text());
    fv_cudnn_plan_free(&p); /* what was enqueued goes on without it */
    cudaStreamSynchronize(NULL);
    compare(&key, &o);
    operands_free(&o);
}

static void every_graph(void)
{
    struct fv_cudnn *c;
    assert_int_equal(fv_cudnn_open(&c, device), 0);
    for (int graph = 0; graph < FV_CONV_GRAPHS; graph++)
        for (int type = 0; type < FV_CUDNN_TYPES; type++)
            for (int i = 0; i < SHAPES; i++)
                check_graph(c, shapes[i], graph, type);
    fv_cudnn_close(&c);
}

static void test_graphs(void **state)
{
    (void)state;
    standin_cudnn_fuse_all();
    every_graph();
}

/* The library may as well sum and mask what it has not yet rounded for memory. */
static void test_graphs_wide(void **state)
{
    (void)state;
    standin_cudnn_fuse_all();
    standin_cudnn.wide = 1;
    every_graph();
}

/* The choice */

static const struct fv_conv_key a_conv = {
    .n = 2, .h = 6, .w = 6, .c = 8, .k = 8, .window = 3, .stride = 1, .pad = 1};

static struct fv_cudnn_plan *found(struct fv_cudnn *c, enum fv_conv_graph graph,
                                   enum fv_cudnn_type type, const struct fv_plan_settings *s)
{
    struct fv_cudnn_plan *p;
    struct fv_conv_key key = a_conv;
    key.graph = graph;
    key.type = type;
    if (fv_cudnn_plan_find(&p, c, &key, s) < 0)
        fail_msg("%s", fv_err_text());
    return p;
}

static void assert_choice(struct fv_cudnn_plan *p, int engine, int64_t knob, double us,
                          enum fv_plan_origin from)
{
    assert_int_equal(p->choice.engine, engine);
    assert_int_equal(p->choice.knobs, 1);
    assert_int_equal(p->choice.knob[0].value, knob);
    assert_true(fabs(p->choice.us - us) < 1e-3);
    assert_int_equal(p->from, from);
    fv_cudnn_plan_free(&p);
}

/* Not the quick ones that round, are compiled, are not repeatable or want too much; of the rest the quickest. */
static void test_choice(void **state)
{
    (void)state;
    const struct fv_plan_settings s = {.workspace_limit = (size_t)1 << 30};
    struct fv_cudnn *c;
    assert_int_equal(fv_cudnn_open(&c, device), 0);
    struct fv_cudnn_plan *p = found(c, FV_CONV_FORWARD, FV_CUDNN_F32, &s);
    assert_int_equal(p->offered, 12);
    assert_int_equal(p->workspace, 3072); /* of 3000 */
    assert_choice(p, 20, 2, 16, FV_PLAN_TIMED);
    assert_choice(found(c, FV_CONV_DGRAD, FV_CUDNN_F16, &s), 12, 1, 6, FV_PLAN_TIMED);
    assert_choice(found(c, FV_CONV_FORWARD_STATS, FV_CUDNN_F16, &s), 30, 2, 5, FV_PLAN_TIMED);
    const struct fv_plan_settings tight = {.workspace_limit = 400000};
    assert_choice(found(c, FV_CONV_DGRAD, FV_CUDNN_F16, &tight), 12, 0, 12, FV_PLAN_TIMED);
    fv_cudnn_close(&c);
}

/* Where there is no room to time in, the first that the library names and can be built. */
static void test_no_room_to_time(void **state)
{
    (void)state;
    const struct fv_plan_settings s = {.workspace_limit = (size_t)1 << 20};
    struct fv_cudnn *c;
    assert_int_equal(fv_cudnn_open(&c, device), 0);
    standin.memory_bytes = 2000;
    struct fv_cudnn_plan *p = found(c, FV_CONV_WGRAD, FV_CUDNN_F32, &s);
    assert_int_equal(p->from, FV_PLAN_HEURISTIC);
    assert_int_equal(p->choice.engine, 18);
    fv_cudnn_plan_free(&p);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    fv_cudnn_close(&c);
}

/* The fallback's engines are asked for where the first list has none. */
static void test_fallback(void **state)
{
    (void)state;
    const struct fv_plan_settings s = {.cache = NULL};
    struct fv_cudnn *c;
    assert_int_equal(fv_cudnn_open(&c, device), 0);
    standin_cudnn.configs = 0;
    struct fv_cudnn_plan *p = found(c, FV_CONV_WGRAD, FV_CUDNN_F32, &s);
    assert_int_equal(p->choice.engine, 0);
    assert_int_equal(p->choice.knobs, 0);
    fv_cudnn_plan_free(&p);
    fv_cudnn_close(&c);
}

static void refused(struct fv_cudnn *c, enum fv_conv_graph graph, enum fv_cudnn_type type,
                    const char *what)
{
    const struct fv_plan_settings s = {.workspace_limit = (size_t)1 << 30};
    struct fv_cudnn_plan *p;
    struct fv_conv_key key = a_conv;
    key.graph = graph;
    key.type = type;
    assert_int_equal(fv_cudnn_plan_find(&p, c, &key, &s), FV_EUNSUPPORTED);
    assert_null(p);
    if (!strstr(fv_err_text(), what))
        fail_msg("%s", fv_err_text());
}

static void test_no_plan(void **state)
{
    (void)state;
    struct fv_cudnn *c;
    assert_int_equal(fv_cudnn_open(&c, device), 0);
    refused(c, FV_CONV_FORWARD_STATS, FV_CUDNN_BF16,
            "cuDNN has no engine for forward+stats bf16 2x6x6x8 -> 8, 3x3/1 pad 1 on stand-in, "
            "sm_90, 1 SMs (1 offered)"); /* and that would be compiled */
    standin.sm = 75;
    refused(c, FV_CONV_FORWARD, FV_CUDNN_BF16, "(0 offered)");
    refused(c, FV_CONV_DGRAD_BN, FV_CUDNN_F16, "(0 offered)");
    static const struct standin_config faulty[] = {{17, {0}}, {18, {0}}};
    standin_cudnn.config = faulty;
    standin_cudnn.configs = 2;
    refused(c, FV_CONV_FORWARD, FV_CUDNN_F32, "(2 offered)");
    fv_cudnn_close(&c);
    standin_cudnn.create = CUDNN_STATUS_NOT_INITIALIZED;
    assert_int_equal(fv_cudnn_open(&c, device), FV_EBACKEND);
    assert_string_equal(fv_err_text(),
                        "cuDNN: opening the device: CUDNN_STATUS_NOT_INITIALIZED: no handle today");
    assert_null(c);
    assert_int_equal(fv_cudnn_describe(&c, "{\"deviceName\": \"x\", \"deviceVer\": 900, "
                                           "\"multiProcessorCount\": 1}"),
                     FV_EUNSUPPORTED);
}

/* The cache */

static char folder[64];

static int begin_cached(void **state)
{
    strcpy(folder, "/tmp/fv-plans-XXXXXX");
    return mkdtemp(folder) ? begin(state) : -1;
}

static char *only_file(void)
{
    DIR *d = opendir(folder);
    char *path = NULL;
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            assert_null(path);
            path = fv_format("%s/%s", folder, e->d_name);
        }
    closedir(d);
    assert_non_null(path);
    return path;
}

static int end_cached(void **state)
{
    char *path = only_file();
    unlink(path);
    free(path);
    assert_int_equal(rmdir(folder), 0);
    return end(state);
}

static void test_cache(void **state)
{
    (void)state;
    const struct fv_plan_settings s = {.cache = folder, .workspace_limit = (size_t)1 << 30};
    struct fv_cudnn *c;
    assert_int_equal(fv_cudnn_open(&c, device), 0);
    assert_choice(found(c, FV_CONV_FORWARD, FV_CUDNN_F32, &s), 20, 2, 16, FV_PLAN_TIMED);
    const long timed = standin_cudnn.run;
    assert_choice(found(c, FV_CONV_FORWARD, FV_CUDNN_F32, &s), 20, 2, 16, FV_PLAN_CACHED);
    assert_int_equal(standin_cudnn.run, timed); /* not timed again */
    char *path = only_file();
    static const char *const damage[] = {"", "{", "{\"plan\": 1}"};
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        assert_int_equal(fv_file_write(path, damage[i], strlen(damage[i])), 0);
        assert_choice(found(c, FV_CONV_FORWARD, FV_CUDNN_F32, &s), 20, 2, 16, FV_PLAN_TIMED);
        assert_choice(found(c, FV_CONV_FORWARD, FV_CUDNN_F32, &s), 20, 2, 16, FV_PLAN_CACHED);
    }
    free(path);
    fv_cudnn_close(&c);
}

/* What another library or another limit left: an engine that there is not, that is not for this graph or has no plan,
 * a knob out of range, a workspace too large. */
static void test_foreign_cache(void **state)
{
    (void)state;
    const struct fv_plan_settings s = {.cache = folder, .workspace_limit = (size_t)1 << 30};
    static const struct fv_plan_choice left[] = {
        {.engine = 4000},
        {.engine = 30},
        {.engine = 17},
        {.engine = 16},
        {.engine = 20, .knobs = 1, .knob = {{CUDNN_KNOB_TYPE_TILE_SIZE, 4}}},
        {.engine = 20, .knobs = 1, .knob = {{CUDNN_KNOB_TYPE_STAGES, 1}}},
    };
    struct fv_conv_key key = a_conv;
    struct fv_cudnn *c;
    assert_int_equal(fv_cudnn_open(&c, device), 0);
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        assert_int_equal(fv_plan_cache_write(folder, c, &key, &left[i]), 0);
        assert_choice(found(c, FV_CONV_FORWARD, FV_CUDNN_F32, &s), 20, 2, 16, FV_PLAN_TIMED);
    }
    fv_cudnn_close(&c);
}

/* A device's convolutions: a lowered op and its operands, on a stream of its own */

static void op_of(struct fv_low_op *op, const struct fv_conv_key *k)
{
    static const struct {
        enum fv_low_kind kind;
        enum fv_low_graph graph;
    } of[FV_CONV_GRAPHS] = {{FV_LOW_CONV, FV_LOW_GRAPH_PLAIN},
                            {FV_LOW_CONV_DGRAD, FV_LOW_GRAPH_PLAIN},
                            {FV_LOW_CONV_WGRAD, FV_LOW_GRAPH_PLAIN},
                            {FV_LOW_CONV, FV_LOW_GRAPH_STATS},
                            {FV_LOW_CONV, FV_LOW_GRAPH_PROLOGUE_STATS},
                            {FV_LOW_CONV_WGRAD, FV_LOW_GRAPH_WGRAD_PROLOGUE},
                            {FV_LOW_CONV_DGRAD, FV_LOW_GRAPH_DGRAD_BN}};
    *op = (struct fv_low_op){.kind = of[k->graph].kind,
                             .graph = of[k->graph].graph,
                             .shape = {.n = k->n,
                                       .in_h = k->h,
                                       .in_w = k->w,
                                       .in_c = k->c,
                                       .h = fv_conv_out_size(k, k->h),
                                       .w = fv_conv_out_size(k, k->w),
                                       .c = k->k,
                                       .window = k->window,
                                       .stride = k->stride,
                                       .pad = k->pad,
                                       .groups = 1}};
}

static void check_op(struct fv_gpu *g, const struct fv_conv_key *key)
{
    const struct fv_gpu_conv *conv, *again;
    void *arg[FV_LOW_ROLES] = {NULL};
    struct fv_low_op op;
    struct operands o;
    const enum fv_low_dtype type = conv_reference_type(key, FV_CONV_X);
    op_of(&op, key);
    if (fv_gpu_conv_find(g, &op, type, &conv) < 0)
        fail_msg("%s", fv_err_text());
    const long timed = standin_cudnn.run;
    assert_int_equal(fv_gpu_conv_find(g, &op, type, &again), 0);
    assert_ptr_equal(conv, again);
    assert_int_equal(standin_cudnn.run, timed);
    operands_new(&o, key, fv_gpu_conv_workspace(conv));
    for (int role = 0; role < FV_CONV_ROLES; role++) {
        const enum fv_low_role operand = fv_conv_operand(key, (enum fv_conv_role)role);
        if (operand < FV_LOW_ROLES && o.at[role])
            arg[operand] = o.at[role];
        else if (operand == FV_LOW_ROLES) { /* nobody asks for it: it goes to the workspace */
            cudaFree(o.at[role]);
            o.at[role] = NULL;
        }
    }
    if (fv_gpu_conv_run(g, conv, &op, arg, o.workspace) < 0)
        fail_msg("%s", fv_err_text());
    cudaStreamSynchronize(g->stream[FV_GPU_WORK]); /* and not the one where plans are timed */
    assert_int_equal(standin_cudnn.run, timed + 1);
    compare(key, &o);
    operands_free(&o);
}

static void test_device(void **state)
{
    (void)state;
    struct fv_gpu g = {.major = 9};
    standin_cudnn_fuse_all();
    assert_int_equal(fv_cudnn_open(&g.cudnn, device), 0);
    assert_int_equal(cudaStreamCreateWithFlags(&g.stream[FV_GPU_WORK], cudaStreamNonBlocking), 0);
    for (int graph = 0; graph < FV_CONV_GRAPHS; graph++)
        for (int type = 0; type < FV_CUDNN_TYPES; type++) {
            struct fv_conv_key key = shapes[1];
            key.graph = (enum fv_conv_graph)graph;
            key.type = (enum fv_cudnn_type)type;
            check_op(&g, &key);
        }
    fv__gpu_close_convs(&g);
    fv_cudnn_close(&g.cudnn);
    cudaStreamDestroy(g.stream[FV_GPU_WORK]);
}

/* A fused graph that takes longer than what it replaces is there, and is not taken. */
static void test_device_worth(void **state)
{
    (void)state;
    char text[300];
    for (int slower = 1; slower <= 10; slower += 9) {
        struct fv_gpu g = {.major = 9, .bytes_per_us = 4e6};
        struct fv_low_op op;
        struct fv_conv_key key = a_conv;
        key.graph = FV_CONV_DGRAD_BN;
        op_of(&op, &key);
        const struct fv_low_query q = {.graph = op.graph, .dtype = FV_LOW_F16, .shape = op.shape};
        standin_cudnn.fused_slower = slower;
        assert_int_equal(fv_cudnn_open(&g.cudnn, device), 0);
        assert_int_equal(fv_gpu_conv_can(&g, &q), slower == 1);
        assert_int_equal(fv_gpu_conv_slow(&g, 0, text, sizeof text), slower > 1);
        if (slower > 1)
            assert_string_equal(text, "data gradient+relu+bn fp16 2x6x6x8 -> 8, 3x3/1 pad 1: "
                                      "50 us, 8 us without");
        fv__gpu_close_convs(&g);
        fv_cudnn_close(&g.cudnn);
    }
}

/* A refusal is kept, with its words; groups are refused without asking. */
static void test_device_refusals(void **state)
{
    (void)state;
    struct fv_gpu g = {.major = 9};
    struct fv_low_op op;
    const struct fv_gpu_conv *conv;
    struct fv_conv_key key = a_conv;
    key.graph = FV_CONV_BN_WGRAD;
    op_of(&op, &key);
    const struct fv_low_query q = {
        .graph = op.graph, .dtype = FV_LOW_BF16, .shape = op.shape, .node = 0};
    assert_int_equal(fv_cudnn_open(&g.cudnn, device), 0);
    assert_false(fv_gpu_conv_can(&g, &q));
    standin_cudnn_fuse_all(); /* too late */
    assert_false(fv_gpu_conv_can(&g, &q));
    fv_err(FV_EIO, "another error");
    assert_int_equal(fv_gpu_conv_find(&g, &op, FV_LOW_BF16, &conv), FV_EUNSUPPORTED);
    assert_non_null(strstr(fv_err_text(), "bn+relu+weight gradient bf16 2x6x6x8 -> 8"));
    op.shape.groups = 2;
    assert_int_equal(fv_gpu_conv_find(&g, &op, FV_LOW_F16, &conv), FV_EUNSUPPORTED);
    assert_non_null(strstr(fv_err_text(), "2 groups"));
    fv__gpu_close_convs(&g);
    fv_cudnn_close(&g.cudnn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_graphs, begin, end),
        cmocka_unit_test_setup_teardown(test_graphs_wide, begin, end),
        cmocka_unit_test_setup_teardown(test_choice, begin, end),
        cmocka_unit_test_setup_teardown(test_no_room_to_time, begin, end),
        cmocka_unit_test_setup_teardown(test_fallback, begin, end),
        cmocka_unit_test_setup_teardown(test_no_plan, begin, end),
        cmocka_unit_test_setup_teardown(test_cache, begin_cached, end_cached),
        cmocka_unit_test_setup_teardown(test_foreign_cache, begin_cached, end_cached),
        cmocka_unit_test_setup_teardown(test_device, begin, end),
        cmocka_unit_test_setup_teardown(test_device_worth, begin, end),
        cmocka_unit_test_setup_teardown(test_device_refusals, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
