/* SPDX-License-Identifier: MIT */
#include "tools/train/train_recipe.h"

#include "common/err.h"
#include "common/fs.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECIPE_BYTES_MAX = 1 << 20 };
static const char ending[] = ".recipe";

static int out_of_memory(void)
{
    return fv_err(FV_ENOMEM, "out of memory");
}

/* The folder with the recipes, to free: beside the program wherever it has been moved to, installed or in a build
 * folder, else where it was to be installed. */
static char *recipes_folder(void)
{
    static const char *const beside[] = {"/../share/fv/recipes", "/../recipes"};
    char program[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = n > 0 ? memrchr(program, '/', (size_t)n) : NULL;
    for (size_t i = 0; slash && i < sizeof beside / sizeof *beside; i++) {
        char *folder = fv_format("%.*s%s", (int)(slash - program), program, beside[i]);
        char *plain = folder ? realpath(folder, NULL) : NULL;
        free(folder);
        if (plain && fv_is_folder(plain))
            return plain;
        free(plain);
    }
    return strdup(FV_RECIPES);
}

static int is_recipe(const struct dirent *entry)
{
    const size_t n = strlen(entry->d_name);
    return n >= sizeof ending && strcmp(entry->d_name + n - (sizeof ending - 1), ending) == 0;
}

static int name_length(const struct dirent *entry)
{
    return (int)(strlen(entry->d_name) - (sizeof ending - 1));
}

static void free_entries(struct dirent **entry, int n)
{
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Of all recipes in `folder`, in order; their number, or an error if there are none. */
static int read_folder(const char *folder, struct dirent ***entry)
{
    const int n = scandir(folder, entry, is_recipe, by_name);
    if (n < 0)
        return fv_err_errno(FV_EIO, "%s: cannot read the folder with the recipes", folder);
    if (n == 0)
        free(*entry);
    return n ? n
             : fv_err(FV_ENOTFOUND, "%s: there are no recipes in it: build or install fv anew",
                      folder);
}

static int no_such_recipe(const char *name, const char *folder)
{
    struct dirent **entry;
    char *list = NULL;
    size_t size;
    const int n = read_folder(folder, &entry);
    FV_TRY(n);
    FILE *f = open_memstream(&list, &size);
    for (int i = 0; f && i < n; i++)
        fprintf(f, "%s%.*s", i ? ", " : "", name_length(entry[i]), entry[i]->d_name);
    free_entries(entry, n);
    if (!f || fclose(f) != 0) {
        free(list);
        return out_of_memory();
    }
    const int rc =
        fv_err(FV_ENOTFOUND, "there is no recipe '%s': valid are %s, or a file, as ./my.recipe",
               name, list);
    free(list);
    return rc;
}

/* The recipe's file, to free. */
static int find(const char *name, char **path)
{
    int rc = 0;
    if (strpbrk(name, "/.")) {
        *path = strdup(name);
        return *path ? 0 : out_of_memory();
    }
    char *folder = recipes_folder();
    *path = folder ? fv_format("%s/%s%s", folder, name, ending) : NULL;
    if (!*path)
        rc = out_of_memory();
    else if (access(*path, F_OK) != 0)
        rc = no_such_recipe(name, folder);
    free(folder);
    return rc;
}

/* Editors leave blanks behind values, and some a carriage return. */
static void trim_lines(char *text)
{
    char *to = text;
    for (const char *p = text;; p++) {
        if (*p == '\n' || !*p)
            while (to > text && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r'))
                to--;
        *to++ = *p;
        if (!*p)
            return;
    }
}

int train_recipe_read(const char *name, const struct fv_opt_group *groups, int ngroups, char **text)
{
    char *path = NULL;
    size_t n;
    *text = NULL;
    int rc = find(name, &path);
    if (rc == 0)
        rc = fv_file_read(path, RECIPE_BYTES_MAX, text, &n);
    if (rc == 0 && strlen(*text) != n)
        rc = fv_err(FV_ECORRUPT, "%s: not text: a recipe has lines of 'name = value'", path);
    if (rc == 0) {
        trim_lines(*text);
        rc = fv_opt_read_text(groups, ngroups, *text, path);
    }
    free(path);
    return rc;
}

static int list_one(const char *folder, const struct dirent *entry, FILE *to)
{
    char *text = NULL;
    size_t n;
    char *path = fv_format("%s/%s", folder, entry->d_name);
    int rc = path ? fv_file_read(path, RECIPE_BYTES_MAX, &text, &n) : out_of_memory();
    free(path);
    FV_TRY(rc);
    const char *title = strncmp(text, "# ", 2) == 0 ? text + 2 : "";
    fprintf(to, "%-20.*s %.*s\n", name_length(entry), entry->d_name, (int)strcspn(title, "\n"),
            title);
    free(text);
    return 0;
}

int train_recipe_list(FILE *to)
{
    struct dirent **entry;
    char *folder = recipes_folder();
    if (!folder)
        return out_of_memory();
    const int n = read_folder(folder, &entry);
    int rc = n < 0 ? n : 0;
    if (n >= 0)
        fprintf(to, "In %s:\n\n", folder);
    for (int i = 0; rc == 0 && i < n; i++)
        rc = list_one(folder, entry[i], to);
    if (n >= 0)
        free_entries(entry, n);
    free(folder);
    return rc;
}
