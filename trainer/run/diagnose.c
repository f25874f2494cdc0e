/* SPDX-License-Identifier: MIT */
#include "trainer/run/diagnose.h"

#include "common/err.h"

#include <math.h>
#include <stdio.h>

/* Activations and sums bear no name of their own: they are told by the layer before them. */
static void name_node(const struct fv_net *net, int node, char *text, size_t n)
{
    const struct fv_node *o = &net->node[node];
    int before = node;
    while (before > 0 && !net->node[before].name[0])
        before = net->node[before].in[0] >= 0 ? net->node[before].in[0] : 0;
    if (o->name[0])
        snprintf(text, n, "%s (%s)", o->name, fv_node_names[o->kind]);
    else if (before > 0)
        snprintf(text, n, "the %s behind %s", fv_node_names[o->kind], net->node[before].name);
    else
        snprintf(text, n, "node %d (%s)", node, fv_node_names[o->kind]);
}

void fv__diagnose_not_finite(const struct fv_backend *backend, struct fv_program *p,
                             const struct fv_net *net, char *text, size_t n)
{
    int node, gradient;
    char name[160];
    text[0] = '\0';
    if (!backend->find_bad)
        return;
    const int rc = backend->find_bad(p, &node, &gradient);
    if (rc == FV_ENOTFOUND)
        snprintf(text, n, "the loss or a weight's gradient");
    if (rc < 0)
        return;
    name_node(net, node, name, sizeof name);
    snprintf(text, n, gradient ? "the gradient behind %s" : "the output of %s", name);
}

int fv__diagnose_labels(const struct fv_batch *b, int classes)
{
    for (int i = 0; i < b->n; i++)
        for (int mix = 0; mix < 2; mix++) {
            const int label = mix ? b->label_mix[i] : b->label[i];
            if (label < 0 || label >= classes)
                return fv_err(FV_EINVAL,
                              "image %u has label %d, training knows identities 0 .. %d: the data "
                              "set's labels are damaged, see fvprep verify",
                              b->image[i], label, classes - 1);
        }
    return 0;
}

void fv__stuck_start(struct fv_stuck *s)
{
    *s = (struct fv_stuck){.windows = -1};
}

/* -ln(1e-30): where other trainers clamp a probability of zero, known for labels that do not fit. */
static const double clamped = 69.0776;

static void put_into_words(double mean, int classes, char *text, size_t n)
{
    const double guess = log((double)classes);
    const int steps = FV_STUCK_STEPS * FV_STUCK_WINDOWS;
    if (fabs(mean - guess) < 0.02 * guess)
        snprintf(text, n,
                 "the loss has stood at %.4f for %d steps, which is ln(%d), what guessing gives: "
                 "the net learns nothing; is --lr too low or far too high, are labels mixed up?",
                 mean, steps, classes);
    else if (fabs(mean - clamped) < 0.01)
        snprintf(text, n,
                 "the loss has stood at %.4f = -ln(1e-30) for %d steps: the right identity has a "
                 "probability of zero; do the labels belong to these images?",
                 mean, steps);
    else
        snprintf(text, n,
                 "the loss has not decreased for %d steps and stands at %.4f, where guessing among "
                 "%d identities gives %.4f: lower --lr, or let it rise slowly with --warmup",
                 steps, mean, classes, guess);
}

static void put_margin_into_words(double mean, double share, int classes, char *text, size_t n)
{
    snprintf(text, n,
             "the loss has not decreased for %d steps and stands at %.4f, with %.2f %% of the "
             "images named "
             "rightly without a margin (guessing: %.2f %%): lower --lr, let it rise slowly with "
             "--warmup, or let "
             "the margin grow, as in arcface(warmup=2)",
             FV_STUCK_STEPS * FV_STUCK_WINDOWS, mean, share * 100, 100.0 / classes);
}

/* What guessing gives is ln(classes) only of cross entropy by itself. */
static int is_cross_entropy(const struct fv_loss_spec *spec)
{
    return spec->terms == 1 && spec->term[0].weight == 1 &&
           fv_loss_scores(&spec->term[0]) == FV_LOSS_LOGITS;
}

/* A loss that is low, or most of whose images are named rightly, has a right to stay where it is. */
int fv__stuck_add(struct fv_stuck *s, const struct fv_loss_spec *spec,
                  const struct fv_step_result *r, int classes, char *text, size_t n)
{
    if (s->said || !isfinite(r->loss))
        return 0;
    s->sum += r->loss;
    s->correct += r->correct;
    s->images += r->n;
    if (++s->steps < FV_STUCK_STEPS)
        return 0;
    const double mean = s->sum / s->steps, share = s->correct / fmax(s->images, 1);
    s->sum = s->correct = s->images = 0;
    s->steps = 0;
    if (s->windows < 0 || mean < 0.995 * s->best) {
        s->best = mean;
        s->windows = 0;
        return 0;
    }
    const int known = is_cross_entropy(spec);
    if (++s->windows < FV_STUCK_WINDOWS ||
        (known ? mean < 0.5 * log((double)classes) : share > 0.5))
        return 0;
    if (known)
        put_into_words(mean, classes, text, n);
    else
        put_margin_into_words(mean, share, classes, text, n);
    s->said = 1;
    return 1;
}
