/* SPDX-License-Identifier: MIT */
/* A plan: the list of steps, the buffers they work on, and running it.
 *
 * While a net is lowered a buffer is only a number with a size and the range of steps that touch it. At the end all
 * of them are packed into one arena: largest first, each at the lowest place where no buffer that lives at the same
 * time lies. That keeps what is alive compact, and with it in the cache.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/clock.h"
#include "common/err.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, PAGE = 4096 };

int fv__cpu_fail(struct fv__cpu_plan *plan, int code)
{
    if (!plan->error)
        plan->error = code;
    return -1;
}

/* Makes room for one more item in a list; a new item is zeroed. Lists double at powers of two. */
static void *append(struct fv__cpu_plan *plan, void *list, int *used, size_t item)
{
    void *grown = *(void **)list;
    if (plan->error)
        return NULL;
    if (*used == 0 || (*used >= 16 && (*used & (*used - 1)) == 0))
        grown = realloc(grown, (*used == 0 ? 16 : 2 * (size_t)*used) * item);
    if (!grown) {
        fv__cpu_fail(plan, fv_err(FV_ENOMEM, "backend cpu: out of memory"));
        return NULL;
    }
    *(void **)list = grown;
    void *fresh = (char *)grown + (size_t)(*used)++ * item;
    memset(fresh, 0, item);
    return fresh;
}
#define APPEND(plan, list, used) append(plan, &(plan)->list, &(plan)->used, sizeof *(plan)->list)

int fv__cpu_plan_new(struct fv__cpu_plan **out, struct fv_program *p, int n, int training)
{
    struct fv__cpu_plan *plan = *out = calloc(1, sizeof *plan);
    if (plan)
        plan->value = calloc((size_t)p->net->nodes, sizeof *plan->value);
    if (!plan || !plan->value) {
        fv__cpu_plan_free(out);
        return fv_err(FV_ENOMEM, "backend cpu: out of memory");
    }
    plan->program = p;
    plan->n = n;
    plan->training = training;
    for (int i = 0; i < p->net->nodes; i++)
        plan->value[i].buffer = plan->value[i].kept_grad = -1;
    return 0;
}

void fv__cpu_plan_free(struct fv__cpu_plan **out)
{
    struct fv__cpu_plan *plan = *out;
    if (!plan)
        return;
    for (int i = 0; i < plan->memories; i++)
        if (plan->memory[i].memory)
            dnnl_memory_destroy(plan->memory[i].memory);
    for (int i = 0; i < plan->ops; i++)
        fv__dnn_op_free(&plan->op[i]);
    for (int i = 0; i < plan->mds; i++)
        fv__dnn_md_free(&plan->md[i]);
    free(plan->value);
    free(plan->buffer);
    free(plan->step);
    free(plan->memory);
    free(plan->op);
    free(plan->md);
    free(plan->arena);
    free(plan);
    *out = NULL;
}

const struct fv_node *fv__cpu_node(const struct fv__cpu_plan *plan, int node)
{
    return &plan->program->net->node[node];
}

struct fv__dnn_md *fv__cpu_own_md(struct fv__cpu_plan *plan, struct fv__dnn_md *md)
{
    struct fv__dnn_md **entry = APPEND(plan, md, mds);
    if (!entry) {
        fv__dnn_md_free(&md);
        return NULL;
    }
    return *entry = md;
}

struct fv__dnn_md *fv__cpu_md(struct fv__cpu_plan *plan, int ndim, const int *dim,
                              enum fv__dnn_layout layout)
{
    struct fv__dnn_md *md = NULL;
    if (plan->error)
        return NULL;
    int rc = fv__dnn_md_new(&md, ndim, dim, layout);
    if (rc < 0)
        fv__cpu_fail(plan, rc);
    return rc < 0 ? NULL : fv__cpu_own_md(plan, md);
}

struct fv__dnn_md *fv__cpu_op_md(struct fv__cpu_plan *plan, const struct fv__dnn_op *op,
                                 dnnl_query_t what)
{
    struct fv__dnn_md *md = NULL;
    if (plan->error)
        return NULL;
    int rc = fv__dnn_op_md(&md, op, what);
    if (rc < 0)
        fv__cpu_fail(plan, rc);
    return rc < 0 ? NULL : fv__cpu_own_md(plan, md);
}

