/* SPDX-License-Identifier: MIT */
/* Refused files are named on the console as they turn up, until that would drown everything else; the list
 * holds them all. It is written also when it is empty, so that it never speaks of an earlier run.
 */
#include "prep/pack/rejects.h"

#include "common/err.h"
#include "prep/import/plain_name.h"

#include <stdlib.h>

enum { NAMED_ON_CONSOLE = 50 };

int fv__rejects_open(struct fv_rejects *r, const char *path, const struct fv_report *report)
{
    *r = (struct fv_rejects){.report = report};
    FV_TRY(fv_file_create_part(&r->file, path));
    fputs("# path\treason\tdetail\n", r->file.f);
    return 0;
}

/* Takes `sentence`. */
static void tell(struct fv_rejects *r, char *sentence)
{
    if (r->n < NAMED_ON_CONSOLE)
        fv_say(r->report, FV_LEVEL_WARN, "%s", sentence);
    else if (r->n == NAMED_ON_CONSOLE)
        fv_say(r->report, FV_LEVEL_WARN, "further refused files are only listed in %s",
               r->file.path);
    if (r->first)
        free(sentence);
    else
        r->first = sentence;
}

int fv__rejects_add(struct fv_rejects *r, const char *name, const struct fv_refusal *why)
{
    const char *open = why->detail[0] ? " (" : "", *close = why->detail[0] ? ")" : "";
    char *plain = fv__plain_name(name);
    if (!plain)
        return FV_ENOMEM;
    char *sentence =
        fv_format("%s: %s%s%s%s", plain, fv__reject_sentence(why->why), open, why->detail, close);
    free(plain);
    if (!sentence)
        return fv_err(FV_ENOMEM, "out of memory for a name");
    tell(r, sentence);
    r->n++;
    r->count[why->why]++;
    FV_TRY(fv__plain_name_put(r->file.f, name));
    fprintf(r->file.f, "\t%s\t%s\n", fv__reject_code(why->why), why->detail);
    return 0;
}

int fv__rejects_remark(struct fv_rejects *r, const char *word, const char *name,
                       const struct fv_refusal *why)
{
    fprintf(r->file.f, "# %s\t", word);
    FV_TRY(fv__plain_name_put(r->file.f, name));
    fprintf(r->file.f, "\t%s%s%s\n", fv__reject_code(why->why), why->detail[0] ? "\t" : "",
            why->detail);
    return 0;
}

int fv__rejects_few(struct fv_rejects *r, const char *identity, size_t images)
{
    fputs("# few-images\t", r->file.f);
    FV_TRY(fv__plain_name_put(r->file.f, identity));
    fprintf(r->file.f, "\t%zu\n", images);
    return 0;
}

int fv__rejects_ignored(struct fv_rejects *r, const struct fv_notes *ignored)
{
    for (size_t i = 0; i < ignored->n; i++)
        FV_TRY(fv__rejects_remark(r, "ignored", ignored->at[i].name, &ignored->at[i].reason));
    return 0;
}

int fv__rejects_commit(struct fv_rejects *r)
{
    return fv_file_commit(&r->file);
}

void fv__rejects_close(struct fv_rejects *r)
{
    fv_file_discard(&r->file);
    free(r->first);
    *r = (struct fv_rejects){0};
}
