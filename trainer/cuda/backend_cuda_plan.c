/* SPDX-License-Identifier: MIT */
/* A net made ready for one batch size: lowered with what cuDNN can do here, its convolutions planned, its memory
 * there. The first runs are enqueued op by op, since libraries load and allocate at first use; then a run is captured
 * and from then on launched as a whole. */
#include "trainer/cuda/backend_cuda.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

enum { EAGER_RUNS = 2 };

int fv__cuda_can(void *device, const struct fv_low_query *q)
{
    const struct fv_device *d = device;
    return fv_gpu_conv_can(d->gpu, q);
}

struct fv_lower_settings fv__cuda_lowering(const struct fv_program *p, int n, int train)
{
    return (struct fv_lower_settings){.batch = n,
                                      .train = train,
                                      .dtype = p->device->type,
                                      .frozen = train ? p->frozen : NULL,
                                      .can = fv__cuda_can,
                                      .ctx = p->device};
}

void fv__cuda_plan_free(struct fv__cuda_plan **out)
{
    struct fv__cuda_plan *plan = *out;
    if (!plan)
        return;
    for (int i = 0; i < FV__CUDA_SLOTS; i++)
        fv_gpu_graph_free(plan->program->device->gpu, plan->graph[i]);
    fv_lowered_free(&plan->l);
    free(plan->conv);
    free(plan);
    *out = NULL;
}

static int is_conv(const struct fv_low_op *op)
{
    return op->kind == FV_LOW_CONV || op->kind == FV_LOW_CONV_DGRAD ||
           op->kind == FV_LOW_CONV_WGRAD;
}

static int find_convs(struct fv__cuda_plan *plan)
{
    const struct fv_lowered *l = plan->l;
    plan->conv = calloc((size_t)l->ops + 1, sizeof *plan->conv);
    if (!plan->conv)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    for (int i = 0; i < l->ops; i++) {
        if (!is_conv(&l->op[i]))
            continue;
        FV_TRY(fv_gpu_conv_find(plan->program->device->gpu, &l->op[i], l->dtype, &plan->conv[i]));
        const size_t bytes = fv_gpu_conv_workspace(plan->conv[i]);
        plan->scratch = bytes > plan->scratch ? bytes : plan->scratch;
    }
    return 0;
}

int fv__cuda_plan_new(struct fv__cuda_plan **out, struct fv_program *p, int n, int train)
{
    const struct fv_lower_settings s = fv__cuda_lowering(p, n, train);
    struct fv__cuda_plan *plan = *out = calloc(1, sizeof *plan);
    if (!plan)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    plan->program = p;
    int rc = fv_lower(&plan->l, p->net, &s);
    if (rc == 0)
        rc = fv_dispatch_check(plan->l);
    if (rc == 0) {
        plan->scratch = fv_dispatch_scratch(plan->l, p->sync_bn ? fv_comm_world(p->comm) : 1);
        const size_t norm = fv_k_gradient_norm_partial(plan->l->elements) * sizeof(float);
        const size_t loss = train ? fv__cuda_loss_scratch(plan->l) : 0;
        plan->scratch = norm > plan->scratch ? norm : plan->scratch;
        plan->scratch = loss > plan->scratch ? loss : plan->scratch;
        rc = find_convs(plan);
    }
    if (rc < 0)
        fv__cuda_plan_free(out);
    return rc;
}

/* Captured graphs hold addresses of memory that has moved. */
static void drop_graphs(struct fv__cuda_plan *plan)
{
    for (int i = 0; plan && i < FV__CUDA_SLOTS; i++) {
        fv_gpu_graph_free(plan->program->device->gpu, plan->graph[i]);
        plan->graph[i] = NULL;
    }
}

static int enlarge(struct fv_program *p, char **memory, size_t *bytes, size_t needed,
                   const char *what)
{
    struct fv_gpu *g = p->device->gpu;
    void *larger;
    if (needed <= *bytes)
        return 0;
    FV_TRY(fv_gpu_alloc(g, &larger, needed, what));
    fv_gpu_free(g, *memory);
    *memory = larger;
    *bytes = needed;
    for (int i = 0; i < FV__CUDA_PLANS; i++)
        drop_graphs(p->plan[i]);
    drop_graphs(p->infer);
    return 0;
}

/* Plans share the memory of the program, which is only made larger. A plan for fewer images may need more of it: its
 * convolutions have other engines. Nothing may be under way. */
int fv__cuda_plan_room(struct fv_program *p, const struct fv_lowered *l, size_t scratch)
{
    FV_TRY(enlarge(p, &p->arena, &p->arena_bytes, l->bytes[FV_LOW_ARENA], "the activations"));
    return enlarge(p, &p->scratch, &p->scratch_bytes, scratch, "the workspace");
}

