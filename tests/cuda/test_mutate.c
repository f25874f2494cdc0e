/* SPDX-License-Identifier: MIT */
/* The checker checked: a right program is broken in one place at a time, and the interpreter, or the comparison with
 * ref, has to notice. What cannot be noticed because nothing changes is not made: sums whose sides are exchanged,
 * neighbours that do not depend on each other, an activation that is said twice. */
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/interpret_rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every kind of node and of op: a gate, depthwise and merged groups, sums of every form, dropout, fc over pixels. */
static struct fv_net *build(void)
{
    const float mean[3] = {.5f, .4f, .3f}, std[3] = {.2f, .25f, .3f};
    struct fv_net *n = NULL;
    rig_must(fv_net_new(&n, "zoo"));
    int x = fv_net_conv(n, "a", fv_net_input(n, 8, mean, std), 16, 3, 1, 1, 1, 0);
    x = fv_net_maxpool(n, fv_net_relu(n, fv_net_bn(n, "bn_a", x)), 3, 2, 1);
    int y = fv_net_relu(n, fv_net_bn(n, "bn_b", fv_net_conv(n, "b", x, 16, 3, 1, 1, 1, 0)));
    y = fv_net_bn(n, "bn_c", fv_net_conv(n, "c", y, 16, 3, 1, 1, 1, 0));
    int gate = fv_net_relu(n, fv_net_conv(n, "fc1", fv_net_gap(n, y), 8, 1, 1, 0, 1, 1));
    gate = fv_net_sigmoid(n, fv_net_conv(n, "fc2", gate, 16, 1, 1, 0, 1, 1));
    x = fv_net_relu(n, fv_net_add(n, fv_net_scale(n, y, gate), x));
    y = fv_net_bn(n, "bn_d", fv_net_conv(n, "d", x, 24, 3, 2, 1, 1, 0));
    int around = fv_net_bn(n, "bn_e", fv_net_conv(n, "e", x, 24, 1, 2, 0, 1, 0));
    x = fv_net_relu6(n, fv_net_add(n, y, around));
    y = fv_net_prelu(n, "p", fv_net_bn(n, "bn_f", fv_net_conv(n, "f", x, 24, 3, 1, 1, 24, 0)));
    y = fv_net_conv(n, "j", fv_net_relu6(n, fv_net_bn(n, "bn_j", y)), 24, 3, 1, 1, 24, 0);
    y = fv_net_bn(n, "bn_g", fv_net_conv(n, "g", fv_net_bn(n, "bn_h", y), 24, 3, 1, 1, 12, 1));
    x = fv_net_add(n, x, y);
    x = fv_net_dropout(n, fv_net_fc(n, "fc", fv_net_bn(n, "bn_i", x), 20, 1), .25);
    x = n->embedding_node = fv_net_bn_unit_scale(n, "features", x);
    fv_net_loss(n, fv_net_fc(n, "head", x, RIG_CLASSES, 1));
    rig_must(fv_net_finish(n));
    for (int i = 0; i < n->nodes; i++)
        n->node[i].eps = .5f;
    return n;
}

enum kind {
    DROP_OP,
    SWAP_OPS,
    SWAP_OPERANDS,
    OTHER_BUFFER,
    SHORTEN,
    SHARE_MEMORY,
    DROP_ACT,
    DROP_PIECE,
    KINDS
};
static const char *const names[KINDS] = {"an op left out",          "two dependent ops exchanged",
                                         "two operands exchanged",  "another buffer of that size",
                                         "a lifetime shortened",    "memory of a live buffer",
                                         "an activation forgotten", "a summand forgotten"};

static int access_of(const struct fv_low_op *op, int role)
{
    return op->arg[role] < 0 ? FV_LOW_ABSENT : fv_low_kinds[op->kind].access[role];
}

static int same_shape(const struct fv_low_buffer *a, const struct fv_low_buffer *b)
{
    return a->space == b->space && a->bytes == b->bytes && a->dtype == b->dtype;
}

