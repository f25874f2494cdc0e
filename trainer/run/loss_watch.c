/* SPDX-License-Identifier: MIT */
#include "trainer/run/loss_watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FEW_CLASSES = 1000, TOO_FAR = 3 };

int fv__loss_scale_hint(const struct fv_loss_spec *spec, int classes, char *text, size_t n)
{
    const double fit = sqrt(2.0) * log((double)classes - 1);
    for (int t = 0; t < spec->terms && classes > 2 && classes < FEW_CLASSES; t++) {
        const struct fv_loss_term *term = &spec->term[t];
        const double s = term->loss->scale ? term->loss->scale(term->value) : fit;
        if (s <= TOO_FAR * fit && s >= fit / TOO_FAR)
            continue;
        snprintf(text, n,
                 "%s: a scale of s=%g for %d identities; if it learns badly, try s=%.0f (AdaCos: "
                 "sqrt(2) ln(identities - 1))",
                 term->loss->name, s, classes, fit);
        return 1;
    }
    return 0;
}

int fv__loss_scale_is_low(const struct fv_loss_spec *spec, int classes, char *text, size_t n)
{
    const double c = classes, least = (c - 1) / c * log((c - 1) * 9);
    for (int t = 0; t < spec->terms; t++) {
        const struct fv_loss_term *term = &spec->term[t];
        const double s = term->loss->scale ? term->loss->scale(term->value) : least;
        if (s >= least)
            continue;
        snprintf(text, n,
                 "%s: with s=%g the right one of %d identities never gets a probability above "
                 "%.2g, however well the net learns: take s=%.0f or more",
                 term->loss->name, s, classes, 1 / (1 + (c - 1) * exp(-s * c / (c - 1))),
                 ceil(least));
        return 1;
    }
    return 0;
}

int fv__loss_is_warming(const struct fv_loss_spec *spec, double epoch)
{
    for (int t = 0; t < spec->terms; t++)
        if (fv_loss_warmth(&spec->term[t], epoch) < 1)
            return 1;
    return 0;
}

static int triplet_term(const struct fv_loss_spec *spec)
{
    for (int t = 0; t < spec->terms; t++)
        if (strcmp(spec->term[t].loss->name, "triplet") == 0)
            return t;
    return -1;
}

/* Of embeddings that are all the same, the loss is the margin, or ln(2) with a soft one; and of unit vectors the
 * distance says so whatever was mined. */
static int has_collapsed(const struct fv_loss_term *t, double value, double distance)
{
    const double margin = fv_loss_value(t, "soft") != 0 ? log(2.0) : fv_loss_value(t, "margin");
    const int hard = fv_loss_value(t, "mine") == 0, unit = fv_loss_value(t, "unit") != 0;
    return (hard && margin > 0 && fabs(value - margin) < 0.01 * margin) ||
           (unit && distance < 0.01);
}

int fv__loss_watch_add(struct fv_loss_watch *w, const struct fv_loss_spec *spec,
                       const struct fv_step_result *r, char *text, size_t n)
{
    const int term = triplet_term(spec);
    if (term < 0 || w->said)
        return 0;
    w->without += isnan(r->active);
    w->value += r->term[term];
    w->distance += r->distance;
    if (++w->steps < FV_LOSS_WATCH_STEPS)
        return 0;
    const double value = w->value / w->steps, distance = w->distance / w->steps;
    if (w->without == w->steps) {
        snprintf(text, n,
                 "no triplet could be made in the last %d batches, so that loss does nothing: take "
                 "several images of each identity, with --order pk",
                 w->steps);
        w->said = 1;
    } else if (w->without == 0 && has_collapsed(&spec->term[term], value, distance)) {
        snprintf(text, n,
                 "triplet: the loss has stood at %.4f, its margin, for %d steps, with a mean "
                 "distance of %.4f: all embeddings become one; lower --lr, or begin with ce or "
                 "mine=semi-hard",
                 value, w->steps, distance);
        w->said = 1;
    }
    *w = (struct fv_loss_watch){.said = w->said};
    return w->said;
}
