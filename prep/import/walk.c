/* SPDX-License-Identifier: MIT */
/* Links are followed, as many people keep their sets as links; a folder
 * that is its own ancestor is refused by device and inode, so a loop ends at its first turn. Nothing is
 * opened that is not a regular file: opening a pipe would wait for ever.
 */
#include "prep/import/walk.h"

#include "common/err.h"
#include "common/fs.h"
#include "prep/photo/format.h"
#include "prep/prep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 16 }; /* folders below an identity */

/* What is being walked through. */
struct walk {
    struct fv_listing *l;
    const char *identity; /* NULL beside the identity folders */
    int split;
    int own; /* nobody is known: each photo is its own identity */
};

/* The folders from here up to the root: what a link must not lead back to. */
struct level {
    const struct level *up;
    dev_t dev;
    ino_t ino;
};

/* Room for one more name. */
static int grow(char ***name, size_t n, size_t *room)
{
    if (n < *room)
        return 0;
    size_t more = *room ? *room * 2 : 64;
    char **p = realloc(*name, more * sizeof *p);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for %zu names", n);
    *name = p;
    *room = more;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void fv__walk_free_names(char **name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(name[i]);
    free(name);
}

int fv__walk_has_folder(const char *root, const char *name)
{
    char *path = fv_format("%s/%s", root, name);
    const int yes = path && fv_is_folder(path);

    free(path);
    return yes;
}

int fv__walk_names(const char *path, char ***names, size_t *count)
{
    size_t room = 0, n = 0;
    char **name = NULL;
    DIR *dir = opendir(path);
    if (!dir)
        return 1;
    int rc = 0;
    for (struct dirent *e; rc == 0 && (errno = 0, e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if ((rc = grow(&name, n, &room)) < 0)
            break;
        if (!(name[n] = strdup(e->d_name)))
            rc = fv_err(FV_ENOMEM, "out of memory for the names in '%s'", path);
        else
            n++;
    }
    int failed = rc == 0 ? errno : 0;
    closedir(dir);
    if (rc < 0 || failed) {
        fv__walk_free_names(name, n);
        errno = failed;
        return rc < 0 ? rc : 1;
    }
    if (n)
        qsort(name, n, sizeof *name, by_name);
    *names = name;
    *count = n;
    return 0;
}

static int has_control_byte(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            return 1;
    return 0;
}

/* Whether a regular file without an image's suffix begins like an image all the same. */
static int begins_like_image(const char *path)
{
    uint8_t head[FV_FORMAT_SNIFF_BYTES];
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);
    if (fd >= 0)
        close(fd);
    return n > 0 && fv__format_of_bytes(head, (size_t)n) != NULL;
}

static int add_photo(const struct walk *w, const char *rel, const char *name, const struct stat *st,
                     uint32_t face)
{
    const struct fv_listed_photo p = {
        .name = name ? name : rel,
        .path = name ? rel : NULL,
        .bytes = (uint64_t)st->st_size,
        .stamp = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec,
        .split = (int8_t)w->split,
        .face = face,
    };
    if (st->st_size == 0)
        return fv__listing_refuse(w->l, rel, FV_REJECT_EMPTY, "");
    return fv__listing_add(w->l, w->own ? rel : w->identity, &p);
}

static int visit_file(const struct walk *w, const char *rel, const char *path,
                      const struct stat *st)
{
    int named = fv__format_of_name(rel) != NULL;
    if (!S_ISREG(st->st_mode))
        return fv__listing_refuse(w->l, rel, FV_REJECT_SPECIAL, "");
    if (!named && !begins_like_image(path))
        return fv__listing_ignore(w->l, rel, FV_IGNORE_NOT_PHOTO);
    if (!w->identity && !w->own)
        return w->split == FV_SPLIT_HOLDOUT
                   ? fv__listing_ignore(w->l, rel, FV_IGNORE_UNLABELLED)
                   : fv__listing_refuse(w->l, rel, FV_REJECT_NO_IDENTITY, "");
    return add_photo(w, rel, NULL, st, 0);
}

/* Called with the errno of stat. */
static int refuse_unreachable(struct fv_listing *l, const char *rel, const char *path)
{
    struct stat st;
    int why = errno;
    if (why == ELOOP)
        return fv__listing_refuse(l, rel, FV_REJECT_LINK_LOOP, "");
    if (why == ENOENT && lstat(path, &st) == 0)
        return fv__listing_refuse(l, rel, FV_REJECT_LINK_DANGLING, "");
    if (why == ENOENT || why == ENOTDIR)
        return fv__listing_refuse(l, rel, FV_REJECT_MISSING, "");
    return fv__listing_refuse(l, rel, FV_REJECT_UNREADABLE, strerror(why));
}

/* What stands under a name: 0 and *st, or 1 when it was noted as hidden, badly named or unreachable. */
static int look_at(struct fv_listing *l, const char *name, const char *rel, const char *path,
                   struct stat *st)
{
    int rc;
    if (name[0] == '.')
        rc = fv__listing_ignore(l, rel, FV_IGNORE_HIDDEN);
    else if (has_control_byte(name))
        rc = fv__listing_refuse(l, rel, FV_REJECT_BAD_NAME, "");
    else if (stat(path, st) == 0)
        return 0;
    else
        rc = refuse_unreachable(l, rel, path);
    return rc < 0 ? rc : 1;
}

static int walk(const struct walk *w, const char *rel, const char *path, const struct level *up,
                int depth);

static int visit(const struct walk *w, const char *name, const char *rel, const char *path,
                 const struct level *up, int depth)
{
    struct fv_listing *l = w->l;
    struct stat st;
    int rc = look_at(l, name, rel, path, &st);
    if (rc)
        return rc < 0 ? rc : 0;
    if (!S_ISDIR(st.st_mode))
        return visit_file(w, rel, path, &st);
    if (fv__format_of_name(name))
        return fv__listing_refuse(l, rel, FV_REJECT_FOLDER, "");
    if (depth >= MAX_DEPTH)
        return fv__listing_refuse(l, rel, FV_REJECT_TOO_DEEP, "");
    for (const struct level *f = up; f; f = f->up)
        if (f->dev == st.st_dev && f->ino == st.st_ino)
            return fv__listing_refuse(l, rel, FV_REJECT_LINK_LOOP, "");
    struct level here = {up, st.st_dev, st.st_ino};
    return walk(w, rel, path, &here, depth + 1);
}

static int walk(const struct walk *w, const char *rel, const char *path, const struct level *up,
                int depth)
{
    char **name;
    size_t n;
    int rc = fv__walk_names(path, &name, &n);
    if (rc)
        return rc < 0 ? rc : fv__listing_refuse(w->l, rel, FV_REJECT_UNREADABLE, strerror(errno));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *below = fv_format("%s/%s", rel, name[i]);
        char *full = fv_format("%s/%s", path, name[i]);
        if (fv_prep_stop)
            rc = fv_err(FV_EINTR, "interrupted");
        else if (!below || !full)
            rc = fv_err(FV_ENOMEM, "out of memory for the path of '%s'", rel);
        else
            rc = visit(w, name[i], below, full, up, depth);
        free(below);
        free(full);
    }
    fv__walk_free_names(name, n);
    return rc;
}

