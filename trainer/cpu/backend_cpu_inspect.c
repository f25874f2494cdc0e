/* SPDX-License-Identifier: MIT */
/* Looking into a program: where the time of the last run went, and what single nodes have computed. */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <stdio.h>
#include <stdlib.h>

/* Milliseconds of one node's steps. */
static double node_ms(const struct fv__cpu_plan *plan, int node, int backward)
{
    uint64_t ns = 0;
    for (int i = 0; i < plan->steps; i++)
        if (plan->step[i].node == node && plan->step[i].backward == backward)
            ns += plan->step[i].ns;
    return (double)ns / 1e6;
}

static void print_node(FILE *f, const struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = &plan->program->net->node[node];
    const struct fv__cpu_value *v = &plan->value[node];
    char shape[48];
    if (v->fused)
        return;
    snprintf(shape, sizeof shape, "%dx%dx%d", o->h, o->w, o->c);
    fprintf(f, "%-12s %-26s %-12s %10.2f %10.2f  %s\n", fv_node_names[o->kind], o->name, shape,
            node_ms(plan, node, 0), node_ms(plan, node, 1),
            v->op.desc ? fv__dnn_op_name(&v->op) : "loop");
}

char *fv__cpu_profile(struct fv_program *p)
{
    char *text = NULL;
    size_t size;
    double forward = 0, backward = 0;
    const struct fv__cpu_plan *plan = p->last;
    if (!plan) {
        fv_err(FV_EINVAL, "%s: nothing has run yet", p->net->arch);
        return NULL;
    }
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "%-12s %-26s %-12s %10s %10s  %s\n", "node", "name", "shape", "forward ms",
            "backward ms", "by");
    for (int i = 0; i < p->net->nodes; i++) {
        print_node(f, plan, i);
        forward += node_ms(plan, i, 0);
        backward += node_ms(plan, i, 1);
    }
    fprintf(f, "%-12s %-26s %-12s %10.2f %10.2f  update %.2f ms\n", "all", "", "", forward,
            backward, (double)p->update_ns / 1e6);
    fclose(f);
    return text;
}

/* The first n images of a value, as (n, h, w, c). */
static int copy_tensor(const struct fv__cpu_plan *plan, int node, int buffer, int n, float *out)
{
    struct fv_program *p = plan->program;
    const struct fv_node *o = &p->net->node[node];
    struct fv__dnn_md *plain;
    size_t area = (size_t)o->h * (size_t)o->w, channels = (size_t)o->c;
    FV_TRY(fv__dnn_md_new(&plain, 4, (int[4]){plan->n, o->c, o->h, o->w}, FV_DNN_PLAIN));
    float *nchw = malloc(fv__dnn_md_bytes(plain));
    int rc = nchw ? fv__cpu_reorder(p, plan->value[node].md,
                                    fv__cpu_address(plan, fv__cpu_in_buffer(buffer)), plain, nchw)
                  : fv_err(FV_ENOMEM, "backend cpu: out of memory");
    for (size_t i = 0; rc == 0 && i < (size_t)n * area * channels; i++) {
        size_t image = i / (area * channels), pixel = i / channels % area, c = i % channels;
        out[i] = nchw[(image * channels + c) * area + pixel];
    }
    free(nchw);
    fv__dnn_md_free(&plain);
    return rc;
}

int fv__cpu_node_get(struct fv_program *p, int node, int gradient, float *out)
{
    if (node < 0 || node >= p->net->nodes)
        return fv_err(FV_EINVAL, "%s has no node %d", p->net->arch, node);
    const struct fv_node *o = &p->net->node[node];
    const struct fv__cpu_plan *plan = p->last;
    int buffer = !plan ? -1 : gradient ? plan->value[node].kept_grad : plan->value[node].buffer;
    int held = plan && !gradient && (node == p->net->embedding_node || node == p->net->logits_node);
    if (buffer < 0 || (!p->device->keep && !held))
        return fv_err(FV_EUNSUPPORTED, "%s: node %d (%s): fused, overwritten or not computed",
                      p->net->arch, node, fv_node_names[o->kind]);
    if (o->kind == FV_NODE_LOSS) {
        const double *items =
            (const double *)(const void *)fv__cpu_address(plan, fv__cpu_in_buffer(buffer));
        for (int i = 0; i < plan->n; i++)
            out[i] = (float)items[i];
        return 0;
    }
    int before = fv__threads_set(p->device->threads);
    int rc = copy_tensor(plan, node, buffer, p->last_n, out);
    fv__threads_set(before);
    return rc;
}
