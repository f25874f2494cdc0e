/* SPDX-License-Identifier: MIT */
/* Every loss, value and gradients: against PyTorch's numbers (golden file, argument 1), against difference quotients,
 * and against itself in fp32, in other shares and with weights. */
#include "golden_text.h"

#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/loss/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024 };
static const char *golden_path;

/* A batch with all three matrices, in double; its call. */
struct rig {
    struct fv_loss_spec spec;
    struct fv_loss_call call;
    double x[FV_LOSS_INPUTS][MOST], grad[FV_LOSS_INPUTS][MOST];
    int32_t label[16], label_mix[16];
    float lambda[16];
    float state[FV_LOSS_TERMS][FV_LOSS_STATES][MOST];
    double work[4096];
};

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static size_t columns(const struct rig *r, int in)
{
    return (size_t)(in == FV_LOSS_EMBEDDING ? r->call.dim : r->call.classes);
}

static void set_up(struct rig *r, const char *spec, int n, int classes, int dim)
{
    memset(r, 0, sizeof *r);
    must(fv_loss_parse(&r->spec, spec));
    r->call = (struct fv_loss_call){.spec = &r->spec,
                                    .n = n,
                                    .classes = classes,
                                    .dim = dim,
                                    .label = r->label,
                                    .label_mix = r->label_mix,
                                    .lambda = r->lambda,
                                    .epoch = INFINITY,
                                    .work = r->work};
    assert_true(fv_loss_work(&r->spec, n, dim) <= sizeof r->work / sizeof r->work[0]);
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        r->call.in[k].d = r->x[k];
        if (r->spec.reads & 1u << k)
            r->call.in[k].grad_d = r->grad[k];
        for (size_t i = 0; i < MOST; i++)
            r->grad[k][i] = NAN; /* whatever is not set shows */
    }
    for (int t = 0; t < FV_LOSS_TERMS; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            r->call.state[t][k] = r->state[t][k];
}

static void draw(struct rig *r, uint64_t seed)
{
    struct fv_rng rng = fv_rng_at(seed, 0, 0, FV_RNG_TEST);
    for (int i = 0; i < r->call.n; i++) {
        r->label[i] = (int32_t)fv_rng_below(&rng, (uint32_t)r->call.classes / 2 + 1);
        r->label_mix[i] =
            r->spec.soft ? (int32_t)fv_rng_below(&rng, (uint32_t)r->call.classes) : r->label[i];
        r->lambda[i] = r->spec.soft ? (float)fv_rng_uniform(&rng, 0, 1) : 1;
    }
    for (size_t i = 0; i < (size_t)r->call.n * (size_t)r->call.classes; i++) {
        r->x[FV_LOSS_LOGITS][i] = 3 * fv_rng_normal(&rng);
        r->x[FV_LOSS_COSINE][i] = fv_rng_uniform(&rng, -.95, .95);
    }
    for (size_t i = 0; i < (size_t)r->call.n * (size_t)r->call.dim; i++)
        r->x[FV_LOSS_EMBEDDING][i] = 2 * fv_rng_normal(&rng);
    for (int t = 0; t < r->spec.terms; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            for (size_t i = 0; i < MOST; i++)
                r->state[t][k][i] = (float)fv_rng_uniform(&rng, 1, 3);
}

/* Whether the loss is a function of the matrix by its gradient alone: the norms are constants to it. */
static int differentiable(const struct rig *r, int in)
{
    return r->call.in[in].grad_d &&
           !(in == FV_LOSS_EMBEDDING && r->spec.reads & FV_LOSS_READS_NORMS);
}

/* Against differences of the loss, by every number it reads. */
static void check_differences(const char *spec, uint64_t seed)
{
    static struct rig r;
    set_up(&r, spec, 8, 7, 5);
    draw(&r, seed);
    fv_loss_run(&r.call);
    double loss = r.call.result.loss, grad[FV_LOSS_INPUTS][MOST];
    assert_true(isfinite(loss));
    memcpy(grad, r.grad, sizeof grad);
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        const size_t count = 8 * columns(&r, k);
        double squares = 0;
        for (size_t i = 0; i < count && differentiable(&r, k); i++)
            squares += grad[k][i] * grad[k][i];
        for (size_t i = 0; i < count && differentiable(&r, k); i++) {
            const double kept = r.x[k][i], h = 1e-5;
            double at[5];
            for (int j = -2; j <= 2; j++) {
                r.x[k][i] = kept + j * h;
                fv_loss_run(&r.call);
                at[j + 2] = r.call.result.loss;
            }
            r.x[k][i] = kept;
            const double slope = (at[0] - 8 * at[1] + 8 * at[3] - at[4]) / (12 * h);
            const double size = fmax(sqrt(squares / (double)count), fabs(slope));
            if (!(fabs(slope - grad[k][i]) <= 1e-6 * size))
                fail_msg("%s: input %d [%zu]: gradient %.12g, difference quotient %.12g", spec, k,
                         i, grad[k][i], slope);
        }
    }
}