/* Whether op b reads what op a writes. */
static int depends(const struct fv_low_op *a, const struct fv_low_op *b)
{
    for (int i = 0; i < FV_LOW_ROLES; i++)
        for (int k = 0; k < FV_LOW_ROLES; k++)
            if (access_of(a, i) >= FV_LOW_WRITE && access_of(b, k) == FV_LOW_READ &&
                a->arg[i] == b->arg[k])
                return 1;
    return 0;
}

/* Sums (dy + dy2, x + r, both shifts) are the same the other way round; the scale of a batch norm that learns
 * none is rstd. */
static int commutes(const struct fv_low_op *op, int a, int b)
{
    if (a == FV_LOW_SCALE_V && b == FV_LOW_RSTD && op->arg[FV_LOW_GAMMA] < 0)
        return 1;
    return (a == FV_LOW_DY && b == FV_LOW_DY2) || (a == FV_LOW_SHIFT_V && b == FV_LOW_SHIFT2) ||
           (a == FV_LOW_X && b == FV_LOW_R && op->kind == FV_LOW_ADD);
}

static int pick(struct fv_rng *rng, int n)
{
    return (int)fv_rng_below(rng, (uint32_t)n);
}

static int may_swap(const struct fv_lowered *l, const struct fv_low_op *op, int a, int b)
{
    return a < b && access_of(op, a) != FV_LOW_ABSENT && access_of(op, b) != FV_LOW_ABSENT &&
           op->arg[a] != op->arg[b] && !commutes(op, a, b) &&
           same_shape(&l->buffer[op->arg[a]], &l->buffer[op->arg[b]]);
}

static int swap_operands(struct fv_lowered *l, struct fv_low_op *op, struct fv_rng *rng)
{
    int found[2] = {-1, -1}, pairs = 0;
    for (int i = 0; i < FV_LOW_ROLES * FV_LOW_ROLES; i++)
        if (may_swap(l, op, i / FV_LOW_ROLES, i % FV_LOW_ROLES) && pick(rng, ++pairs) == 0) {
            found[0] = i / FV_LOW_ROLES;
            found[1] = i % FV_LOW_ROLES;
        }
    if (pairs == 0)
        return 0;
    int kept = op->arg[found[0]];
    op->arg[found[0]] = op->arg[found[1]];
    op->arg[found[1]] = kept;
    return 1;
}

static int other_buffer(struct fv_lowered *l, struct fv_low_op *op, struct fv_rng *rng)
{
    int role = pick(rng, FV_LOW_ROLES), other = pick(rng, l->buffers);
    if (access_of(op, role) == FV_LOW_ABSENT || other == op->arg[role] ||
        !same_shape(&l->buffer[op->arg[role]], &l->buffer[other]))
        return 0;
    op->arg[role] = other;
    return 1;
}

static int share_memory(struct fv_lowered *l, struct fv_rng *rng)
{
    struct fv_low_buffer *a = &l->buffer[pick(rng, l->buffers)];
    struct fv_low_buffer *b = &l->buffer[pick(rng, l->buffers)];
    if (a == b || a->space != FV_LOW_ARENA || b->space != FV_LOW_ARENA || a->last < b->first ||
        b->last < a->first || b->offset + a->bytes > l->bytes[FV_LOW_ARENA])
        return 0;
    a->offset = b->offset;
    return 1;
}

/* Breaks the program in one place, drawn at random; 0 if this draw breaks nothing. */
static int mutate(struct fv_lowered *l, enum kind kind, struct fv_rng *rng)
{
    int i = pick(rng, l->ops - 1);
    struct fv_low_op *op = &l->op[i], kept = *op;
    struct fv_low_buffer *f = &l->buffer[pick(rng, l->buffers)];
    int role = pick(rng, 2) ? FV_LOW_DY2 : FV_LOW_R;
    switch (kind) {
    case DROP_OP:
        memmove(op, op + 1, (size_t)(l->ops - i - 1) * sizeof *op);
        l->ops--;
        return 1;
    case SWAP_OPS:
        if (!depends(op, op + 1))
            return 0;
        op[0] = op[1];
        op[1] = kept;
        return 1;
    case SWAP_OPERANDS:
        return swap_operands(l, op, rng);
    case OTHER_BUFFER:
        return other_buffer(l, op, rng);
    case SHORTEN:
        if (f->space != FV_LOW_ARENA || f->last <= f->first)
            return 0;
        f->last--;
        return 1;
    case SHARE_MEMORY:
        return share_memory(l, rng);
    case DROP_ACT:
        if (op->act == FV_LOW_ACT_NONE || op->graph != FV_LOW_GRAPH_NONE)
            return 0; /* a convolution's graph says it already */
        op->act = FV_LOW_ACT_NONE;
        return 1;
    default:
        if (op->arg[role] < 0)
            return 0;
        op->arg[role] = -1;
        return 1;
    }
}

