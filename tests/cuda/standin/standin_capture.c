/* SPDX-License-Identifier: MIT */
/* Captured graphs: nodes with the edges that streams and events made, not the order in which they came. A launch is one
 * item of its stream, which does one node at a time, any of those that the edges allow. */
#include "tests/cuda/standin/standin_inside.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CAPTURES = 8 };

struct node {
    struct standin_work work;
    struct standin_nodes behind;
};
/* What a capture makes; a graph and what it is instantiated to are the same thing, with a count of who has it. */
struct CUgraph_st {
    struct node *node;
    int count, room, references;
};
struct CUgraphExec_st {
    struct CUgraph_st *graph;
    struct standin_mark *last; /* launches come one after the other */
    int references;
};
struct standin_capture {
    struct CUgraph_st *graph;
    struct CUstream_st *origin;
    pthread_t thread;
    unsigned long long id;
};
static struct standin_capture capture[CAPTURES];
static unsigned long long captures_made;

static void add(struct standin_nodes *to, int node)
{
    for (int i = 0; i < to->count; i++)
        if (to->node[i] == node)
            return;
    to->node = realloc(to->node, (size_t)(to->count + 1) * sizeof *to->node);
    to->node[to->count++] = node;
}

static void add_all(struct standin_nodes *to, const struct standin_nodes *from)
{
    for (int i = 0; i < from->count; i++)
        add(to, from->node[i]);
}

static void drop_graph(struct CUgraph_st *g)
{
    if (--g->references > 0)
        return;
    for (int i = 0; i < g->count; i++) {
        if (g->node[i].work.drop)
            g->node[i].work.drop(g->node[i].work.ctx);
        free(g->node[i].behind.node);
    }
    free(g->node);
    free(g);
}

/* While capturing */

int standin__captures(void)
{
    for (int i = 0; i < CAPTURES; i++)
        if (capture[i].graph)
            return 1;
    return 0;
}

void standin__may_not_capture(const char *call)
{
    for (int i = 0; i < CAPTURES; i++)
        if (capture[i].graph && pthread_equal(capture[i].thread, pthread_self()))
            standin_fail("%s while this thread captures a stream", call);
}

int standin__captured(struct CUstream_st *q, struct standin_work w)
{
    if (!q->capture) {
        for (struct CUstream_st *s = standin__queues(); s && q->number == 0; s = s->next)
            if (s->capture && s->blocking)
                standin_fail("%s is asked of the default stream while a stream that waits for it "
                             "is captured",
                             w.what);
        return 0;
    }
    struct CUgraph_st *g = q->capture->graph;
    if (g->count == g->room) {
        g->room = 2 * g->room + 64;
        g->node = realloc(g->node, (size_t)g->room * sizeof *g->node);
    }
    g->node[g->count] = (struct node){.work = w};
    add_all(&g->node[g->count].behind, &q->behind);
    q->behind.count = 0;
    add(&q->behind, g->count++);
    return 1;
}

int standin__capture_record(struct CUevent_st *e, struct CUstream_st *q)
{
    e->capture = q->capture;
    e->at.count = 0;
    if (!q->capture)
        return 0;
    e->capture_id = q->capture->id;
    add_all(&e->at, &q->behind);
    return 1;
}

int standin__capture_wait(struct CUstream_st *q, struct CUevent_st *e)
{
    if (e->capture && (!e->capture->graph || e->capture->id != e->capture_id))
        standin_fail("a stream waits for an event that was recorded in a capture which has ended");
    if (e->capture && q->capture && q->capture != e->capture)
        standin_fail("a captured stream waits for an event of another capture");
    if (!e->capture && q->capture && e->mark)
        standin_fail(
            "a captured stream waits for an event that was recorded outside of its capture");
    if (!e->capture)
        return q->capture != NULL;
    if (!q->capture) {
        if (q->number == 0)
            standin_fail("the default stream cannot be captured");
        q->capture = e->capture;
        q->behind.count = 0;
    }
    add_all(&q->behind, &e->at);
    return 1;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
    int i = 0;
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    if (q->number == 0)
        standin_fail("the default stream cannot be captured");
    if (q->capture)
        standin_fail("a stream is captured already");
    if (mode != cudaStreamCaptureModeThreadLocal)
        standin_fail("of modes of capture, cudaStreamCaptureModeThreadLocal alone is played");
    while (i < CAPTURES && capture[i].graph)
        i++;
    if (i == CAPTURES)
        standin_fail("more than %d captures at a time", CAPTURES);
    capture[i] = (struct standin_capture){calloc(1, sizeof(struct CUgraph_st)), q, pthread_self(),
                                          ++captures_made};
    capture[i].graph->references = 1;
    q->capture = &capture[i];
    q->behind.count = 0;
    standin__unlock();
    return cudaSuccess;
}

