/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/cudnn_plan.h"

#include "common/err.h"

#include <cudnn.h>
#include <stdlib.h>
#include <string.h>

enum { HEURISTICS = 64, ENGINES = 4096, WORKSPACE_ALIGN = 256 };

struct candidates {
    struct fv_plan_choice choice[FV_PLAN_CANDIDATES];
    int count, offered, compiled;
};

void fv_cudnn_plan_free(struct fv_cudnn_plan **p)
{
    if (!p || !*p)
        return;
    fv__cudnn_graph_free(&(*p)->graph);
    free(*p);
    *p = NULL;
}

/* A plan of a choice, wherever that is from: cuDNN judges it here. */

static void set_knobs(struct fv__cudnn_graph *g, fv__cudnn_desc config,
                      const struct fv_plan_choice *choice)
{
    fv__cudnn_desc knob[FV_PLAN_KNOBS];
    for (int i = 0; i < choice->knobs; i++) {
        cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)choice->knob[i].type;
        knob[i] = fv__cudnn_make(g, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        fv__cudnn_set(g, knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
        fv__cudnn_set(g, knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
                      &choice->knob[i].value);
        fv__cudnn_finish(g, knob[i], "a knob");
    }
    if (choice->knobs > 0)
        fv__cudnn_set(g, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                      choice->knobs, knob);
}

static void finish_plan(struct fv_cudnn_plan *p, const struct fv_cudnn *c)
{
    struct fv__cudnn_graph *g = &p->graph;
    const int64_t engine_index = p->choice.engine;
    int64_t bytes = 0, count = 0;
    fv__cudnn_desc engine = fv__cudnn_make(g, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    fv__cudnn_set(g, engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                  &g->graph);
    fv__cudnn_set(g, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &engine_index);
    if (c->description)
        fv__cudnn_set(g, engine, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                      &c->description);
    fv__cudnn_finish(g, engine, "the engine");
    fv__cudnn_desc config = fv__cudnn_make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    fv__cudnn_set(g, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                  &engine);
    set_knobs(g, config, &p->choice);
    fv__cudnn_finish(g, config, "the engine's configuration");
    p->plan = fv__cudnn_make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (c->handle)
        fv__cudnn_set(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                      &c->handle);
    if (c->description)
        fv__cudnn_set(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c->description);
    fv__cudnn_set(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
    fv__cudnn_finish(g, p->plan, "the plan");
    if (!g->error)
        g->error = fv__cudnn_check(
            (int)cudnnBackendGetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                          CUDNN_TYPE_INT64, 1, &count, &bytes),
            "the plan's workspace");
    p->workspace =
        bytes > 0 ? ((size_t)bytes + WORKSPACE_ALIGN - 1) / WORKSPACE_ALIGN * WORKSPACE_ALIGN : 0;
}

static int plan_of_choice(struct fv_cudnn_plan **out, const struct fv_cudnn *c,
                          const struct fv_conv_key *key, const struct fv_plan_choice *choice)
{
    struct fv_cudnn_plan *p = *out = calloc(1, sizeof *p);
    if (!p)
        return fv_err(FV_ENOMEM, "cuDNN: out of memory");
    p->key = *key;
    p->choice = *choice;
    int rc = fv__cudnn_graph_make(&p->graph, c, key);
    if (rc == 0) {
        finish_plan(p, c);
        rc = p->graph.error;
    }
    if (rc < 0)
        fv_cudnn_plan_free(out);
    return rc;
}

/* What the heuristics offer */

/* Bit i: the engine has note i. */
static unsigned notes_of(fv__cudnn_desc engine, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type)
{
    int note[32];
    int64_t count = 0;
    unsigned set = 0;
    if (cudnnBackendGetAttribute(engine, name, type, 16, &count, note) != CUDNN_STATUS_SUCCESS)
        return ~0u;
    for (int64_t i = 0; i < count && i < 16; i++)
        if (note[i] >= 0 && note[i] < 31)
            set |= 1u << note[i];
    return set;
}

#define NOTE(n) (1u << CUDNN_NUMERICAL_NOTE_##n)
static int rounds_as_it_should(unsigned notes, enum fv_cudnn_type type)
{
    unsigned bad = NOTE(DOWN_CONVERT_INPUTS) | NOTE(REDUCED_PRECISION_REDUCTION) | NOTE(FFT) |
                   NOTE(NONDETERMINISTIC) | NOTE(WINOGRAD_TILE_6x6) | NOTE(WINOGRAD_TILE_13x13);
    if (type == FV_CUDNN_F32)
        bad |= NOTE(TENSOR_CORE); /* these round fp32 to TF32 */
    return !(notes & bad);
}

static int read_knobs(fv__cudnn_desc config, struct fv_plan_choice *choice)
{
    fv__cudnn_desc knob[FV_PLAN_KNOBS] = {NULL};
    int64_t count = 0, one = 0;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    for (int i = 0; i < FV_PLAN_KNOBS && status == CUDNN_STATUS_SUCCESS; i++)
        status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knob[i]);
    if (status == CUDNN_STATUS_SUCCESS)
        status =
            cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, FV_PLAN_KNOBS, &count, knob);
    choice->knobs = (int)(count < FV_PLAN_KNOBS ? count : FV_PLAN_KNOBS);
    for (int i = 0; i < choice->knobs && status == CUDNN_STATUS_SUCCESS; i++) {
        cudnnBackendKnobType_t type = CUDNN_KNOB_TYPE_COUNTS;
        status = cudnnBackendGetAttribute(knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE,
                                          CUDNN_TYPE_KNOB_TYPE, 1, &one, &type);
        choice->knob[i].type = (int)type;
        if (status == CUDNN_STATUS_SUCCESS)
            status = cudnnBackendGetAttribute(knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE,
                                              CUDNN_TYPE_INT64, 1, &one, &choice->knob[i].value);
    }
    for (int i = 0; i < FV_PLAN_KNOBS; i++)
        if (knob[i])
            cudnnBackendDestroyDescriptor(knob[i]);
    return status == CUDNN_STATUS_SUCCESS && count <= FV_PLAN_KNOBS;
}

