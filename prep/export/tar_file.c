/* SPDX-License-Identifier: MIT */
/* A member is a block of text fields, then its bytes in whole blocks; two blocks of zeros end the archive.
 *
 *     0  name[100]     100  mode[8]     108  uid[8]     116  gid[8]     124  size[12]     136  mtime[12]
 *   148  checksum[8]   156  type '0'    257  "ustar\0"  263  "00"        329  device[8]    337  device[8]
 *
 * Numbers are octal digits and a zero byte. The checksum is the sum of all bytes with its own as blanks. The bytes
 * are those of GNU tar's --format=ustar.
 */
#include "prep/export/tar_file.h"

#include "common/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_BYTES ((uint64_t)077777777777) /* what eleven digits hold */

uint64_t fv__tar_member_bytes(uint64_t n)
{
    return FV_TAR_BLOCK + (n + FV_TAR_BLOCK - 1) / FV_TAR_BLOCK * FV_TAR_BLOCK;
}

int fv__tar_open(struct fv_tar *t, const char *path)
{
    *t = (struct fv_tar){.path = strdup(path)};
    if (!t->path)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    t->f = fopen(path, "wxe");
    if (t->f)
        return 0;
    int rc = fv_err_errno(FV_EIO, "%s: cannot create", path);
    fv__tar_close(t);
    return rc;
}

void fv__tar_close(struct fv_tar *t)
{
    if (t->f)
        fclose(t->f);
    free(t->path);
    *t = (struct fv_tar){0};
}

static void make_header(char h[FV_TAR_BLOCK], const char *name, size_t n)
{
    unsigned sum = 0;
    memset(h, 0, FV_TAR_BLOCK);
    memcpy(h, name, strlen(name));
    memcpy(h + 100, "0000644", 8);
    memcpy(h + 108, "0000000", 8);
    memcpy(h + 116, "0000000", 8);
    snprintf(h + 124, 12, "%011" PRIo64, (uint64_t)n);
    memcpy(h + 136, "00000000000", 12);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar", 6);
    memcpy(h + 263, "00", 2);
    memcpy(h + 329, "0000000", 8);
    memcpy(h + 337, "0000000", 8);
    for (int i = 0; i < FV_TAR_BLOCK; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
}

/* Bytes, and zeros up to a whole block. */
static int put(struct fv_tar *t, const void *p, size_t n)
{
    static const char zero[FV_TAR_BLOCK];
    const size_t pad = -n % FV_TAR_BLOCK;
    t->bytes += n + pad;
    return (n == 0 || fwrite(p, 1, n, t->f) == n) && fwrite(zero, 1, pad, t->f) == pad
               ? 0
               : fv_err_errno(FV_EIO, "%s: cannot write", t->path);
}

int fv__tar_add(struct fv_tar *t, const char *name, const void *p, size_t n)
{
    char header[FV_TAR_BLOCK];
    const size_t length = strlen(name);
    if (length < 1 || length > FV_TAR_NAME_MAX || n > SIZE_MAX_BYTES)
        return fv_err(FV_EINVAL, "%s: a member of %zu bytes, its name of %zu", t->path, n, length);
    make_header(header, name, n);
    FV_TRY(put(t, header, sizeof header));
    return put(t, p, n);
}

int fv__tar_finish(struct fv_tar *t)
{
    static const char zero[FV_TAR_END];
    int rc = put(t, zero, sizeof zero);
    FILE *f = t->f;
    t->f = NULL;
    if (fclose(f) != 0 && rc == 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot write", t->path);
    fv__tar_close(t);
    return rc;
}