static const char *const specs[] = {
    "ce",
    "ce(smooth=0.1)",
    "arcface(s=16)",
    "arcface(s=30,m=0.4,smooth=0.1)",
    "cosface(s=16)",
    "combined(s=12)",
    "combined(m1=1.35,m2=0.2,m3=0.1,s=12)",
    "combined(m1=4,m2=0,m3=0,s=8)",
    "adaface(s=16,h=1)",
    "triplet",
    "triplet(squared=yes)",
    "triplet(mine=semi-hard,margin=2)",
    "triplet(soft=yes,unit=no)",
    "triplet(mine=semi-hard,squared=yes,unit=no,margin=9)",
    "center",
    "ce(smooth=0.1)+0.2*triplet(margin=0.5)",
    "2*ce+0.5*arcface(s=16)+0.1*cosface(s=8)",
    "ce+0.01*center+0.3*triplet",
    "adaface(s=12)+0.01*center",
    "triplet(mine=semi-hard,margin=2)+0.05*center",
};
enum { SPECS = sizeof specs / sizeof specs[0] };

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int i = 0; i < SPECS; i++)
        for (uint64_t seed = 0; seed < 4; seed++)
            check_differences(specs[i], seed);
}

static void expect(const char *spec, const char *what, const double *got, int n)
{
    double want[MOST], squares = 0;
    assert_int_equal(golden_numbers(want, MOST), n);
    for (int i = 0; i < n; i++)
        squares += want[i] * want[i];
    for (int i = 0; i < n; i++) {
        const double size = fmax(sqrt(squares / n), fabs(want[i]));
        if (isnan(want[i]) ? !isnan(got[i]) : !(fabs(got[i] - want[i]) <= 1e-9 * size + 1e-14))
            fail_msg("%s: %s[%d] is %.13g, PyTorch has %.13g", spec, what, i, got[i], want[i]);
    }
}

/* In the order in which the terms have them. */
static int states_of(struct rig *r, float *at[4], size_t count[4])
{
    int n = 0;
    for (int t = 0; t < r->spec.terms; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            if (r->spec.term[t].loss->state[k].name) {
                at[n] = r->state[t][k];
                count[n++] = r->spec.term[t].loss->state[k].per_class
                                 ? (size_t)r->call.classes * (size_t)r->call.dim
                                 : 1;
            }
    return n;
}

static void move_states(struct rig *r, double *numbers_of, int read)
{
    float *at[4];
    size_t count[4];
    const int n = states_of(r, at, count);
    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < count[k]; i++, numbers_of++)
            if (read)
                at[k][i] = (float)*numbers_of;
            else
                *numbers_of = (double)at[k][i];
}

static void read_inputs(struct rig *r)
{
    static const char *const keys[] = {"logits", "cosine", "embedding"};
    double v[MOST];
    assert_string_equal(golden_key(), "label");
    assert_int_equal(golden_numbers(v, MOST), r->call.n);
    for (int i = 0; i < r->call.n; i++)
        r->label[i] = (int32_t)v[i];
    assert_string_equal(golden_key(), "label_mix");
    golden_numbers(v, MOST);
    for (int i = 0; i < r->call.n; i++)
        r->label_mix[i] = (int32_t)v[i];
    assert_string_equal(golden_key(), "lambda");
    golden_numbers(v, MOST);
    for (int i = 0; i < r->call.n; i++)
        r->lambda[i] = (float)v[i];
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        assert_string_equal(golden_key(), keys[k]);
        assert_int_equal(golden_numbers(r->x[k], MOST), r->call.n * (int)columns(r, k));
    }
    assert_string_equal(golden_key(), "state");
    golden_numbers(v, MOST);
    move_states(r, v, 1);
}

