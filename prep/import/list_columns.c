/* SPDX-License-Identifier: MIT */
/* Lists without a header are told by where a path stands and how many columns there are:
 *
 *   path label                                 labels.txt, plain lists
 *   label path
 *   path label split
 *   index path label                           CVLface's train.tsv
 *   index label path                           MXNet's im2rec
 *   aligned path label left top right bottom   InsightFace's face2rec, with or without
 *       x1 x2 x3 x4 x5 y1 y2 y3 y4 y5          its landmarks
 *
 * A path is what ends like an image's name. A row with two of them is a pair, and no list of photos.
 */
#include "prep/import/list_columns.h"

#include "common/err.h"
#include "prep/import/listing.h"
#include "prep/photo/format.h"

#include <string.h>
#include <strings.h>

/* What a header may call a column. A weak name counts only where no strong one fills its role: "id" is the
 * label in one list and the file in another. */
enum role {
    NO_ROLE,
    PATH,
    LABEL,
    SPLIT,
    PACKED_AS,
    BOX,
    CORNER = BOX + 4,
    POINT = CORNER + 2,
    ROLES = POINT + 10
};

static const struct {
    const char *name;
    enum role role;
    int weak;
} names[] = {
    {"path", PATH, 0},
    {"file", PATH, 0},
    {"filename", PATH, 0},
    {"file_name", PATH, 0},
    {"filepath", PATH, 0},
    {"file_path", PATH, 0},
    {"image", PATH, 0},
    {"image_path", PATH, 0},
    {"img", PATH, 0},
    {"img_path", PATH, 0},
    {"relpath", PATH, 0},
    {"image_id", PATH, 1},
    {"name_id", PATH, 1},
    {"id", PATH, 1},
    {"name", PATH, 1},
    {"label", LABEL, 0},
    {"class", LABEL, 0},
    {"class_id", LABEL, 0},
    {"identity", LABEL, 0},
    {"identity_id", LABEL, 0},
    {"person", LABEL, 0},
    {"person_id", LABEL, 0},
    {"subject", LABEL, 0},
    {"subject_id", LABEL, 0},
    {"target", LABEL, 0},
    {"id", LABEL, 1},
    {"name", LABEL, 1},
    {"split", SPLIT, 0},
    {"subset", SPLIT, 0},
    {"partition", SPLIT, 0},
    {"packed_as", PACKED_AS, 0},
    {"usage", SPLIT, 1},
    {"set", SPLIT, 1},
    {"x", BOX, 0},
    {"y", BOX + 1, 0},
    {"w", BOX + 2, 0},
    {"h", BOX + 3, 0},
    {"x_1", BOX, 0},
    {"y_1", BOX + 1, 0},
    {"left", BOX, 0},
    {"top", BOX + 1, 0},
    {"width", BOX + 2, 0},
    {"height", BOX + 3, 0},
    {"x1", BOX, 0},
    {"y1", BOX + 1, 0},
    {"x2", CORNER, 0},
    {"y2", CORNER + 1, 0},
    {"right", CORNER, 0},
    {"bottom", CORNER + 1, 0},
    {"p1x", POINT + 0, 0},
    {"p1y", POINT + 1, 0},
    {"p2x", POINT + 2, 0},
    {"p2y", POINT + 3, 0},
    {"p3x", POINT + 4, 0},
    {"p3y", POINT + 5, 0},
    {"p4x", POINT + 6, 0},
    {"p4y", POINT + 7, 0},
    {"p5x", POINT + 8, 0},
    {"p5y", POINT + 9, 0},
    {"lefteye_x", POINT + 0, 0},
    {"lefteye_y", POINT + 1, 0},
    {"righteye_x", POINT + 2, 0},
    {"righteye_y", POINT + 3, 0},
    {"nose_x", POINT + 4, 0},
    {"nose_y", POINT + 5, 0},
    {"leftmouth_x", POINT + 6, 0},
    {"leftmouth_y", POINT + 7, 0},
    {"rightmouth_x", POINT + 8, 0},
    {"rightmouth_y", POINT + 9, 0},
};

