/* SPDX-License-Identifier: MIT */
#include "trainer/run/groups.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int begins(const char *name, const char *prefix, size_t n)
{
    return strncmp(name, prefix, n) == 0 && (name[n] == '\0' || name[n] == '.');
}

/* The first parts of all names, once each, to choose from. */
static void list_names(const struct fv_net *net, char *out, size_t room)
{
    out[0] = '\0';
    for (int i = 0; i < net->tensors; i++) {
        const char *name = net->tensor[i].name;
        const size_t n = strcspn(name, "."), used = strlen(out);
        int known = 0;
        for (int k = 0; k < i && !known; k++)
            known = strncmp(net->tensor[k].name, name, n) == 0 && net->tensor[k].name[n] == '.';
        if (!known && used + n + 3 < room) {
            strcat(out, used ? ", " : "");
            strncat(out, name, n);
        }
    }
}

/* One entry of a list: n bytes of name, and the factor for the tensors that it fits. longest[] is how long the names
 * were that have set a tensor's factor so far. */
static int apply(const struct fv_net *net, const char *option, const char *name, size_t n,
                 float factor, float *lr_factor, size_t *longest)
{
    int hits = 0;
    for (int i = 0; i < net->tensors; i++) {
        if (n == 0 || !begins(net->tensor[i].name, name, n))
            continue;
        hits++;
        if (n >= longest[i]) {
            longest[i] = n;
            lr_factor[i] = factor;
        }
    }
    if (hits)
        return 0;
    char names[320];
    list_names(net, names, sizeof names);
    return fv_err(FV_EUSAGE, "%s: no tensor of %s is called or begins with '%.*s'; there are %s",
                  option, net->arch, (int)n, name, names);
}

/* Of "name=factor" entries, or, without `with_factor`, of names whose factor is 0. */
static int apply_list(const struct fv_net *net, const char *option, const char *list,
                      int with_factor, float *lr_factor, size_t *longest)
{
    for (const char *at = list; at && *at;) {
        const size_t entry = strcspn(at, ","), n = with_factor ? strcspn(at, "=,") : entry;
        float factor = 0;
        char *end = NULL;
        if (with_factor) {
            factor = n < entry ? strtof(at + n + 1, &end) : -1;
            if (end != at + entry || !(factor >= 0) || !isfinite(factor))
                return fv_err(FV_EUSAGE,
                              "%s: '%.*s' is not a name and a factor from 0 on, as fc=10", option,
                              (int)entry, at);
        }
        FV_TRY(apply(net, option, at, n, factor, lr_factor, longest));
        at += entry + (at[entry] == ',');
    }
    return 0;
}

int fv__groups_fill(const struct fv_group_settings *s, const struct fv_net *net, float *lr_factor,
                    float *decay_factor)
{
    size_t *longest = calloc((size_t)net->tensors, sizeof *longest);
    if (!longest)
        return fv_err(FV_ENOMEM, "out of memory");
    for (int i = 0; i < net->tensors; i++) {
        lr_factor[i] = 1;
        decay_factor[i] = s->decay_all || !net->tensor[i].no_decay;
    }
    int rc = apply_list(net, "--lr-of", s->lr_of, 1, lr_factor, longest);
    memset(longest, 0, (size_t)net->tensors * sizeof *longest);
    if (rc == 0)
        rc = apply_list(net, "--freeze", s->freeze, 0, lr_factor, longest);
    free(longest);
    if (rc == 0 && fv__groups_frozen(net, lr_factor) == net->params)
        rc = fv_err(FV_EUSAGE, "--freeze %s: nothing of %s is left to train",
                    s->freeze ? s->freeze : "", net->arch);
    return rc;
}

size_t fv__groups_frozen(const struct fv_net *net, const float *lr_factor)
{
    size_t frozen = 0;
    for (int i = 0; i < net->tensors; i++)
        if (!net->tensor[i].buffer && lr_factor[i] == 0)
            frozen += net->tensor[i].count;
    return frozen;
}
