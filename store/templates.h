/* SPDX-License-Identifier: MIT */
/* Templates: several images that stand for one person together, as IJB-B and IJB-C compare them.
 *
 * Text form, one image a line: "image template media" (ijbb_face_tid_mid.txt), numbers for the latter two. The
 * frames of one video share a media number, so that a long video does not outvote a photograph.
 */
#ifndef FV_STORE_TEMPLATES_H
#define FV_STORE_TEMPLATES_H

#include <stddef.h>
#include <stdint.h>

struct fv_store;

struct fv_template {
    uint64_t number;     /* as in the list */
    size_t first, count; /* its images: image[first .. first+count-1] */
};

struct fv_template_image {
    uint32_t image;    /* id in the data set */
    uint32_t template; /* its place in fv_templates.template */
    uint64_t media;
};

struct fv_templates {
    struct fv_template *template; /* (n), ascending by number */
    size_t n;
    struct fv_template_image *image; /* (images), by template, then media, then image */
    size_t images;
};

/* Names are found as those of pair lists are; an image that is missing is an error naming the line. */
int fv_templates_read(struct fv_templates *out, struct fv_store *s, const char *path);
void fv_templates_free(struct fv_templates *t); /* accepts a zeroed one */
/* What each image weighs, NAN for those of which the list says nothing: (all images of the data set) into weight. Text
 * form, one image a line, its name first and its weight last (ijbb_name_5pts_score.txt: between them five points of the
 * face, before the detector's score). FV_ECORRUPT for a weight that is negative or not finite, or another one for the
 * same image. */
int fv_image_weights_read(float *weight, struct fv_store *s, const char *path);
/* The same on text in memory. */
int fv__image_weights_parse(float *weight, struct fv_store *s, const char *path, const char *text,
                            size_t n);
/* The place of a template: FV_ENOTFOUND. */
int fv_templates_find(const struct fv_templates *t, uint64_t number, uint32_t *place);

#endif
