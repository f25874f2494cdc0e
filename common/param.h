/* SPDX-License-Identifier: MIT */
/* Parameters in parentheses, as in `jitter(.2,.2,p=.5)` and `triplet(margin=0.3,mine=semi-hard)`.
 *
 *     values = "(" [ value { "," value } ] ")"
 *     value  = [ parameter "=" ] ( number | word )
 *
 * Values without a name fill the parameters from the left and come before named ones, as in a Python call. Blanks may
 * stand anywhere between words. A parameter that takes words has the index of its word as value.
 */
#ifndef FV_COMMON_PARAM_H
#define FV_COMMON_PARAM_H

#include <stddef.h>
#include <stdio.h>

struct fv_param {
    const char *name;
    double def; /* NAN: must be given */
    double min, max;
    const char *help;
    int whole;                /* only integers are valid */
    const char *const *words; /* NULL-terminated: these instead of numbers */
};

/* In all of these `param` ends with name == NULL and has at most 32 rows, and `what` and `name` open each sentence:
 * "loss 'triplet': ...". */

void fv_param_defaults(const struct fv_param *param, double *value);
/* Reads the values, if there are any: *text stands behind the name that they belong to and is left behind ")".
 * FV_EUSAGE names the parameter and what is valid. */
int fv_param_parse(const char *what, const char *name, const struct fv_param *param,
                   const char **text, double *value);
/* "(m=0.4,grad=insightface)": those that are not the default; "" if there are none. As many digits as give the
 * same number back. Returns the length, as snprintf does. */
int fv_param_format(const struct fv_param *param, const double *value, char *buf, size_t n);
/* A line for each parameter: name, help, what is valid, default. */
void fv_param_help(const struct fv_param *param, FILE *to);

/* The pieces, for the language around. */
const char *fv_skip_blanks(const char *p);
size_t fv_word_length(const char *p); /* letters, digits, '_' and '-' */
int fv_is_word(const char *p, size_t n, const char *word);

#endif
