/* SPDX-License-Identifier: MIT */
#include "prep/pack/packed_with.h"

#include "common/err.h"
#include "prep/pack/pack_plan.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

static const char shard_key[] = "shard = ";

static size_t line_bytes(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? (size_t)(end - line) + 1 : strlen(line);
}

static int is_of_shard(const char *line)
{
    return strncmp(line, shard_key, sizeof shard_key - 1) == 0;
}

static int has_line(const char *text, const char *line)
{
    const size_t n = line_bytes(line);
    for (; *text; text += line_bytes(text))
        if (line_bytes(text) == n && memcmp(text, line, n) == 0)
            return 1;
    return 0;
}

/* NULL when out of memory. */
static char *unite(char *const *text, size_t n)
{
    char *united = calloc(1, strlen(text[0]) + 1), *to = united;
    for (const char *line = text[0]; united && *line; line += line_bytes(line)) {
        int in_all = !is_of_shard(line);
        for (size_t i = 1; i < n && in_all; i++)
            in_all = has_line(text[i], line);
        if (in_all)
            to = mempcpy(to, line, line_bytes(line));
    }
    return united;
}

/* 1 when the text is that of a shard. */
static int find_shard(const char *text, struct fv_shard *shard)
{
    char value[32];
    while (*text && !is_of_shard(text))
        text += line_bytes(text);
    if (!*text)
        return 0;
    text += sizeof shard_key - 1;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(text, "\n"), text);
    return fv__shard_parse(shard, value) == 0;
}

/* Warns when these are shards of one whole and some are missing. */
static void check_shards(char *const *text, size_t n, const struct fv_report *r)
{
    struct fv_shard first, other;
    if (n == 1 || !find_shard(text[0], &first))
        return;
    for (unsigned at = 0; at < first.of; at++) {
        size_t i = 0;
        while (i < n && !(find_shard(text[i], &other) && other.of == first.of && other.at == at))
            i++;
        if (i == n)
            fv_say(r, FV_LEVEL_WARN, "shard %u/%u is missing", at + 1, first.of);
    }
}

/* How each file was packed; free each. */
static int read_texts(char **text, const char *const *paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct fv_store *store;
        FV_TRY(fv_store_open(&store, paths[i]));
        text[i] = strdup(fv_store_info(store)->packed_with);
        fv_store_close(&store);
        if (!text[i])
            return fv_err(FV_ENOMEM, "out of memory for settings");
    }
    return 0;
}

/* The lines that all have, with a word about those that they do not. */
static int unite_texts(char **united, char *const *text, const char *const *paths, size_t n,
                       const struct fv_report *r)
{
    for (size_t i = 1; i < n; i++) {
        char *const two[] = {text[0], text[i]};
        char *alone = unite(two, 1), *both = unite(two, 2);
        const int differ = alone && both && strcmp(alone, both) != 0;
        free(alone);
        free(both);
        if (differ)
            fv_say(r, FV_LEVEL_WARN, "%s and %s were packed with different settings", paths[0],
                   paths[i]);
    }
    check_shards(text, n, r);
    *united = unite(text, n);
    return *united ? 0 : fv_err(FV_ENOMEM, "out of memory for settings");
}

int fv__packed_with_of(char **united, const char *const *paths, size_t n, const struct fv_report *r)
{
    char **text = calloc(n, sizeof *text);
    *united = NULL;
    int rc = text ? read_texts(text, paths, n) : fv_err(FV_ENOMEM, "out of memory for settings");
    if (rc == 0)
        rc = unite_texts(united, text, paths, n, r);
    for (size_t i = 0; text && i < n; i++)
        free(text[i]);
    free(text);
    return rc;
}

int fv__packed_with_read(struct fv_pack_settings *s, char **memory, const char *text,
                         const char *path)
{
    const struct fv_opt_group group = {"", fv_pack_opts, s};
    *memory = strdup(text);
    if (!*memory)
        return fv_err(FV_ENOMEM, "out of memory for settings");
    return fv_opt_read_text(&group, 1, *memory, path);
}