/* Every node must be behind the origin's last ones. */
static void need_joined(const struct CUgraph_st *g, const struct CUstream_st *origin)
{
    char *joined = calloc((size_t)g->count + 1, 1);
    for (int i = 0; i < origin->behind.count; i++)
        joined[origin->behind.node[i]] = 1;
    for (int n = g->count; n-- > 0;) {
        if (!joined[n])
            standin_fail("the capture ends, and %s, on a stream that was forked from it, has not "
                         "been waited for",
                         g->node[n].work.what);
        for (int i = 0; i < g->node[n].behind.count; i++)
            joined[g->node[n].behind.node[i]] = 1;
    }
    free(joined);
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *out)
{
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    struct standin_capture *c = q->capture;
    if (!c || c->origin != q)
        standin_fail("cudaStreamEndCapture of a stream whose capture did not begin there");
    if (!pthread_equal(c->thread, pthread_self()))
        standin_fail("a capture ends in another thread than it began in");
    need_joined(c->graph, q);
    for (struct CUstream_st *o = standin__queues(); o; o = o->next)
        if (o->capture == c) {
            o->capture = NULL;
            o->behind.count = 0;
        }
    *out = c->graph;
    c->graph = NULL;
    standin__unlock();
    return cudaSuccess;
}

/* Graphs */

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t g, unsigned long long flags)
{
    (void)flags;
    standin__lock();
    struct CUgraphExec_st *x = *out = calloc(1, sizeof *x);
    x->graph = g;
    x->references = 1;
    g->references++;
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    standin__lock();
    drop_graph(g);
    standin__unlock();
    return cudaSuccess;
}

static void drop_exec(void *exec)
{
    struct CUgraphExec_st *x = exec;
    if (--x->references > 0)
        return;
    standin__unmark(x->last);
    drop_graph(x->graph);
    free(x);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
    standin__lock();
    drop_exec(x);
    standin__unlock();
    return cudaSuccess;
}

struct launch {
    struct CUgraphExec_st *exec;
    int *before; /* nodes that a node still waits for; -1: done */
    int left;
};

static int is_behind(const struct node *n, int other)
{
    for (int i = 0; i < n->behind.count; i++)
        if (n->behind.node[i] == other)
            return 1;
    return 0;
}

static void prepare(struct launch *l)
{
    const struct CUgraph_st *g = l->exec->graph;
    l->before = malloc(((size_t)g->count + 1) * sizeof *l->before);
    for (int i = 0; i < g->count; i++)
        l->before[i] = g->node[i].behind.count;
    l->left = g->count;
}

static enum standin_step step_launch(void *ctx)
{
    struct launch *l = ctx;
    const struct CUgraph_st *g = l->exec->graph;
    enum standin_step end = STANDIN_WAITS;
    if (!l->before)
        prepare(l);
    if (l->left == 0) /* an empty graph */
        return STANDIN_DONE;
    const int from = (int)standin__draw((uint64_t)g->count);
    for (int k = 0; k < g->count && end == STANDIN_WAITS; k++) {
        const int i = (from + k) % g->count;
        if (l->before[i] != 0)
            continue;
        standin__run(&g->node[i].work, &end);
        if (end != STANDIN_DONE)
            continue;
        l->before[i] = -1;
        for (int j = i + 1; j < g->count; j++)
            l->before[j] -= is_behind(&g->node[j], i);
        if (--l->left == 0)
            return STANDIN_DONE;
        end = STANDIN_MORE;
    }
    return end;
}

static void drop_launch(void *ctx)
{
    struct launch *l = ctx;
    drop_exec(l->exec);
    free(l->before);
    free(l);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    if (q->capture)
        standin_fail("cudaGraphLaunch into a stream that is captured is not played");
    struct launch *l = calloc(1, sizeof *l);
    l->exec = x;
    x->references++;
    standin_counts.graph_launches++;
    if (x->last)
        standin__wait(q, x->last);
    standin__unmark(x->last);
    standin__put(q, (struct standin_work){step_launch, drop_launch, l, "a graph", NULL, 1});
    x->last = standin__mark(q);
    standin__unlock();
    return cudaSuccess;
}
