/* SPDX-License-Identifier: MIT */
/* Batch norm in training, by loops of ours, with the ReLU of either kind that follows.
 *
 * oneDNN's own has no ReLU6, and its threads wait for each other by spinning, several times in a primitive: where
 * others use the same cores too that takes longer than all convolutions. Here each direction is two passes, in
 * which no thread waits for another: sums by image and strip, added up in a fixed order, so that the result does
 * not depend on the threads; then the values. A strip of one image stays in the cache between its mean and its
 * squared distances from it. Backward finds what the ReLU has let pass by computing its input again, in the same
 * way and so to the same bit.
 *
 * Synchronised, the ranks bring their sums together between the two passes, in double: means and variances forward;
 * backward sum(g) and sum(g * h). g is the gradient of a rank's own mean loss, which is as many times that of the whole
 * batch as there are ranks: so is dx then, and the average over the ranks makes up for it. The gradients of scale and
 * shift remain the rank's own for the same reason.
 */
#include "trainer/cpu/backend_cpu.h"

#include "trainer/cpu/backend_cpu_strips.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <math.h>
#include <string.h>

struct norm {
    struct lanes v;
    const float *x, *g, *gamma, *beta;
    float *mean, *var, *out, *dgamma, *dbeta;
    /* two numbers a channel and image: forward mean and sum of squared distances from it, backward sums of g and of
     * g * h. Once added up, those of the first image are the whole's. */
    double *part;
    const float *sum, *sum_h; /* backward: of all items that the statistics are of, */
    double m;                 /* so many a channel */
    double eps;
    float limit;
};

/* What is known of each column of a strip. */
struct columns {
    float mean[STRIP], scale[STRIP], shift[STRIP]; /* y = (x - mean) * scale + shift */
    float rstd[STRIP], a[STRIP], b[STRIP];         /* backward */
};

enum { PIECE = 256 }; /* rows that are summed in fp32 before they go into a double */

typedef void row_fn(const struct columns *c, const float *x, const float *g, float *out, float *s0,
                    float *s1, float limit, size_t width);
#define ROW static inline __attribute__((always_inline)) void

ROW sum_row(const struct columns *c, const float *x, const float *g, float *out, float *s0,
            float *s1, float limit, size_t width)
{
    (void)c, (void)g, (void)out, (void)s1, (void)limit;
    for (size_t l = 0; l < width; l++)
        s0[l] += x[l];
}

ROW square_row(const struct columns *c, const float *x, const float *g, float *out, float *s0,
               float *s1, float limit, size_t width)
{
    (void)g, (void)out, (void)s1, (void)limit;
    for (size_t l = 0; l < width; l++) {
        float d = x[l] - c->mean[l];
        s0[l] += d * d;
    }
}

ROW apply_row(const struct columns *c, const float *x, const float *g, float *out, float *s0,
              float *s1, float limit, size_t width)
{
    (void)g, (void)s0, (void)s1;
    for (size_t l = 0; l < width; l++) {
        float y = (x[l] - c->mean[l]) * c->scale[l] + c->shift[l];
        if (limit > 0) {
            y = y < 0.0f ? 0.0f : y;
            y = y > limit ? limit : y;
        }
        out[l] = y;
    }
}

/* The gradient g in front of the ReLU. */
static inline float before_relu(float g, float d, float scale, float shift, float limit)
{
    uint32_t bits;
    float y = d * scale + shift;
    if (!(limit > 0))
        return g;
    memcpy(&bits, &g, sizeof bits);
    bits &= -(uint32_t)(y > 0.0f) & -(uint32_t)(y < limit);
    memcpy(&g, &bits, sizeof bits);
    return g;
}

ROW reduce_row(const struct columns *c, const float *x, const float *g, float *out, float *s0,
               float *s1, float limit, size_t width)
{
    (void)out;
    for (size_t l = 0; l < width; l++) {
        float d = x[l] - c->mean[l];
        float w = before_relu(g[l], d, c->scale[l], c->shift[l], limit);
        s0[l] += w;
        s1[l] += w * d;
    }
}

