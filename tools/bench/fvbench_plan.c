/* SPDX-License-Identifier: MIT */
/* fvbench plan: what a training step of the CUDA backend has to move and to compute, op by op, and how long a card of
 * given speeds would take for it. A calculation from the lowered program: nothing is run, no GPU is needed. */
#include "tools/bench/fvbench.h"

#include "common/err.h"
#include "tools/command.h"
#include "tools/results.h"
#include "trainer/cuda/traffic.h"
#include "trainer/trainer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct plan_settings {
    const char *arch, *stem, *loss, *dtype, *fused, *optim;
    int64_t size, batch, classes;
    double tflops, vector_tflops, tb_per_s, compute_share, memory_share, launch_us;
    int ops, json;
};

static const char *const dtypes[] = {"fp32", "bf16", "fp16", NULL};
static const char *const fusions[] = {"auto", "none", "all", NULL};
static const char *const optims[] = {"sgd", "adam", "adamw", NULL};

#define FIELD(f) offsetof(struct plan_settings, f)
/* clang-format off */
static const struct fv_opt net_opts[] = {
    {"arch", 'a', FV_OPT_STRING, 0, FIELD(arch), "NAME", "the net", 0, 0, NULL},
    {"stem", 0, FV_OPT_STRING, 0, FIELD(stem), "NAME", "its first layers, as of fvtrain", 0, 0, NULL},
    {"loss", 0, FV_OPT_STRING, 0, FIELD(loss), "SUM", "what is made small, as of fvtrain", 0, 0, NULL},
    {"size", 's', FV_OPT_INT, 0, FIELD(size), "PX", "pixels a side", 8, 2048, NULL},
    {"batch", 'b', FV_OPT_INT, 0, FIELD(batch), "N", "images in a batch", 1, 65536, NULL},
    {"classes", 0, FV_OPT_INT, 0, FIELD(classes), "N", "classes of the head", 2, 1e7, NULL},
    {"optim", 0, FV_OPT_CHOICE, 0, FIELD(optim), NULL, "the optimiser", 0, 0, optims},
    {"dtype", 0, FV_OPT_CHOICE, 0, FIELD(dtype), NULL, "what weights and activations are kept in", 0, 0, dtypes},
    {"fused", 0, FV_OPT_CHOICE, 0, FIELD(fused), NULL,
     "graphs taken of cuDNN; auto: those that version 9.19 has for sm_80 and sm_90", 0, 0, fusions},
    {.name = NULL},
};
static const struct fv_opt card_opts[] = {
    {"tflops", 0, FV_OPT_REAL, 0, FIELD(tflops), "X", "peak in 16 bits, for matrices", 1e-3, 1e6, NULL},
    {"vector-tflops", 0, FV_OPT_REAL, 0, FIELD(vector_tflops), "X", "peak in fp32", 1e-3, 1e6, NULL},
    {"tb-per-s", 0, FV_OPT_REAL, 0, FIELD(tb_per_s), "X", "bandwidth of its memory", 1e-4, 1e4, NULL},
    {"compute-share", 0, FV_OPT_SHARE, 0, FIELD(compute_share), "X", "share of a peak reached", 0.01, 1, NULL},
    {"memory-share", 0, FV_OPT_SHARE, 0, FIELD(memory_share), "X", "share of the bandwidth reached", 0.01, 1, NULL},
    {"launch-us", 0, FV_OPT_REAL, 0, FIELD(launch_us), "US", "time between two kernels", 0, 1000, NULL},
    {.name = NULL},
};
static const struct fv_opt output_opts[] = {
    {"ops", 0, FV_OPT_FLAG, 0, FIELD(ops), NULL, "a line for each op, in the order of the step", 0, 0, NULL},
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print JSON, every op included", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fvbench_plan_cmd = {
    .name = "fvbench plan",
    .summary = "Calculates what a training step of backend cuda moves, op by op; nothing is run.",
    .usage = "[options]",
    .notes =
        "  fvbench plan --arch resnet18 --size 112 --batch 256 --dtype bf16\n"
        "\n"
        "Bytes are those of each op's operands, read or written once; the time of an op is the\n"
        "larger of bytes / bandwidth and operations / peak, and the time between kernels. The\n"
        "card is an H200 unless described otherwise. It needs no GPU and no CUDA.",
};

/* Of all ops of one kind, or of all. */
struct total {
    uint64_t read, written;
    double flops, seconds;
    int launches, ops;
};

struct plan {
    const struct plan_settings *s;
    struct fv_traffic_card card;
    struct fv_net *net;
    struct fv_lowered *l;
    struct total kind[FV_LOW_KINDS], all;
    int planes;
};

