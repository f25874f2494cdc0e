/* SPDX-License-Identifier: MIT */
/* Images of a data set as pictures of a page. */
#ifndef FV_TOOLS_REPORT_EYES_H
#define FV_TOOLS_REPORT_EYES_H

#include "store/store.h"

#include <stdio.h>

struct eyes {
    const struct fv_store *store; /* not owned */
    struct fv_decoder *decoder;
    uint8_t *rgb;
    int width, height;
};

int eyes_open(struct eyes *e, const struct fv_store *store);
void eyes_close(struct eyes *e); /* after a failure too */
/* <img> of an image, its name as the text. */
int eyes_put(FILE *f, struct eyes *e, uint32_t image);

#endif
