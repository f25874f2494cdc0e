/* SPDX-License-Identifier: MIT */
/* Engines: which graphs they take, what they say of themselves, and what the heuristics name. There is one of every
 * kind that a caller has to tell apart: too greedy, compiled at run time, rounding, not repeatable, without a plan,
 * without a run; fast and slow ones by their knob. */
#include "tests/cuda/standin/standin_cudnn_graph.h"

#include "tests/cuda/standin/standin.h"

#include <stdlib.h>
#include <string.h>

#define OP(n) CUDNN_BACKEND_OPERATION_##n##_DESCRIPTOR
enum { F32 = 1, BF16 = 2, F16 = 4, ALL = F32 | BF16 | F16 };
#define NUMERICAL(n) CUDNN_NUMERICAL_NOTE_##n
#define BEHAVIOUR(n) CUDNN_BEHAVIOR_NOTE_##n
#define TILE .knobs = 1, .knob = {{CUDNN_KNOB_TYPE_TILE_SIZE, 0, 3}}

static const struct standin_engine plenty[] = {
    {.index = 0, .types = ALL, .us = 90},
    {.index = 10,
     .types = ALL,
     .fused = ALL,
     .behaviours = 1,
     .behaviour = {BEHAVIOUR(RUNTIME_COMPILATION)},
     .us = 1,
     .fault = STANDIN_WRONG},
    {.index = 11,
     .types = F32,
     .numericals = 1,
     .numerical = {NUMERICAL(TENSOR_CORE)},
     .us = 3,
     .mantissa_bits = 10},
    {.index = 12,
     .types = BF16 | F16,
     .numericals = 1,
     .numerical = {NUMERICAL(TENSOR_CORE)},
     .us = 12,
     .workspace = 300000,
     TILE},
    {.index = 13,
     .types = F32,
     .numericals = 2,
     .numerical = {NUMERICAL(TENSOR_CORE), NUMERICAL(DOWN_CONVERT_INPUTS)},
     .us = 2,
     .mantissa_bits = 7},
    {.index = 14,
     .types = ALL,
     .fused = F16,
     .numericals = 1,
     .numerical = {NUMERICAL(NONDETERMINISTIC)},
     .us = 2,
     .fault = STANDIN_WRONG},
    {.index = 15,
     .types = ALL,
     .numericals = 2,
     .numerical = {NUMERICAL(WINOGRAD), NUMERICAL(WINOGRAD_TILE_6x6)},
     .us = 2,
     .mantissa_bits = 6},
    {.index = 16, .types = ALL, .fused = F16, .us = 1, .workspace = (int64_t)3 << 30},
    {.index = 17, .types = ALL, .fused = F16, .us = 1, .fault = STANDIN_NO_PLAN},
    {.index = 18, .types = ALL, .fused = F16, .us = 1, .fault = STANDIN_NO_RUN},
    {.index = 20,
     .types = ALL,
     .behaviours = 1,
     .behaviour = {BEHAVIOUR(SUPPORTS_CUDA_GRAPH_NATIVE_API)},
     .us = 48,
     .workspace = 1000,
     TILE},
    {.index = 30,
     .fused = F16,
     .numericals = 1,
     .numerical = {NUMERICAL(TENSOR_CORE)},
     .us = 15,
     .workspace = 70000,
     TILE},
};
static const struct standin_config named[] = {
    {16, {0}}, {10, {0}}, {13, {0}}, {11, {0}}, {14, {0}}, {15, {0}}, {17, {0}}, {18, {0}},
    {20, {0}}, {0, {0}},  {12, {1}}, {20, {2}}, {12, {0}}, {20, {1}}, {30, {0}}, {30, {2}}};
static const struct standin_config least[] = {{0, {0}}};
static struct standin_engine mine[sizeof plenty / sizeof plenty[0]];

#define LENGTH(a) ((int)(sizeof(a) / sizeof(a)[0]))
struct standin_cudnn standin_cudnn = {.version = 91900,
                                      .engine = plenty,
                                      .engines = LENGTH(plenty),
                                      .config = named,
                                      .configs = LENGTH(named),
                                      .fallback = least,
                                      .fallbacks = LENGTH(least)};