static int noticed(const struct rig_outcome *o)
{
    return o->fault[0] || !(o->loss < 1e-4) || !(o->grads < 5e-3) || !(o->arena < 1e-3);
}

static void describe(const struct fv_lowered *l, const struct fv_lowered *right)
{
    for (int i = 0; i < l->ops; i++)
        if (memcmp(&l->op[i], &right->op[i], sizeof l->op[i]) != 0) {
            printf("    op %d %s", i, fv_low_kinds[right->op[i].kind].name);
            for (int k = 0; k < FV_LOW_ROLES; k++)
                if (l->op[i].arg[k] != right->op[i].arg[k])
                    printf(" %s: %d for %d", fv_low_role_names[k], l->op[i].arg[k],
                           right->op[i].arg[k]);
            printf("\n");
            return;
        }
}

static void test_mutants(void **state)
{
    enum { EACH = 80 };
    struct fv_net *net = build();
    struct rig_truth t;
    struct fv_rng rng = fv_rng_at(9, 0, 0, FV_RNG_TEST);
    int missed = 0;
    (void)state;
    rig_make_truth(&t, net, NULL);
    for (int kind = 0; kind < KINDS; kind++) {
        int made = 0, found = 0;
        for (int tries = 0; tries < 100 * EACH && made < EACH; tries++) {
            uint32_t seed = fv_rng_below(&rng, 4);
            struct fv_lowered *l = rig_lower(net, FV_LOW_F32, 1, 4, seed, NULL);
            struct fv_lowered *right = NULL;
            if (mutate(l, (enum kind)kind, &rng)) {
                struct rig_outcome o = rig_run(&t, l, NULL);
                made++;
                found += noticed(&o);
                if (!noticed(&o)) {
                    right = rig_lower(net, FV_LOW_F32, 1, 4, seed, NULL);
                    describe(l, right);
                }
            }
            fv_lowered_free(&l);
            fv_lowered_free(&right);
        }
        printf("%-30s %3d of %3d noticed\n", names[kind], found, made);
        assert_true(made >= 20);
        missed += made - found;
    }
    assert_int_equal(missed, 0);
    rig_free_truth(&t);
    fv_net_free(&net);
}

/* Unbroken, under the same answers, nothing is noticed; and inference agrees. */
static void test_right(void **state)
{
    struct fv_net *net = build();
    struct rig_truth t;
    (void)state;
    rig_make_truth(&t, net, NULL);
    for (uint32_t seed = 0; seed < 4; seed++) {
        struct fv_lowered *train = rig_lower(net, FV_LOW_F32, 1, 4, seed, NULL);
        struct fv_lowered *infer = rig_lower(net, FV_LOW_F32, 0, 4, seed, NULL);
        struct rig_outcome o = rig_run(&t, train, infer);
        printf("loss %.1e, gradients %.1e, parameters %.1e, inference %.1e %s\n", o.loss, o.grads,
               o.arena, o.eval, o.fault);
        assert_false(noticed(&o));
        assert_true(o.eval < 1e-4);
        fv_lowered_free(&train);
        fv_lowered_free(&infer);
    }
    rig_free_truth(&t);
    fv_net_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_right),
                                       cmocka_unit_test(test_mutants)};
    return cmocka_run_group_tests_name("mutate", tests, NULL, NULL);
}
