/* SPDX-License-Identifier: MIT */
/* epochs.csv: a line an epoch, for spreadsheets and data frames. The columns are those below, and then what else the
 * first epoch has. What was not measured is empty. */
#include "trainer/track/track.h"

#include <string.h>

static const char *const columns[] = {"epoch", "step",      "time",      "loss",     "acc",
                                      "lr",    "img_per_s", "data_wait", "val_loss", "val_acc",
                                      "eer",   "auc",       NULL};

static int is_extra(const char *key, const json_t *value)
{
    for (int i = 0; columns[i]; i++)
        if (strcmp(columns[i], key) == 0)
            return 0;
    return json_is_number(value) && strpbrk(key, ",\"\r\n") == NULL;
}

static void write_header(FILE *to, const json_t *line)
{
    const char *key;
    json_t *value;
    for (int i = 0; columns[i]; i++)
        fprintf(to, "%s%s", i ? "," : "", columns[i]);
    json_object_foreach((json_t *)line, key, value) if (is_extra(key, value))
        fprintf(to, ",%s", key);
    fputc('\n', to);
}

static void write_value(FILE *to, const json_t *value)
{
    if (json_is_integer(value))
        fprintf(to, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        fprintf(to, "%.*g", json_real_value(value) > 1e8 ? 13 : 9, json_real_value(value));
}

static int write_epoch(FILE *to, const json_t *line, const json_t *first)
{
    const char *type = json_string_value(json_object_get(line, "type")), *key;
    json_t *value;
    if (!type || strcmp(type, "epoch") != 0)
        return 0;
    if (!first)
        write_header(to, first = line);
    for (int i = 0; columns[i]; i++) {
        if (i)
            fputc(',', to);
        write_value(to, json_object_get(line, columns[i]));
    }
    json_object_foreach((json_t *)first, key, value) if (is_extra(key, value))
    {
        fputc(',', to);
        write_value(to, json_object_get(line, key));
    }
    fputc('\n', to);
    return 1;
}

const struct fv_track_form fv_track_csv = {.file = "epochs.csv", .write = write_epoch};
