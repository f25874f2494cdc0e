/* SPDX-License-Identifier: MIT */
#include "tests/prep/scratch.h"

#include "common/fs.h"
#include "prep/photo/photo_file.h"
#include "tests/cmocka_all.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[256];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void scratch_open(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/fv-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(root));
}

void scratch_close(void)
{
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int scratch_setup(void **state)
{
    (void)state;
    scratch_open();
    return 0;
}

int scratch_teardown(void **state)
{
    (void)state;
    scratch_close();
    return 0;
}

const char *scratch_path(const char *fmt, ...)
{
    static char path[16][1024];
    static unsigned at;
    char *p = path[at++ % 16];
    int n = snprintf(p, sizeof path[0], "%s/", root);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p + n, sizeof path[0] - (size_t)n, fmt, ap);
    va_end(ap);
    return p;
}

void scratch_write(const char *name, const void *data, size_t n)
{
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", scratch_path("%s", name));
    *strrchr(folder, '/') = 0;
    assert_int_equal(fv_mkdirs(folder), 0);
    FILE *f = fopen(scratch_path("%s", name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

char *scratch_read(const char *name, size_t *n)
{
    char *data = NULL;
    assert_int_equal(fv_file_read(scratch_path("%s", name), 1u << 30, &data, n), 0);
    return data;
}

int scratch_has(const char *name)
{
    return access(scratch_path("%s", name), F_OK) == 0;
}

int scratch_count(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(scratch_path("%s", folder));
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(dir);
    return n;
}

void scratch_pgm(const char *name, int side, int grey)
{
    size_t pixels = (size_t)side * (size_t)side;
    char *file = malloc(pixels + 64);
    int n = snprintf(file, 64, "P5\n%d %d\n255\n", side, side);
    memset(file + n, grey, pixels);
    scratch_write(name, file, (size_t)n + pixels);
    free(file);
}

int scratch_decode(struct fv_photo *p, const char *path, uint8_t *rgb, struct fv_refusal *why)
{
    uint8_t *bytes = NULL;
    size_t room = 0, n = 0;
    int rc = fv__photo_file_read(path, &bytes, &room, &n, why);
    if (rc == 0)
        rc = fv__photo_decode(p, bytes, n, NULL, rgb, why);
    free(bytes);
    return rc;
}