static const struct {
    const char *name;
    int split;
} splits[] = {
    {"", FV_SPLIT_BY_RULE},        {"train", FV_SPLIT_TRAIN},  {"training", FV_SPLIT_TRAIN},
    {"val", FV_SPLIT_VAL},         {"valid", FV_SPLIT_VAL},    {"validation", FV_SPLIT_VAL},
    {"dev", FV_SPLIT_VAL},         {"test", FV_SPLIT_HOLDOUT}, {"testing", FV_SPLIT_HOLDOUT},
    {"holdout", FV_SPLIT_HOLDOUT}, {"0", FV_SPLIT_TRAIN},      {"1", FV_SPLIT_VAL},
    {"2", FV_SPLIT_HOLDOUT},
};
enum { NAMES = sizeof names / sizeof *names, SPLITS = sizeof splits / sizeof *splits };

static void find_roles(const struct fv_table *t, int weak, int column[ROLES])
{
    for (int f = 0; f < t->fields; f++) {
        int taken = 0;
        for (int r = 1; r < ROLES; r++)
            taken |= column[r] == f;
        for (int k = 0; k < NAMES && !taken; k++)
            if (names[k].weak == weak && column[names[k].role] < 0 &&
                strcasecmp(names[k].name, t->field[f]) == 0) {
                column[names[k].role] = f;
                taken = 1;
            }
    }
}

/* 1 when the row names a path, and a label or where faces are; or, where `bare` is set, only the latter: then the path
 * stands before all columns that are named, as in CelebA's list of landmarks. */
static int find_header(struct fv_list_columns *c, const struct fv_table *t, int bare)
{
    int column[ROLES], box = 1, corners = 1, points = 1;
    for (int r = 0; r < ROLES; r++)
        column[r] = -1;
    find_roles(t, 0, column);
    find_roles(t, 1, column);
    if ((column[PATH] < 0) != bare)
        return 0;
    if (bare) {
        column[PATH] = 0;
        for (int r = PATH + 1; r < ROLES; r++)
            column[r] += column[r] >= 0;
    }
    c->fields = t->fields + bare;
    c->path = column[PATH];
    c->label = column[LABEL];
    c->split = column[SPLIT];
    c->packed_as = column[PACKED_AS];
    for (int i = 0; i < 4; i++)
        box &= column[BOX + i] >= 0;
    for (int i = 0; i < 2; i++)
        corners &= column[BOX + i] >= 0 && column[CORNER + i] >= 0;
    for (int i = 0; i < 10; i++)
        points &= column[POINT + i] >= 0;
    c->box_has_corners = !box && corners;
    for (int i = 0; i < 4 && (box || corners); i++)
        c->box[i] = column[box || i < 2 ? BOX + i : CORNER + i - 2];
    for (int i = 0; i < 10 && points; i++)
        c->point[i / 2][i % 2] = column[POINT + i];
    c->header = 1;
    return (c->label >= 0 && !bare) || box || corners || points;
}

static int is_number(const char *s)
{
    double v;
    return fv__parse_real(s, &v);
}

static int split_of(const char *s)
{
    for (int i = 0; i < SPLITS; i++)
        if (strcasecmp(splits[i].name, s) == 0)
            return splits[i].split;
    return FV_SPLITS;
}

static int are_numbers(const struct fv_table *t, int first)
{
    for (int f = first; f < t->fields; f++)
        if (!is_number(t->field[f]))
            return 0;
    return 1;
}

/* face2rec's columns. */
static void set_face2rec(struct fv_list_columns *c, int fields)
{
    c->aligned = 0;
    c->path = 1;
    c->label = 2;
    c->box_has_corners = 1;
    for (int i = 0; i < 4 && fields >= 7; i++)
        c->box[i] = 3 + i;
    for (int i = 0; i < 10 && fields >= 17; i++)
        c->point[i % 5][i / 5] = 7 + i; /* all x, then all y */
}

