/* SPDX-License-Identifier: MIT */
#include "tools/bench/evidence.h"

#include "common/clock.h"
#include "common/cpu.h"
#include "tools/bench/commit.h"

#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char unknown[] = "unknown";
#ifdef __clang__
static const char compiler[] = __VERSION__;
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

/* The first line of a file of the kernel. */
static const char *first_line(const char *path, char *buf, size_t n)
{
    FILE *f = fopen(path, "re");
    const int read = f && fgets(buf, (int)n, f) != NULL;

    if (f)
        fclose(f);
    if (!read)
        return unknown;
    buf[strcspn(buf, "\n")] = '\0';
    return buf;
}

/* The value of "name : value". */
static const char *value_in(const char *path, const char *name, char *buf, size_t n)
{
    FILE *f = fopen(path, "re");
    const char *value = NULL;

    while (f && !value && fgets(buf, (int)n, f))
        if (strncmp(buf, name, strlen(name)) == 0 && strchr(buf, ':'))
            value = strchr(buf, ':') + 1;
    if (f)
        fclose(f);
    if (!value)
        return unknown;
    value += strspn(value, " \t");
    buf[strcspn(buf, "\n")] = '\0';
    return value;
}

/* Names rather than bits; "c" for none. */
static json_t *flag_names(unsigned flags)
{
    json_t *list = json_array();

    for (unsigned bit = 1; bit && bit <= flags; bit <<= 1)
        if (flags & bit)
            json_array_append_new(list, json_string(fv_cpu_flag_name(bit)));
    if (json_array_size(list) == 0)
        json_array_append_new(list, json_string(fv_cpu_flag_name(0)));
    return list;
}

static json_t *machine(void)
{
    char model[256], limit[128], governor[64], memory[128], load[128], governor_path[96];
    struct utsname u = {0};
    cpu_set_t set;

    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    uname(&u);
    snprintf(governor_path, sizeof governor_path,
             "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", sched_getcpu());
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:i, s:s, s:i, s:s, s:s, s:s}",           /* */
        "cpu", value_in("/proc/cpuinfo", "model name", model, sizeof model), /* */
        "architecture", u.machine, "kernel", u.release, "instruction_sets_used",
        flag_names(fv_cpu_flags()), "cores_online", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
        "cores_by_affinity", CPU_COUNT(&set), "cgroup_cpu_max",
        first_line("/sys/fs/cgroup/cpu.max", limit, sizeof limit), "cores_to_use", fv_cpu_count(),
        "governor", first_line(governor_path, governor, sizeof governor), "memory",
        value_in("/proc/meminfo", "MemTotal", memory, sizeof memory), "load_average",
        first_line("/proc/loadavg", load, sizeof load));
}

static json_t *options(const struct evidence *e)
{
    json_t *all = json_object();
    char text[4200];

    for (int g = 0; g < e->ngroups; g++)
        for (const struct fv_opt *o = e->groups[g].opts; o->name; o++)
            json_object_set_new(
                all, o->name,
                json_string(fv_opt_format(o, e->groups[g].settings, text, sizeof text)));
    return all;
}

static json_t *command_line(const struct evidence *e)
{
    json_t *list = json_array();

    json_array_append_new(list, json_string(e->name));
    for (int i = 1; i < e->argc; i++)
        json_array_append_new(list, json_string(e->argv[i]));
    return list;
}

void *evidence_make(const struct evidence *e)
{
    char date[32];

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:o, s:o, s:o}", "fv", FV_VERSION, "commit",
                     tool_commit, "compiler", compiler, "date", fv_utc_now(date, sizeof date),
                     "libraries", e->libraries ? e->libraries : unknown, "backend", e->backend,
                     "command", command_line(e), "options", options(e), "machine", machine());
}
