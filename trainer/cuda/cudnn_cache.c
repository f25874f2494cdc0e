/* SPDX-License-Identifier: MIT */
/* The plans of earlier runs: a folder of small JSON files, each named by the hash of what its plan is for.
 *
 * The title (cuDNN's version, the device, the graph) stands in the file as well, so that a hash that collides, or a
 * file that was moved here from another machine, is not taken for something else.
 */
#include "trainer/cuda/cudnn_plan.h"

#include "common/err.h"
#include "common/fs.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 16384, TITLE = 400 };

static void title_of(const struct fv_cudnn *c, const struct fv_conv_key *key, char title[TITLE])
{
    char text[160];
    fv_conv_key_text(key, text, sizeof text);
    snprintf(title, TITLE, "cuDNN %zu, %s: %s", c->version, c->device, text);
}

/* FNV-1a, 64 bits: names a file, and is no more than that. */
static uint64_t hash(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return h;
}

static char *path_of(const char *folder, const char *title)
{
    return fv_format("%s/%016llx.json", folder, (unsigned long long)hash(title));
}

char *fv_plan_cache_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') /* the standard: relative paths are ignored */
        return fv_format("%s/fv/cudnn", cache);
    return home && home[0] ? fv_format("%s/.cache/fv/cudnn", home) : NULL;
}

int fv_plan_cache_read(const char *folder, const struct fv_cudnn *c, const struct fv_conv_key *key,
                       struct fv_plan_choice *out)
{
    char title[TITLE], *text;
    size_t n;
    title_of(c, key, title);
    char *path = path_of(folder, title);
    if (!path || fv_file_read(path, FILE_LIMIT, &text, &n) < 0) {
        free(path);
        return 0;
    }
    int good = fv__plan_cache_parse(text, n, title, out);
    free(text);
    free(path);
    return good;
}

int fv_plan_cache_write(const char *folder, const struct fv_cudnn *c, const struct fv_conv_key *key,
                        const struct fv_plan_choice *choice)
{
    char title[TITLE];
    title_of(c, key, title);
    FV_TRY(fv_mkdirs(folder));
    json_t *knobs = json_array();
    for (int i = 0; i < choice->knobs; i++)
        json_array_append_new(
            knobs, json_pack("[i, I]", choice->knob[i].type, (json_int_t)choice->knob[i].value));
    json_t *root = json_pack("{s:s, s:i, s:f, s:o}", "plan", title, "engine", choice->engine, "us",
                             choice->us, "knobs", knobs);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    char *path = path_of(folder, title);
    int rc = text && path ? fv_file_write(path, text, strlen(text))
                          : fv_err(FV_ENOMEM, "cuDNN: out of memory");
    free(text);
    free(path);
    json_decref(root);
    return rc;
}
