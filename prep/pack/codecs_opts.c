/* SPDX-License-Identifier: MIT */
/* The options of fvprep codecs: those of fvprep pack that say what an image is, and its own. */
#include "common/opt.h"
#include "prep/prep.h"

#include <stddef.h>
#include <string.h>

static const char *const shared[] = {"size",  "frame",  "fit",  "crop",  "margin",
                                     "level", "layout", "root", "boxes", "landmarks"};
enum { SHARED = sizeof shared / sizeof *shared };

static const struct fv_opt own[] = {
    {"sample", 'n', FV_OPT_INT, 0, offsetof(struct fv_codecs_settings, sample), "N",
     "images to try on, spread evenly over all", 1, 100000, NULL},
    {.name = NULL},
};
enum { OWN = sizeof own / sizeof *own };

static const struct fv_opt *find(const char *name)
{
    const struct fv_opt *o = fv_pack_opts;
    while (o->name && strcmp(o->name, name) != 0)
        o++;
    return o;
}

const struct fv_opt *fv_codecs_opts(void)
{
    static struct fv_opt all[SHARED + OWN];
    if (all[0].name)
        return all;
    for (int i = 0; i < SHARED; i++) {
        all[i] = *find(shared[i]);
        all[i].flags = 0;
        all[i].offset += offsetof(struct fv_codecs_settings, pack);
    }
    memcpy(all + SHARED, own, sizeof own);
    return all;
}

void fv_codecs_defaults(struct fv_codecs_settings *s)
{
    fv_pack_defaults(&s->pack);
    s->sample = 256;
}
