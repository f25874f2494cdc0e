/* SPDX-License-Identifier: MIT */
/* The language of losses, and what can be said of a spec without a batch. The table itself is written by the build. */
#include "trainer/loss/loss.h"

#include "common/err.h"
#include "common/param.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_MAX = 1000000 };

static const struct fv_loss *find(const char *p, size_t n)
{
    for (int i = 0; fv_losses[i]; i++)
        if (fv_is_word(p, n, fv_losses[i]->name))
            return fv_losses[i];
    return NULL;
}

static int refuse(const char *p)
{
    char valid[256] = "";
    const size_t n = fv_word_length(p);
    for (int i = 0; fv_losses[i]; i++) {
        const size_t used = strlen(valid);
        snprintf(valid + used, sizeof valid - used, "%s%s", i ? ", " : "", fv_losses[i]->name);
    }
    if (n == 0)
        return fv_err(FV_EUSAGE, "loss: expected a name at '%.12s': valid are %s", p, valid);
    return fv_err(FV_EUSAGE, "there is no loss '%.*s': valid are %s", (int)n, p, valid);
}

/* "0.2 *", if it is there. */
static int parse_weight(const char **text, double *weight)
{
    char *end;
    const double w = strtod(*text, &end);
    *weight = 1;
    if (end == *text || find(*text, fv_word_length(*text)))
        return FV_OK;
    const char *after = fv_skip_blanks(end);
    if (*after != '*')
        return fv_err(FV_EUSAGE, "loss: expected '*' and a name after the weight at '%.12s'",
                      *text);
    if (!(w > 0 && w <= WEIGHT_MAX))
        return fv_err(FV_EUSAGE, "loss: a weight of %.*s: above 0 to %d are possible",
                      (int)(end - *text), *text, WEIGHT_MAX);
    *weight = w;
    *text = fv_skip_blanks(after + 1);
    return FV_OK;
}

static int parse_term(struct fv_loss_spec *s, const char **text)
{
    struct fv_loss_term t = {0};
    if (s->terms == FV_LOSS_TERMS)
        return fv_err(FV_EUSAGE, "loss: at most %d terms are possible", FV_LOSS_TERMS);
    FV_TRY(parse_weight(text, &t.weight));
    const size_t n = fv_word_length(*text);
    t.loss = find(*text, n);
    if (!t.loss)
        return refuse(*text);
    for (int i = 0; i < s->terms; i++)
        if (s->term[i].loss == t.loss)
            return fv_err(FV_EUSAGE, "loss: '%s' is named twice", t.loss->name);
    *text += n;
    fv_param_defaults(t.loss->param, t.value);
    FV_TRY(fv_param_parse("loss", t.loss->name, t.loss->param, text, t.value));
    FV_TRY(t.loss->check ? t.loss->check(t.value) : FV_OK);
    s->term[s->terms++] = t;
    return FV_OK;
}

/* A term takes at most 34 bytes of weight and name and 33 each for 7 values, so that four of them fit. */
static void write_text(struct fv_loss_spec *s)
{
    size_t used = 0;
    for (int i = 0; i < s->terms && used < sizeof s->text; i++) {
        const struct fv_loss_term *t = &s->term[i];
        char weight[40] = "", values[FV_LOSS_PARAMS * 40];
        for (int digits = 6; t->weight != 1 && digits <= 17; digits++) {
            snprintf(weight, sizeof weight, "%.*g*", digits, t->weight);
            if (strtod(weight, NULL) == t->weight)
                break;
        }
        fv_param_format(t->loss->param, t->value, values, sizeof values);
        used += (size_t)snprintf(s->text + used, sizeof s->text - used, "%s%s%s%s", i ? "+" : "",
                                 weight, t->loss->name, values);
    }
}

int fv_loss_parse(struct fv_loss_spec *out, const char *text)
{
    struct fv_loss_spec s = {.soft = 1, .scored = -1};
    const char *p = fv_skip_blanks(text);
    for (;;) {
        FV_TRY(parse_term(&s, &p));
        p = fv_skip_blanks(p);
        if (*p == '\0')
            break;
        if (*p != '+')
            return fv_err(FV_EUSAGE, "loss: expected '+' or the end at '%.12s'", p);
        p = fv_skip_blanks(p + 1);
    }
    for (int i = 0; i < s.terms; i++) {
        s.reads |= s.term[i].loss->reads;
        s.soft &= s.term[i].loss->soft;
        if (s.scored < 0 && fv_loss_scores(&s.term[i]) >= 0)
            s.scored = i;
    }
    write_text(&s);
    *out = s;
    return FV_OK;
}

void fv_loss_help(FILE *to)
{
    fprintf(to, "Losses, with their parameters in order, the values that are valid and the "
                "defaults. A loss is a sum of\n"
                "them, each with a weight or without, such as ce(smooth=0.1)+0.2*triplet, or "
                "arcface(s=30,m=0.4)\n");
    for (int i = 0; fv_losses[i]; i++) {
        fprintf(to, "\n  %-11s  %s (%s)\n", fv_losses[i]->name, fv_losses[i]->help,
                fv_losses[i]->source);
        fv_param_help(fv_losses[i]->param, to);
    }
}

int fv_loss_scores(const struct fv_loss_term *term)
{
    return term->loss->reads & FV_LOSS_READS_LOGITS   ? FV_LOSS_LOGITS
           : term->loss->reads & FV_LOSS_READS_COSINE ? FV_LOSS_COSINE
                                                      : -1;
}

double fv_loss_scale(const struct fv_loss_spec *spec)
{
    const struct fv_loss_term *t = spec->scored < 0 ? NULL : &spec->term[spec->scored];
    return t && t->loss->scale ? t->loss->scale(t->value) : 1;
}

double fv_loss_value(const struct fv_loss_term *term, const char *param)
{
    for (int i = 0; term->loss->param[i].name; i++)
        if (strcmp(term->loss->param[i].name, param) == 0)
            return term->value[i];
    return NAN;
}

double fv_loss_warmth(const struct fv_loss_term *term, double epoch)
{
    const double warmup = fv_loss_value(term, "warmup");
    return warmup > 0 && epoch < warmup ? epoch / warmup : 1;
}
