/* SPDX-License-Identifier: MIT */
/* The name of a data set: a file, or several with commas between them. A file whose own name has a comma is that
 * file. */
#include "common/err.h"
#include "common/fs.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fv_store_split_path(char ***out, size_t *n, const char *path)
{
    size_t most = 1;

    if (access(path, F_OK) != 0)
        for (const char *p = path; *p; p++)
            most += *p == ',';
    /* Pointers, and behind them the paths. */
    char **list = malloc(most * sizeof *list + strlen(path) + 1);
    if (!list)
        return fv_err(FV_ENOMEM, "out of memory");
    char *text = strcpy((char *)(list + most), path);
    *out = list;
    *n = most;
    for (size_t i = 0; i < most; i++) {
        list[i] = text;
        char *comma = i + 1 < most ? strchr(text, ',') : NULL;
        if (comma)
            *comma = '\0';
        text = comma ? comma + 1 : text;
        if (!*list[i]) {
            free(list);
            *out = NULL;
            return fv_err(FV_EINVAL, "'%s': between its commas a file is missing", path);
        }
    }
    return FV_OK;
}

static int absolute(char **out, char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *real = realpath(list[i], NULL);
        if (!real)
            return errno == ENOENT ? fv_err(FV_ENOTFOUND, "%s: there is no such file", list[i])
                                   : fv_err_errno(FV_EIO, "%s", list[i]);
        char *longer = i ? fv_format("%s,%s", *out, real) : strdup(real);
        free(real);
        free(*out);
        *out = longer;
        if (!longer)
            return fv_err(FV_ENOMEM, "out of memory");
    }
    return FV_OK;
}

int fv_store_absolute_path(char **out, const char *path)
{
    char **list;
    size_t n;

    *out = NULL;
    FV_TRY(fv_store_split_path(&list, &n, path));
    const int rc = absolute(out, list, n);
    free(list);
    if (rc < 0) {
        free(*out);
        *out = NULL;
    }
    return rc;
}
