/* SPDX-License-Identifier: MIT */
/* The walk through the folders. Links are followed, as many people keep their sets as links; a folder
 * that is its own ancestor is refused by device and inode, so a loop ends at its first turn. Nothing is
 * opened that is not a regular file: opening a pipe would wait for ever.
 */
#include "prep/scan.h"

#include "common/err.h"
#include "common/fs.h"
#include "prep/format.h"
#include "prep/prep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 16 }; /* folders below an identity */

/* The folders from here up to the root: what a link must not lead back to. */
struct level {
    const struct level *up;
    dev_t dev;
    ino_t ino;
};

/* Room for one more element of *array. */
static int grow(void *array, size_t n, size_t *room, size_t each)
{
    void **a = array;
    if (n < *room)
        return 0;
    size_t more = *room ? *room * 2 : 64;
    void *p = realloc(*a, more * each);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for the list of %zu files", n);
    *a = p;
    *room = more;
    return 0;
}

static int note(struct fv_scan_notes *to, const char *name, enum fv_reject why, const char *detail)
{
    FV_TRY(grow(&to->at, to->n, &to->room, sizeof *to->at));
    struct fv_scan_note *e = &to->at[to->n];
    if (!(e->name = strdup(name)))
        return fv_err(FV_ENOMEM, "out of memory for the list of refused files");
    fv__refuse(&e->reason, why, "%s", detail);
    to->n++;
    return 0;
}

static int add_file(struct fv_scan *s, const char *name)
{
    FV_TRY(grow(&s->file, s->files, &s->file_room, sizeof *s->file));
    if (!(s->file[s->files] = strdup(name)))
        return fv_err(FV_ENOMEM, "out of memory for the list of files");
    s->files++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(name[i]);
    free(name);
}

/* The names in a folder, sorted. Returns 1 with errno when the folder cannot be read. */
static int read_folder(const char *path, char ***names, size_t *count)
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
        if ((rc = grow(&name, n, &room, sizeof *name)) < 0)
            break;
        if (!(name[n] = strdup(e->d_name)))
            rc = fv_err(FV_ENOMEM, "out of memory for the names in '%s'", path);
        else
            n++;
    }
    int failed = rc == 0 ? errno : 0;
    closedir(dir);
    if (rc < 0 || failed) {
        free_names(name, n);
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

static int visit_file(struct fv_scan *s, const char *rel, const char *path, const struct stat *st,
                      int in_identity)
{
    int named = fv__format_of_name(rel) != NULL;
    if (!S_ISREG(st->st_mode))
        return note(&s->refused, rel, FV_REJECT_SPECIAL, "");
    if (!named && !begins_like_image(path))
        return note(&s->ignored, rel, FV_IGNORE_NOT_PHOTO, "");
    if (!in_identity)
        return note(&s->refused, rel, FV_REJECT_NO_IDENTITY, "");
    if (st->st_size == 0)
        return note(&s->refused, rel, FV_REJECT_EMPTY, "");
    return add_file(s, rel);
}

/* What stands under a name: 0 and *st, or 1 when it was noted as hidden, badly named or unreachable. */
static int look_at(struct fv_scan *s, const char *name, const char *rel, const char *path,
                   struct stat *st)
{
    int rc;
    if (name[0] == '.')
        rc = note(&s->ignored, rel, FV_IGNORE_HIDDEN, "");
    else if (has_control_byte(name))
        rc = note(&s->refused, rel, FV_REJECT_BAD_NAME, "");
    else if (stat(path, st) == 0)
        return 0;
    else if (errno == ELOOP)
        rc = note(&s->refused, rel, FV_REJECT_LINK_LOOP, "");
    else if (errno == ENOENT)
        rc = note(&s->refused, rel, FV_REJECT_LINK_DANGLING, "");
    else
        rc = note(&s->refused, rel, FV_REJECT_UNREADABLE, strerror(errno));
    return rc < 0 ? rc : 1;
}

static int walk(struct fv_scan *s, const char *rel, const char *path, const struct level *up,
                int depth);

static int visit(struct fv_scan *s, const char *name, const char *rel, const char *path,
                 const struct level *up, int depth)
{
    struct stat st;
    int rc = look_at(s, name, rel, path, &st);
    if (rc)
        return rc < 0 ? rc : 0;
    if (!S_ISDIR(st.st_mode))
        return visit_file(s, rel, path, &st, 1);
    if (fv__format_of_name(name))
        return note(&s->refused, rel, FV_REJECT_FOLDER, "");
    if (depth >= MAX_DEPTH)
        return note(&s->refused, rel, FV_REJECT_TOO_DEEP, "");
    for (const struct level *l = up; l; l = l->up)
        if (l->dev == st.st_dev && l->ino == st.st_ino)
            return note(&s->refused, rel, FV_REJECT_LINK_LOOP, "");
    struct level here = {up, st.st_dev, st.st_ino};
    return walk(s, rel, path, &here, depth + 1);
}

static int walk(struct fv_scan *s, const char *rel, const char *path, const struct level *up,
                int depth)
{
    char **name;
    size_t n;
    int rc = read_folder(path, &name, &n);
    if (rc)
        return rc < 0 ? rc : note(&s->refused, rel, FV_REJECT_UNREADABLE, strerror(errno));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *below = fv_format("%s/%s", rel, name[i]);
        char *full = fv_format("%s/%s", path, name[i]);
        if (fv_prep_stop)
            rc = fv_err(FV_EINTR, "interrupted");
        else if (!below || !full)
            rc = fv_err(FV_ENOMEM, "out of memory for the path of '%s'", rel);
        else
            rc = visit(s, name[i], below, full, up, depth);
        free(below);
        free(full);
    }
    free_names(name, n);
    return rc;
}

