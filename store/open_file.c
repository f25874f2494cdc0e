/* SPDX-License-Identifier: MIT */
#include "store/open_file.h"
#include "common/err.h"
#include "store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fv_open_file *listed;

static int list(struct fv_open_file *f, const char *path, const struct stat *st)
{
    const pid_t process = getpid();
    int rc = FV_OK;

    pthread_mutex_lock(&lock);
    for (const struct fv_open_file *o = listed; o; o = o->next)
        if (o->device == st->st_dev && o->inode == st->st_ino && o->process == process)
            rc = fv_err(FV_EEXIST, "%s: is already open in this process: use that handle", path);
    if (rc == FV_OK) {
        *f = (struct fv_open_file){st->st_dev, st->st_ino, process, listed};
        listed = f;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void fv__open_file_release(struct fv_open_file *f)
{
    if (!f->process)
        return;
    pthread_mutex_lock(&lock);
    struct fv_open_file **o = &listed;
    while (*o != f)
        o = &(*o)->next;
    *o = f->next;
    pthread_mutex_unlock(&lock);
    f->process = 0;
}

static int missing(const char *path)
{
    char part[4096];

    if (snprintf(part, sizeof part, "%s.part", path) < (int)sizeof part && access(part, F_OK) == 0)
        return fv_err(FV_ENOTFOUND,
                      "%s: packing was not finished: run the same 'fvprep pack' command again",
                      path);
    return fv_err(FV_ENOTFOUND, "%s: does not exist: 'fvprep pack' makes it", path);
}

int fv__open_file_check(struct fv_open_file *f, const char *path, uint64_t *bytes)
{
    struct stat st;
    int rc = FV_OK;
    /* O_NONBLOCK: opening a fifo must not wait for a writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT ? missing(path) : fv_err_errno(FV_EIO, "%s: cannot open", path);
    if (fstat(fd, &st) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot stat", path);
    else if (!S_ISREG(st.st_mode))
        rc = fv_err(FV_EINVAL, "%s: is not a file: a data set is one .lmdb file", path);
    if (rc == FV_OK)
        rc = list(f, path, &st);
    if (rc == FV_OK)
        rc = fv__pages_check_file(path, fd, (size_t)st.st_size, fv__pages_check);
    if (rc == FV_OK)
        *bytes = (uint64_t)st.st_size;
    close(fd);
    return rc;
}
