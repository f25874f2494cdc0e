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

int fv__codec_check_quality(const struct fv_codec *c, int quality)
{
    if (quality && !c->quality)
        return fv_err(FV_EINVAL, "the codec %s is lossless: it has no quality to choose", c->name);
    return quality >= 0 && quality <= 100
               ? FV_OK
               : fv_err(FV_EINVAL, "a quality of %d: qualities are 1 to 100", quality);
}
