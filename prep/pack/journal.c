/* SPDX-License-Identifier: MIT */
#include "prep/pack/journal.h"

#include "common/err.h"
#include "common/fs.h"
#include "prep/pack/journal_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_settings(FILE *f, const char *lines)
{
    fprintf(f, SETTING "\t" PROGRAM "\n");
    while (*lines) {
        int n = (int)strcspn(lines, "\n");
        fprintf(f, SETTING "\t%.*s\n", n, lines);
        lines += n + (lines[n] == '\n');
    }
}

static void put_head(FILE *f, const struct fv_journal_head *head, const uint8_t *held)
{
    fputs(MAGIC "\n", f);
    put_settings(f, head->settings);
    fprintf(f, PHOTOS "\t%" PRIu64 "\t%" PRIu64 "\t%016" PRIx64 "\t%016" PRIx64 "\n", head->photos,
            head->identities, head->names, head->stamps);
    for (uint64_t i = 0; i < head->identities; i++)
        if (held[i])
            fprintf(f, HELD "\t%" PRIu64 "\n", i);
    fputs(BEGIN "\n", f);
}

static int failed(const struct fv_journal *j, int error)
{
    errno = error;
    return fv_err_errno(error == ENOSPC || error == EDQUOT || error == EFBIG ? FV_EFULL : FV_EIO,
                        "%s: cannot write", j->path);
}

int fv__journal_create(struct fv_journal *j, const char *path, const struct fv_journal_head *head,
                       const uint8_t *held)
{
    *j = (struct fv_journal){.path = strdup(path), .tmp = fv_format("%s.new", path)};
    if (!j->path || !j->tmp)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    j->f = fopen(j->tmp, "we");
    if (!j->f)
        return failed(j, errno);
    put_head(j->f, head, held);
    return 0;
}

/* A failure is told by the next fv__journal_images: the stream says that it failed, not why. */
static void check(struct fv_journal *j, int printed)
{
    if (printed < 0 && !j->error)
        j->error = errno;
}

void fv__journal_note(struct fv_journal *j, size_t photo, const struct fv_pipe_item *item)
{
    if (item->refused)
        check(j, fprintf(j->f, REFUSED "\t%zu\t%s\t%s\n", photo, fv__reject_code(item->why.why),
                         item->why.detail));
    if (item->unlike)
        check(j, fprintf(j->f, MISNAMED "\t%zu\t%s\n", photo, item->unlike->name));
    if (!item->refused && !item->kept != !j->own)
        check(j, fprintf(j->f, OWN "\t%zu\t%d\n", photo, j->own = !j->own));
}

int fv__journal_images(struct fv_journal *j, uint64_t images)
{
    check(j, fprintf(j->f, IMAGES "\t%" PRIu64 "\n", images));
    check(j, fflush(j->f));
    if (j->error)
        return failed(j, j->error);
    if (j->tmp && rename(j->tmp, j->path) != 0)
        return failed(j, errno);
    free(j->tmp);
    j->tmp = NULL;
    j->images = images;
    return 0;
}

void fv__journal_close(struct fv_journal *j)
{
    if (j->f)
        fclose(j->f);
    if (j->tmp)
        unlink(j->tmp);
    free(j->path);
    free(j->tmp);
    *j = (struct fv_journal){0};
}