int fv__cpu_buffer_new(struct fv__cpu_plan *plan, size_t bytes)
{
    struct fv__cpu_buffer *b = APPEND(plan, buffer, buffers);
    if (!b)
        return -1;
    *b = (struct fv__cpu_buffer){
        .bytes = (bytes + LINE - 1) / LINE * LINE, .first = INT_MAX, .last = -1};
    return plan->buffers - 1;
}

int fv__cpu_buffer_for(struct fv__cpu_plan *plan, const struct fv__dnn_md *md)
{
    return plan->error ? -1 : fv__cpu_buffer_new(plan, fv__dnn_md_bytes(md));
}

struct fv__cpu_place fv__cpu_in_buffer(int buffer)
{
    return (struct fv__cpu_place){FV_CPU_BUFFER, buffer};
}

struct fv__cpu_place fv__cpu_in_weight(int slot)
{
    return (struct fv__cpu_place){FV_CPU_WEIGHT, slot};
}

/* The newest step uses what is at `place`. */
static void touch(struct fv__cpu_plan *plan, struct fv__cpu_place place)
{
    int step = plan->steps - 1;
    if (place.space != FV_CPU_BUFFER)
        return;
    struct fv__cpu_buffer *b = &plan->buffer[place.index];
    if (step < b->first)
        b->first = step;
    if (step > b->last)
        b->last = step;
}

void fv__cpu_arg(struct fv__cpu_plan *plan, int arg, const struct fv__dnn_md *md,
                 struct fv__cpu_place place)
{
    struct fv__cpu_memory *m = APPEND(plan, memory, memories);
    if (!m)
        return;
    int rc = fv__dnn_memory_new(&m->memory, plan->program->device->engine, md);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    m->place = place;
    touch(plan, place);
    struct fv__cpu_step *s = &plan->step[plan->steps - 1];
    s->arg[s->args++] = (dnnl_exec_arg_t){arg, m->memory};
}

void fv__cpu_step_op(struct fv__cpu_plan *plan, int node, int backward, struct fv__dnn_op op)
{
    struct fv__dnn_op *own = APPEND(plan, op, ops);
    struct fv__cpu_step *s = own ? APPEND(plan, step, steps) : NULL;
    if (own)
        *own = op;
    else
        fv__dnn_op_free(&op);
    if (!s)
        return;
    s->node = node;
    s->backward = backward;
    s->primitive = op.primitive;
    struct fv__dnn_md *scratch = fv__cpu_op_md(plan, &op, dnnl_query_scratchpad_md);
    if (!scratch || fv__dnn_md_bytes(scratch) == 0)
        return;
    int buffer = fv__cpu_buffer_new(plan, fv__dnn_scratchpad_bytes(scratch));
    fv__cpu_arg(plan, DNNL_ARG_SCRATCHPAD, scratch, fv__cpu_in_buffer(buffer));
}

struct fv__cpu_step *
fv__cpu_step_loop(struct fv__cpu_plan *plan, int node, int backward,
                  void (*loop)(const struct fv__cpu_step *, struct fv__cpu_run *), size_t count)
{
    struct fv__cpu_step *s = APPEND(plan, step, steps);
    if (!s)
        return NULL;
    s->node = node;
    s->backward = backward;
    s->loop = loop;
    s->count = count;
    return s;
}

void fv__cpu_operand(struct fv__cpu_plan *plan, struct fv__cpu_place place)
{
    if (plan->error)
        return;
    struct fv__cpu_step *s = &plan->step[plan->steps - 1];
    s->place[s->operands++] = place;
    touch(plan, place);
}

void fv__cpu_copy(struct fv__cpu_plan *plan, int node, int backward, struct fv__cpu_place place,
                  const struct fv__dnn_md *from, struct fv__cpu_place to_place,
                  const struct fv__dnn_md *to)
{
    struct fv__dnn_op op = {0};
    if (plan->error)
        return;
    int rc = fv__dnn_reorder(&op, plan->program->device->engine, from, to);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    fv__cpu_step_op(plan, node, backward, op);
    fv__cpu_arg(plan, DNNL_ARG_FROM, from, place);
    fv__cpu_arg(plan, DNNL_ARG_TO, to, to_place);
}