int fv__cuda_plan_for(struct fv_program *p, int n, struct fv__cuda_plan **out)
{
    for (int i = 0; i < FV__CUDA_PLANS; i++) {
        *out = p->plan[i];
        if (*out && (*out)->l->batch == n)
            return 0;
    }
    FV_TRY(fv__cuda_wait_work(p));
    p->last = NULL;
    for (int i = 0; i < FV__CUDA_SLOTS; i++)
        p->slot[i].plan = NULL;
    fv__cuda_plan_free(&p->plan[1]);
    FV_TRY(fv__cuda_plan_new(&p->plan[1], p, n, 1));
    int rc = fv__cuda_plan_room(p, p->plan[1]->l, p->plan[1]->scratch);
    if (rc < 0)
        fv__cuda_plan_free(&p->plan[1]);
    *out = p->plan[1];
    return rc;
}

/* Lowers anew for p->frozen; the plans are as they were if that fails. */
static int relower(struct fv_program *p)
{
    struct fv__cuda_plan *plan;
    FV_TRY(fv_gpu_sync(p->device->gpu, FV_GPU_COPY));
    FV_TRY(fv__cuda_wait_work(p));
    FV_TRY(fv__cuda_plan_new(&plan, p, p->batch, 1));
    int rc = fv__cuda_plan_room(p, plan->l, plan->scratch);
    if (rc < 0) {
        fv__cuda_plan_free(&plan);
        return rc;
    }
    p->last = NULL;
    p->fetched = NULL;
    for (int i = 0; i < FV__CUDA_SLOTS; i++)
        p->slot[i].plan = NULL;
    for (int i = 0; i < FV__CUDA_PLANS; i++)
        fv__cuda_plan_free(&p->plan[i]);
    p->plan[0] = plan;
    return 0;
}

static unsigned char *frozen_by(const struct fv_program *p, const struct fv_optim *optim)
{
    const size_t count = (size_t)p->net->tensors;
    unsigned char *frozen = calloc(count + 1, 1);
    for (size_t t = 0; frozen && optim && t < count; t++)
        frozen[t] = fv_optim_scalars(optim, (int)t).frozen != 0 && !p->net->tensor[t].buffer;
    if (!frozen)
        fv_err(FV_ENOMEM, "backend cuda: out of memory");
    return frozen;
}

int fv__cuda_note_frozen(struct fv_program *p, const struct fv_optim *optim)
{
    p->frozen = frozen_by(p, optim);
    return p->frozen ? 0 : FV_ENOMEM;
}

int fv__cuda_plan_freeze(struct fv_program *p, const struct fv_optim *optim)
{
    unsigned char *frozen = frozen_by(p, optim), *before = p->frozen;
    if (!frozen)
        return FV_ENOMEM;
    if (memcmp(frozen, before, (size_t)p->net->tensors) == 0) {
        free(frozen);
        return 0;
    }
    p->frozen = frozen;
    int rc = relower(p);
    if (rc < 0)
        p->frozen = before;
    free(rc < 0 ? frozen : before);
    return rc;
}

/* Running */

static int run_conv(void *ctx, int op, void *const arg[FV_LOW_ROLES], void *scratch)
{
    const struct fv__cuda_plan *plan = ctx;
    return fv_gpu_conv_run(plan->program->device->gpu, plan->conv[op], &plan->l->op[op], arg,
                           scratch);
}

static int run_gemm(void *ctx, const struct fv_gpu_gemm *s, const void *a, const void *b, void *c)
{
    const struct fv__cuda_plan *plan = ctx;
    return fv_gpu_gemm_run(plan->program->device->gpu, s, a, b, c);
}

static int run_update(void *ctx, int op, void *const arg[FV_LOW_ROLES], void *scratch)
{
    const struct fv__cuda_plan *plan = ctx;
    return fv__cuda_update(plan->program, &plan->l->op[op], arg, scratch);
}

static int run_bucket(void *ctx, const struct fv_low_bucket *b)
{
    const struct fv__cuda_plan *plan = ctx;
    return fv__cuda_bucket(plan->program, b);
}

static int gather_ranks(void *ctx, const float *mine, float *all, size_t count)
{
    const struct fv__cuda_plan *plan = ctx;
    return fv__cuda_gather_ranks(plan->program, mine, all, count);
}

static int mean_of_ranks(void *ctx, float *v, size_t count)
{
    const struct fv__cuda_plan *plan = ctx;
    return fv__cuda_mean_of_ranks(plan->program, v, count, FV_LOW_F32);
}

struct fv_dispatch fv__cuda_dispatch(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot)
{
    struct fv_program *p = plan->program;
    struct fv_dispatch d = {.l = plan->l,
                            .scratch = p->scratch,
                            .stream = fv_gpu_stream(p->device->gpu, FV_GPU_WORK),
                            .ctx = plan,
                            .conv = run_conv,
                            .gemm = run_gemm,
                            .bucket = run_bucket,
                            .update = run_update};
    if (p->sync_bn && plan->l->train) {
        p->sync = (struct fv_dispatch_ranks){fv_comm_world(p->comm), gather_ranks, mean_of_ranks};
        d.sync = &p->sync;
    }
    memcpy(d.base, p->space, sizeof d.base);
    d.base[FV_LOW_ARENA] = p->arena;
    d.base[FV_LOW_BATCH] = slot->batch;
    return d;
}

