/* SPDX-License-Identifier: MIT */
#include "common/line_file.h"

#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int fv_line_file_open(struct fv_line_file *l, const char *path)
{
    struct stat st;
    *l = (struct fv_line_file){.path = strdup(path)};
    if (!l->path)
        return fv_err(FV_ENOMEM, "out of memory");
    /* O_NONBLOCK: opening a fifo must not wait for a writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fv_err_errno(errno == ENOENT ? FV_ENOTFOUND : FV_EIO, "%s: cannot open", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(l->f = fdopen(fd, "r"))) {
        close(fd);
        return fv_err(FV_EIO, "%s: is no regular file, which it has to be: move it away", path);
    }
    return FV_OK;
}

/* Room for one byte more and the NUL. */
static int enlarge(struct fv_line_file *l)
{
    if (l->n + 2 <= l->room)
        return FV_OK;
    const size_t room = l->room ? 2 * l->room : 256;
    char *more = realloc(l->line, room);
    if (!more)
        return fv_err(FV_ENOMEM, "%s: out of memory for a line", l->path);
    l->line = more;
    l->room = room;
    return FV_OK;
}

int fv_line_file_next(struct fv_line_file *l)
{
    const uint64_t before = l->bytes;
    int c;
    l->n = 0;
    l->cut = 0;
    FV_TRY(enlarge(l));
    while ((c = getc_unlocked(l->f)) != EOF && c != '\n') {
        l->bytes++;
        if (l->n == FV_LINE_MOST) {
            l->cut = 1;
            continue;
        }
        FV_TRY(enlarge(l));
        l->line[l->n++] = (char)c;
    }
    if (ferror(l->f))
        return fv_err_errno(FV_EIO, "%s: cannot read", l->path);
    l->line[l->n] = '\0';
    l->ended = c == '\n';
    l->bytes += l->ended;
    return l->bytes > before;
}

void fv_line_file_close(struct fv_line_file *l)
{
    if (l->f)
        fclose(l->f);
    free(l->line);
    free(l->path);
    *l = (struct fv_line_file){.bytes = l->bytes};
}
