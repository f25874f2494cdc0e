/* SPDX-License-Identifier: MIT */
/* The parser of losses on damaged texts: it may refuse them; what it accepts has a canonical text that means the same,
 * and gives a loss and gradients within bounds of its memory.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates
 * losses by a seeded rule, so that the same few thousand texts are an ordinary test. */
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"
#include "trainer/loss/loss.h"

#include <math.h>

enum { N = 4, CLASSES = 3, DIM = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long accepted, refused;

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* On exact allocations, so that a sanitizer sees every step beyond. */
static void check_run(const struct fv_loss_spec *s, double epoch)
{
    static const int32_t label[N] = {0, 0, 1, 2};
    static const float lambda[N] = {1, 1, 1, 1};
    const size_t count[FV_LOSS_INPUTS] = {N * CLASSES, N * CLASSES, N * DIM};
    double *x[FV_LOSS_INPUTS], *grad[FV_LOSS_INPUTS];
    float *state = calloc(CLASSES * DIM, sizeof *state);
    struct fv_loss_call c = {.spec = s,
                             .n = N,
                             .classes = CLASSES,
                             .dim = DIM,
                             .label = label,
                             .label_mix = label,
                             .lambda = lambda,
                             .epoch = epoch,
                             .work = malloc(fv_loss_work(s, N, DIM) * sizeof(double))};
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        x[k] = malloc(count[k] * sizeof(double));
        grad[k] = malloc(count[k] * sizeof(double));
        demand(x[k] && grad[k]);
        for (size_t i = 0; i < count[k]; i++)
            x[k][i] = sin((double)(7 * i + 3));
        c.in[k].d = x[k];
        c.in[k].grad_d = s->reads & 1u << k ? grad[k] : NULL;
    }
    for (int t = 0; t < FV_LOSS_TERMS; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            c.state[t][k] = state;
    demand(c.work && state);
    fv_loss_run(&c);
    demand(isfinite(c.result.loss));
    fv_loss_commit(&c);
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        free(x[k]);
        free(grad[k]);
    }
    free(state);
    free(c.work);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    struct fv_loss_spec s, again;

    fuzz_keep_seed(data, n);
    if (!text)
        return 0;
    if (n)
        memcpy(text, data, n);
    text[n] = '\0';
    const int rc = fv_loss_parse(&s, text);
    free(text);
    if (rc < 0) {
        refused++;
        return 0;
    }
    accepted++;
    demand(s.terms >= 1 && s.terms <= FV_LOSS_TERMS);
    demand(fv_loss_parse(&again, s.text) == 0);
    demand(strcmp(s.text, again.text) == 0);
    for (int t = 0; t < s.terms; t++) {
        demand(s.term[t].weight == again.term[t].weight);
        for (int i = 0; s.term[t].loss->param[i].name; i++)
            demand(s.term[t].value[i] == again.term[t].value[i]);
    }
    check_run(&s, 0.3);
    check_run(&s, INFINITY);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const losses[] = {
    "ce(smooth=0.1)+0.2*triplet(margin=0.3,mine=batch-hard)",
    "arcface(30,0.4,insightface,2,0.1)+1e-3*center(alpha=0.7)",
    "combined(m1=1.35,m2=0.2,m3=0.1,s=12)+0.5*cosface(s=8)",
    " 2 * adaface ( s = 64 , h = 0.333 ) + ce ( ) ",
    "triplet(mine=semi-hard,squared=yes,unit=no)+0.25*arcface(m=1.5,grad=exact)",
    "triplet(soft=yes)",
    "combined(8,1.5,1,1000,exact,99999,1)",
};
static const char *const tokens[] = {
    ",",       "(",     ")",        "=",   " ",     "+",       "*",   "ce",       "s=",
    "triplet", "1",     ".5",       "-1",  "1e300", "nan",     "inf", "0x1p-3",   "1e-9",
    "center",  "grad=", "soft=yes", "99*", "m=",    "warmup=", "yes", "adaface(", "mine="};

int main(int argc, char **argv)
{
    const struct fuzz_texts f = {.name = "fuzz_loss",
                                 .what = "texts",
                                 .text = losses,
                                 .texts = sizeof losses / sizeof *losses,
                                 .token = tokens,
                                 .tokens = sizeof tokens / sizeof *tokens,
                                 .room = 512};
    return fuzz_run_texts(&f, argc, argv, &accepted, &refused);
}
#endif