/* dx = scale * (g - a - b * (x - mean)) */
ROW back_row(const struct columns *c, const float *x, const float *g, float *out, float *s0,
             float *s1, float limit, size_t width)
{
    (void)s0, (void)s1;
    for (size_t l = 0; l < width; l++) {
        float d = x[l] - c->mean[l];
        float w = before_relu(g[l], d, c->scale[l], c->shift[l], limit);
        out[l] = c->scale[l] * (w - c->a[l] - c->b[l] * d);
    }
}

/* All rows of a strip; sums[0] and sums[1] become the columns' sums. */
static inline __attribute__((always_inline)) void over(const struct norm *n, const struct strip *t,
                                                       const struct columns *c,
                                                       double sums[2][STRIP], row_fn *row)
{
    const float *x = n->x + t->at, *g = n->g ? n->g + t->at : n->x + t->at;
    float *out = n->out ? n->out + t->at : NULL;
    memset(sums, 0, 2 * sizeof sums[0]);
    for (size_t i = 0; i < t->rows || (i == t->rows && t->rest > 0); i += PIECE) {
        float s0[STRIP] = {0}, s1[STRIP] = {0};
        size_t end = i + PIECE < t->rows ? i + PIECE : t->rows, k = i * t->step;
        if (t->width == STRIP)
            for (size_t r = i; r < end; r++, k += t->step)
                row(c, x + k, g + k, out ? out + k : NULL, s0, s1, n->limit, STRIP);
        else
            for (size_t r = i; r < end; r++, k += t->step)
                row(c, x + k, g + k, out ? out + k : NULL, s0, s1, n->limit, t->width);
        if (end == t->rows && t->rest > 0)
            row(c, x + k, g + k, out ? out + k : NULL, s0, s1, n->limit, t->rest);
        for (size_t l = 0; l < STRIP; l++) {
            sums[0][l] += (double)s0[l];
            sums[1][l] += (double)s1[l];
        }
        if (end == t->rows)
            break;
    }
}

/* Sums of columns -> of the strip's channels: a plane is one channel. */
static void fold(const struct lanes *v, double sum[STRIP])
{
    for (size_t l = 1; l < STRIP && v->lanes == 1; l++)
        sum[0] += sum[l];
}

static double *part_of(const struct norm *n, size_t image, const struct strip *t)
{
    return n->part + 2 * (image * n->v.channels + t->channel);
}

static void measure_strips(void *ctx, size_t begin, size_t end)
{
    const struct norm *n = ctx;
    const size_t each = n->v.blocks * n->v.strips;
    for (size_t i = begin; i < end; i++) {
        struct strip t = find_strip(&n->v, i / each, i % each);
        struct columns c = {0};
        double sums[2][STRIP], *part = part_of(n, i / each, &t);
        over(n, &t, &c, sums, sum_row);
        fold(&n->v, sums[0]);
        for (size_t l = 0; l < STRIP; l++) {
            size_t k = n->v.lanes == 1 ? 0 : l;
            c.mean[l] = (float)(sums[0][k] / (double)n->v.pixels);
        }
        for (size_t l = 0; l < t.count; l++)
            part[2 * l] = sums[0][l] / (double)n->v.pixels;
        over(n, &t, &c, sums, square_row);
        fold(&n->v, sums[0]);
        for (size_t l = 0; l < t.count; l++) { /* from the mean in fp32 to the mean */
            double d = part[2 * l] - (double)c.mean[l];
            part[2 * l + 1] = sums[0][l] - d * d * (double)n->v.pixels;
        }
    }
}

/* The images' means and squares -> the batch's; i counts channels. */
static void merge_channels(void *ctx, size_t begin, size_t end)
{
    const struct norm *n = ctx;
    const size_t step = 2 * n->v.channels;
    const double images = (double)n->v.images, pixels = (double)n->v.pixels;
    for (size_t i = begin; i < end; i++) {
        const double *part = n->part + 2 * i;
        double mean = 0, squares = 0;
        for (size_t k = 0; k < n->v.images; k++)
            mean += part[k * step];
        mean /= images;
        for (size_t k = 0; k < n->v.images; k++) {
            double d = part[k * step] - mean;
            squares += part[k * step + 1] + d * d * pixels;
        }
        n->part[2 * i] = mean;
        n->part[2 * i + 1] = squares / (images * pixels);
        n->mean[i] = (float)mean;
        n->var[i] = (float)(squares < 0 ? 0 : squares / (images * pixels)); /* a NaN stays one */
    }
}