static int run_range(const struct fv_dispatch *d, struct fv__cuda_plan *plan,
                     struct fv__cuda_slot *slot, int first, int end)
{
    plan->program->last = slot;
    for (int i = first; i < end; i++)
        FV_TRY(fv_dispatch_run(d, i));
    return 0;
}

int fv__cuda_plan_range(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot, int first, int end)
{
    const struct fv_dispatch d = fv__cuda_dispatch(plan, slot);
    return run_range(&d, plan, slot, first, end);
}

int fv__cuda_plan_alone(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot, int first, int end)
{
    struct fv_dispatch d = fv__cuda_dispatch(plan, slot);
    d.bucket = NULL;
    return run_range(&d, plan, slot, first, end);
}

static int run_eagerly(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot)
{
    struct fv_program *p = plan->program;
    FV_TRY(fv__cuda_plan_range(plan, slot, 0, plan->l->ops));
    if (!plan->l->train)
        return 0;
    return fv_gpu_download(p->device->gpu, FV_GPU_WORK, slot->result, p->space[FV_LOW_CONTROL],
                           plan->l->bytes[FV_LOW_CONTROL]);
}

static int capture(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot, void **graph)
{
    struct fv_gpu *g = plan->program->device->gpu;
    FV_TRY(fv_gpu_capture_begin(g));
    int rc = run_eagerly(plan, slot), ended = fv_gpu_capture_end(g, graph);
    if (rc == 0)
        rc = ended;
    if (rc == 0)
        return 0;
    char why[FV_ERR_TEXT_MAX];
    fv_err_save(why);
    fv_gpu_graph_free(g, *graph);
    *graph = NULL;
    return fv_err(rc, "%s (--no-graph does without)", why);
}

int fv__cuda_plan_run(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot)
{
    struct fv_program *p = plan->program;
    struct fv_gpu *g = p->device->gpu;
    const int i = (int)(slot - p->slot);
    slot->plan = plan;
    if (plan->runs < EAGER_RUNS || p->device->eager) {
        plan->runs++;
        return run_eagerly(plan, slot);
    }
    if (plan->graph[i] && plan->l->train && plan->graph_of[i] != p->mode) {
        FV_TRY(fv__cuda_wait_work(p)); /* it may still be running */
        fv_gpu_graph_free(g, plan->graph[i]);
        plan->graph[i] = NULL;
    }
    if (!plan->graph[i]) {
        FV_TRY(capture(plan, slot, &plan->graph[i]));
        plan->graph_of[i] = p->mode;
    }
    p->last = slot;
    return fv_gpu_graph_launch(g, plan->graph[i]);
}

/* Memory */

/* Before there are plans it is a guess; then that of the program's own batch, in proportion. */
static size_t workspace(const struct fv_program *p, int n, size_t bytes)
{
    const struct fv__cuda_plan *plan = p->plan[0] ? p->plan[0] : p->infer;
    return plan ? (size_t)((double)plan->scratch * n / p->batch) : bytes / 8;
}

static int needed(const struct fv_program *p, int n, size_t *bytes)
{
    struct fv_lower_settings s = fv__cuda_lowering(p, n, p->train);
    struct fv_low_memory m;
    s.can =
        NULL; /* without plans for a batch that is only thought of; fused graphs need less, not more */
    FV_TRY(fv_lower_memory(&m, p->net, &s, p->train ? fv_optim_rules[FV_OPTIM_ADAMW].states : 0));
    *bytes = m.total + m.batch; /* two slots */
    *bytes += workspace(p, n, *bytes);
    return 0;
}

int fv__cuda_check_memory(struct fv_program *p, int n)
{
    size_t bytes, free_bytes, total;
    int fits = 0, too_many = n;
    FV_TRY(needed(p, n, &bytes));
    FV_TRY(fv_gpu_memory(p->device->gpu, &free_bytes, &total));
    if (bytes <= free_bytes)
        return 0;
    const double need = (double)bytes / (1 << 20), have = (double)free_bytes / (1 << 20);
    while (too_many - fits > 1) {
        const int middle = fits + (too_many - fits) / 2;
        FV_TRY(needed(p, middle, &bytes));
        if (bytes <= free_bytes)
            fits = middle;
        else
            too_many = middle;
    }
    if (fits == 0)
        return fv_err(
            FV_ENOMEM,
            "GPU memory: %s at %d px needs %.0f MiB even for one image, %.0f MiB are free",
            p->net->arch, p->net->size, (double)bytes / (1 << 20), have);
    return fv_err(FV_ENOMEM,
                  "GPU memory: batches of %d need %.0f MiB, %.0f MiB are free; %d would fit: use "
                  "--batch %d",
                  n, need, have, fits, fits);
}