/* Takes one configuration among the candidates if it will do. */
static void consider(struct candidates *found, fv__cudnn_desc config, enum fv_cudnn_type type)
{
    struct fv_plan_choice *choice = &found->choice[found->count];
    fv__cudnn_desc engine = NULL;
    int64_t index = -1, count = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) !=
        CUDNN_STATUS_SUCCESS)
        return;
    *choice = (struct fv_plan_choice){0};
    if (cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                 1, &count, &engine) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                 &count, &index) == CUDNN_STATUS_SUCCESS &&
        index >= 0 && index < ENGINES) {
        unsigned behaviour =
            notes_of(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE);
        unsigned numbers =
            notes_of(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE);
        int compiled = (behaviour >> CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION & 1u) != 0;
        choice->engine = (int)index;
        found->offered++;
        found->compiled += compiled;
        if (!compiled && rounds_as_it_should(numbers, type) && read_knobs(config, choice))
            found->count++;
    }
    cudnnBackendDestroyDescriptor(engine);
}

static int ask_heuristics(struct candidates *found, fv__cudnn_desc heuristics,
                          const struct fv_conv_key *key)
{
    fv__cudnn_desc config[HEURISTICS] = {NULL};
    int64_t count = 0;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    for (int i = 0; i < HEURISTICS && status == CUDNN_STATUS_SUCCESS; i++)
        status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config[i]);
    if (status == CUDNN_STATUS_SUCCESS)
        status =
            cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, HEURISTICS, &count, config);
    int rc = fv__cudnn_check((int)status, "heuristics");
    for (int64_t i = 0; rc == 0 && i < count && i < HEURISTICS; i++)
        if (found->count < FV_PLAN_CANDIDATES)
            consider(found, config[i], key->type);
    for (int i = 0; i < HEURISTICS; i++)
        if (config[i])
            cudnnBackendDestroyDescriptor(config[i]);
    return rc;
}

