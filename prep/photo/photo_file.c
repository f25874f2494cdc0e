/* SPDX-License-Identifier: MIT */
/* We read files ourselves: system errors are then exact, and decoders see only memory. */
#include "prep/photo/photo_file.h"

#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, uint8_t **buf, size_t *room, size_t *got, struct fv_refusal *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fv__refuse(why, FV_REJECT_UNREADABLE, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fv__refuse(why, FV_REJECT_SPECIAL, "%s", "");
    if (st.st_size > FV_PHOTO_MAX_BYTES)
        return fv__refuse(why, FV_REJECT_FILE_TOO_LARGE, "%lld bytes, at most %u",
                          (long long)st.st_size, FV_PHOTO_MAX_BYTES);
    size_t want = (size_t)st.st_size, n = 0;
    if (want > *room) {
        uint8_t *file = realloc(*buf, want);
        if (!file)
            return fv_err(FV_ENOMEM, "out of memory for a file of %zu bytes", want);
        *buf = file;
        *room = want;
    }
    while (n < want) {
        ssize_t k = read(fd, *buf + n, want - n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fv__refuse(why, FV_REJECT_UNREADABLE, "%s", strerror(errno));
        if (k == 0)
            break;
        n += (size_t)k;
    }
    *got = n;
    return n ? 0 : fv__refuse(why, FV_REJECT_EMPTY, "%s", "");
}

int fv__photo_file_read(const char *path, uint8_t **buf, size_t *room, size_t *n,
                        struct fv_refusal *why)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fv__refuse(why, FV_REJECT_UNREADABLE, "%s", strerror(errno));
    int rc = read_all(fd, buf, room, n, why);
    close(fd);
    return rc;
}
