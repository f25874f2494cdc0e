/* SPDX-License-Identifier: MIT */
#include "tools/eval/submission_help.h"

#include "common/err.h"
#include "trainer/trainer.h"

#include <stdio.h>
#include <stdlib.h>

int submission_help(const struct fv_command *cmd, const struct fv_opt_group *groups, int n,
                    const char *before, unsigned kinds, int width, const char *after)
{
    struct fv_command with_notes = *cmd;
    const char *name, *help;
    char *notes = NULL;
    size_t size;
    int kind;
    FILE *f = open_memstream(&notes, &size);

    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    fputs(before, f);
    for (size_t i = 0; fv_submission_layout(i, &name, &help, &kind); i++)
        if (kinds >> kind & 1)
            fprintf(f, "  %-*s  %s\n", width, name, help);
    fputs(after, f);
    if (fclose(f) != 0) {
        free(notes);
        return fv_err(FV_ENOMEM, "out of memory");
    }
    with_notes.notes = notes;
    fv_opt_help(&with_notes, groups, n, stdout);
    free(notes);
    return FV_OK;
}
