/* SPDX-License-Identifier: MIT */
/* The first line of such a text is fixed by the format. */
#include "prep/import/lfs.h"

#include <string.h>
#include <unistd.h>

static const char begin[] = "version https://git-lfs.github.com/spec/v";

int fv__lfs_is_pointer(const uint8_t *p, size_t n)
{
    return n >= sizeof begin - 1 && memcmp(p, begin, sizeof begin - 1) == 0;
}

int fv__lfs_is_pointer_file(int fd)
{
    uint8_t head[sizeof begin];
    ssize_t n = pread(fd, head, sizeof head, 0);
    return n > 0 && fv__lfs_is_pointer(head, (size_t)n);
}
