/* SPDX-License-Identifier: MIT */
/* How many processors' worth of time this process may use: those on line, those of its affinity, and the CPU quota of
 * its control group and of every one above it, of which the least counts. Version 1 and 2, together where both are
 * mounted. In a container without a namespace of its own the path of the group does not exist below the mount point;
 * then the mount point is the container's group, and the walk up ends there in any case. */
#include "common/cpu.h"
#include "common/fs.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two numbers of one file, or one of each; 0: unlimited or unknown. */
static double read_quota(const char *folder)
{
    static const char *const files[][2] = {{"cpu.max", NULL},
                                           {"cpu.cfs_quota_us", "cpu.cfs_period_us"}};
    long long v[2];

    for (int k = 0; k < 2; k++) {
        int found = 0;
        for (int i = 0; i < 2 && files[k][i]; i++) {
            char *path = fv_format("%s/%s", folder, files[k][i]);
            FILE *f = path ? fopen(path, "re") : NULL;
            if (f) {
                found += fscanf(f, files[k][1] ? "%lld" : "%lld %lld", &v[i], &v[1]);
                fclose(f);
            }
            free(path);
        }
        if (found == 2 && v[0] > 0 && v[1] > 0)
            return (double)v[0] / (double)v[1];
    }
    return 0;
}

/* The least quota from base/path upwards to base. */
static void walk_up(const char *base, const char *path, double *least)
{
    char *folder = fv_format("%s%s", base, strstr(path, "..") ? "" : path);

    while (folder) {
        const double quota = read_quota(folder);
        char *slash = strrchr(folder, '/');
        if (quota > 0 && (*least <= 0 || quota < *least))
            *least = quota;
        if (strlen(folder) <= strlen(base) || !slash)
            break;
        *slash = '\0';
    }
    free(folder);
}

static int names_cpu(const char *controllers)
{
    const char *at = controllers;

    for (size_t n; (n = strcspn(at, ",")), *at; at += n + (at[n] == ','))
        if (n == 3 && strncmp(at, "cpu", 3) == 0)
            return 1;
    return 0;
}

/* Of one line of /proc/self/cgroup: "0::/path" or "4:cpu,cpuacct:/path". */
static void read_group(const char *root, char *line, double *least)
{
    static const char *const mounts[] = {"", "/unified"};
    char *controllers = strchr(line, ':'),
         *path = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!path)
        return;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    controllers++;
    for (int i = 0; i < 2 && !*controllers; i++) {
        char *base = fv_format("%s/sys/fs/cgroup%s", root, mounts[i]);
        if (base)
            walk_up(base, path, least);
        free(base);
    }
    for (int i = 0; i < 2 && names_cpu(controllers); i++) {
        char *base = fv_format("%s/sys/fs/cgroup/%s", root, i ? "cpu" : controllers);
        if (base)
            walk_up(base, path, least);
        free(base);
    }
}

static double group_quota(const char *root)
{
    char *path = fv_format("%s/proc/self/cgroup", root), line[4096];
    FILE *f = path ? fopen(path, "re") : NULL;
    double least = 0;

    while (f && fgets(line, sizeof line, f))
        read_group(root, line, &least);
    if (f)
        fclose(f);
    free(path);
    return least;
}

void fv_cpu_limits(struct fv_cpu_limits *out, const char *root)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;

    out->online = online > 0 ? (int)online : 1;
    out->affinity = out->online;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        out->affinity = CPU_COUNT(&set);
    out->quota = group_quota(root);
}

int fv_cpu_available(const struct fv_cpu_limits *l)
{
    int n = l->affinity < l->online ? l->affinity : l->online;

    if (l->quota > 0 && ceil(l->quota) < n)
        n = (int)ceil(l->quota);
    return n > 1 ? n : 1;
}

int fv_cpu_count(void)
{
    struct fv_cpu_limits l;

    fv_cpu_limits(&l, "");
    return fv_cpu_available(&l);
}

void fv_cpu_say_limits(const struct fv_cpu_limits *l, char *text, size_t n)
{
    const int available = fv_cpu_available(l);

    if (l->quota > 0 && l->quota < l->affinity && l->quota < l->online)
        snprintf(text, n, "%d of %d processors, by a cgroup quota of %.3g", available, l->online,
                 l->quota);
    else if (l->affinity < l->online)
        snprintf(text, n, "%d of %d processors, by affinity", available, l->online);
    else
        snprintf(text, n, "%d processor%s", available, available == 1 ? "" : "s");
}
