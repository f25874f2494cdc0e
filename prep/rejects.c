/* SPDX-License-Identifier: MIT */
/* Refused files are named on the console as they turn up, until that would drown everything else; the list
 * holds them all. It is written also when it is empty, so that it never speaks of an earlier run.
 */
#include "prep/rejects.h"

#include "common/err.h"

#include <inttypes.h>

enum { NAMED_ON_CONSOLE = 50 };

static void put_escaped(FILE *f, const char *s)
{
    if (*s == '#') {
        fputs("\\x23", f);
        s++;
    }
    for (; *s; s++)
        if (*s == '\t')
            fputs("\\t", f);
        else if (*s == '\n')
            fputs("\\n", f);
        else if (*s == '\r')
            fputs("\\r", f);
        else if (*s == '\\')
            fputs("\\\\", f);
        else
            putc(*s, f);
}

int fv__rejects_open(struct fv_rejects *r, const char *path, int strict,
                     const struct fv_report *report)
{
    *r = (struct fv_rejects){.strict = strict, .report = report};
    FV_TRY(fv_file_create(&r->file, path));
    fputs("# path\treason\tdetail\n", r->file.f);
    return 0;
}

int fv__rejects_add(struct fv_rejects *r, const char *name, const struct fv_refusal *why)
{
    const char *sentence = fv__reject_sentence(why->why);
    const char *open = why->detail[0] ? " (" : "", *close = why->detail[0] ? ")" : "";
    if (r->strict)
        return fv_err(FV_ECORRUPT, "%s: %s%s%s%s, and --strict allows no refused file", name,
                      sentence, open, why->detail, close);
    if (r->n < NAMED_ON_CONSOLE)
        fv_say(r->report, FV_LEVEL_WARN, "%s: %s%s%s%s", name, sentence, open, why->detail, close);
    else if (r->n == NAMED_ON_CONSOLE)
        fv_say(r->report, FV_LEVEL_WARN, "further refused files are only listed in %s",
               r->file.path);
    r->n++;
    put_escaped(r->file.f, name);
    fprintf(r->file.f, "\t%s\t%s\n", fv__reject_code(why->why), why->detail);
    return 0;
}

void fv__rejects_ignored(struct fv_rejects *r, const struct fv_notes *ignored)
{
    for (size_t i = 0; i < ignored->n; i++) {
        fputs("# ignored\t", r->file.f);
        put_escaped(r->file.f, ignored->at[i].name);
        fprintf(r->file.f, "\t%s\n", fv__reject_code(ignored->at[i].reason.why));
    }
}

int fv__rejects_commit(struct fv_rejects *r)
{
    return fv_file_commit(&r->file);
}

void fv__rejects_discard(struct fv_rejects *r)
{
    fv_file_discard(&r->file);
}
