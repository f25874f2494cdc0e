/* SPDX-License-Identifier: MIT */
/* Where a step first was not finite. Buffers share memory, so that after a step most values are gone: the batch of such
 * a step is kept, and the question is answered by a second program that runs it again with memory for every buffer.
 * That program has the same weights, since a step that is not finite changes none.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *copy_of(const void *from, size_t bytes)
{
    void *copy = malloc(bytes);
    return copy ? memcpy(copy, from, bytes) : NULL;
}

void fv__cpu_drop_bad(struct fv_program *p)
{
    free(p->bad.pixels);
    free(p->bad.label);
    free(p->bad.label_mix);
    free(p->bad.lambda);
    p->bad = (struct fv_batch){0};
}

/* Out of memory the question simply goes unanswered. */
void fv__cpu_keep_bad(struct fv_program *p, const struct fv_batch *b)
{
    const size_t n = (size_t)b->n;
    fv__cpu_drop_bad(p);
    p->bad = (struct fv_batch){.ticket = b->ticket,
                               .epoch = b->epoch,
                               .step = b->step,
                               .n = b->n,
                               .capacity = b->n,
                               .height = b->height,
                               .width = b->width};
    p->bad.pixels = copy_of(b->pixels, n * (size_t)b->height * (size_t)b->width * 3);
    p->bad.label = copy_of(b->label, n * sizeof *b->label);
    p->bad.label_mix = copy_of(b->label_mix, n * sizeof *b->label_mix);
    p->bad.lambda = copy_of(b->lambda, n * sizeof *b->lambda);
    if (!p->bad.pixels || !p->bad.label || !p->bad.label_mix || !p->bad.lambda)
        fv__cpu_drop_bad(p);
}

static int is_finite(const struct fv__cpu_plan *plan, int node, int buffer)
{
    const float *v = fv__cpu_address(plan, fv__cpu_in_buffer(buffer));
    const size_t n = fv__dnn_md_bytes(plan->value[node].md) / sizeof *v;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return 0;
    return 1;
}

static int search(const struct fv__cpu_plan *plan, int *node, int *gradient)
{
    const struct fv_net *net = plan->program->net;
    for (*gradient = 0; *gradient < 2; ++*gradient)
        for (int i = 0; i < net->nodes; i++) {
            *node = *gradient ? net->nodes - 1 - i : i;
            const struct fv__cpu_value *v = &plan->value[*node];
            const int buffer = *gradient ? v->kept_grad : v->buffer;
            if (net->node[*node].kind != FV_NODE_LOSS && buffer >= 0 && v->md &&
                !is_finite(plan, *node, buffer))
                return 0;
        }
    return fv_err(FV_ENOTFOUND, "all outputs and gradients are finite");
}

static int run_again(struct fv_program *p, struct fv_program *again, int *node, int *gradient)
{
    struct fv__cpu_run run = {
        .program = again, .pixels = p->bad.pixels, .n = p->bad.n, .batch = &p->bad};
    memcpy(again->frozen, p->frozen, (size_t)p->net->nodes * sizeof *p->frozen);
    FV_TRY(fv__cpu_plan_anew(again));
    FV_TRY(fv__cpu_unpack(p, p->weight, p->plain));
    FV_TRY(fv__cpu_pack(again, again->weight, p->plain));
    FV_TRY(fv__cpu_plan_run(again->plan[0], &run));
    return search(again->plan[0], node, gradient);
}

int fv__cpu_find_bad(struct fv_program *p, int *node, int *gradient)
{
    struct fv_device device = *p->device;
    struct fv_program *again;
    if (!p->train || p->bad.n == 0)
        return fv_err(FV_EUNSUPPORTED, "%s: the last step was finite", p->net->arch);
    device.keep = 1;
    FV_TRY(fv_backend_cpu.compile(&device, p->net, p->bad.n, 1, NULL, &again));
    const int before = fv__threads_set(device.threads);
    const int rc = run_again(p, again, node, gradient);
    fv__threads_set(before);
    fv_backend_cpu.release(&again);
    return rc;
}