static int visit_identity(const struct walk *tree, const char *name, const char *rel,
                          const char *path, const struct stat *st, const struct level *top)
{
    const struct walk w = {tree->l, name, tree->split, 0};
    const struct level here = {top, st->st_dev, st->st_ino};
    if (top->dev == st->st_dev && top->ino == st->st_ino)
        return fv__listing_refuse(w.l, rel, FV_REJECT_LINK_LOOP, "");
    /* known also when it has no photo */
    FV_TRY(fv__listing_add(w.l, name, &(struct fv_listed_photo){.split = (int8_t)tree->split}));
    return walk(&w, rel, path, &here, 0);
}

static int visit_top(const struct walk *tree, const char *name, const char *rel, const char *path,
                     const struct level *top)
{
    struct stat st;
    int rc = look_at(tree->l, name, rel, path, &st);
    if (rc)
        return rc < 0 ? rc : 0;
    return S_ISDIR(st.st_mode) ? visit_identity(tree, name, rel, path, &st, top)
                               : visit_file(tree, rel, path, &st);
}

static int walk_top(const struct walk *tree, const char *rel, const char *path)
{
    struct stat st;
    char **name;
    size_t n;
    if (stat(path, &st) != 0)
        return fv_err_errno(FV_ENOTFOUND, "cannot open the photo folder '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return fv_err(FV_ENOTFOUND,
                      "'%s' is not a folder: give the folder that holds one folder per "
                      "identity",
                      path);
    const struct level top = {NULL, st.st_dev, st.st_ino};
    int rc = fv__walk_names(path, &name, &n);
    if (rc)
        return rc < 0 ? rc : fv_err_errno(FV_EIO, "cannot read the photo folder '%s'", path);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *below = fv_format("%s%s%s", rel, *rel ? "/" : "", name[i]);
        char *full = fv_format("%s/%s", path, name[i]);
        if (fv_prep_stop)
            rc = fv_err(FV_EINTR, "interrupted");
        else if (!below || !full)
            rc = fv_err(FV_ENOMEM, "out of memory for the path of '%s'", name[i]);
        else
            rc = visit_top(tree, name[i], below, full, &top);
        free(below);
        free(full);
    }
    fv__walk_free_names(name, n);
    return rc;
}

