/* SPDX-License-Identifier: MIT */
/* Transactions are cut at fixed amounts of data: this bounds memory, and keeps the file a function of its
 * content. The map grows by itself: before a put that might not fit, the transaction is committed and the map is
 * doubled. Nothing is flushed before the end.
 */
#include "store/append_file.h"
#include "common/err.h"
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    COMMIT_BYTES = 64 << 20,
    MAP_START = 256 << 20,
};

struct fv_append_file {
    char *path, *part;
    int overwrite;
    int fd; /* of the partial file: holds the lock; -1 when that is not ours */
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    size_t map_bytes, put_bytes, txn_bytes;
};

/* LMDB calls it EIO when the disk takes a part of what it writes. */
static int disk_is_full(const struct fv_append_file *f)
{
    struct statvfs fs;
    return fstatvfs(f->fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < COMMIT_BYTES;
}

static int lmdb_err(const struct fv_append_file *f, int rc, const char *what)
{
    if (rc == EIO && disk_is_full(f))
        rc = ENOSPC;
    const int full = rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL;
    return fv_err(full ? FV_EFULL : FV_EIO, "%s: cannot %s: %s", f->part, what, mdb_strerror(rc));
}

static int txn_begin(struct fv_append_file *f)
{
    const int rc = mdb_txn_begin(f->env, NULL, 0, &f->txn);

    if (rc != 0)
        return lmdb_err(f, rc, "begin a transaction");
    f->txn_bytes = 0;
    return FV_OK;
}

static int txn_commit(struct fv_append_file *f)
{
    MDB_txn *txn = f->txn;

    f->txn = NULL;
    const int rc = mdb_txn_commit(txn);
    return rc == 0 ? FV_OK : lmdb_err(f, rc, "write");
}

/* Room for n more bytes: pages for them, the tree above them, and LMDB's own free list. */
static int ensure_room(struct fv_append_file *f, size_t n)
{
    const size_t need = f->put_bytes + f->put_bytes / 64 + n + n / 64 + (16 << 20);

    if (need <= f->map_bytes && f->txn_bytes < COMMIT_BYTES)
        return FV_OK;
    FV_TRY(txn_commit(f));
    if (need > f->map_bytes) {
        while (need > f->map_bytes)
            f->map_bytes *= 2;
        const int rc = mdb_env_set_mapsize(f->env, f->map_bytes);
        if (rc != 0)
            return lmdb_err(f, rc, "grow the map");
    }
    return txn_begin(f);
}

static int put(struct fv_append_file *f, struct fv_span key, struct fv_span value, unsigned flags)
{
    MDB_val k = {key.n, (void *)key.p}, v = {value.n, (void *)value.p};

    if (!f->txn)
        return fv_err(FV_EIO, "%s: an earlier failure ended the writing", f->part);
    FV_TRY(ensure_room(f, value.n));
    const int rc = mdb_put(f->txn, f->dbi, &k, &v, flags);
    if (rc != 0)
        return lmdb_err(f, rc, "write");
    f->put_bytes += value.n + 4096;
    f->txn_bytes += value.n;
    return FV_OK;
}

int fv__append_file_put(struct fv_append_file *f, struct fv_span key, struct fv_span value)
{
    return put(f, key, value, MDB_APPEND);
}

int fv__append_file_put_last(struct fv_append_file *f, struct fv_span key, struct fv_span value)
{
    return put(f, key, value, 0);
}

/* Whether the partial file's name still leads to ours: someone may have removed it and begun another. */
static int part_is_ours(const struct fv_append_file *f, int fd)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(f->part, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

/* Takes the partial file for this process and empties it. */
static int take_part(struct fv_append_file *f)
{
    int rc = FV_OK;

    const int fd = open(f->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fv_err_errno(FV_EIO, "%s: cannot create", f->part);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        rc = errno == EWOULDBLOCK ? fv_err(FV_EEXIST, "%s: another program is writing it", f->part)
                                  : fv_err_errno(FV_EIO, "%s: cannot lock", f->part);
    /* Between open and flock its owner may have removed it, or renamed it: then it is a whole data set. */
    else if (!part_is_ours(f, fd))
        rc = fv_err(FV_EEXIST, "%s: another program was writing it until now: try again", f->part);
    else if (ftruncate(fd, 0) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot empty", f->part);
    if (rc < 0)
        close(fd);
    else
        f->fd = fd;
    return rc;
}

static int open_env(struct fv_append_file *f)
{
    f->map_bytes = MAP_START;
    int rc = mdb_env_create(&f->env);
    if (rc != 0)
        return lmdb_err(f, rc, "start LMDB");
    rc = mdb_env_set_mapsize(f->env, f->map_bytes);
    if (rc == 0)
        rc = mdb_env_open(f->env, f->part, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_NORDAHEAD,
                          0666);
    if (rc != 0)
        return lmdb_err(f, rc, "create it");
    FV_TRY(txn_begin(f));
    rc = mdb_dbi_open(f->txn, NULL, 0, &f->dbi);
    return rc == 0 ? FV_OK : lmdb_err(f, rc, "open its table");
}

static int check_free(const char *path, int overwrite)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return FV_OK;
    if (!S_ISREG(st.st_mode))
        return fv_err(FV_EEXIST, "%s: is already there and no file: choose another name", path);
    if (!overwrite)
        return fv_err(FV_EEXIST, "%s: is already there: choose another name or give --overwrite",
                      path);
    return FV_OK;
}

int fv__append_file_create(struct fv_append_file **out, const char *path, int overwrite)
{
    *out = NULL;
    FV_TRY(check_free(path, overwrite));
    struct fv_append_file *f = calloc(1, sizeof *f);
    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    f->fd = -1;
    f->overwrite = overwrite;
    f->path = strdup(path);
    f->part = fv_format("%s.part", path);
    int rc = f->path && f->part ? take_part(f) : fv_err(FV_ENOMEM, "out of memory");
    if (rc == FV_OK)
        rc = open_env(f);
    if (rc < 0) {
        fv__append_file_close(&f);
        return rc;
    }
    *out = f;
    return FV_OK;
}

int fv__append_file_finish(struct fv_append_file *f)
{
    if (!f->txn)
        return fv_err(FV_EIO, "%s: an earlier failure ended the writing", f->part);
    FV_TRY(txn_commit(f));
    const int rc = mdb_env_sync(f->env, 1);
    if (rc != 0)
        return lmdb_err(f, rc, "flush");
    mdb_env_close(f->env);
    f->env = NULL;
    FV_TRY(check_free(f->path, f->overwrite));
    if (!part_is_ours(f, f->fd))
        return fv_err(FV_EIO, "%s: was removed or replaced while it was written: pack again",
                      f->part);
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
    if (f->txn)
        mdb_txn_abort(f->txn);
    if (f->env)
        mdb_env_close(f->env);
    if (f->fd >= 0) {
        if (part_is_ours(f, f->fd))
            unlink(f->part);
        close(f->fd);
    }
    free(f->path);
    free(f->part);
    free(f);
    *file = NULL;
}