static int can_all(void *ctx, const struct fv_low_query *q)
{
    (void)ctx;
    (void)q;
    return 1;
}

static enum fv_low_dtype type_of(const char *name)
{
    return strcmp(name, "bf16") == 0   ? FV_LOW_BF16
           : strcmp(name, "fp16") == 0 ? FV_LOW_F16
                                       : FV_LOW_F32;
}

static int lower(struct plan *p)
{
    const struct plan_settings *s = p->s;
    const struct fv_arch_settings a = {.size = (int)s->size,
                                       .classes = (int)s->classes,
                                       .stem = s->stem,
                                       .mean = {0.5f, 0.5f, 0.5f},
                                       .std = {0.5f, 0.5f, 0.5f},
                                       .loss = s->loss};
    FV_TRY(fv_net_build(&p->net, s->arch, &a));
    const struct fv_lower_settings how = {.batch = (int)s->batch,
                                          .train = 1,
                                          .dtype = type_of(s->dtype),
                                          .can = strcmp(s->fused, "none") == 0  ? NULL
                                                 : strcmp(s->fused, "all") == 0 ? can_all
                                                                                : fv_traffic_can,
                                          .ctx = p->net};
    return fv_lower(&p->l, p->net, &how);
}

static void add(struct total *to, const struct fv_traffic *t, double seconds)
{
    to->read += t->read;
    to->written += t->written;
    to->flops += t->flops;
    to->seconds += seconds;
    to->launches += t->launches;
    to->ops++;
}

static struct fv_traffic traffic_of(const struct plan *p, int op, double *seconds)
{
    struct fv_traffic t;
    fv_traffic_op(&t, p->l, op, p->planes);
    *seconds = fv_traffic_seconds(&t, &p->card);
    return t;
}

static void sum_up(struct plan *p)
{
    for (int i = 0; i < p->l->ops; i++) {
        double seconds;
        const struct fv_traffic t = traffic_of(p, i, &seconds);
        add(&p->kind[p->l->op[i].kind], &t, seconds);
        add(&p->all, &t, seconds);
    }
}

/* --- for people --- */

static double mb_per_image(const struct plan *p, uint64_t bytes)
{
    return (double)bytes / (double)p->s->batch * 1e-6;
}

static void print_ops(const struct plan *p)
{
    printf("%-18s %-24s %-15s %-15s %9s %9s %9s %8s %6s\n", "op", "layer", "shape", "graph", "read",
           "written", "GFLOP", "us", "share");
    for (int i = 0; i < p->l->ops; i++) {
        const struct fv_low_op *op = &p->l->op[i];
        char shape[48] = "";
        double seconds;
        const struct fv_traffic t = traffic_of(p, i, &seconds);
        if (op->node >= 0)
            snprintf(shape, sizeof shape, "%dx%dx%d", op->shape.h, op->shape.w, op->shape.c);
        printf("%-18s %-24s %-15s %-15s %9.3f %9.3f %9.3f %8.2f %5.1f%%\n",
               fv_low_kinds[op->kind].name, op->node >= 0 ? p->net->node[op->node].name : "", shape,
               op->graph == FV_LOW_GRAPH_NONE ? "" : fv_low_graph_names[op->graph],
               (double)t.read * 1e-6, (double)t.written * 1e-6, t.flops * 1e-9, seconds * 1e6,
               100 * seconds / p->all.seconds);
    }
    printf("read and written in MB a batch\n\n");
}

static void print_total(const struct plan *p, const char *name, const struct total *t)
{
    printf("%-18s %5d %8d %10.3f %10.3f %10.3f %9.1f %5.1f%%\n", name, t->ops, t->launches,
           mb_per_image(p, t->read), mb_per_image(p, t->written),
           t->flops / (double)p->s->batch * 1e-9, t->seconds * 1e6,
           100 * t->seconds / p->all.seconds);
}

static void print(const struct plan *p)
{
    const struct plan_settings *s = p->s;
    printf("%s, %d px, batches of %d, %s, graphs %s: a calculation, not a measurement\n\n",
           p->net->arch, (int)s->size, (int)s->batch, s->dtype, s->fused);
    if (s->ops)
        print_ops(p);
    printf("%-18s %5s %8s %10s %10s %10s %9s %6s\n", "kind", "ops", "launches", "read MB/img",
           "written", "GFLOP/img", "us", "share");
    for (int k = 0; k < FV_LOW_KINDS; k++)
        if (p->kind[k].ops)
            print_total(p, fv_low_kinds[k].name, &p->kind[k]);
    print_total(p, "all", &p->all);
    printf("\n%.2f MB an image, %.3f ms a step, %.0f images/s\n",
           mb_per_image(p, p->all.read + p->all.written), p->all.seconds * 1e3,
           (double)s->batch / p->all.seconds);
}

