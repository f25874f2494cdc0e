/* SPDX-License-Identifier: MIT */
/* Finds an architecture by name and builds its net. The table itself is written by the build. */
#include "trainer/net/net.h"

#include "common/err.h"

#include <string.h>

enum { MIN_SIZE = 8, MAX_SIZE = 2048, MAX_CLASSES = 1 << 24, MAX_EMBEDDING = 1 << 16, TEXT = 512 };

static void append(char text[TEXT], const char *separator, const char *word)
{
    strncat(text, *text ? separator : "", TEXT - strlen(text) - 1);
    strncat(text, word, TEXT - strlen(text) - 1);
}

static int find(const struct fv_arch **out, const char *name)
{
    char valid[TEXT] = "";
    for (int i = 0; fv_archs[i]; i++) {
        if (strcmp(fv_archs[i]->name, name) == 0) {
            *out = fv_archs[i];
            return 0;
        }
        append(valid, ", ", fv_archs[i]->name);
    }
    return fv_err(FV_ENOTFOUND, "there is no architecture '%s'; valid: %s", name, valid);
}

static int check_stem(const struct fv_arch *a, const char *stem)
{
    char valid[TEXT] = "";
    for (int i = 0; a->stems[i]; i++) {
        if (strcmp(a->stems[i], stem) == 0)
            return 0;
        append(valid, ", ", a->stems[i]);
    }
    return fv_err(FV_EINVAL, "%s has no stem '%s'; valid: %s", a->name, stem, valid);
}

static int check_settings(const struct fv_arch *a, const struct fv_arch_settings *s)
{
    if (s->size < MIN_SIZE || s->size > MAX_SIZE)
        return fv_err(FV_EINVAL, "%s: images of %d px: %d .. %d are supported", a->name, s->size,
                      MIN_SIZE, MAX_SIZE);
    if (s->classes < 1 || s->classes > MAX_CLASSES)
        return fv_err(FV_EINVAL, "%s: %d classes: 1 .. %d are supported", a->name, s->classes,
                      MAX_CLASSES);
    if (s->embedding < 0 || s->embedding > MAX_EMBEDDING)
        return fv_err(FV_EINVAL,
                      "%s: an embedding of %d: 1 .. %d are supported, 0 is the net's own", a->name,
                      s->embedding, MAX_EMBEDDING);
    return check_stem(a, s->stem);
}

int fv_net_build(struct fv_net **out, const char *arch, const struct fv_arch_settings *s)
{
    const struct fv_arch *a = NULL;
    *out = NULL;
    FV_TRY(find(&a, arch));
    FV_TRY(check_settings(a, s));
    FV_TRY(fv_net_new(out, a->name));
    (*out)->embedding_asked = s->embedding;
    int rc = a->build(*out, s);
    if (rc == 0)
        rc = fv_net_finish(*out);
    if (rc < 0)
        fv_net_free(out);
    return rc;
}

/* What the head has: the last fully connected layer. */
static size_t head_params(const struct fv_net *n)
{
    const struct fv_node *head = &n->node[n->logits_node];
    size_t count = 0;
    for (int k = 0; k < 2; k++)
        if (head->tensor[k] >= 0)
            count += n->tensor[head->tensor[k]].count;
    return count;
}

int fv_arch_write_table(FILE *f, int size)
{
    fprintf(f, "%-13s %8s %9s %6s %9s  %-19s %s\n", "name", "M params", "G mul-add", "GFLOP",
            "embedding", "stems", "what it is");
    for (int i = 0; fv_archs[i]; i++) {
        const struct fv_arch *a = fv_archs[i];
        const struct fv_arch_settings s = {
            .size = size, .classes = 1, .stem = "auto", .std = {1, 1, 1}};
        struct fv_net *n;
        char stems[TEXT] = "";
        FV_TRY(fv_net_build(&n, a->name, &s));
        for (int k = 0; a->stems[k]; k++)
            append(stems, ",", a->stems[k]);
        double macs = (double)fv_net_macs(n) / 1e9;
        fprintf(f, "%-13s %8.3f %9.3f %6.3f %9d  %-19s %s\n", a->name,
                (double)(n->params - head_params(n)) / 1e6, macs, 2 * macs, n->embedding, stems,
                a->help);
        fv_net_free(&n);
    }
    return 0;
}
