/* SPDX-License-Identifier: MIT */
/* A scratch folder for one test: made fresh, filled by relative names, removed with all in it. */
#ifndef FV_TESTS_PREP_SCRATCH_H
#define FV_TESTS_PREP_SCRATCH_H

#include "prep/photo/photo.h"

#include <stddef.h>

void scratch_open(void); /* fails the test when it cannot be made */
void scratch_close(void);
/* Set-up and tear-down, for cmocka, of a test that needs the folder and nothing else. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
/* The full path of a name below the scratch folder; valid for the next 15 calls. */
const char *scratch_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Makes the folders above `name` and writes the file. */
void scratch_write(const char *name, const void *data, size_t n);
/* The whole file, NUL-terminated; free it. Fails the test when it is not there. */
char *scratch_read(const char *name, size_t *n);
int scratch_has(const char *name);
/* How many entries the folder has (hidden ones too). */
int scratch_count(const char *folder);

/* A binary PGM of side x side pixels of one grey value. */
void scratch_pgm(const char *name, int side, int grey);

/* A photo's file, read and decoded; of its face nothing is known. */
int scratch_decode(struct fv_photo *p, const char *path, uint8_t *rgb, struct fv_refusal *why);

#endif