/* The new states in double cannot be seen, so they are compared as fp32. */
static void expect_states(struct rig *r, const char *spec)
{
    double want[MOST], got[MOST] = {0};
    const int n = golden_numbers(want, MOST);
    fv_loss_commit(&r->call);
    move_states(r, got, 0);
    for (int i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-6 * fmax(1, fabs(want[i]))))
            fail_msg("%s: state %d is %.9g, PyTorch has %.9g", spec, i, got[i], want[i]);
}

static void expect_outputs(struct rig *r, const char *spec)
{
    const struct fv_loss_result *got = &r->call.result;
    static const char *const keys[] = {"grad_logits", "grad_cosine", "grad_embedding"};
    int seen = 0;
    for (const char *key; strcmp(key = golden_key(), "end") != 0;) {
        if (strcmp(key, "loss") == 0)
            expect(spec, key, &got->loss, 1);
        else if (strcmp(key, "term") == 0)
            expect(spec, key, got->term, r->spec.terms);
        else if (strcmp(key, "correct") == 0)
            expect(spec, key, &got->correct, 1);
        else if (strcmp(key, "active") == 0)
            expect(spec, key, &got->active, 1);
        else if (strcmp(key, "distance") == 0)
            expect(spec, key, &got->distance, 1);
        else if (strcmp(key, "new_state") == 0)
            expect_states(r, spec);
        for (int k = 0; k < FV_LOSS_INPUTS; k++)
            if (strcmp(key, keys[k]) == 0) {
                expect(spec, key, r->grad[k], r->call.n * (int)columns(r, k));
                seen |= 1 << k;
            }
    }
    assert_int_equal(seen, (int)r->spec.reads & 7);
}

static void values_are_pytorchs(void **state)
{
    static struct rig r;
    int cases = 0;
    (void)state;
    golden_lines_open(golden_path);
    for (const char *key; *(key = golden_key());) {
        char spec[256];
        int size[3];
        assert_string_equal(key, "case");
        snprintf(spec, sizeof spec, "%s", golden_word());
        for (int i = 0; i < 3; i++)
            size[i] = atoi(golden_word());
        const double epoch = strtod(golden_word(), NULL);
        set_up(&r, spec, size[0], size[1], size[2]);
        r.call.epoch = epoch;
        read_inputs(&r);
        fv_loss_run(&r.call);
        expect_outputs(&r, spec);
        cases++;
    }
    golden_lines_close();
    assert_true(cases > 60);
}

/* The same batch in fp32: the same numbers but for its rounding. */
static void fp32_is_the_same(void **state)
{
    static struct rig r, s;
    static float x[FV_LOSS_INPUTS][MOST], grad[FV_LOSS_INPUTS][MOST];
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        set_up(&r, specs[i], 8, 7, 5);
        draw(&r, 7);
        for (int k = 0; k < FV_LOSS_INPUTS; k++)
            for (size_t j = 0; j < MOST; j++)
                r.x[k][j] = (double)(x[k][j] = (float)r.x[k][j]);
        fv_loss_run(&r.call);
        s = r;
        s.call = r.call;
        s.call.spec = &s.spec;
        s.call.work = s.work;
        for (int k = 0; k < FV_LOSS_INPUTS; k++)
            s.call.in[k] =
                (struct fv_loss_rows){.f = x[k], .grad_f = r.spec.reads & 1u << k ? grad[k] : NULL};
        fv_loss_run(&s.call);
        assert_true(s.call.result.loss == r.call.result.loss);
        for (int k = 0; k < FV_LOSS_INPUTS; k++)
            for (size_t j = 0; r.call.in[k].grad_d && j < 8 * columns(&r, k); j++)
                if (!(fabs((double)grad[k][j] - r.grad[k][j]) <=
                      2e-7 * fmax(1e-2, fabs(r.grad[k][j]))))
                    fail_msg("%s: input %d [%zu]: %.9g in fp32, %.9g", specs[i], k, j,
                             (double)grad[k][j], r.grad[k][j]);
    }
}

/* Rows one by one, the last first. */
static void share_backwards(void *ctx, size_t count, void (*fn)(void *, size_t, size_t), void *arg)
{
    (void)ctx;
    for (size_t i = count; i > 0; i--)
        fn(arg, i - 1, i);
}

