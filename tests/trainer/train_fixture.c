/* SPDX-License-Identifier: MIT */
#include "train_fixture.h"

#include "common/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <unistd.h>

void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->root, "/tmp/fv-test-train-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    fv_train_defaults(&f->settings);
    f->settings.arch = "tiny";
    f->settings.backend = "ref";
    f->settings.threads = 1;
    f->settings.epochs = 3;
    f->settings.lr = 0.05;
    f->settings.save_every = 1e-12; /* after every step */
    synthetic_open(&f->train, FIXTURE_CLASSES, FIXTURE_STEPS * FIXTURE_BATCH, FIXTURE_BATCH, 12, 1,
                   1);
    synthetic_open(&f->val, FIXTURE_CLASSES, 18, 5, 12, 0, 2);
    synthetic_open(&f->verify, FIXTURE_CLASSES, 20, 20, 12, 0, 3);
    for (unsigned i = 0; i < FIXTURE_PAIRS; i++) {
        unsigned a = i % 20, b = (a + (i < 20 ? 4 : 1)) % 20; /* labels go round in fours */
        f->pair[i] = (struct fv_index_pair){a, b, i < 20};
    }
    f->data = (struct fv_train_data){.train = &f->train.source,
                                     .val = &f->val.source,
                                     .verify = &f->verify.source,
                                     .pair = f->pair,
                                     .pairs = FIXTURE_PAIRS,
                                     .settings_text = "arch = tiny\nlr = 0.05\n",
                                     .data_id = "digest = 17\nimages = 48\n"};
    fv_train_stop = 0;
}

static void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char below[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (unlink(below) < 0)
            remove_folder(below);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

void fixture_close(struct fixture *f)
{
    remove_folder(f->root);
    synthetic_close(&f->train);
    synthetic_close(&f->val);
    synthetic_close(&f->verify);
    fv_train_stop = 0;
}

const char *fixture_path(const struct fixture *f, const char *run, const char *file)
{
    static char ring[4][256];
    static unsigned turn;
    char *path = ring[turn++ % 4];
    snprintf(path, sizeof ring[0], "%s/%s%s%s", f->root, run, *file ? "/" : "", file);
    return path;
}

int fixture_run(struct fixture *f, const char *run, int resume)
{
    return fv_train_run(&f->settings, &f->data, fixture_path(f, run, ""), resume, &f->report);
}

void assert_same_file(const struct fixture *f, const char *a, const char *b, const char *file)
{
    char *x, *y;
    size_t nx, ny;
    assert_int_equal(fv_file_read(fixture_path(f, a, file), 1 << 30, &x, &nx), 0);
    assert_int_equal(fv_file_read(fixture_path(f, b, file), 1 << 30, &y, &ny), 0);
    assert_int_equal(nx, ny);
    if (memcmp(x, y, nx) != 0)
        fail_msg("%s differs between the runs %s and %s", file, a, b);
    free(x);
    free(y);
}

void assert_log_whole(const struct fixture *f, const char *run)
{
    char *text;
    size_t n;
    json_int_t step = -1, epochs = 0;
    assert_int_equal(fv_file_read(fixture_path(f, run, "log.jsonl"), 1 << 24, &text, &n), 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        const json_int_t at = json_integer_value(json_object_get(o, "step"));
        if (strcmp(json_string_value(json_object_get(o, "type")), "epoch") == 0) {
            epochs++;
            assert_int_equal(json_integer_value(json_object_get(o, "epoch")), epochs);
            assert_int_equal(at, epochs * FIXTURE_STEPS);
            assert_non_null(json_object_get(o, "eer"));
        } else {
            assert_true(at > step);
            step = at;
        }
        json_decref(o);
    }
    assert_int_equal(epochs, f->settings.epochs);
    free(text);
}
