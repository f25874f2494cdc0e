/* SPDX-License-Identifier: MIT */
/* What the rows of an array of embeddings are: a name each, and who it shows.
 *
 * Two forms of file, told apart by the first line: CSV with a header that has a column "name" (or image, path, file,
 * template_id) or "identity" (or label, class, subject, subject_id), which then stands for the name too; else one name
 * a line, after a tab perhaps the identity.
 */
#ifndef FV_TRAINER_ROWS_H
#define FV_TRAINER_ROWS_H

#include <stddef.h>
#include <stdint.h>

struct fv_rows {
    size_t n;
    const char **name;     /* (n) */
    const char **identity; /* (n); NULL: nothing is said of them */
    char *memory;          /* of these texts */
    char *folders;         /* of identities that fv_rows_folders made */
};

/* FV_ECORRUPT names the line. */
int fv_rows_read(struct fv_rows *out, const char *path);
/* fv_rows_read on text in memory. */
int fv__rows_parse(struct fv_rows *out, const char *path, const char *text, size_t n);
/* Rows without names of their own: "0", "1", ... */
int fv_rows_number(struct fv_rows *out, size_t n);
/* Writes the CSV form: "name,identity". */
int fv_rows_write(const struct fv_rows *r, const char *path);
void fv_rows_free(struct fv_rows *r); /* accepts a zeroed one */

/* Numbers the identities from 0, equal texts alike, in order of first occurrence. */
int fv_rows_labels(const struct fv_rows *r, uint32_t *label, uint32_t *labels);
/* Makes the folder of each name its identity. FV_ENOTFOUND when a name has none. */
int fv_rows_folders(struct fv_rows *r);
/* Text with quotes where CSV needs them. */
int fv_rows_csv_text(char **out, const char *text);

#endif