static void shares_do_not_matter(void **state)
{
    static struct rig r, s;
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        set_up(&r, specs[i], 8, 7, 5);
        set_up(&s, specs[i], 8, 7, 5);
        draw(&r, 9);
        draw(&s, 9);
        s.call.share = share_backwards;
        fv_loss_run(&r.call);
        fv_loss_run(&s.call);
        assert_memory_equal(&r.call.result.loss, &s.call.result.loss, sizeof(double));
        for (int k = 0; k < FV_LOSS_INPUTS; k++)
            if (r.call.in[k].grad_d)
                assert_memory_equal(r.grad[k], s.grad[k], 8 * columns(&r, k) * sizeof(double));
    }
}

/* A NaN in any row shows in the loss: nothing is clamped away. */
static void a_nan_shows(void **state)
{
    static struct rig r;
    (void)state;
    for (int i = 0; i < SPECS; i++)
        for (int k = 0; k < FV_LOSS_INPUTS; k++)
            for (size_t at = 0; at < 8; at++) {
                set_up(&r, specs[i], 8, 7, 5);
                if (!(r.spec.reads & 1u << k))
                    continue;
                draw(&r, 11);
                for (int j = 0; j < 8; j++)
                    r.label[j] = r.label_mix[j] = j / 2; /* every item is in a triplet */
                r.x[k][at * columns(&r, k) + at % columns(&r, k)] = NAN;
                fv_loss_run(&r.call);
                if (!isnan(r.call.result.loss))
                    fail_msg("%s: a NaN in input %d, row %zu gives the loss %g", specs[i], k, at,
                             r.call.result.loss);
            }
}

/* Equal distances: the first in the batch is mined. Items 1 and 2 stand equally far from 0, as do 3 and 4. */
static void ties_go_to_the_first(void **state)
{
    static struct rig r;
    static const double place[5][2] = {{0, 0}, {1, 0}, {-1, 0}, {0, .5}, {0, -.5}};
    (void)state;
    set_up(&r, "triplet(unit=no)", 5, 3, 2);
    for (int i = 0; i < 5; i++) {
        r.label[i] = r.label_mix[i] = i < 3 ? 0 : 1 + (i == 4);
        r.lambda[i] = 1;
        memcpy(&r.x[FV_LOSS_EMBEDDING][2 * i], place[i], sizeof place[i]);
    }
    fv_loss_run(&r.call);
    /* anchors 0, 1, 2; item 4 is as near as 3 to each of them, and never chosen */
    assert_true(r.grad[FV_LOSS_EMBEDDING][8] == 0 && r.grad[FV_LOSS_EMBEDDING][9] == 0);
    assert_true(r.grad[FV_LOSS_EMBEDDING][7] != 0);
}

/* Semi-hard is farther than the positive, not as far: item 2 stands as far from 0 as 1 does, item 3 a little
 * farther. Seen from 1 neither costs anything. */
static void as_far_as_the_positive_is_not_semi_hard(void **state)
{
    static struct rig r;
    static const double place[4][2] = {{0, 0}, {1, 0}, {0, 1}, {0, 1.2}};
    (void)state;
    set_up(&r, "triplet(mine=semi-hard,unit=no)", 4, 3, 2);
    for (int i = 0; i < 4; i++) {
        r.label[i] = r.label_mix[i] = i < 2 ? 0 : i - 1;
        r.lambda[i] = 1;
        memcpy(&r.x[FV_LOSS_EMBEDDING][2 * i], place[i], sizeof place[i]);
    }
    fv_loss_run(&r.call);
    assert_true(r.grad[FV_LOSS_EMBEDDING][4] == 0 && r.grad[FV_LOSS_EMBEDDING][5] == 0);
    assert_true(r.grad[FV_LOSS_EMBEDDING][7] != 0);
    assert_true(fabs(r.call.result.loss - .05) < 1e-15 && r.call.result.active == .5);
}

static void collapsed_embeddings_cost_the_margin(void **state)
{
    static struct rig r;
    (void)state;
    set_up(&r, "triplet(margin=0.25)", 6, 3, 4);
    for (int i = 0; i < 6; i++) {
        r.label[i] = r.label_mix[i] = i / 2;
        r.lambda[i] = 1;
        for (int k = 0; k < 4; k++)
            r.x[FV_LOSS_EMBEDDING][4 * i + k] = .5;
    }
    fv_loss_run(&r.call);
    assert_true(fabs(r.call.result.loss - .25) < 1e-15 && r.call.result.active == 1);
    assert_true(r.call.result.distance == 0);
    for (int i = 0; i < 24; i++)
        assert_true(r.grad[FV_LOSS_EMBEDDING][i] == 0);
}

