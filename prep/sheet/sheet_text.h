/* SPDX-License-Identifier: MIT */
/* Lines of text as masks: the one thing about a contact sheet that takes a library. */
#ifndef FV_PREP_SHEET_TEXT_H
#define FV_PREP_SHEET_TEXT_H

#include <stdint.h>

struct fv__text {
    uint8_t *mask; /* (h, w): 0 nothing, 255 ink. free() it; NULL when there is nothing to see */
    int w, h;
    int x, y; /* of its top left corner, from that of the line */
};

/* Any bytes; what is not UTF-8 is shown as a question mark. font: "sans bold 10"; wrap: pixels after which lines
 * break, 0 for one line. FV_EUNSUPPORTED without the library, FV_EBACKEND when it finds no font. */
int fv__text_draw(const char *text, const char *font, int wrap, struct fv__text *out);

#endif
