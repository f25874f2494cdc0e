/* SPDX-License-Identifier: MIT */
/* Refused files are named on the console as they turn up, until that would drown everything else; the list
 * holds them all. It is written also when it is empty, so that it never speaks of an earlier run.
 */
#include "prep/rejects.h"

#include "common/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_ON_CONSOLE = 50 };

/* A name as it may stand in a list and on a terminal; free it. */
static char *escape(const char *name)
{
    static const char plain[] = "\t\n\r\\", letter[] = "tnr\\";
    char *text = malloc(4 * strlen(name) + 1), *to = text;
    for (; text && *name; name++) {
        const char *special = strchr(plain, *name);
        if (special)
            to += sprintf(to, "\\%c", letter[special - plain]);
        else if ((unsigned char)*name < 0x20 || *name == 0x7f)
            to += sprintf(to, "\\x%02x", (unsigned char)*name);
        else
            *to++ = *name;
    }
    if (text)
        *to = '\0';
    return text;
}

/* The list's own mark for a remark is taken. */
static void put_name(FILE *f, const char *escaped)
{
    fprintf(f, "%s%s", *escaped == '#' ? "\\x23" : "", escaped + (*escaped == '#'));
}

int fv__rejects_open(struct fv_rejects *r, const char *path, int strict,
                     const struct fv_report *report)
{
    *r = (struct fv_rejects){.strict = strict, .report = report};
    FV_TRY(fv_file_create(&r->file, path));
    fputs("# path\treason\tdetail\n", r->file.f);
    return 0;
}

static int add(struct fv_rejects *r, const char *name, const struct fv_refusal *why)
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
    put_name(r->file.f, name);
    fprintf(r->file.f, "\t%s\t%s\n", fv__reject_code(why->why), why->detail);
    return 0;
}

int fv__rejects_add(struct fv_rejects *r, const char *name, const struct fv_refusal *why)
{
    char *escaped = escape(name);
    int rc = escaped ? add(r, escaped, why) : fv_err(FV_ENOMEM, "out of memory for a name");
    free(escaped);
    return rc;
}

int fv__rejects_remark(struct fv_rejects *r, const char *word, const char *name,
                       const struct fv_refusal *why)
{
    char *escaped = escape(name);
    if (!escaped)
        return fv_err(FV_ENOMEM, "out of memory for a name");
    fprintf(r->file.f, "# %s\t", word);
    put_name(r->file.f, escaped);
    fprintf(r->file.f, "\t%s%s%s\n", fv__reject_code(why->why), why->detail[0] ? "\t" : "",
            why->detail);
    free(escaped);
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

void fv__rejects_discard(struct fv_rejects *r)
{
    fv_file_discard(&r->file);
}
