/* SPDX-License-Identifier: MIT */
#include "common/fs.h"
#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *fv_format(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return s;
}

/* Takes `tmp`. */
static int create(struct fv_file *file, const char *path, char *tmp)
{
    *file = (struct fv_file){.path = strdup(path), .tmp = tmp};
    if (!file->path || !file->tmp) {
        fv_file_discard(file);
        return fv_err(FV_ENOMEM, "out of memory");
    }
    file->f = fopen(file->tmp, "we");
    if (!file->f) {
        const int rc = fv_err_errno(FV_EIO, "%s: cannot create", path);
        fv_file_discard(file);
        return rc;
    }
    return FV_OK;
}

/* The renaming would put a file in the place of a device. */
static int check_place(struct fv_file *file, const char *path)
{
    struct stat st;

    *file = (struct fv_file){0};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return fv_err(FV_EEXIST, "%s: is already there and no file: choose another name", path);
    return FV_OK;
}

int fv_file_create(struct fv_file *file, const char *path)
{
    FV_TRY(check_place(file, path));
    return create(file, path, fv_format("%s.tmp-%ld", path, (long)getpid()));
}

int fv_file_create_part(struct fv_file *file, const char *path)
{
    FV_TRY(check_place(file, path));
    return create(file, path, fv_format("%s.part", path));
}

void fv_file_discard(struct fv_file *file)
{
    if (file->f) {
        fclose(file->f);
        unlink(file->tmp);
    }
    free(file->path);
    free(file->tmp);
    *file = (struct fv_file){0};
}

int fv_sync_parent(const char *path)
{
    char *copy = strdup(path);

    if (!copy)
        return fv_err(FV_ENOMEM, "out of memory");
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    /* Some file systems refuse fsync on a folder (EINVAL): then there is nothing to be done. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) {
        const int rc = fv_err_errno(FV_EIO, "%s: cannot flush its folder", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    close(fd);
    return FV_OK;
}

int fv_file_commit(struct fv_file *file)
{
    int rc = FV_OK;

    if (fflush(file->f) != 0 || ferror(file->f) || fsync(fileno(file->f)) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot write", file->path);
    if (fclose(file->f) != 0 && rc == FV_OK)
        rc = fv_err_errno(FV_EIO, "%s: cannot write", file->path);
    file->f = NULL;
    if (rc == FV_OK && rename(file->tmp, file->path) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot rename %s to it", file->path, file->tmp);
    if (rc == FV_OK)
        rc = fv_sync_parent(file->path);
    else
        unlink(file->tmp);
    fv_file_discard(file);
    return rc;
}

int fv_file_end(struct fv_file *file, int rc)
{
    if (rc >= 0)
        return fv_file_commit(file);
    fv_file_discard(file);
    return rc;
}

int fv_file_write(const char *path, const void *data, size_t n)
{
    struct fv_file file;

    FV_TRY(fv_file_create(&file, path));
    /* A short write sets the stream's error flag, which commit reports. */
    fwrite(data, 1, n, file.f);
    return fv_file_commit(&file);
}

static int read_open_file(const char *path, int fd, size_t limit, char **data, size_t *n)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return fv_err(FV_EINVAL, "%s: is not a regular file", path);
    if ((uint64_t)st.st_size > limit)
        return fv_err(FV_EFULL, "%s: is larger than the %zu bytes that fit here", path, limit);
    const size_t size = (size_t)st.st_size;
    char *buf = malloc(size + 1);
    if (!buf)
        return fv_err(FV_ENOMEM, "%s: out of memory for %zu bytes", path, size);
    size_t got = 0;
    while (got < size) {
        const ssize_t r = read(fd, buf + got, size - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            const int rc = fv_err_errno(FV_EIO, "%s: cannot read", path);
            free(buf);
            return rc;
        }
        if (r == 0)
            break;
        got += (size_t)r;
    }
    buf[got] = '\0';
    *data = buf;
    *n = got;
    return FV_OK;
}

/* The folder of a path and what is named in it; 0 when there is no such folder. */
static int find_place(const char *path, struct stat *folder, const char **name)
{
    const char *slash = strrchr(path, '/');
    char *copy = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    const int found = copy && stat(copy, folder) == 0;

    free(copy);
    *name = slash ? slash + 1 : path;
    return found;
}

int fv_same_place(const char *a, const char *b)
{
    struct stat folder_a, folder_b;
    const char *name_a, *name_b;

    if (strcmp(a, b) == 0)
        return 1;
    return find_place(a, &folder_a, &name_a) && find_place(b, &folder_b, &name_b) &&
           folder_a.st_dev == folder_b.st_dev && folder_a.st_ino == folder_b.st_ino &&
           strcmp(name_a, name_b) == 0;
}

int fv_file_read(const char *path, size_t limit, char **data, size_t *n)
{
    /* O_NONBLOCK: opening a fifo must not wait for a writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return fv_err_errno(errno == ENOENT ? FV_ENOTFOUND : FV_EIO, "%s: cannot open", path);
    const int rc = read_open_file(path, fd, limit, data, n);
    close(fd);
    return rc;
}

int fv_is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int fv_mkdirs(const char *path)
{
    if (!*path)
        return fv_err(FV_EINVAL, "the name of a folder to create is empty");
    char *p = strdup(path);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory");
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        const char c = *s;
        *s = '\0';
        if (mkdir(p, 0777) != 0 && (errno != EEXIST || !fv_is_folder(p))) {
            if (errno == EEXIST)
                errno = ENOTDIR;
            const int rc = fv_err_errno(FV_EIO, "%s: cannot create the folder", p);
            free(p);
            return rc;
        }
        *s = c;
        if (c == '\0')
            break;
    }
    free(p);
    return FV_OK;
}
