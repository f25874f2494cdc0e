/* SPDX-License-Identifier: MIT */
#include "common/param.h"

#include "common/err.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *fv_skip_blanks(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

size_t fv_word_length(const char *p)
{
    size_t n = 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == '-')
        n++;
    return n;
}

int fv_is_word(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(p, word, n) == 0;
}

static void append(char *buf, size_t n, const char *text)
{
    const size_t used = strlen(buf);
    snprintf(buf + used, n - used, "%s%s", used ? ", " : "", text);
}

static void list_params(const struct fv_param *param, char *buf, size_t n)
{
    buf[0] = '\0';
    for (; param->name; param++)
        append(buf, n, param->name);
}

static void list_words(const struct fv_param *param, char *buf, size_t n)
{
    buf[0] = '\0';
    for (int i = 0; param->words[i]; i++)
        append(buf, n, param->words[i]);
}

static int count_params(const struct fv_param *param)
{
    int n = 0;
    while (param[n].name)
        n++;
    return n;
}

void fv_param_defaults(const struct fv_param *param, double *value)
{
    for (int i = 0; param[i].name; i++)
        value[i] = param[i].def;
}

/* Reads "name =" if it is there: the index of that parameter, `next` if there is none. */
static int parse_name(const char *what, const char *name, const struct fv_param *param,
                      const char **text, int next, int *named)
{
    const char *p = *text;
    const size_t n = fv_word_length(p);
    const char *after = fv_skip_blanks(p + n);
    char valid[256];

    list_params(param, valid, sizeof valid);
    if (n == 0 || *after != '=') {
        if (*named)
            return fv_err(FV_EUSAGE,
                          "%s '%s': '%.12s' stands after a named parameter and needs a name too: "
                          "valid are %s",
                          what, name, p, valid);
        if (next >= count_params(param))
            return fv_err(FV_EUSAGE, "%s '%s' takes at most %d values: %s", what, name,
                          count_params(param), valid);
        return next;
    }
    for (int i = 0; param[i].name; i++)
        if (fv_is_word(p, n, param[i].name)) {
            *text = fv_skip_blanks(after + 1);
            *named = 1;
            return i;
        }
    return fv_err(FV_EUSAGE, "%s '%s' has no parameter '%.*s': valid are %s", what, name, (int)n, p,
                  valid);
}

static int parse_word(const char *what, const char *name, const struct fv_param *param,
                      const char **text, double *value)
{
    const size_t n = fv_word_length(*text);
    char valid[256];

    for (int i = 0; param->words[i]; i++)
        if (fv_is_word(*text, n, param->words[i])) {
            *value = i;
            *text += n;
            return FV_OK;
        }
    list_words(param, valid, sizeof valid);
    return fv_err(FV_EUSAGE, "%s '%s': %s is '%.*s': valid are %s", what, name, param->name,
                  (int)strcspn(*text, " \t\n,()"), *text, valid);
}

static int parse_number(const char *what, const char *name, const struct fv_param *param,
                        const char **text, double *value)
{
    char *end;
    const double v = strtod(*text, &end);

    if (end == *text)
        return fv_err(FV_EUSAGE, "%s '%s': %s needs a number, not '%.12s'", what, name, param->name,
                      *text);
    if (!isfinite(v) || v < param->min || v > param->max)
        return fv_err(FV_EUSAGE, "%s '%s': %s is %.*s: valid are %g to %g", what, name, param->name,
                      (int)(end - *text), *text, param->min, param->max);
    if (param->whole && v != floor(v))
        return fv_err(FV_EUSAGE, "%s '%s': %s is %.*s: it must be a whole number", what, name,
                      param->name, (int)(end - *text), *text);
    *value = v;
    *text = end;
    return FV_OK;
}

int fv_param_parse(const char *what, const char *name, const struct fv_param *param,
                   const char **text, double *value)
{
    unsigned given = 0;
    int named = 0;
    const char *p = fv_skip_blanks(*text);

    if (*p != '(')
        return FV_OK;
    p = fv_skip_blanks(p + 1);
    for (int next = 0; *p != ')'; next++) {
        const int i = parse_name(what, name, param, &p, next, &named);
        if (i < 0)
            return i;
        if (given & 1u << i)
            return fv_err(FV_EUSAGE, "%s '%s': %s is given twice", what, name, param[i].name);
        given |= 1u << i;
        FV_TRY((param[i].words ? parse_word : parse_number)(what, name, &param[i], &p, &value[i]));
        p = fv_skip_blanks(p);
        if (*p == ',')
            p = fv_skip_blanks(p + 1);
        else if (*p != ')')
            return fv_err(FV_EUSAGE, "%s '%s': expected ',' or ')' at '%.12s'", what, name, p);
    }
    *text = p + 1;
    return FV_OK;
}

int fv_param_format(const struct fv_param *param, const double *value, char *buf, size_t n)
{
    size_t used = 0;
    buf[0] = '\0';
    for (int i = 0; param[i].name; i++) {
        char number[32];
        const char *text = number;
        int digits = 6;
        if (value[i] == param[i].def)
            continue;
        if (param[i].words)
            text = param[i].words[(int)value[i]];
        else
            do
                snprintf(number, sizeof number, "%.*g", digits, value[i]);
            while (strtod(number, NULL) != value[i] && digits++ < 17);
        used += (size_t)snprintf(used < n ? buf + used : NULL, used < n ? n - used : 0, "%c%s=%s",
                                 used ? ',' : '(', param[i].name, text);
    }
    if (used)
        used += (size_t)snprintf(used < n ? buf + used : NULL, used < n ? n - used : 0, ")");
    return (int)used;
}

void fv_param_help(const struct fv_param *param, FILE *to)
{
    for (; param->name; param++) {
        fprintf(to, "    %-11s  %s; ", param->name, param->help);
        if (param->words) {
            char valid[256];
            list_words(param, valid, sizeof valid);
            fprintf(to, "%s, default %s\n", valid, param->words[(int)param->def]);
        } else if (isnan(param->def)) {
            fprintf(to, "%g to %g, must be given\n", param->min, param->max);
        } else {
            fprintf(to, "%g to %g, default %g\n", param->min, param->max, param->def);
        }
    }
}
