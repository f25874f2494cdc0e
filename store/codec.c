/* SPDX-License-Identifier: MIT */
#include "store/codec.h"
#include "common/err.h"

#include <string.h>

const struct fv_codec *fv__codec_by_name(const char *name)
{
    char list[128] = "";
    size_t n = 0;

    for (int i = 0; fv_codecs[i]; i++) {
        if (strcmp(fv_codecs[i]->name, name) == 0)
            return fv_codecs[i];
        if (n + strlen(fv_codecs[i]->name) + 3 < sizeof list) {
            n += strlen(strcpy(list + n, i ? ", " : ""));
            n += strlen(strcpy(list + n, fv_codecs[i]->name));
        }
    }
    fv_err(FV_ENOTFOUND, "unknown codec '%s': valid are %s", name, list);
    return NULL;
}

const struct fv_codec *fv__codec_by_id(int id)
{
    for (int i = 0; fv_codecs[i]; i++)
        if (fv_codecs[i]->id == id)
            return fv_codecs[i];
    fv_err(FV_EVERSION, "uses codec %d, which this program does not have", id);
    return NULL;
}