/* --- for programs --- */

static json_t *json_of(const char *kind, uint64_t read, uint64_t written, double flops,
                       int launches, double seconds)
{
    return json_pack("{s:s, s:I, s:I, s:f, s:i, s:f}", "kind", kind, "read_bytes", (json_int_t)read,
                     "written_bytes", (json_int_t)written, "flops", flops, "launches", launches,
                     "us", seconds * 1e6);
}

static json_t *json_ops(const struct plan *p)
{
    json_t *list = json_array();
    for (int i = 0; i < p->l->ops; i++) {
        const struct fv_low_op *op = &p->l->op[i];
        double seconds;
        const struct fv_traffic t = traffic_of(p, i, &seconds);
        json_t *one =
            json_of(fv_low_kinds[op->kind].name, t.read, t.written, t.flops, t.launches, seconds);
        json_object_set_new(one, "layer",
                            json_string(op->node >= 0 ? p->net->node[op->node].name : ""));
        json_object_set_new(one, "graph", json_string(fv_low_graph_names[op->graph]));
        json_array_append_new(list, one);
    }
    return list;
}

static void print_json(const struct plan *p)
{
    const struct total *t = &p->all;
    const double seconds = t->seconds, rate = (double)p->s->batch / seconds;
    struct results r = {0};
    json_t *kinds = json_array();
    for (int k = 0; k < FV_LOW_KINDS; k++)
        if (p->kind[k].ops)
            json_array_append_new(kinds, json_of(fv_low_kinds[k].name, p->kind[k].read,
                                                 p->kind[k].written, p->kind[k].flops,
                                                 p->kind[k].launches, p->kind[k].seconds));
    results_string(&r, "arch", p->net->arch);
    results_int(&r, "size", (uint64_t)p->s->size, NULL);
    results_int(&r, "batch", (uint64_t)p->s->batch, NULL);
    results_string(&r, "dtype", p->s->dtype);
    results_string(&r, "fused", p->s->fused);
    results_int(&r, "launches", (uint64_t)t->launches, NULL);
    results_real(&r, "mb_per_image", mb_per_image(p, t->read + t->written), "%g", 0.0);
    results_real(&r, "gflop_per_image", t->flops / (double)p->s->batch * 1e-9, "%g", 0.0);
    results_real(&r, "modelled_step_ms", seconds * 1e3, "%g", 0.0);
    results_real(&r, "modelled_images_per_s", rate, "%g", 0.0);
    results_json(&r, "kinds", kinds);
    results_json(&r, "ops", json_ops(p));
    results_print(&r, "plan", 1);
}

static int start(struct plan_settings *s, int argc, char **argv)
{
    const struct fv_opt_group groups[] = {
        {"net", net_opts, s}, {"card", card_opts, s}, {"output", output_opts, s}};
    struct fv_args args;
    return tool_parse(&fvbench_plan_cmd, groups, 3, argc, argv, &args);
}

int fvbench_plan(int argc, char **argv)
{
    const struct fv_traffic_card h200 = fv_traffic_h200();
    struct plan_settings s = {.arch = "resnet18",
                              .stem = "auto",
                              .loss = "ce",
                              .dtype = "bf16",
                              .fused = "auto",
                              .optim = "sgd",
                              .size = 112,
                              .batch = 256,
                              .classes = 1000,
                              .tflops = h200.matrix_flops * 1e-12,
                              .vector_tflops = h200.vector_flops * 1e-12,
                              .tb_per_s = h200.bytes_per_s * 1e-12,
                              .compute_share = h200.compute_share,
                              .memory_share = h200.memory_share,
                              .launch_us = h200.launch_s * 1e6};
    int rc = start(&s, argc, argv);
    if (rc)
        return rc < 0 ? rc : FV_OK;
    struct plan p = {.s = &s,
                     .planes = strcmp(s.optim, "sgd") == 0 ? 1 : 2,
                     .card = {.matrix_flops = s.tflops * 1e12,
                              .vector_flops = s.vector_tflops * 1e12,
                              .bytes_per_s = s.tb_per_s * 1e12,
                              .compute_share = s.compute_share,
                              .memory_share = s.memory_share,
                              .launch_s = s.launch_us * 1e-6}};
    rc = lower(&p);
    if (rc >= 0) {
        sum_up(&p);
        if (s.json)
            print_json(&p);
        else
            print(&p);
    }
    fv_lowered_free(&p.l);
    fv_net_free(&p.net);
    return rc;
}
