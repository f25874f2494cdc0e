/* SPDX-License-Identifier: MIT */
#include "tools/serve/patience.h"

#include "common/err.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct patience_client {
    struct patience_client *next, *before;
    double since;
    int socket;
};

struct patience {
    pthread_mutex_t lock;
    pthread_cond_t ends;
    pthread_t thread;
    int started, stopping;
    double total_s, busy_s; /* busy: in answers that are done */
    double answering_since; /* the first of those under way */
    int answering;
    struct patience_client first; /* a ring; this one is no client */
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double waited(const struct patience *p)
{
    return (p->answering ? p->answering_since : seconds()) - p->busy_s;
}

static void *watch(void *arg)
{
    struct patience *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec++;
        pthread_cond_timedwait(&p->ends, &p->lock, &t);
        for (struct patience_client *c = p->first.next; c != &p->first; c = c->next)
            if (waited(p) - c->since > p->total_s)
                shutdown(c->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int patience_start(struct patience **out, double total_s)
{
    struct patience *p = *out = calloc(1, sizeof *p);

    if (!p)
        return fv_err(FV_ENOMEM, "out of memory");
    p->total_s = total_s;
    p->first.next = p->first.before = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->ends, NULL);
    p->started = pthread_create(&p->thread, NULL, watch, p) == 0;
    if (p->started)
        return FV_OK;
    patience_stop(out);
    return fv_err(FV_ENOMEM, "cannot start a thread");
}

void patience_stop(struct patience **p)
{
    if (!*p)
        return;
    pthread_mutex_lock(&(*p)->lock);
    (*p)->stopping = 1;
    pthread_cond_signal(&(*p)->ends);
    pthread_mutex_unlock(&(*p)->lock);
    if ((*p)->started)
        pthread_join((*p)->thread, NULL);
    pthread_cond_destroy(&(*p)->ends);
    pthread_mutex_destroy(&(*p)->lock);
    free(*p);
    *p = NULL;
}

void patience_begin_answer(struct patience *p)
{
    pthread_mutex_lock(&p->lock);
    if (p->answering++ == 0)
        p->answering_since = seconds();
    pthread_mutex_unlock(&p->lock);
}

void patience_end_answer(struct patience *p)
{
    pthread_mutex_lock(&p->lock);
    if (--p->answering == 0)
        p->busy_s += seconds() - p->answering_since;
    pthread_mutex_unlock(&p->lock);
}

struct patience_client *patience_add(struct patience *p, int socket)
{
    struct patience_client *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    pthread_mutex_lock(&p->lock);
    *c = (struct patience_client){&p->first, p->first.before, waited(p), socket};
    c->before->next = c;
    c->next->before = c;
    pthread_mutex_unlock(&p->lock);
    return c;
}

void patience_renew(struct patience *p, struct patience_client *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&p->lock);
    c->since = waited(p);
    pthread_mutex_unlock(&p->lock);
}

void patience_drop(struct patience *p, struct patience_client *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&p->lock);
    c->before->next = c->next;
    c->next->before = c->before;
    pthread_mutex_unlock(&p->lock);
    free(c);
}
