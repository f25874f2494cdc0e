/* SPDX-License-Identifier: MIT */
/* What a file of the cache says: read without cuDNN, which judges it afterwards. */
#include "trainer/cuda/cudnn_plan.h"

#include <jansson.h>
#include <string.h>

enum { MAX_ENGINE = 4095, MAX_KNOB_TYPE = 255 };
static const int64_t max_knob_value = INT64_C(1) << 32;

static int knobs_of(const json_t *knobs, struct fv_plan_choice *out)
{
    if (!json_is_array(knobs) || json_array_size(knobs) > FV_PLAN_KNOBS)
        return 0;
    out->knobs = (int)json_array_size(knobs);
    for (int i = 0; i < out->knobs; i++) {
        const json_t *knob = json_array_get(knobs, (size_t)i);
        const json_t *type = json_array_get(knob, 0), *value = json_array_get(knob, 1);
        if (json_array_size(knob) != 2 || !json_is_integer(type) || !json_is_integer(value))
            return 0;
        const json_int_t t = json_integer_value(type), v = json_integer_value(value);
        if (t < 0 || t > MAX_KNOB_TYPE || v < -max_knob_value || v > max_knob_value)
            return 0;
        out->knob[i] = (struct fv_plan_knob){.type = (int)t, .value = v};
    }
    return 1;
}

int fv__plan_cache_parse(const char *text, size_t n, const char *title, struct fv_plan_choice *out)
{
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL), *knobs = NULL;
    const char *what = NULL;
    json_int_t engine = -1;
    double us = -1;
    *out = (struct fv_plan_choice){0};
    int good = root && json_unpack(root, "{s:s, s:I, s:F, s:o}", "plan", &what, "engine", &engine,
                                   "us", &us, "knobs", &knobs) == 0;
    good = good && strcmp(what, title) == 0 && engine >= 0 && engine <= MAX_ENGINE && us >= 0 &&
           us < 1e9 && knobs_of(knobs, out);
    out->engine = good ? (int)engine : 0;
    out->us = good ? us : 0;
    json_decref(root);
    return good;
}
