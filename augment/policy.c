/* SPDX-License-Identifier: MIT */
/* The policy language.
 *
 *     policy = "" | "none" | preset | op { "," op }
 *     op     = name [ values ]          values: common/param.h
 *
 * Blanks may stand anywhere between words. A preset stands for its policy. The canonical text writes values by
 * position, up to the last one that is not the default, with as few digits as give the same number back.
 */
#include "augment/policy.h"
#include "augment/augment.h"
#include "augment/policy_impl.h"
#include "common/err.h"
#include "common/param.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int count_params(const struct fv_aug_op *op)
{
    int n = 0;
    while (op->param[n].name)
        n++;
    return n;
}

/* "a, b, c" for error messages. */
static void list_ops(char *buf, size_t n)
{
    size_t len = 0;

    buf[0] = '\0';
    for (int i = 0; fv_aug_ops[i] && len < n; i++)
        len += (size_t)snprintf(buf + len, n - len, "%s%s", i ? ", " : "", fv_aug_ops[i]->name);
}

static void list_presets(char *buf, size_t n)
{
    size_t len = 0;

    buf[0] = '\0';
    for (int i = 0; fv_aug_presets[i].name && len < n; i++)
        len += (size_t)snprintf(buf + len, n - len, "%s%s", i ? ", " : "", fv_aug_presets[i].name);
}

/* The preset that is all of the text, NULL if there is none. */
static const struct fv_aug_preset *find_preset(const char *p)
{
    for (int i = 0; fv_aug_presets[i].name; i++) {
        const size_t n = strlen(fv_aug_presets[i].name);
        if (strncmp(p, fv_aug_presets[i].name, n) == 0 && *fv_skip_blanks(p + n) == '\0')
            return &fv_aug_presets[i];
    }
    return NULL;
}

static int refuse_op(const char *p)
{
    char ops[256], presets[256];

    list_ops(ops, sizeof ops);
    list_presets(presets, sizeof presets);
    if (fv_word_length(p) == 0)
        return fv_err(FV_EUSAGE, "augmentation policy: expected an op at '%.12s': valid are %s", p,
                      ops);
    return fv_err(FV_EUSAGE,
                  "unknown augmentation '%.*s': valid are %s; alone also 'none' and the presets %s",
                  (int)strcspn(p, " \t\n,()"), p, ops, presets);
}

static const struct fv_aug_op *find_op(const char *p, size_t n)
{
    for (int i = 0; fv_aug_ops[i]; i++)
        if (fv_is_word(p, n, fv_aug_ops[i]->name))
            return fv_aug_ops[i];
    return NULL;
}

static int check_step(const struct fv_policy *p, const struct fv_policy_step *step)
{
    const struct fv_aug_op *op = step->op;
    int uses = 1;

    for (int i = 0; op->param[i].name; i++)
        if (isnan(step->value[i]))
            return fv_err(FV_EUSAGE, "augmentation '%s' needs %s (%s), for example %s", op->name,
                          op->param[i].name, op->param[i].help, op->example);
    for (int i = 0; i < p->steps; i++)
        uses += p->step[i].op == op;
    if (op->most && uses > op->most)
        return fv_err(FV_EUSAGE, "augmentation '%s' may be named at most %d time%s", op->name,
                      op->most, op->most > 1 ? "s" : "");
    return op->check ? op->check(step->value) : FV_OK;
}

static int parse_step(struct fv_policy *policy, const char **text)
{
    const char *p = *text;
    const size_t n = fv_word_length(p);
    const struct fv_aug_op *op = find_op(p, n);

    if (!op)
        return refuse_op(p);
    if (policy->steps == FV_POLICY_STEPS)
        return fv_err(FV_EUSAGE, "an augmentation policy has at most %d ops", FV_POLICY_STEPS);

    struct fv_policy_step *step = &policy->step[policy->steps];
    step->op = op;
    p += n;
    fv_param_defaults(op->param, step->value);
    FV_TRY(fv_param_parse("augmentation", op->name, op->param, &p, step->value));
    FV_TRY(check_step(policy, step));
    policy->steps++;
    *text = p;
    return FV_OK;
}

/* As few digits as read back as the same number. */
static void format_number(char buf[32], double v)
{
    int digits = 6;

    do
        snprintf(buf, 32, "%.*g", digits, v);
    while (strtod(buf, NULL) != v && digits++ < 17);
}

static void write_text(struct fv_policy *p)
{
    char *at = p->text;

    for (int s = 0; s < p->steps; s++) {
        const struct fv_policy_step *step = &p->step[s];
        int last = count_params(step->op) - 1;
        while (last >= 0 && step->value[last] == step->op->param[last].def)
            last--;
        at += sprintf(at, "%s%s", s ? "," : "", step->op->name);
        for (int i = 0; i <= last; i++) {
            char number[32];
            format_number(number, step->value[i]);
            at += sprintf(at, "%c%s", i ? ',' : '(', number);
        }
        if (last >= 0)
            at += sprintf(at, ")");
    }
}

static int parse(struct fv_policy *policy, const char *text)
{
    const char *p = fv_skip_blanks(text);
    const size_t n = fv_word_length(p);
    const struct fv_aug_preset *preset = find_preset(p);

    if (preset)
        p = preset->policy;
    if (*p == '\0' || (fv_is_word(p, n, "none") && *fv_skip_blanks(p + n) == '\0'))
        return FV_OK;
    for (;;) {
        FV_TRY(parse_step(policy, &p));
        p = fv_skip_blanks(p);
        if (*p == '\0')
            return FV_OK;
        if (*p != ',')
            return fv_err(FV_EUSAGE, "augmentation policy: expected ',' at '%.12s'", p);
        p = fv_skip_blanks(p + 1);
    }
}

int fv_policy_parse(struct fv_policy **out, const char *text)
{
    struct fv_policy *p = calloc(1, sizeof *p);

    *out = NULL;
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for an augmentation policy");
    const int rc = parse(p, text);
    if (rc < 0) {
        fv_policy_free(&p);
        return rc;
    }
    write_text(p);
    *out = p;
    return FV_OK;
}

void fv_policy_free(struct fv_policy **p)
{
    if (p) {
        free(*p);
        *p = NULL;
    }
}

const char *fv_policy_text(const struct fv_policy *p)
{
    return p->text;
}

int fv_policy_expand(char **out, const char *text)
{
    struct fv_policy *p;

    *out = NULL;
    FV_TRY(fv_policy_parse(&p, text));
    *out = strdup(p->steps ? p->text : "none");
    fv_policy_free(&p);
    return *out ? FV_OK : fv_err(FV_ENOMEM, "out of memory for an augmentation policy");
}

void fv_policy_help(FILE *to)
{
    fprintf(to,
            "Ops, with their parameters in order, the values that are valid and the defaults. A "
            "policy is a\n"
            "list of them, such as rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),cutmix(1,p=.5)\n");
    for (int i = 0; fv_aug_ops[i]; i++) {
        const struct fv_aug_op *op = fv_aug_ops[i];
        fprintf(to, "\n  %-13s  %s\n", op->name, op->help);
        fv_param_help(op->param, to);
    }
    fprintf(to, "\nPresets, each alone as a policy:\n");
    for (int i = 0; fv_aug_presets[i].name; i++)
        fprintf(to, "\n  %s: %s\n    %s\n", fv_aug_presets[i].name, fv_aug_presets[i].source,
                fv_aug_presets[i].policy);
}
