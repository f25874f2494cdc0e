/* SPDX-License-Identifier: MIT */
/* Which column of a list means what: by its header, or by what its first row looks like. */
#ifndef FV_PREP_LIST_COLUMNS_H
#define FV_PREP_LIST_COLUMNS_H

#include "prep/import/table.h"
#include "prep/photo/face.h"

struct fv_list_columns {
    int fields;             /* of every row */
    int header;             /* the first row names the columns */
    int path, label, split; /* -1: none */
    int packed_as; /* the photo's name in the data set, where that is not its path; -1: none */
    int box[4];    /* left, top, then width and height, or right and bottom; -1: none */
    int box_has_corners; /* right and bottom */
    int point[5][2];     /* -1: none */
    int aligned; /* a "1" here says that the photo is aligned: its face is not its own; -1: none */
};

/* Both decide by the current row, the table's first one. 1; 0 when it is no list of photos with labels, or
 * none that says where their faces are. Without a header the latter is a path and 4 numbers (left, top,
 * width, height) or 10 (x and y of each point). */
int fv__list_columns_of_photos(struct fv_list_columns *c, const struct fv_table *t);
int fv__list_columns_of_faces(struct fv_list_columns *c, const struct fv_table *t);

/* Of the current row; FV_ECORRUPT names what is wrong with it. */
int fv__list_row_check(const struct fv_list_columns *c, const struct fv_table *t);
int fv__list_row_split(const struct fv_list_columns *c, const struct fv_table *t, int *split);
/* A box without an area counts as none. */
int fv__list_row_face(const struct fv_list_columns *c, const struct fv_table *t,
                      struct fv_face *face);

#endif