void standin_cudnn_reset(void)
{
    const long live = standin_cudnn.live;
    memcpy(mine, plenty, sizeof mine);
    standin_cudnn = (struct standin_cudnn){.version = 91900,
                                           .engine = mine,
                                           .engines = LENGTH(mine),
                                           .config = named,
                                           .configs = LENGTH(named),
                                           .fallback = least,
                                           .fallbacks = LENGTH(least),
                                           .live = live};
}

void standin_cudnn_fuse_all(void)
{
    standin_cudnn_reset();
    for (int i = 0; i < LENGTH(mine); i++)
        if (mine[i].index == 30) {
            mine[i].fused = ALL;
            mine[i].numericals = 0; /* not of TF32 */
        }
}

unsigned standin_type(cudnnDataType_t t)
{
    return t == CUDNN_DATA_FLOAT      ? F32
           : t == CUDNN_DATA_BFLOAT16 ? BF16
           : t == CUDNN_DATA_HALF     ? F16
                                      : 0;
}

/* Patterns */

struct step {
    cudnnBackendDescriptorType_t kind;
    int mode; /* of a pointwise */
};
#define PW(m)                                                                                      \
    {                                                                                              \
        OP(POINTWISE), CUDNN_POINTWISE_##m                                                         \
    }
static const struct {
    enum standin_pattern pattern;
    int steps;
    struct step step[7];
} patterns[] = {
    {STANDIN_CONV_STATS, 2, {{OP(CONVOLUTION_FORWARD), 0}, {OP(GEN_STATS), 0}}},
    {STANDIN_BN_CONV_STATS,
     5,
     {PW(MUL), PW(ADD), PW(RELU_FWD), {OP(CONVOLUTION_FORWARD), 0}, {OP(GEN_STATS), 0}}},
    {STANDIN_BN_WGRAD, 4, {PW(MUL), PW(ADD), PW(RELU_FWD), {OP(CONVOLUTION_BACKWARD_FILTER), 0}}},
    {STANDIN_DGRAD_BN,
     7,
     {{OP(CONVOLUTION_BACKWARD_DATA), 0},
      PW(SUB),
      PW(MUL),
      PW(MUL),
      PW(ADD),
      PW(RELU_BWD),
      {OP(BN_BWD_WEIGHTS), 0}}},
    {STANDIN_SINGLE_CONV, 1, {{OP(CONVOLUTION_FORWARD), 0}}},
    {STANDIN_SINGLE_CONV, 1, {{OP(CONVOLUTION_BACKWARD_DATA), 0}}},
    {STANDIN_SINGLE_CONV, 1, {{OP(CONVOLUTION_BACKWARD_FILTER), 0}}},
};

static int matches(const struct standin_program *p, int which)
{
    if (p->ops != patterns[which].steps)
        return 0;
    for (int i = 0; i < p->ops; i++) {
        const struct step *s = &patterns[which].step[i];
        if (p->op[i].kind != s->kind || (s->kind == OP(POINTWISE) && p->op[i].mode != s->mode))
            return 0;
    }
    return 1;
}

/* Every tensor of a whole image is of the convolution's type, and so are scale and shift in front of it; what is per
 * channel around statistics and batch norms is float; what is virtual is float or of the convolution's type. */
static int types_fit(const struct standin_program *p, enum standin_pattern pattern)
{
    for (int i = 0; i < p->tensors; i++) {
        const struct standin_tensor *t = &p->tensor[i];
        const int vector = t->dim[0] == 1 && t->dim[2] == 1 && t->dim[3] == 1;
        const int prologue = pattern == STANDIN_BN_CONV_STATS || pattern == STANDIN_BN_WGRAD;
        const int io = !vector || (prologue && t->made_by < 0);
        const int good = t->is_virtual ? t->type == CUDNN_DATA_FLOAT || t->type == p->io
                                       : t->type == (io ? p->io : CUDNN_DATA_FLOAT);
        if (!good)
            return 0;
    }
    return 1;
}

