/* SPDX-License-Identifier: MIT */
/* Versions are asked of the libraries that are loaded, not of the headers that fv was built with. Those behind
 * libvips are not linked to fv itself, so all are asked by the name of a symbol; one that is not there is a
 * library that is not here. libjpeg-turbo keeps its version to itself: it is that of the build.
 */
#include "prep/pack/libraries.h"

#include "common/err.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { VERSION_MAX = 32 };

struct library {
    const char *name;
    const char *function;  /* const char *(*)(void) */
    const char *number[3]; /* or variables: const unsigned */
    const char *built;     /* or what it was at build time; "" is none */
    int of_photos;
};

static const struct library libraries[] = {
    {.name = "libvips", .function = "vips_version_string", .of_photos = 1},
    {.name = "libjpeg-turbo", .built = FV_LIBJPEG_VERSION, .of_photos = 1},
    {.name = "librsvg",
     .number = {"rsvg_major_version", "rsvg_minor_version", "rsvg_micro_version"}},
    {.name = "cairo", .function = "cairo_version_string"},
    {.name = "pixman", .function = "pixman_version_string"},
    {.name = "glibc", .function = "gnu_get_libc_version"},
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };

static void ask_function(const char *symbol, char version[VERSION_MAX])
{
    void *address = dlsym(RTLD_DEFAULT, symbol);
    const char *(*function)(void);
    if (!address)
        return;
    memcpy(&function, &address, sizeof function); /* C has no cast from an object to a function */
    snprintf(version, VERSION_MAX, "%s", function());
}

static void ask_numbers(const char *const symbol[3], char version[VERSION_MAX])
{
    const unsigned *number[3];
    for (int i = 0; i < 3; i++) {
        number[i] = dlsym(RTLD_DEFAULT, symbol[i]);
        if (!number[i])
            return;
    }
    snprintf(version, VERSION_MAX, "%u.%u.%u", *number[0], *number[1], *number[2]);
}

/* "" when it is not here. */
static void ask(const struct library *l, char version[VERSION_MAX])
{
    *version = 0;
    if (l->function)
        ask_function(l->function, version);
    else if (l->number[0])
        ask_numbers(l->number, version);
    else
        snprintf(version, VERSION_MAX, "%s", l->built);
}

const char *fv__libraries_of_photos(void)
{
    static _Thread_local char text[LIBRARIES * (VERSION_MAX + 16)];
    char version[VERSION_MAX];
    size_t n = 0;
    *text = 0;
    for (size_t i = 0; i < LIBRARIES; i++) {
        ask(&libraries[i], version);
        if (libraries[i].of_photos && *version)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s", n ? ", " : "",
                                  libraries[i].name, version);
    }
    return text;
}

/* One "name version" of a list. */
struct entry {
    const struct library *library; /* NULL: unknown */
    char name[32], version[VERSION_MAX];
};

/* Takes the first entry off the list: 1, or 0 when there is none or it has another form. */
static int take(const char **list, struct entry *e)
{
    int n = 0;
    if (sscanf(*list, " %31[^ ,] %31[^ ,]%n", e->name, e->version, &n) != 2)
        return 0;
    *list += n;
    *list += strspn(*list, " ");
    if (**list && **list != ',')
        return 0;
    *list += **list == ',';
    e->library = NULL;
    for (size_t i = 0; i < LIBRARIES; i++)
        if (strcmp(libraries[i].name, e->name) == 0)
            e->library = &libraries[i];
    return 1;
}

int fv__libraries_hold(const char *list)
{
    char version[VERSION_MAX];
    struct entry e;
    while (take(&list, &e)) {
        if (!e.library)
            return 0;
        ask(e.library, version);
        if (strcmp(version, e.version) != 0)
            return 0;
    }
    return *list == 0;
}

int fv__libraries_check(const char *list)
{
    struct entry e;
    while (*list) {
        if (!take(&list, &e))
            return fv_err(FV_ECORRUPT, "'%.80s' is not 'library version, library version'", list);
        if (e.library)
            continue;
        char valid[160] = "";
        for (size_t i = 0; i < LIBRARIES; i++) {
            size_t n = strlen(valid);
            snprintf(valid + n, sizeof valid - n, "%s%s", i ? ", " : "", libraries[i].name);
        }
        return fv_err(FV_ECORRUPT, "unknown library '%s': valid are %s", e.name, valid);
    }
    return 0;
}
