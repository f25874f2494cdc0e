/* SPDX-License-Identifier: MIT */
/* LMDB's pages depend on what it did before in this process: which pages it keeps at hand, how large its map is.
 * So a transaction is cut at a fixed amount of data, and for each the file is opened anew: then what a transaction
 * writes is a function of the file and of what is put, and a run that was stopped and resumed makes the same file
 * as one that was not. This also bounds memory. The map is made for each transaction as large as it may need.
 * Nothing is flushed before the end: a run that is killed loses nothing that it committed, and what a failing
 * machine loses is found by the checks of resuming.
 */
#include "store/append_file.h"
#include "common/err.h"
#include "common/fs.h"
#include "store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    COMMIT_BYTES = 16 << 20,
    MAP_START = 1 << 20,
};

struct fv_append_file {
    char *path, *part;
    int overwrite;
    int fd;   /* of the partial file: holds the lock; -1 when that is not ours */
    int kept; /* something was committed */
    int (*before_commit)(void *ctx);
    void *ctx;
    MDB_env *env;
    MDB_txn *txn; /* NULL after a failure */
    MDB_dbi dbi;
    size_t commit_bytes, map_bytes;
    size_t file_bytes, txn_bytes; /* when the transaction began; put since then */
};

/* --- errors --------------------------------------------------------------------------------------- */

/* LMDB calls it EIO when the disk takes a part of what it writes. */
static int disk_is_full(const struct fv_append_file *f)
{
    struct statvfs fs;
    struct rlimit most;

    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
        f->file_bytes + f->txn_bytes + f->commit_bytes > most.rlim_cur)
        return 1;
    return fstatvfs(f->fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < f->commit_bytes;
}

static int lmdb_err(const struct fv_append_file *f, int rc, const char *what)
{
    if (rc == EIO && disk_is_full(f))
        rc = ENOSPC;
    const int full = rc == ENOSPC || rc == EDQUOT || rc == EFBIG || rc == MDB_MAP_FULL;
    return fv_err(full ? FV_EFULL : FV_EIO, "%s: cannot %s: %s", f->part, what, mdb_strerror(rc));
}

static int still_usable(const struct fv_append_file *f)
{
    return f->txn ? FV_OK : fv_err(FV_EIO, "%s: an earlier failure ended the writing", f->part);
}

/* --- transactions --------------------------------------------------------------------------------- */