/* Engines with work on the operands want whole vectors of channels. */
static int channels_fit(const struct standin_program *p)
{
    for (int i = 0; i < p->tensors; i++)
        if (p->tensor[i].dim[1] % 8 != 0)
            return 0;
    return 1;
}

static int one_type(const struct standin_program *p)
{
    return p->tensor[0].type == p->io && p->tensor[1].type == p->io && p->tensor[2].type == p->io;
}

enum standin_pattern standin_cudnn_pattern(const struct standin_program *p)
{
    for (int i = 0; i < LENGTH(patterns); i++)
        if (matches(p, i)) {
            const enum standin_pattern found = patterns[i].pattern;
            const int fits =
                found == STANDIN_SINGLE_CONV ? one_type(p) : types_fit(p, found) && channels_fit(p);
            return fits ? found : STANDIN_NO_PATTERN;
        }
    return STANDIN_NO_PATTERN;
}

void standin_cudnn_drop_program(struct standin_program *p)
{
    if (p && --p->refs == 0)
        free(p);
}

static const struct standin_engine *engine_of(int64_t index)
{
    for (int i = 0; i < standin_cudnn.engines; i++)
        if (standin_cudnn.engine[i].index == index)
            return &standin_cudnn.engine[i];
    return NULL;
}

static int takes(const struct standin_engine *e, const struct standin_program *p)
{
    const unsigned types = p->pattern == STANDIN_SINGLE_CONV  ? e->types
                           : p->pattern == STANDIN_NO_PATTERN ? 0
                                                              : e->fused;
    if (standin.sm < 80 && (p->pattern != STANDIN_SINGLE_CONV || p->io == CUDNN_DATA_BFLOAT16))
        return 0;
    return (types & standin_type(p->io)) != 0;
}

/* Finalize */

static cudnnStatus_t make_engine(struct standin_desc *d)
{
    const int64_t index = standin_cudnn_int64(d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0);
    const struct standin_desc *graph = standin_cudnn_desc(d, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, 0);
    d->engine = engine_of(index);
    if (!d->engine)
        return standin_cudnn_refuse(CUDNN_STATUS_BAD_PARAM, "there is no engine %lld",
                                    (long long)index);
    if (!takes(d->engine, graph->program))
        return standin_cudnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN,
                                    "engine %lld does not take the graph", (long long)index);
    d->program = graph->program;
    d->program->refs++;
    return CUDNN_STATUS_SUCCESS;
}

static int64_t first_knob(const struct standin_desc *config)
{
    const struct standin_desc *k = standin_cudnn_desc(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, 0);
    return k ? standin_cudnn_int64(k, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0) : 0;
}