struct fv__cpu_place fv__cpu_convert(struct fv__cpu_plan *plan, int node, int backward,
                                     struct fv__cpu_place place, const struct fv__dnn_md *from,
                                     const struct fv__dnn_md *to)
{
    if (plan->error || fv__dnn_md_equal(from, to))
        return place;
    struct fv__cpu_place copy = fv__cpu_in_buffer(fv__cpu_buffer_for(plan, to));
    fv__cpu_copy(plan, node, backward, place, from, copy, to);
    return copy;
}

static int larger_first(const void *a, const void *b)
{
    const struct fv__cpu_buffer *x = *(struct fv__cpu_buffer *const *)a;
    const struct fv__cpu_buffer *y = *(struct fv__cpu_buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

/* Places order[i] among the i buffers before it, which are placed. */
static void place_buffer(struct fv__cpu_buffer **order, int i)
{
    struct fv__cpu_buffer *b = order[i];
    for (int k = 0; k < i; k++) {
        const struct fv__cpu_buffer *o = order[k];
        if (o->first <= b->last && b->first <= o->last && o->offset < b->offset + b->bytes &&
            b->offset < o->offset + o->bytes) {
            b->offset = o->offset + o->bytes;
            k = -1; /* those passed may be in the way now */
        }
    }
}

static int place_buffers(struct fv__cpu_plan *plan)
{
    struct fv__cpu_buffer **order =
        calloc((size_t)plan->buffers + 1, sizeof(struct fv__cpu_buffer *));
    if (!order)
        return fv_err(FV_ENOMEM, "backend cpu: out of memory");
    for (int i = 0; i < plan->buffers; i++) {
        struct fv__cpu_buffer *b = order[i] = &plan->buffer[i];
        if (plan->program->device->keep)
            *b = (struct fv__cpu_buffer){.bytes = b->bytes, .first = 0, .last = INT_MAX};
    }
    qsort(order, (size_t)plan->buffers, sizeof *order, larger_first);
    for (int i = 0; i < plan->buffers; i++) {
        place_buffer(order, i);
        if (order[i]->offset + order[i]->bytes > plan->arena_bytes)
            plan->arena_bytes = order[i]->offset + order[i]->bytes;
    }
    free(order);
    return 0;
}

float *fv__cpu_address(const struct fv__cpu_plan *plan, struct fv__cpu_place place)
{
    const struct fv_program *p = plan->program;
    if (place.space == FV_CPU_BUFFER)
        return (float *)(void *)(plan->arena + plan->buffer[place.index].offset);
    return (place.space == FV_CPU_WEIGHT ? p->weight : p->grad) + p->slot[place.index].offset;
}

int fv__cpu_plan_commit(struct fv__cpu_plan *plan)
{
    FV_TRY(plan->error);
    FV_TRY(place_buffers(plan));
    plan->arena_bytes = (plan->arena_bytes + PAGE - 1) / PAGE * PAGE + PAGE;
    plan->arena = aligned_alloc(PAGE, plan->arena_bytes);
    if (!plan->arena)
        return fv_err(FV_ENOMEM, "%s: no memory for %zu MB of activations: use a smaller batch",
                      plan->program->net->arch, plan->arena_bytes >> 20);
    memset(plan->arena, 0, plan->arena_bytes);
    for (int i = 0; i < plan->memories; i++) {
        struct fv__cpu_memory *m = &plan->memory[i];
        FV_TRY(fv__dnn_fail(dnnl_memory_set_data_handle(m->memory, fv__cpu_address(plan, m->place)),
                            "memory"));
    }
    for (int i = 0; i < plan->steps; i++)
        for (int k = 0; k < plan->step[i].operands; k++)
            plan->step[i].data[k] = fv__cpu_address(plan, plan->step[i].place[k]);
    return 0;
}

int fv__cpu_plan_run(struct fv__cpu_plan *plan, struct fv__cpu_run *run)
{
    uint64_t now = fv_now_ns();
    for (int i = 0; i < plan->steps; i++) {
        struct fv__cpu_step *s = &plan->step[i];
        if (s->loop) {
            s->loop(s, run);
            FV_TRY(run->error);
        } else {
            FV_TRY(fv__dnn_fail(dnnl_primitive_execute(s->primitive, plan->program->device->stream,
                                                       s->args, s->arg),
                                fv_node_names[plan->program->net->node[s->node].kind]));
        }
        uint64_t then = now;
        now = fv_now_ns();
        s->ns = now - then;
    }
    return fv__dnn_fail(dnnl_stream_wait(plan->program->device->stream), "stream");
}
