/* SPDX-License-Identifier: MIT */
#include "tools/eval/submission_help.h"

#include "trainer/trainer.h"

void submission_list(FILE *to, unsigned kinds, int width)
{
    const char *name, *help;
    int kind;

    for (size_t i = 0; fv_submission_layout(i, &name, &help, &kind); i++)
        if (kinds >> kind & 1)
            fprintf(to, "  %-*s  %s\n", width, name, help);
}