static void set_columns(const struct norm *n, const struct strip *t, struct columns *c)
{
    float gamma[STRIP], var[STRIP];
    spread(&n->v, t, n->mean, c->mean);
    spread(&n->v, t, n->var, var);
    spread(&n->v, t, n->gamma, gamma);
    spread(&n->v, t, n->beta, c->shift);
    for (size_t l = 0; l < STRIP; l++) {
        c->rstd[l] = (float)(1 / sqrt((double)var[l] + n->eps));
        c->scale[l] = gamma[l] * c->rstd[l];
    }
}

static void apply_strips(void *ctx, size_t begin, size_t end)
{
    const struct norm *n = ctx;
    const size_t each = n->v.blocks * n->v.strips;
    for (size_t i = begin; i < end; i++) {
        struct strip t = find_strip(&n->v, i / each, i % each);
        struct columns c;
        double sums[2][STRIP];
        set_columns(n, &t, &c);
        over(n, &t, &c, sums, apply_row);
    }
}

static void reduce_strips(void *ctx, size_t begin, size_t end)
{
    const struct norm *n = ctx;
    const size_t each = n->v.blocks * n->v.strips;
    for (size_t i = begin; i < end; i++) {
        struct strip t = find_strip(&n->v, i / each, i % each);
        struct columns c;
        double sums[2][STRIP], *part = part_of(n, i / each, &t);
        set_columns(n, &t, &c);
        over(n, &t, &c, sums, reduce_row);
        fold(&n->v, sums[0]);
        fold(&n->v, sums[1]);
        for (size_t l = 0; l < t.count; l++) {
            part[2 * l] = sums[0][l];
            part[2 * l + 1] = sums[1][l] * (double)c.rstd[l];
        }
    }
}

static void merge_gradients(void *ctx, size_t begin, size_t end)
{
    const struct norm *n = ctx;
    const size_t step = 2 * n->v.channels;
    for (size_t i = begin; i < end; i++) {
        double sum = 0, sum_h = 0;
        for (size_t k = 0; k < n->v.images; k++) {
            sum += n->part[k * step + 2 * i];
            sum_h += n->part[k * step + 2 * i + 1];
        }
        n->part[2 * i] = sum;
        n->part[2 * i + 1] = sum_h;
        n->dbeta[i] = (float)sum;
        n->dgamma[i] = (float)sum_h;
    }
}

static void back_strips(void *ctx, size_t begin, size_t end)
{
    const struct norm *n = ctx;
    const size_t each = n->v.blocks * n->v.strips;
    const float m = (float)n->m;
    for (size_t i = begin; i < end; i++) {
        struct strip t = find_strip(&n->v, i / each, i % each);
        struct columns c;
        double sums[2][STRIP];
        set_columns(n, &t, &c);
        spread(&n->v, &t, n->sum, c.a);
        spread(&n->v, &t, n->sum_h, c.b);
        for (size_t l = 0; l < STRIP; l++) {
            c.a[l] /= m;
            c.b[l] *= c.rstd[l] / m;
        }
        over(n, &t, &c, sums, back_row);
    }
}

static struct norm describe(const struct fv__cpu_step *s, const struct fv__cpu_run *r)
{
    const struct fv_node *o = &r->program->net->node[s->node];
    return (struct norm){
        .v = lanes_of(s->count, (size_t)o->c, (size_t)o->h * (size_t)o->w, s->lanes),
        .x = s->data[0],
        .mean = s->data[1],
        .var = s->data[2],
        .gamma = s->data[3],
        .beta = s->data[4],
        .part = (double *)(void *)s->data[5],
        .eps = (double)o->eps,
        .limit = s->limit};
}

static void share(const struct fv__cpu_run *r, size_t count,
                  void (*fn)(void *ctx, size_t begin, size_t end), struct norm *n)
{
    fv__threads_share(r->program->device->threads, count, 1, fn, n);
}