static int find_by_shape(struct fv_list_columns *c, const struct fv_table *t)
{
    int paths = 0, path = 0;
    for (int f = 0; f < t->fields; f++)
        if (fv__format_of_name(t->field[f]) && !paths++)
            path = f;
    if (paths > 1)
        return 0;
    if (t->fields == 2) {
        c->path = path;
        c->label = 1 - path;
        return 1;
    }
    if (!paths)
        return 0;
    if (t->fields == 3 && path == 0 && split_of(t->field[2]) < FV_SPLITS) {
        c->path = 0;
        c->label = 1;
        c->split = 2;
        return 1;
    }
    if (t->fields == 3 && path > 0 && is_number(t->field[0])) {
        c->path = path;
        c->label = 3 - path;
        return 1;
    }
    if ((t->fields == 7 || t->fields == 17) && path == 1 && is_number(t->field[0]) &&
        are_numbers(t, 3)) {
        set_face2rec(c, t->fields);
        return 1;
    }
    return 0;
}

static void clear(struct fv_list_columns *c, const struct fv_table *t)
{
    *c = (struct fv_list_columns){
        .fields = t->fields, .path = -1, .label = -1, .split = -1, .packed_as = -1, .aligned = -1};
    memset(c->box, -1, sizeof c->box);
    memset(c->point, -1, sizeof c->point);
}

int fv__list_columns_of_photos(struct fv_list_columns *c, const struct fv_table *t)
{
    clear(c, t);
    if (find_header(c, t, 0))
        return c->label >= 0;
    return find_by_shape(c, t);
}

int fv__list_columns_of_faces(struct fv_list_columns *c, const struct fv_table *t)
{
    clear(c, t);
    if (find_header(c, t, 0) || (find_by_shape(c, t) && c->aligned >= 0))
        return c->box[0] >= 0 || c->point[0][0] >= 0;
    clear(c, t);
    if (find_header(c, t, 1))
        return 1;
    clear(c, t);
    if ((t->fields != 5 && t->fields != 11) || !are_numbers(t, 1))
        return 0;
    c->path = 0;
    for (int i = 1; i < t->fields; i++)
        *(t->fields == 5 ? &c->box[i - 1] : &c->point[(i - 1) / 2][(i - 1) % 2]) = i;
    return 1;
}

int fv__list_row_check(const struct fv_list_columns *c, const struct fv_table *t)
{
    if (t->fields != c->fields)
        return fv__table_err(t, "%d fields, where the first row has %d%s", t->fields, c->fields,
                             t->separator == ' ' ? ": a name with blanks needs quotes" : "");
    if (!*t->field[c->path])
        return fv__table_err(t, "no path");
    if (c->label >= 0 && !*t->field[c->label])
        return fv__table_err(t, "no label");
    for (const char *s = c->label >= 0 ? t->field[c->label] : ""; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return fv__table_err(t, "the label holds a control byte");
    if (c->packed_as >= 0 && !*t->field[c->packed_as])
        return fv__table_err(t, "no name");
    return 0;
}

int fv__list_row_split(const struct fv_list_columns *c, const struct fv_table *t, int *split)
{
    *split = c->split < 0 ? FV_SPLIT_BY_RULE : split_of(t->field[c->split]);
    if (*split == FV_SPLITS)
        return fv__table_err(t, "unknown split '%s': valid are train, val, test, or 0, 1, 2",
                             t->field[c->split]);
    return 0;
}

static int read_pixels(const struct fv_table *t, int column, float *to)
{
    enum { FAR = 1000000 }; /* no photo is that wide */
    double v;
    if (!fv__parse_real(t->field[column], &v) || v < -FAR || v > FAR)
        return fv__table_err(t, "'%s' is no place in a photo, in pixels", t->field[column]);
    *to = (float)v;
    return 0;
}

int fv__list_row_face(const struct fv_list_columns *c, const struct fv_table *t,
                      struct fv_face *face)
{
    *face = (struct fv_face){0};
    if (c->aligned >= 0 && strcmp(t->field[c->aligned], "1") == 0)
        return 0;
    for (int i = 0; i < 4 && c->box[0] >= 0; i++)
        FV_TRY(read_pixels(t, c->box[i], &face->box[i]));
    for (int i = 0; i < 10 && c->point[0][0] >= 0; i++)
        FV_TRY(read_pixels(t, c->point[i / 2][i % 2], &face->point[i / 2][i % 2]));
    if (c->box_has_corners) {
        face->box[2] -= face->box[0];
        face->box[3] -= face->box[1];
    }
    face->has_box = face->box[2] > 0 && face->box[3] > 0;
    face->has_points = c->point[0][0] >= 0;
    return 0;
}