int fv__walk_tree(struct fv_listing *l, const char *rel, int split)
{
    const struct walk tree = {l, NULL, split, 0};
    char *path = fv_format("%s%s%s", l->root, *rel ? "/" : "", rel);
    int rc = path ? walk_top(&tree, rel, path) : fv_err(FV_ENOMEM, "out of memory for a path");
    free(path);
    return rc;
}

int fv__walk_strangers(struct fv_listing *l, const char *rel)
{
    const struct walk w = {l, NULL, FV_SPLIT_HOLDOUT, 1};
    char *path = fv_format("%s/%s", l->root, rel);
    struct stat st;
    int rc;
    if (!path)
        rc = fv_err(FV_ENOMEM, "out of memory for a path");
    else if (stat(path, &st) != 0)
        rc = fv_err_errno(FV_ENOTFOUND, "cannot open the photo folder '%s'", path);
    else
        rc = walk(&w, rel, path, &(struct level){NULL, st.st_dev, st.st_ino}, 0);
    free(path);
    return rc;
}

/* --- a path from a list --------------------------------------------------------------------------- */

/* Drops empty and "." parts of a path, in place. 0 when it leads out of where it starts. */
static int clean_path(char *path)
{
    char *to = path, *from = path;
    while (*from) {
        size_t n = strcspn(from, "/");
        if (n == 2 && from[0] == '.' && from[1] == '.')
            return 0;
        if (n && !(n == 1 && from[0] == '.')) {
            if (to > path)
                *to++ = '/';
            memmove(to, from, n);
            to += n;
        }
        from += n + (from[n] == '/');
    }
    *to = 0;
    return to > path;
}

int fv__walk_listed(struct fv_listing *l, const char *identity, char *rel, const char *name,
                    int split, uint32_t face)
{
    const struct walk w = {l, identity, split, 0};
    size_t before = l->photos;
    char *path = NULL;
    struct stat st;
    int rc;
    if (has_control_byte(name ? name : rel))
        rc = fv__listing_refuse(l, rel, FV_REJECT_BAD_NAME, "");
    else if (!clean_path(rel))
        rc = fv__listing_refuse(l, rel, FV_REJECT_OUTSIDE, "");
    else if (!(path = fv_format("%s/%s", l->root, rel)))
        rc = fv_err(FV_ENOMEM, "out of memory for the path of '%s'", rel);
    else if (stat(path, &st) != 0)
        rc = refuse_unreachable(l, rel, path);
    else if (S_ISDIR(st.st_mode))
        rc = fv__listing_refuse(l, rel, FV_REJECT_FOLDER, "");
    else if (!S_ISREG(st.st_mode))
        rc = fv__listing_refuse(l, rel, FV_REJECT_SPECIAL, "");
    else
        rc = add_photo(&w, rel, name, &st, face);
    free(path);
    if (rc == 0 && l->photos == before) /* known also when it has no photo */
        rc = fv__listing_add(l, identity, &(struct fv_listed_photo){.split = (int8_t)split});
    return rc;
}