/* Ranks have equally many items: the mean is that of the means, and so is that of the squares. */
static void sync_statistics(struct norm *n, struct fv__cpu_run *r)
{
    const double world = fv_comm_world(r->program->comm);
    const size_t channels = n->v.channels;
    for (size_t i = 0; i < channels; i++)
        n->part[2 * i + 1] += n->part[2 * i] * n->part[2 * i];
    r->error = fv_comm_sum_doubles(r->program->comm, n->part, 2 * channels);
    for (size_t i = 0; i < channels; i++) {
        const double mean = n->part[2 * i] / world;
        const double var = n->part[2 * i + 1] / world - mean * mean;
        n->mean[i] = (float)mean;
        n->var[i] = (float)(var < 0 ? 0 : var); /* a NaN stays one */
    }
}

/* The sums of all ranks lie behind the parts. */
static void sync_sums(struct norm *n, struct fv__cpu_run *r)
{
    const size_t channels = n->v.channels;
    float *sum = (float *)(void *)(n->part + 2 * n->v.images * channels);
    r->error = fv_comm_sum_doubles(r->program->comm, n->part, 2 * channels);
    for (size_t i = 0; i < channels; i++) {
        sum[i] = (float)n->part[2 * i];
        sum[channels + i] = (float)n->part[2 * i + 1];
    }
    n->sum = sum;
    n->sum_h = sum + channels;
    n->m *= fv_comm_world(r->program->comm);
}

/* x, mean, variance, scale, shift, parts, out */
static void loop_forward(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct norm n = describe(s, r);
    const size_t strips = n.v.images * n.v.blocks * n.v.strips;
    share(r, strips, measure_strips, &n);
    share(r, n.v.channels, merge_channels, &n);
    if (r->program->sync_bn)
        sync_statistics(&n, r);
    n.out = s->data[6];
    share(r, strips, apply_strips, &n);
}

/* x, mean, variance, scale, shift, parts, g, dx, gradients of scale and shift */
static void loop_backward(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct norm n = describe(s, r);
    const size_t strips = n.v.images * n.v.blocks * n.v.strips;
    n.g = s->data[6];
    n.dgamma = s->data[8];
    n.dbeta = s->data[9];
    share(r, strips, reduce_strips, &n);
    share(r, n.v.channels, merge_gradients, &n);
    n.sum = n.dbeta;
    n.sum_h = n.dgamma;
    n.m = (double)(n.v.images * n.v.pixels);
    if (r->program->sync_bn)
        sync_sums(&n, r);
    n.out = s->data[7];
    share(r, strips, back_strips, &n);
}

static void add_step(struct fv__cpu_plan *plan, int node, int backward, float limit)
{
    const struct fv_node *o = &plan->program->net->node[node];
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__cpu_step *s = fv__cpu_step_loop(
        plan, node, backward, backward ? loop_backward : loop_forward, (size_t)plan->n);
    if (!s)
        return;
    s->lanes = fv__dnn_md_lanes(v->src_md);
    s->limit = limit;
    int part = fv__cpu_buffer_new(plan, (2 * (size_t)plan->n + 1) * (size_t)o->c * sizeof(double));
    fv__cpu_operand(plan, v->src);
    fv__cpu_operand(plan, fv__cpu_in_buffer(v->mean));
    fv__cpu_operand(plan, fv__cpu_in_buffer(v->var));
    fv__cpu_operand(plan, fv__cpu_in_weight(o->tensor[0]));
    fv__cpu_operand(plan, fv__cpu_in_weight(o->tensor[1]));
    fv__cpu_operand(plan, fv__cpu_in_buffer(part));
}

void fv__cpu_bn_forward(struct fv__cpu_plan *plan, int node, struct fv__cpu_place out, float limit)
{
    add_step(plan, node, 0, limit);
    fv__cpu_operand(plan, out);
}

void fv__cpu_bn_backward(struct fv__cpu_plan *plan, int node, int g, int dx, float limit,
                         struct fv__cpu_place dgamma, struct fv__cpu_place dbeta)
{
    add_step(plan, node, 1, limit);
    fv__cpu_operand(plan, fv__cpu_in_buffer(g));
    fv__cpu_operand(plan, fv__cpu_in_buffer(dx));
    fv__cpu_operand(plan, dgamma);
    fv__cpu_operand(plan, dbeta);
}
