/* SPDX-License-Identifier: MIT */
#include "trainer/eval/submission.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/eval/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum key { BY_NUMBER, BY_NAMES }; /* from 0; the names with a blank between */

static const struct layout {
    const char *name, *help, *header;
    enum key key;
    int kind;
} layouts[] = {
    {"hw2p2-f24", "F24 to S26: ID,Label: a pair's number from 0 and its cosine", "ID,Label",
     BY_NUMBER, FV_SUBMISSION_SCORES},
    {"hw2p2-f22", "F22 to S24: id,label: a probe's number from 0 and an identity, n000000 for none",
     "id,label", BY_NUMBER, FV_SUBMISSION_IDENTITIES},
    {"hw2p2-s22", "S22: id,match: a pair's number from 0 and its score", "id,match", BY_NUMBER,
     FV_SUBMISSION_SCORES},
    {"hw2p2-f20", "F20, S21: Id,Category: 'path1 path2' and the score", "Id,Category", BY_NAMES,
     FV_SUBMISSION_SCORES},
    {"hw2p2-s19", "S19, S20: trial,score: 'image1 image2' and the score", "trial,score", BY_NAMES,
     FV_SUBMISSION_SCORES},
    {"hw2p2-s22-class", "S22: id,label: an image's name and its class", "id,label", BY_NAMES,
     FV_SUBMISSION_CLASSES},
    {"hw2p2-s19-class", "S19, S20: Id,Category: an image's name and its class", "Id,Category",
     BY_NAMES, FV_SUBMISSION_CLASSES},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

int fv_submission_layout(size_t i, const char **name, const char **help, int *kind)
{
    if (i >= LAYOUTS)
        return 0;
    *name = layouts[i].name;
    *help = layouts[i].help;
    *kind = layouts[i].kind;
    return 1;
}

static const struct layout *find(const char *name)
{
    for (size_t i = 0; i < LAYOUTS; i++)
        if (strcmp(layouts[i].name, name) == 0)
            return &layouts[i];
    return NULL;
}

int fv_submission_check(const char *layout, int kind)
{
    static const char *const kinds[] = {"identities", "scores", "classes"};
    const struct layout *l = find(layout);
    char valid[160] = "";

    if (l && l->kind == kind)
        return FV_OK;
    for (size_t i = 0; i < LAYOUTS; i++)
        if (layouts[i].kind == kind) {
            const size_t n = strlen(valid);
            snprintf(valid + n, sizeof valid - n, "%s%s", n ? ", " : "", layouts[i].name);
        }
    return fv_err(FV_EUSAGE, "'%s' is no layout of a submission of %s: valid are %s", layout,
                  kinds[kind], valid);
}

static int write_key(FILE *f, const struct fv_submission *s, const struct layout *l, size_t i)
{
    char *both, *text;

    if (l->key == BY_NUMBER) {
        fprintf(f, "%zu,", i);
        return FV_OK;
    }
    both = s->second ? fv_format("%s %s", s->first[i], s->second[i]) : strdup(s->first[i]);
    if (!both)
        return fv_err(FV_ENOMEM, "out of memory for a name");
    const int rc = fv_rows_csv_text(&text, both);
    free(both);
    FV_TRY(rc);
    fprintf(f, "%s,", text);
    free(text);
    return FV_OK;
}

static int write_row(FILE *f, const struct fv_submission *s, const struct layout *l, size_t i)
{
    char *text;

    FV_TRY(write_key(f, s, l, i));
    if (l->kind == FV_SUBMISSION_SCORES) {
        fprintf(f, "%.17g\n", s->score[i]);
        return FV_OK;
    }
    FV_TRY(fv_rows_csv_text(&text, s->identity[i]));
    fprintf(f, "%s\n", text);
    free(text);
    return FV_OK;
}

int fv_submission_write(const struct fv_submission *s, const char *layout, const char *path)
{
    const struct layout *l = find(layout);
    struct fv_file f;
    int rc = FV_OK;

    if (!l)
        return fv_submission_check(layout,
                                   s->score ? FV_SUBMISSION_SCORES : FV_SUBMISSION_IDENTITIES);
    FV_TRY(fv_file_create(&f, path));
    fprintf(f.f, "%s\n", l->header);
    for (size_t i = 0; i < s->n && rc >= 0; i++)
        rc = write_row(f.f, s, l, i);
    return fv_file_end(&f, rc);
}
