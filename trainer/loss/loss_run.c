/* SPDX-License-Identifier: MIT */
/* Running a spec on a batch: the terms' phases in step, so that a phase may use all that earlier ones left, and the
 * sums at the end in the order of items, so that no number depends on the threads. */
#include "trainer/loss/loss_impl.h"

#include <math.h>
#include <string.h>

static size_t own_work(const struct fv_loss_term *t, int n, int dim)
{
    return t->loss->work ? t->loss->work(n, dim) : 0;
}

size_t fv_loss_work(const struct fv_loss_spec *spec, int n, int dim)
{
    size_t count = (2 + (size_t)spec->terms) * (size_t)n;
    for (int t = 0; t < spec->terms; t++)
        count += own_work(&spec->term[t], n, dim);
    return count;
}

double *fv__loss_items(const struct fv_loss_call *c, int term)
{
    return c->work + (2 + (size_t)term) * (size_t)c->n;
}

double *fv__loss_own(const struct fv_loss_call *c, int term)
{
    double *at = fv__loss_items(c, c->spec->terms);
    for (int t = 0; t < term; t++)
        at += own_work(&c->spec->term[t], c->n, c->dim);
    return at;
}

int fv__loss_is_alone(const struct fv_loss_spec *spec, enum fv_loss_input in)
{
    int readers = 0;
    for (int t = 0; t < spec->terms; t++)
        readers += (spec->term[t].loss->reads & 1u << in) != 0;
    return readers == 1;
}

struct job {
    struct fv_loss_call *call;
    int term;
    void (*rows)(struct fv_loss_call *c, int term, size_t begin, size_t end);
};

static void run_job(void *arg, size_t begin, size_t end)
{
    const struct job *j = arg;
    j->rows(j->call, j->term, begin, end);
}

static void run_phase(struct fv_loss_call *c, int term, const struct fv_loss_phase *p)
{
    struct job j = {c, term, p->rows};
    if (p->rows && c->share)
        c->share(c->share_ctx, (size_t)c->n, run_job, &j);
    else if (p->rows)
        p->rows(c, term, 0, (size_t)c->n);
    if (p->once)
        p->once(c, term);
}

/* The gradients that several terms add to. */
static void zero_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    (void)term;
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        const struct fv_loss_rows *m = &c->in[k];
        const size_t columns = (size_t)(k == FV_LOSS_EMBEDDING ? c->dim : c->classes);
        const size_t count = (end - begin) * columns;
        if (fv__loss_is_alone(c->spec, (enum fv_loss_input)k))
            continue;
        if (m->grad_f)
            memset(m->grad_f + begin * columns, 0, count * sizeof *m->grad_f);
        if (m->grad_d)
            memset(m->grad_d + begin * columns, 0, count * sizeof *m->grad_d);
    }
}

static void sum_up(struct fv_loss_call *c)
{
    const double n = c->n;
    for (int i = 0; i < c->n; i++) {
        c->work[i] = 0;
        c->result.correct += c->work[c->n + i];
        for (int t = 0; t < c->spec->terms; t++) {
            const double v = fv__loss_items(c, t)[i];
            c->work[i] += c->spec->term[t].weight * v;
            c->result.term[t] += v / n;
        }
        c->result.loss += c->work[i] / n;
    }
}

void fv_loss_run(struct fv_loss_call *c)
{
    c->result = (struct fv_loss_result){.active = NAN, .distance = NAN};
    memset(c->work + c->n, 0, (size_t)c->n * sizeof *c->work);
    run_phase(c, 0, &(struct fv_loss_phase){.rows = zero_rows});
    for (int p = 0; p < FV_LOSS_PHASES; p++)
        for (int t = 0; t < c->spec->terms; t++)
            run_phase(c, t, &c->spec->term[t].loss->phase[p]);
    sum_up(c);
}

void fv_loss_commit(struct fv_loss_call *c)
{
    for (int t = 0; t < c->spec->terms; t++)
        if (c->spec->term[t].loss->commit)
            c->spec->term[t].loss->commit(c, t);
}
