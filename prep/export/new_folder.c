/* SPDX-License-Identifier: MIT */
/* One flush of the whole file system instead of one a file: a folder may get millions of small files, and
 * none of them counts before the renaming.
 *
 * While it is filled, the part holds a hidden file that the run has locked. So a part with that file, unlocked, is what
 * a killed run left: it is emptied and filled anew. A folder without it is somebody's own and is not touched.
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
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FOLDERS = 16 };
static const char mark_name[] = ".fvprep-export";

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

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind;
    if (where->level == 0 || (where->level == 1 && strcmp(path + where->base, mark_name) == 0))
        return 0;
    return remove(path);
}

/* Removes what is in the part, all but the mark. */
static int empty(const char *part)
{
    return nftw(part, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0
               ? 0
               : fv_err_errno(FV_EIO, "%s: cannot empty it", part);
}

/* Whether the locked file is still the one in the part: another run may have finished meanwhile. */
static int is_mark(int fd, const char *mark)
{
    struct stat locked, there;
    return fstat(fd, &locked) == 0 && lstat(mark, &there) == 0 && locked.st_dev == there.st_dev &&
           locked.st_ino == there.st_ino;
}

/* The mark opened and locked in f->lock. flags: whether it must be new, or there. */
static int lock_mark(struct fv_new_folder *f, const char *mark, int flags)
{
    f->lock = open(mark, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
    if (f->lock < 0 && (errno == ENOENT || errno == ENOTDIR))
        return fv_err(FV_EEXIST,
                      "%s: is already there, and not from an export: remove or rename it", f->part);
    if (f->lock < 0)
        return fv_err_errno(FV_EIO, "%s: cannot open", mark);
    return flock(f->lock, LOCK_EX | LOCK_NB) == 0 && is_mark(f->lock, mark)
               ? 0
               : fv_err(FV_EEXIST, "%s: another run is writing it: wait for its end", f->part);
}

static int make_part(struct fv_new_folder *f)
{
    struct stat st;
    const int is_new = mkdir(f->part, 0777) == 0;
    if (!is_new && errno != EEXIST)
        return fv_err_errno(FV_EIO, "%s: cannot create the folder", f->part);
    if (!is_new && (lstat(f->part, &st) != 0 || !S_ISDIR(st.st_mode)))
        return fv_err(FV_EEXIST, "%s: is already there and no folder: remove or rename it",
                      f->part);
    f->mark = fv_format("%s/%s", f->part, mark_name);
    int rc = f->mark ? lock_mark(f, f->mark, is_new ? O_CREAT | O_EXCL : 0)
                     : fv_err(FV_ENOMEM, "out of memory for a path");
    return rc < 0 || is_new ? rc : empty(f->part);
}

int fv__new_folder_open(struct fv_new_folder *f, const char *path)
{
    *f = (struct fv_new_folder){.path = strdup(path), .lock = -1};
    if (!f->path)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    for (size_t n = strlen(f->path); n > 1 && f->path[n - 1] == '/'; n--)
        f->path[n - 1] = 0;
    if (!*f->path)
        return fv_err(FV_EINVAL, "the folder to write has no name");
    FV_TRY(check_free(f->path));
    f->part = fv_format("%s.part", f->path);
    int rc = f->part ? make_part(f) : fv_err(FV_ENOMEM, "out of memory for a path");
    f->is_ours = rc == 0;
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
    if (unlink(f->mark) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot remove", f->mark);
    if (rename(f->part, f->path) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot rename %s to it", f->path, f->part);
    f->is_ours = 0;
    return fv_sync_parent(f->path);
}

void fv__new_folder_close(struct fv_new_folder *f)
{
    if (f->is_ours && empty(f->part) == 0) {
        unlink(f->mark);
        rmdir(f->part);
    }
    if (f->path && f->lock >= 0)
        close(f->lock);
    free(f->mark);
    free(f->part);
    free(f->path);
    *f = (struct fv_new_folder){.lock = -1};
}
