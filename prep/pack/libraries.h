/* SPDX-License-Identifier: MIT */
/* Which libraries, of which versions, make pixels out of photos here. Decoders are free to round as they like, and do:
 * what comes of a photo is certain only where these are the same.
 */
#ifndef FV_PREP_LIBRARIES_H
#define FV_PREP_LIBRARIES_H

#include <stddef.h>

/* "libvips 8.14.1, libjpeg-turbo 2.1.5": those that decode photos; "" when there are none. */
const char *fv__libraries_of_photos(void);
/* Whether each library of such a list is here in that version: 1 or 0. An empty list holds everywhere. */
int fv__libraries_hold(const char *list);
/* FV_ECORRUPT for a list of another form, or a library that nobody knows here. */
int fv__libraries_check(const char *list);

#endif
