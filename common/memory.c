/* SPDX-License-Identifier: MIT */
/* Linux answers in /proc and /sys. Of a control group its limit counts and not what others in it hold: their share of
 * it is mostly cache, which gives way. */
#include "common/memory.h"

#include "common/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *open_below(const char *root, const char *folder, const char *file)
{
    char *path = fv_format("%s%s/%s", root, folder, file);
    FILE *f = path ? fopen(path, "re") : NULL;
    free(path);
    return f;
}

uint64_t fv_memory_resident(const char *root)
{
    unsigned long long pages = 0;
    FILE *f = open_below(root, "/proc/self", "statm");
    if (f && fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The machine's, without what would have to be swapped out. */
static uint64_t machine_available(const char *root)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = open_below(root, "/proc", "meminfo");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

/* The least limit from the group at `path` upwards; 0: none. Where the path does not exist below the mount point, as in
 * a container, the mount point is the group. */
static uint64_t group_limit(const char *root, char *path)
{
    uint64_t least = 0;
    for (;;) {
        unsigned long long limit;
        char *folder = fv_format("/sys/fs/cgroup%s", path);
        FILE *f = folder ? open_below(root, folder, "memory.max") : NULL;
        if (f && fscanf(f, "%llu", &limit) == 1 && (least == 0 || limit < least))
            least = limit;
        if (f)
            fclose(f);
        free(folder);
        char *slash = strrchr(path, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

uint64_t fv_memory_limit(const char *root)
{
    char line[4096];
    uint64_t limit = machine_available(root);
    if (limit > 0)
        limit += fv_memory_resident(root);
    FILE *f = open_below(root, "/proc/self", "cgroup");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4) != 0 || strstr(line, ".."))
            continue;
        line[strcspn(line, "\n")] = '\0';
        const uint64_t group = group_limit(root, line + 3);
        if (group > 0 && (limit == 0 || group < limit))
            limit = group;
    }
    if (f)
        fclose(f);
    return limit;
}
