/* SPDX-License-Identifier: MIT */
/* A small training: tiny, on ref, over synthetic images, in a folder of its own under /tmp. */
#ifndef FV_TESTS_TRAIN_FIXTURE_H
#define FV_TESTS_TRAIN_FIXTURE_H

#include "synthetic.h"
#include "trainer/trainer.h"

enum { FIXTURE_STEPS = 6, FIXTURE_BATCH = 8, FIXTURE_CLASSES = 4, FIXTURE_PAIRS = 40 };

struct fixture {
    char root[64];
    struct fv_train_settings settings;
    struct synthetic train, val, verify;
    struct fv_index_pair pair[FIXTURE_PAIRS];
    struct fv_train_data data;
    struct fv_report report; /* silent */
};

void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f); /* removes the folder */
/* <root>/<run>[/<file>], in one of a few static buffers. */
const char *fixture_path(const struct fixture *f, const char *run, const char *file);
int fixture_run(struct fixture *f, const char *run, int resume);

/* Both runs hold the same bytes under this name. */
void assert_same_file(const struct fixture *f, const char *a, const char *b, const char *file);
/* The log has each step and each epoch once, in order, and ends with the last epoch. */
void assert_log_whole(const struct fixture *f, const char *run);

#endif