static int find_candidates(struct candidates *found, const struct fv_cudnn *c,
                           const struct fv_conv_key *key, cudnnBackendHeurMode_t mode)
{
    struct fv__cudnn_graph g;
    FV_TRY(fv__cudnn_graph_make(&g, c, key));
    fv__cudnn_desc heuristics = fv__cudnn_make(&g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    fv__cudnn_set(&g, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g.graph);
    fv__cudnn_set(&g, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (c->description)
        fv__cudnn_set(&g, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c->description);
    fv__cudnn_finish(&g, heuristics, "heuristics");
    int rc = g.error ? g.error : ask_heuristics(found, heuristics, key);
    fv__cudnn_graph_free(&g);
    return rc;
}

/* The choice */

static int fits(const struct fv_cudnn_plan *p, const struct fv_plan_settings *s)
{
    return s->workspace_limit == 0 || p->workspace <= s->workspace_limit;
}

/* The best of the candidates: by the clock on a device, else the first that cuDNN builds. */
static int choose(struct fv_cudnn_plan **out, struct fv_cudnn *c, const struct fv_conv_key *key,
                  const struct candidates *found, const struct fv_plan_settings *s)
{
    for (int i = 0; i < found->count; i++) {
        struct fv_cudnn_plan *p;
        if (plan_of_choice(&p, c, key, &found->choice[i]) < 0)
            continue;
        const int timed = fits(p, s) && c->handle ? fv__cudnn_time(c, p, &p->choice.us) : 0;
        p->from = c->handle && timed == 0 ? FV_PLAN_TIMED : FV_PLAN_HEURISTIC;
        if (!fits(p, s) || (timed < 0 && (timed != FV_ENOMEM || *out)) ||
            (*out && (*out)->choice.us <= p->choice.us)) {
            fv_cudnn_plan_free(&p);
            continue;
        }
        fv_cudnn_plan_free(out);
        *out = p;
        if (!c->handle || timed < 0) /* the first that cuDNN names */
            break;
    }
    return *out != NULL;
}

int fv_cudnn_plan_find(struct fv_cudnn_plan **out, struct fv_cudnn *c,
                       const struct fv_conv_key *key, const struct fv_plan_settings *s)
{
    struct candidates found = {.count = 0};
    struct fv_plan_choice cached;
    char text[160];
    *out = NULL;
    fv_conv_key_text(key, text, sizeof text);
    if (s->cache && fv_plan_cache_read(s->cache, c, key, &cached) &&
        plan_of_choice(out, c, key, &cached) == 0) {
        (*out)->from = FV_PLAN_CACHED;
        if (fits(*out, s))
            return 0;
        fv_cudnn_plan_free(out);
    }
    int rc = find_candidates(&found, c, key, CUDNN_HEUR_MODE_A);
    if (rc == 0 && found.count == 0)
        rc = find_candidates(&found, c, key, CUDNN_HEUR_MODE_FALLBACK);
    if (rc < 0 || found.count == 0 || !choose(out, c, key, &found, s))
        return fv_err(FV_EUNSUPPORTED, "cuDNN has no engine for %s on %s (%d offered%s%s)", text,
                      c->device, found.offered, rc < 0 ? "; " : "", rc < 0 ? fv_err_text() : "");
    (*out)->offered = found.offered;
    (*out)->compiled = found.compiled;
    if (s->cache && (!c->handle || (*out)->from == FV_PLAN_TIMED)) /* the plan is good without it */
        (void)fv_plan_cache_write(s->cache, c, key, &(*out)->choice);
    return 0;
}

int fv_cudnn_set_stream(struct fv_cudnn *c, void *stream)
{
    return fv__cudnn_check((int)cudnnSetStream(c->handle, stream), "binding a stream");
}

int fv_cudnn_plan_run(struct fv_cudnn *c, const struct fv_cudnn_plan *p,
                      void *const arg[FV_CONV_ROLES], void *workspace)
{
    int64_t id[FV_CONV_ROLES];
    void *address[FV_CONV_ROLES];
    int64_t count = 0;
    for (int role = 0; role < FV_CONV_ROLES; role++)
        if (fv_conv_role_bytes(&p->key, role) > 0) {
            id[count] = role;
            address[count++] = arg[role];
        }
    struct fv__cudnn_graph g = {.count = 0};
    fv__cudnn_desc pack = fv__cudnn_make(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    fv__cudnn_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, id);
    fv__cudnn_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
                  address);
    fv__cudnn_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    fv__cudnn_finish(&g, pack, "the arguments");
    int rc = g.error;
    if (rc == 0)
        rc = fv__cudnn_check((int)cudnnBackendExecute(c->handle, p->plan, pack), "a convolution");
    fv__cudnn_graph_free(&g);
    return rc;
}