static void expect_text(const char *spec, const char *text)
{
    struct fv_loss_spec s, again;
    must(fv_loss_parse(&s, spec));
    assert_string_equal(s.text, text);
    must(fv_loss_parse(&again, s.text));
    assert_string_equal(again.text, text);
}

static void texts_are_canonical(void **state)
{
    (void)state;
    expect_text("ce", "ce");
    expect_text(" ce ( 0.1 ) + 0.20 * triplet ( margin = .3 , mine = semi-hard ) ",
                "ce(smooth=0.1)+0.2*triplet(mine=semi-hard)");
    expect_text("arcface(30,0.4,insightface)", "arcface(s=30,m=0.4,grad=insightface)");
    expect_text("1e-3*center", "0.001*center");
    expect_text("1*ce()", "ce");
    expect_text("combined(1,0.3,0.2)+0.1*cosface(s=0.30000000000000004)",
                "combined+0.1*cosface(s=0.30000000000000004)");
}

static void expect_error(const char *spec, const char *part)
{
    struct fv_loss_spec s;
    assert_int_equal(fv_loss_parse(&s, spec), FV_EUSAGE);
    if (!strstr(fv_err_text(), part))
        fail_msg("'%s': \"%s\" does not say \"%s\"", spec, fv_err_text(), part);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    expect_error("", "expected a name");
    expect_error("arc",
                 "there is no loss 'arc': valid are ce, arcface, cosface, combined, adaface, "
                 "triplet, center");
    expect_error("ce+", "expected a name");
    expect_error("ce ce", "expected '+'");
    expect_error("ce+ce", "'ce' is named twice");
    expect_error("ce+arcface+cosface+combined+adaface", "at most 4 terms");
    expect_error("0*ce", "a weight of 0");
    expect_error("-1*ce", "a weight of -1");
    expect_error("nan*ce", "a weight of nan");
    expect_error("2 ce", "expected '*'");
    expect_error("ce(smooth=2)", "smooth is 2: valid are 0 to 1");
    expect_error("ce(0.1", "expected ',' or ')'");
    expect_error("arcface(q=1)", "no parameter 'q': valid are s, m, grad, warmup, smooth");
    expect_error("arcface(grad=paper)", "grad is 'paper': valid are exact, insightface");
    expect_error("arcface(m=0.1,m=0.2)", "given twice");
    expect_error("triplet(soft=yes,margin=0.2)", "soft=yes takes no margin");
    expect_error("ce(1,2)", "at most 1 values");
}

static void the_spec_says_what_it_reads(void **state)
{
    struct fv_loss_spec s;
    (void)state;
    must(fv_loss_parse(&s, "0.5*triplet+adaface(s=20)+ce"));
    assert_int_equal(s.reads, FV_LOSS_READS_LOGITS | FV_LOSS_READS_COSINE |
                                  FV_LOSS_READS_EMBEDDING | FV_LOSS_READS_NORMS);
    assert_int_equal(s.scored, 1);
    assert_false(s.soft);
    assert_true(fv_loss_scale(&s) == 20);
    must(fv_loss_parse(&s, "triplet"));
    assert_int_equal(s.scored, -1);
    must(fv_loss_parse(&s, "arcface(warmup=4)"));
    assert_true(s.soft && fv_loss_warmth(&s.term[0], 1) == .25 &&
                fv_loss_warmth(&s.term[0], 5) == 1 && fv_loss_warmth(&s.term[0], 0) == 0);
    assert_true(isnan(fv_loss_value(&s.term[0], "margin")));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_pytorchs),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(fp32_is_the_same),
        cmocka_unit_test(shares_do_not_matter),
        cmocka_unit_test(a_nan_shows),
        cmocka_unit_test(ties_go_to_the_first),
        cmocka_unit_test(as_far_as_the_positive_is_not_semi_hard),
        cmocka_unit_test(collapsed_embeddings_cost_the_margin),
        cmocka_unit_test(texts_are_canonical),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(the_spec_says_what_it_reads),
    };
    if (argc != 2)
        return 2;
    golden_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