static int visit_identity(struct fv_scan *s, const char *name, const char *path,
                          const struct stat *st, const struct level *root)
{
    if (root->dev == st->st_dev && root->ino == st->st_ino)
        return note(&s->refused, name, FV_REJECT_LINK_LOOP, "");
    FV_TRY(grow(&s->identity, s->identities, &s->identity_room, sizeof *s->identity));
    struct fv_scan_identity *id = &s->identity[s->identities];
    *id = (struct fv_scan_identity){.name = strdup(name), .first = s->files};
    if (!id->name)
        return fv_err(FV_ENOMEM, "out of memory for the list of identities");
    s->identities++;
    struct level here = {root, st->st_dev, st->st_ino};
    int rc = walk(s, name, path, &here, 0);
    id->count = s->files - id->first;
    /* Order is that of whole paths, which that of the walk is not: "a/b" and "a-b". */
    if (id->count)
        qsort(s->file + id->first, id->count, sizeof *s->file, by_name);
    return rc;
}

static int scan_root(struct fv_scan *s)
{
    struct stat st;
    if (stat(s->root, &st) != 0)
        return fv_err_errno(FV_ENOTFOUND, "cannot open the photo folder '%s'", s->root);
    if (!S_ISDIR(st.st_mode))
        return fv_err(FV_ENOTFOUND,
                      "'%s' is not a folder: give the folder that holds one folder per "
                      "identity",
                      s->root);
    struct level root = {NULL, st.st_dev, st.st_ino};
    char **name;
    size_t n;
    int rc = read_folder(s->root, &name, &n);
    if (rc)
        return rc < 0 ? rc : fv_err_errno(FV_EIO, "cannot read the photo folder '%s'", s->root);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *path = fv_format("%s/%s", s->root, name[i]);
        if (fv_prep_stop)
            rc = fv_err(FV_EINTR, "interrupted");
        else if (!path)
            rc = fv_err(FV_ENOMEM, "out of memory for the path of '%s'", name[i]);
        else if ((rc = look_at(s, name[i], name[i], path, &st)) == 1)
            rc = 0;
        else if (rc == 0)
            rc = S_ISDIR(st.st_mode) ? visit_identity(s, name[i], path, &st, &root)
                                     : visit_file(s, name[i], path, &st, 0);
        free(path);
    }
    free_names(name, n);
    if (rc == 0 && s->identities == 0)
        rc = fv_err(FV_ENOTFOUND,
                    "'%s' holds no folders: give the folder that holds one folder per "
                    "identity",
                    s->root);
    return rc;
}

int fv__scan_folder(struct fv_scan *out, const char *root)
{
    *out = (struct fv_scan){.root = strdup(root)};
    if (!out->root)
        return fv_err(FV_ENOMEM, "out of memory for the path '%s'", root);
    for (size_t n = strlen(out->root); n > 1 && out->root[n - 1] == '/'; n--)
        out->root[n - 1] = 0;
    int rc = scan_root(out);
    if (rc < 0)
        fv__scan_free(out);
    return rc;
}

static void free_notes(struct fv_scan_notes *notes)
{
    for (size_t i = 0; i < notes->n; i++)
        free(notes->at[i].name);
    free(notes->at);
}

void fv__scan_free(struct fv_scan *s)
{
    for (size_t i = 0; i < s->identities; i++)
        free(s->identity[i].name);
    free(s->identity);
    free_names(s->file, s->files);
    free_notes(&s->refused);
    free_notes(&s->ignored);
    free(s->root);
    *s = (struct fv_scan){0};
}