/* Whether the partial file's name still leads to ours: someone may have removed it and begun another. */
static int part_is_ours(const struct fv_append_file *f, int fd)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(f->part, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

static int replaced(const struct fv_append_file *f)
{
    return fv_err(FV_EIO, "%s: was removed or replaced while it was written: pack again", f->part);
}

/* Pages for n more bytes, the tree above them, and LMDB's own free list. */
static size_t room_for(const struct fv_append_file *f, size_t n)
{
    const size_t all = f->file_bytes + f->txn_bytes + n;
    return all + all / 64 + (16 << 20);
}

static int start_lmdb(struct fv_append_file *f, size_t bytes)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;

    int rc = fstat(f->fd, &st) == 0 ? mdb_env_create(&f->env) : errno;
    /* Else as large as the file asks for, which may be damaged. */
    if (rc == 0)
        rc = mdb_env_set_mapsize(f->env, st.st_size > MAP_START ? (size_t)st.st_size : MAP_START);
    if (rc == 0)
        rc = mdb_env_open(f->env, f->part, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0666);
    if (rc == 0)
        rc = mdb_env_info(f->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(f->env, &stat);
    if (rc != 0)
        return lmdb_err(f, rc, "open");
    f->file_bytes = (info.me_last_pgno + 1) * stat.ms_psize;
    f->txn_bytes = 0;
    f->map_bytes = 64 << 20;
    while (f->map_bytes < room_for(f, bytes))
        f->map_bytes *= 2;
    rc = mdb_env_set_mapsize(f->env, f->map_bytes);
    if (rc == 0)
        rc = mdb_txn_begin(f->env, NULL, 0, &f->txn);
    if (rc == 0)
        rc = mdb_dbi_open(f->txn, NULL, 0, &f->dbi);
    return rc == 0 ? FV_OK : lmdb_err(f, rc, "begin a transaction");
}

static void stop_lmdb(struct fv_append_file *f)
{
    if (f->txn)
        mdb_txn_abort(f->txn);
    if (f->env)
        mdb_env_close(f->env);
    f->txn = NULL;
    f->env = NULL;
}

static int begin(struct fv_append_file *f, size_t bytes)
{
    if (!part_is_ours(f, f->fd))
        return replaced(f);
    const int rc = start_lmdb(f, bytes > 2 * f->commit_bytes ? bytes : 2 * f->commit_bytes);
    if (rc < 0)
        stop_lmdb(f);
    return rc;
}

/* The environment stays open, without a transaction. */
static int commit(struct fv_append_file *f)
{
    int rc = f->txn_bytes && f->before_commit ? f->before_commit(f->ctx) : FV_OK;
    MDB_txn *txn = f->txn;

    f->txn = NULL;
    if (rc < 0 || f->txn_bytes == 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc != 0)
        return lmdb_err(f, rc, "write");
    f->kept = 1;
    return FV_OK;
}

/* The next transaction, with room for so many bytes. */
static int commit_and_begin(struct fv_append_file *f, size_t bytes)
{
    const int rc = commit(f);

    stop_lmdb(f);
    return rc < 0 ? rc : begin(f, bytes);
}

/* --- values --------------------------------------------------------------------------------------- */

int fv__append_file_get(struct fv_append_file *f, struct fv_span key, struct fv_span *value)
{
    MDB_val k = {key.n, (void *)key.p}, v;

    FV_TRY(still_usable(f));
    const int rc = mdb_get(f->txn, f->dbi, &k, &v);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return fv_err(FV_ECORRUPT, "%s: cannot read: %s", f->part, mdb_strerror(rc));
    *value = (struct fv_span){v.mv_data, v.mv_size};
    return 1;
}

int fv__append_file_count(struct fv_append_file *f, uint64_t *values)
{
    MDB_stat stat;

    FV_TRY(still_usable(f));
    const int rc = mdb_stat(f->txn, f->dbi, &stat);
    if (rc != 0)
        return lmdb_err(f, rc, "read");
    *values = stat.ms_entries;
    return FV_OK;
}

int fv__append_file_put(struct fv_append_file *f, struct fv_span key, struct fv_span value)
{
    MDB_val k = {key.n, (void *)key.p}, v = {value.n, (void *)value.p};

    FV_TRY(still_usable(f));
    if (room_for(f, value.n) > f->map_bytes)
        FV_TRY(commit_and_begin(f, value.n));
    const int rc = mdb_put(f->txn, f->dbi, &k, &v, MDB_NOOVERWRITE);
    if (rc != 0) {
        stop_lmdb(f);
        return lmdb_err(f, rc, "write");
    }
    f->txn_bytes += value.n + 4096;
    return FV_OK;
}

int fv__append_file_cut(struct fv_append_file *f)
{
    FV_TRY(still_usable(f));
    return f->txn_bytes < f->commit_bytes ? FV_OK : commit_and_begin(f, 0);
}

int fv__append_file_begin_last(struct fv_append_file *f, size_t bytes)
{
    FV_TRY(still_usable(f));
    return room_for(f, bytes) <= f->map_bytes ? FV_OK : commit_and_begin(f, bytes);
}

void fv__append_file_before_commit(struct fv_append_file *f, int (*fn)(void *ctx), void *ctx)
{
    f->before_commit = fn;
    f->ctx = ctx;
}

void fv__append_file_set_grain(struct fv_append_file *f, size_t bytes)
{
    f->commit_bytes = bytes;
}

/* --- the file ------------------------------------------------------------------------------------- */

/* Takes the partial file for this process. */
static int take_part(struct fv_append_file *f, int flags)
{
    int rc = FV_OK;

    const int fd = open(f->part, O_RDWR | O_CLOEXEC | flags, 0666);
    if (fd < 0 && errno == ENOENT && !(flags & O_CREAT))
        return fv_err(FV_ENOTFOUND, "%s: does not exist: there is nothing to go on with", f->part);
    if (fd < 0)
        return fv_err_errno(FV_EIO, "%s: cannot create", f->part);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        rc = errno == EWOULDBLOCK ? fv_err(FV_EEXIST, "%s: another program is writing it", f->part)
                                  : fv_err_errno(FV_EIO, "%s: cannot lock", f->part);
    /* Between open and flock its owner may have removed it, or renamed it: then it is a whole data set. */
    else if (!part_is_ours(f, fd))
        rc = fv_err(FV_EEXIST, "%s: another program was writing it until now: try again", f->part);
    if (rc < 0)
        close(fd);
    else
        f->fd = fd;
    return rc;
}

static int check_free(const char *path, int overwrite)
{
    const size_t n = strlen(path);
    struct stat st;

    if (n == 0 || path[n - 1] == '/')
        return fv_err(FV_EINVAL, "'%s': names no file: a data set is one, such as faces.lmdb",
                      path);
    if (stat(path, &st) != 0)
        return FV_OK;
    if (!S_ISREG(st.st_mode))
        return fv_err(FV_EEXIST, "%s: is already there and no file: choose another name", path);
    if (!overwrite)
        return fv_err(FV_EEXIST, "%s: is already there: choose another name or give --overwrite",
                      path);
    return FV_OK;
}

static int make(struct fv_append_file **out, const char *path, int overwrite)
{
    *out = NULL;
    FV_TRY(check_free(path, overwrite));
    struct fv_append_file *f = calloc(1, sizeof *f);
    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    f->fd = -1;
    f->commit_bytes = COMMIT_BYTES;
    f->overwrite = overwrite;
    f->path = strdup(path);
    f->part = fv_format("%s.part", path);
    if (!f->path || !f->part) {
        fv__append_file_close(&f);
        return fv_err(FV_ENOMEM, "out of memory");
    }
    *out = f;
    return FV_OK;
}

static int begin_anew(struct fv_append_file *f)
{
    FV_TRY(take_part(f, O_CREAT));
    if (ftruncate(f->fd, 0) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot empty", f->part);
    return begin(f, 0);
}

int fv__append_file_create(struct fv_append_file **out, const char *path, int overwrite)
{
    FV_TRY(make(out, path, overwrite));
    const int rc = begin_anew(*out);
    if (rc < 0)
        fv__append_file_close(out);
    return rc;
}

/* What a failed commit wrote behind the last page is cut off: a whole file ends there. */
static int go_on(struct fv_append_file *f)
{
    struct stat st;

    FV_TRY(take_part(f, 0));
    f->kept = 1;
    if (fstat(f->fd, &st) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot stat", f->part);
    if (st.st_size == 0)
        return fv_err(FV_ENOTFOUND, "%s: is empty: there is nothing to go on with", f->part);
    FV_TRY(fv__pages_check_file(f->part, f->fd, (size_t)st.st_size, fv__pages_check_writable));
    FV_TRY(begin(f, 0));
    if ((uint64_t)st.st_size > f->file_bytes && ftruncate(f->fd, (off_t)f->file_bytes) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot shorten", f->part);
    return FV_OK;
}

int fv__append_file_resume(struct fv_append_file **out, const char *path, int overwrite)
{
    FV_TRY(make(out, path, overwrite));
    const int rc = go_on(*out);
    if (rc < 0)
        fv__append_file_close(out);
    return rc;
}

int fv__append_file_finish(struct fv_append_file *f)
{
    FV_TRY(still_usable(f));
    FV_TRY(commit(f));
    const int rc = mdb_env_sync(f->env, 1);
    if (rc != 0)
        return lmdb_err(f, rc, "flush");
    stop_lmdb(f);
    FV_TRY(check_free(f->path, f->overwrite));
    if (!part_is_ours(f, f->fd))
        return replaced(f);
    if (rename(f->part, f->path) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot rename %s to it", f->path, f->part);
    close(f->fd);
    f->fd = -1;
    return fv_sync_parent(f->path);
}

void fv__append_file_close(struct fv_append_file **file)
{
    struct fv_append_file *f = *file;

    if (!f)
        return;
    stop_lmdb(f);
    if (f->fd >= 0) {
        if (!f->kept && part_is_ours(f, f->fd))
            unlink(f->part);
        close(f->fd);
    }
    free(f->path);
    free(f->part);
    free(f);
    *file = NULL;
}

void fv__append_file_discard(struct fv_append_file **f)
{
    if (*f)
        (*f)->kept = 0;
    fv__append_file_close(f);
}
