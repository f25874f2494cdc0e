/* SPDX-License-Identifier: MIT */
/* Writes the data set of the tests from outside: 12 identities of 15 images of 24 px, 2 of them held out.
 *
 * usage: demo_set DATA_SET [DAMAGED_COPY]
 *
 * In the copy, the record of image 7 (a training image) has a wrong byte.
 */
#include "common/err.h"
#include "tests/store/demo_store.h"

#include <string.h>

enum { BAD_IMAGE = 7, SIDE = 24 };

/* Finds the record by making it again. */
static int damage(const char *path, const char *to)
{
    const struct fv_store_settings s = {
        .height = SIDE, .width = SIDE, .codec = "pixels", .level = 3, .packed_with = ""};
    static char file[1 << 22];
    uint8_t rgb[SIDE * SIDE * 3], *record;
    struct fv_encoder *e;
    size_t n;

    FILE *in = fopen(path, "rb"), *out = fopen(to, "wb");
    if (!in || !out)
        return fv_err_errno(FV_EIO, "%s", to);
    const size_t size = fread(file, 1, sizeof file, in);
    FV_TRY(fv_encoder_open(&e, &s));
    record = malloc(fv_encoder_bound(e));
    demo_pixels(BAD_IMAGE, SIDE, rgb);
    FV_TRY(fv_encoder_write(e, rgb, record, &n));
    char *at = memmem(file, size, record, n);
    if (!at)
        return fv_err(FV_ENOTFOUND, "%s: no record of image %d", path, BAD_IMAGE);
    at[n - 3] ^= 0x55;
    fwrite(file, 1, size, out);
    fclose(in);
    fv_encoder_close(&e);
    free(record);
    return fclose(out) == 0 ? FV_OK : fv_err_errno(FV_EIO, "%s", to);
}

int main(int argc, char **argv)
{
    const struct demo demo = {.labels = 12, .images = 15, .holdout = 2, .side = SIDE};

    if (argc < 2 || demo_make(argv[1], &demo) < 0 || (argc > 2 && damage(argv[1], argv[2]) < 0)) {
        fprintf(stderr, "demo_set: %s\n", fv_err_text());
        return 1;
    }
    return 0;
}
