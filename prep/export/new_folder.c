/* SPDX-License-Identifier: MIT */
/* One flush of the whole file system instead of one a file: a folder may get millions of small files, and
 * none of them counts before the renaming.
 */
#include "prep/export/new_folder.h"

#include "common/err.h"
#include "common/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FOLDERS = 16 };

/* 0 when nothing is in the folder, 1 with something in it. */
static int is_filled(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return fv_err_errno(FV_EIO, "%s: cannot read the folder", path);
    int filled = 0;
    for (struct dirent *e; !filled && (e = readdir(dir));)
        filled = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return filled;
}

/* The renaming replaces an empty folder, and nothing else. */
static int check_free(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return 0;
    int filled = S_ISDIR(st.st_mode) ? is_filled(path) : 1;
    return filled <= 0 ? filled
                       : fv_err(FV_EEXIST, "%s: is already there: choose another name", path);
}

int fv__new_folder_open(struct fv_new_folder *f, const char *path)
{
    *f = (struct fv_new_folder){.path = strdup(path)};
    if (!f->path)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    for (size_t n = strlen(f->path); n > 1 && f->path[n - 1] == '/'; n--)
        f->path[n - 1] = 0;
    if (!*f->path)
        return fv_err(FV_EINVAL, "the folder to write has no name");
    FV_TRY(check_free(f->path));
    char *part = fv_format("%s.part", f->path);
    if (!part)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    int rc = 0;
    if (mkdir(part, 0777) != 0)
        rc = errno == EEXIST ? fv_err(FV_EEXIST,
                                      "%s: is there from a run that was killed, or still goes on: "
                                      "remove it first",
                                      part)
                             : fv_err_errno(FV_EIO, "%s: cannot create the folder", part);
    if (rc < 0)
        free(part);
    else
        f->part = part;
    return rc;
}

static int flush(const char *part)
{
    int fd = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (fd < 0 || syncfs(fd) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot flush it to the disk", part);
    if (fd >= 0)
        close(fd);
    return rc;
}

int fv__new_folder_commit(struct fv_new_folder *f)
{
    FV_TRY(flush(f->part));
    if (rename(f->part, f->path) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot rename %s to it", f->path, f->part);
    free(f->part);
    f->part = NULL;
    return fv_sync_parent(f->path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    remove(path);
    return 0;
}

void fv__new_folder_close(struct fv_new_folder *f)
{
    if (f->part)
        nftw(f->part, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    free(f->part);
    free(f->path);
    *f = (struct fv_new_folder){0};
}
