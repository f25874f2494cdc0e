/* SPDX-License-Identifier: MIT */
/* What is in a gallery, and what is looked for in it: images of a data set, or templates, and whom they show. */
#ifndef FV_TOOLS_GALLERY_SPEC_H
#define FV_TOOLS_GALLERY_SPEC_H

#include "store/store.h"
#include "trainer/trainer.h"

struct gallery_set {
    size_t n;
    uint32_t *id;           /* (n) image, or place of a template */
    const char **name;      /* (n) */
    const char **identity;  /* (n); NULL for those of whom nothing is said */
    struct fv_rows rows[2]; /* whose texts these are: of the list, of the labels */
};

extern const char gallery_spec_help[];

/* spec: "split:NAME" and "folder:PATH" of the data set, or the file of a list. Identities are those of the data set for
 * a split, and for a folder where `trust` says so; those of the list; or one a line of the file `labels`, unless it is
 * NULL. templates: NULL: of images. */
int gallery_set_open(struct gallery_set *set, struct fv_store *s,
                     const struct fv_templates *templates, const char *spec, const char *labels,
                     int trust);
void gallery_set_close(struct gallery_set *set);

#endif
