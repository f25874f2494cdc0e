/* SPDX-License-Identifier: MIT */
/* Makes a data set for format_doc.py, and beside it what it put in.
 *
 * usage: format_sample DATA_SET CODEC WITH_DICTIONARY RAW_FILE
 *
 * With `jpeg` the images are files that are stored as they are: those that the same codec made before.
 */
#include "common/err.h"
#include "common/rng.h"
#include "store/coder.h"
#include "store/record.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 20, HEIGHT = 12, IMAGES = 60, EACH = 5, LABELS = IMAGES / EACH, HELD_OUT = 2 };

static void draw(uint32_t image, uint8_t *rgb)
{
    struct fv_rng r = fv_rng_at(3, 0, image, FV_RNG_TEST);

    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        rgb[i] = (uint8_t)(40 * (i % 3) + i / 7 + (int)fv_rng_below(&r, 30));
}

static enum fv_split split_of(uint32_t image)
{
    return image / EACH >= LABELS - HELD_OUT ? FV_SPLIT_HOLDOUT
           : image % EACH == 2               ? FV_SPLIT_VAL
                                             : FV_SPLIT_TRAIN;
}

static void name_of(uint32_t image, char name[32])
{
    snprintf(name, 32, "per\xc3\xa4son%02u/%u.jpg", image / EACH, image % EACH);
}

/* A dictionary from the images themselves. */
static int train(struct fv_dict **dict, const struct fv_store_settings *s)
{
    uint8_t rgb[WIDTH * HEIGHT * 3];
    struct fv_encoder *e = NULL;
    struct fv_dict_samples *samples = NULL;
    size_t n;

    FV_TRY(fv_encoder_open(&e, s));
    uint8_t *record = malloc(fv_encoder_bound(e));
    int rc = fv_dict_samples_open(&samples);
    for (uint32_t i = 0; i < 4 * IMAGES && rc == 0; i++) {
        draw(i, rgb);
        rc = fv_encoder_write(e, rgb, record, &n);
        if (rc == 0)
            rc = fv_dict_samples_add(samples, record, n);
    }
    if (rc == 0)
        rc = fv_dict_train(dict, samples, s->level);
    fv_dict_samples_close(&samples);
    fv_encoder_close(&e);
    free(record);
    return rc;
}

static int put_all(struct fv_store_writer *w, struct fv_encoder *e)
{
    uint8_t rgb[WIDTH * HEIGHT * 3], *record = malloc(fv_encoder_bound(e));
    char name[32];
    size_t n;
    int rc = FV_OK;

    for (uint32_t i = 0; i < IMAGES && rc == 0; i++) {
        draw(i, rgb);
        name_of(i, name);
        rc = fv_encoder_write(e, rgb, record, &n);
        if (rc == 0 && i % EACH == 0) {
            char label[32];
            snprintf(label, sizeof label, "%.*s", (int)(strchr(name, '/') - name), name);
            rc = fv_store_put_label(w, label, split_of(i) == FV_SPLIT_HOLDOUT);
        }
        if (rc == 0)
            rc = fv_store_put(w, record, n, name, split_of(i));
    }
    free(record);
    return rc;
}

static int make(const char *path, const struct fv_store_settings *s)
{
    struct fv_store_writer *w = NULL;
    struct fv_encoder *e = NULL;

    int rc = fv_store_create(&w, path, s, 1);
    if (rc == 0)
        rc = fv_encoder_open(&e, s);
    if (rc == 0)
        rc = put_all(w, e);
    if (rc == 0)
        rc = fv_store_finish(&w);
    fv_encoder_close(&e);
    fv_store_abort(&w);
    return rc;
}

/* The pixels as they were drawn; of JPEG, the file that the codec makes of them. */
static int write_truth(FILE *f, const struct fv_store_settings *s, const char *path)
{
    uint8_t rgb[WIDTH * HEIGHT * 3];
    struct fv_store *store = NULL;
    struct fv_decoder *d = NULL;
    char name[32];

    int rc = fv_store_open(&store, path);
    if (rc == 0)
        rc = fv_decoder_open(&d, store);
    for (uint32_t i = 0; i < IMAGES && rc == 0; i++) {
        struct fv_span image = {rgb, sizeof rgb};
        uint8_t head[16];
        draw(i, rgb);
        if (strcmp(s->codec, "jpeg") == 0)
            rc = fv__decoder_content(d, i, &image);
        name_of(i, name);
        fv__put32(head, i / EACH);
        fv__put32(head + 4, split_of(i));
        fv__put32(head + 8, (uint32_t)strlen(name));
        fv__put32(head + 12, (uint32_t)image.n);
        fwrite(head, 1, sizeof head, f);
        fwrite(name, 1, strlen(name), f);
        fwrite(image.p, 1, image.n, f);
    }
    fv_decoder_close(&d);
    fv_store_close(&store);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    struct fv_dict *dict = NULL;
    struct fv_store_settings s = {.height = HEIGHT,
                                  .width = WIDTH,
                                  .codec = argv[2],
                                  .level = 6,
                                  .packed_with = "size = sample\n"};
    int rc = atoi(argv[3]) ? train(&dict, &s) : FV_OK;
    s.dict = dict;
    if (rc == 0)
        rc = make(argv[1], &s);
    FILE *f = fopen(argv[4], "wb");
    if (rc == 0 && f)
        rc = write_truth(f, &s, argv[1]);
    if (!f || fclose(f) != 0)
        rc = FV_EIO;
    fv_dict_close(&dict);
    if (rc != 0)
        fprintf(stderr, "format_sample: %d: %s\n", rc, fv_err_text());
    return rc != 0;
}
