/* SPDX-License-Identifier: MIT */
/* In place of photo_vips.c where the build found no libvips: JPEGs are read, other photos refused. */
#include "prep/photo/photo_decoder.h"

void fv__vips_end_thread(void)
{
}

int fv__vips_decode(const struct fv_photo_job *job)
{
    return fv__refuse(job->why, FV_REJECT_UNSUPPORTED, "%s: this build has no libvips",
                      job->format->name);
}