static cudnnStatus_t make_config(struct standin_desc *d)
{
    const struct standin_desc *engine = standin_cudnn_desc(d, CUDNN_ATTR_ENGINECFG_ENGINE, 0), *k;
    const struct standin_engine *e = d->engine = engine->engine;
    for (int i = 0; (k = standin_cudnn_desc(d, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, i)); i++) {
        const int type = standin_cudnn_enum(k, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE);
        const int64_t value = standin_cudnn_int64(k, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0);
        int good = 0;
        for (int j = 0; j < e->knobs; j++)
            good |= e->knob[j].type == type && value >= e->knob[j].min && value <= e->knob[j].max;
        if (!good)
            return standin_cudnn_refuse(CUDNN_STATUS_BAD_PARAM,
                                        "engine %lld has no knob %d of %lld", (long long)e->index,
                                        type, (long long)value);
    }
    d->program = engine->program;
    d->program->refs++;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t make_plan(struct standin_desc *d)
{
    const struct standin_desc *config =
        standin_cudnn_desc(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0);
    if (config->engine->fault == STANDIN_NO_PLAN)
        return standin_cudnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "engine %lld, on second thoughts",
                                    (long long)config->engine->index);
    d->engine = config->engine;
    d->program = config->program;
    d->program->refs++;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t standin_cudnn_plan(struct standin_desc *d)
{
    return d->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR           ? make_engine(d)
           : d->type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR      ? make_config(d)
           : d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ? make_plan(d)
                                                                : CUDNN_STATUS_SUCCESS;
}

/* Answers */

/* Makes `to` a finished knob choice. */
static void give_knob(struct standin_desc *to, int type, int64_t value)
{
    standin_cudnn_keep(to, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
    standin_cudnn_keep(to, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &value);
    to->final = 1;
}

/* Makes `to` a finished engine for that graph. */
static void give_engine(struct standin_desc *to, const struct standin_engine *e,
                        struct standin_program *p)
{
    standin_cudnn_keep(to, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &e->index);
    to->engine = e;
    to->program = p;
    p->refs++;
    to->final = 1;
}

/* Makes `to` a finished configuration. Its knobs are known by the choice alone, until they are asked for. */
static void give_config(struct standin_desc *to, const struct standin_config *c,
                        struct standin_program *p)
{
    to->engine = engine_of(c->engine);
    to->config = c;
    to->program = p;
    p->refs++;
    to->final = 1;
}

static cudnnStatus_t give_results(const struct standin_desc *d, int64_t asked, int64_t *count,
                                  struct standin_desc **out)
{
    struct standin_program *p =
        standin_cudnn_desc(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 0)->program;
    const int mode = standin_cudnn_enum(d, CUDNN_ATTR_ENGINEHEUR_MODE);
    const int back = mode == CUDNN_HEUR_MODE_FALLBACK;
    const struct standin_config *c = back ? standin_cudnn.fallback : standin_cudnn.config;
    const int n = back ? standin_cudnn.fallbacks : standin_cudnn.configs;
    int64_t found = 0;
    for (int i = 0; i < n; i++) {
        if (!takes(engine_of(c[i].engine), p))
            continue;
        if (found < asked)
            give_config(out[found], &c[i], p);
        found++;
    }
    if (count)
        *count = asked > 0 && found > asked ? asked : found;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t give(const void *values, int64_t have, size_t item, int64_t asked,
                          int64_t *count, void *out)
{
    if (count)
        *count = have;
    if (asked > 0 && have > 0)
        memcpy(out, values, (size_t)(have < asked ? have : asked) * item);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t give_knobs(const struct standin_desc *d, int64_t asked, int64_t *count,
                                struct standin_desc **out)
{
    const int64_t have = d->config ? d->engine->knobs : 0;
    for (int64_t i = 0; i < have && i < asked; i++)
        give_knob(out[i], d->engine->knob[i].type, d->config->knob[i]);
    return give(NULL, have, 0, 0, count, NULL);
}

static cudnnStatus_t give_workspace(const struct standin_desc *d, int64_t asked, int64_t *count,
                                    void *out)
{
    const int64_t bytes =
        d->engine->workspace *
        (1 + first_knob(standin_cudnn_desc(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0)));
    return give(&bytes, 1, sizeof bytes, asked, count, out);
}

double standin_cudnn_us(const struct standin_desc *plan)
{
    const struct standin_desc *config =
        standin_cudnn_desc(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0);
    const double us = plan->engine->us / (double)(1 + first_knob(config));
    return plan->program->pattern != STANDIN_SINGLE_CONV && standin_cudnn.fused_slower > 0
               ? us * standin_cudnn.fused_slower
               : us;
}

cudnnStatus_t standin_cudnn_answer(struct standin_desc *d, int name, int64_t asked, int64_t *count,
                                   void *out)
{
    const struct standin_attr *a = standin_cudnn_find(d, name);
    struct standin_desc **to = out;
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        return give_results(d, asked, count, to);
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        return give(d->engine->numerical, d->engine->numericals, sizeof(int), asked, count, out);
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
        return give(d->engine->behaviour, d->engine->behaviours, sizeof(int), asked, count, out);
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        if (asked > 0)
            give_engine(to[0], d->engine, d->program);
        return give(NULL, 1, 0, 0, count, NULL);
    case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:
        return give_knobs(d, asked, count, to);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        return give_workspace(d, asked, count, out);
    default: /* as it was set */
        return give(a->value, a->count, a->type == CUDNN_TYPE_INT64 ? sizeof(int64_t) : sizeof(int),
                    asked, count, out);
    }
}
