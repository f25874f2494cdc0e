/* SPDX-License-Identifier: MIT */
/* Images that cannot be read: who stands in for them, what a batch's labels say, what is told, and when it is enough.
 * Pixels tell which image is there: each is of one colour, made from its id. */
#include "augment/augment.h"
#include "common/err.h"
#include "store/store.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE = 4, IDENTITIES = 60, EACH = 17, IMAGES = IDENTITIES * EACH, BATCH = 20 };
enum { ALL_BAD = 7 }; /* an identity without a readable image */

static char folder[] = "/tmp/fv-test-bad-XXXXXX";
static char few[64], many[64];
static uint8_t *record[IMAGES];
static size_t record_n[IMAGES];

/* --- data -------------------------------------------------------------------------------------- */

static void paint(uint8_t *rgb, uint32_t image)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        rgb[3 * i] = (uint8_t)image;
        rgb[3 * i + 1] = (uint8_t)(image >> 8);
        rgb[3 * i + 2] = 99;
    }
}

static uint32_t painted(const uint8_t *rgb)
{
    return rgb[0] | (uint32_t)rgb[1] << 8;
}

static int is_few_bad(uint32_t image)
{
    return image / EACH == ALL_BAD || image % 78 == 5;
}

static int is_many_bad(uint32_t image)
{
    return image % 9 == 2;
}

static void write_data(const char *path)
{
    const struct fv_store_settings set = {
        .height = SIDE, .width = SIDE, .codec = "pixels", .level = 1, .packed_with = ""};
    uint8_t rgb[SIDE * SIDE * 3 + 64] = {0};
    struct fv_store_writer *w;
    struct fv_encoder *e;
    char name[32];

    assert_int_equal(fv_store_create(&w, path, &set, 1), FV_OK);
    assert_int_equal(fv_encoder_open(&e, &set), FV_OK);
    for (uint32_t i = 0; i < IMAGES; i++) {
        snprintf(name, sizeof name, "p%02u", i / EACH);
        if (i % EACH == 0)
            assert_int_equal(fv_store_put_label(w, name, 0), FV_OK);
        paint(rgb, i);
        if (!record[i])
            record[i] = malloc(fv_encoder_bound(e));
        assert_int_equal(fv_encoder_write(e, rgb, record[i], &record_n[i]), FV_OK);
        snprintf(name, sizeof name, "p%02u/%02u", i / EACH, i % EACH);
        assert_int_equal(fv_store_put(w, record[i], record_n[i], name, FV_SPLIT_TRAIN), FV_OK);
    }
    assert_int_equal(fv_store_finish(&w), FV_OK);
    fv_encoder_close(&e);
}

static void damage(const char *path, int (*is_bad)(uint32_t image))
{
    FILE *f = fopen(path, "r+b");
    static char file[1 << 20];
    const size_t size = fread(file, 1, sizeof file, f);

    for (uint32_t i = 0; i < IMAGES; i++)
        if (is_bad(i)) {
            char *at = memmem(file, size, record[i], record_n[i]);
            assert_non_null(at);
            at[record_n[i] - 3] ^= 0x55;
        }
    rewind(f);
    assert_int_equal(fwrite(file, 1, size, f), size);
    fclose(f);
}

static int make_data(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(few, sizeof few, "%s/few.lmdb", folder);
    snprintf(many, sizeof many, "%s/many.lmdb", folder);
    write_data(few);
    write_data(many);
    damage(few, is_few_bad);
    damage(many, is_many_bad);
    return 0;
}

static int remove_data(void **state)
{
    (void)state;
    for (int i = 0; i < IMAGES; i++)
        free(record[i]);
    unlink(few);
    unlink(many);
    return rmdir(folder);
}

/* --- running it -------------------------------------------------------------------------------- */

static int messages;
static char message[512];

static void listen(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx, (void)level;
    messages++;
    snprintf(message, sizeof message, "%s", text);
}

static const struct fv_report report = {.message = listen};

static struct fv_loader_settings settings(const char *order, const char *on_error, int threads)
{
    struct fv_loader_settings s;

    fv_loader_defaults(&s);
    s.batch = BATCH;
    s.threads = threads;
    s.order = order;
    s.on_error = on_error;
    s.report = &report;
    return s;
}

/* What came of n batches, or of the whole pass: the images, in order. Checks that pixels, ids and labels agree. */
static int run(const char *path, const struct fv_loader_settings *s, int n, uint32_t *image,
               int *images, struct fv_loader_stats *stats)
{
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    int rc = 1;

    *images = 0;
    messages = 0;
    assert_int_equal(fv_store_open(&store, path), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    for (int k = 0; k < n && (rc = src->next(src->ctx, &b)) == 1; k++) {
        for (int i = 0; i < b->n; i++) {
            const uint32_t there = painted(b->pixels + (size_t)i * SIDE * SIDE * 3);
            assert_int_equal(b->image[i], there);
            assert_int_equal(b->label[i], there / EACH);
            image[(*images)++] = there;
        }
        for (int i = b->n; i < b->capacity; i++)
            assert_int_equal(b->label[i], -1);
        src->release(src->ctx);
    }
    fv_loader_stats(l, stats);
    fv_loader_say_bad(l);
    fv_loader_close(&l);
    fv_store_close(&store);
    return rc;
}

/* What would have come had nothing been bad. */
static void run_good(const struct fv_loader_settings *s, int n, uint32_t *image)
{
    char path[80];
    struct fv_loader_stats stats;
    int images;

    snprintf(path, sizeof path, "%s/good.lmdb", folder);
    write_data(path);
    assert_int_equal(run(path, s, n, image, &images, &stats), 1);
    assert_int_equal(images, n * BATCH);
    assert_int_equal(messages, 0);
    unlink(path);
}

/* --- tests ------------------------------------------------------------------------------------- */

static void a_stand_in_keeps_the_batch_full(void **state)
{
    static const char *const orders[] = {"shuffle", "sequential", "blocks", "balanced", "pk"};
    enum { N = IMAGES / BATCH * 2 };
    static uint32_t due[N * BATCH], got[N * BATCH], again[N * BATCH];
    struct fv_loader_stats stats;
    int images;

    (void)state;
    for (int k = 0; k < 10; k++) {
        const char *order = orders[k / 2];
        const int skip = k % 2, alike = !skip || k / 2 >= 3;
        struct fv_loader_settings s = settings(order, skip ? "skip" : "replace", 1);
        uint64_t stand_ins = 0, other_identity = 0;
        run_good(&s, N, due);
        assert_int_equal(run(few, &s, N, got, &images, &stats), 1);
        assert_int_equal(images, N * BATCH);
        for (int i = 0; i < images; i++) {
            assert_false(is_few_bad(got[i]));
            if (!is_few_bad(due[i]))
                assert_int_equal(got[i], due[i]);
            else if (alike && due[i] / EACH != ALL_BAD)
                assert_int_equal(got[i] / EACH, due[i] / EACH);
            else
                other_identity += got[i] / EACH != due[i] / EACH;
            stand_ins += is_few_bad(due[i]) != 0;
        }
        assert_true(other_identity > 0);
        assert_true(stats.replaced == stand_ins && stats.left_out == 0);
        assert_int_equal(messages, stats.bad + 1); /* each once, and the total */
        assert_non_null(strstr(message, "bad images, for which others stood in"));
        for (s.threads = 2; s.threads < 8; s.threads += 5) {
            const int said = messages;
            assert_int_equal(run(few, &s, N, again, &images, &stats), 1);
            assert_memory_equal(got, again, sizeof got);
            assert_int_equal(messages, said);
        }
    }
}

static void a_single_pass_leaves_them_out(void **state)
{
    static uint32_t got[IMAGES];
    struct fv_loader_stats stats;
    int images, bad = 0, at = 0;

    (void)state;
    for (int threads = 1; threads < 4; threads++) {
        struct fv_loader_settings s = settings("sequential", "skip", threads);
        s.endless = 0;
        bad = at = 0;
        assert_int_equal(run(few, &s, IMAGES, got, &images, &stats), 0);
        for (uint32_t i = 0; i < IMAGES; i++) {
            if (is_few_bad(i))
                bad++;
            else
                assert_int_equal(got[at++], i);
        }
        assert_int_equal(at, images);
        assert_true((int)stats.bad == bad && (int)stats.left_out == bad && stats.replaced == 0);
        assert_non_null(strstr(message, "bad images, left out"));
    }
}

static void a_single_pass_takes_nobody_else(void **state)
{
    static uint32_t got[IMAGES];
    struct fv_loader_settings s = settings("sequential", "replace", 3);
    struct fv_loader_stats stats;
    int images;

    (void)state;
    s.endless = 0;
    assert_int_equal(run(few, &s, IMAGES, got, &images, &stats), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "neither p07/"));
    assert_int_equal(images, ALL_BAD * EACH / BATCH * BATCH);
}

static void too_many_end_the_run(void **state)
{
    static uint32_t got[2 * IMAGES];
    struct fv_loader_stats stats;
    int images, first = -1;

    (void)state;
    for (int threads = 1; threads < 6; threads += 2) {
        const struct fv_loader_settings s = settings("sequential", "skip", threads);
        assert_int_equal(run(many, &s, 2 * IMAGES / BATCH, got, &images, &stats), FV_ECORRUPT);
        assert_non_null(strstr(fv_err_text(), "of 1020 images could not be read"));
        /* the 103rd bad one is more than a tenth of 1020 */
        assert_int_equal(images, (102 * 9 + 2) / BATCH * BATCH);
        assert_true(first < 0 || first == images);
        first = images;
    }
}

/* The end is the end, however often the consumer asks, and from wherever. */
static void too_many_stay_too_many(void **state)
{
    struct fv_loader_settings s = settings("sequential", "skip", 3);
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    char why[512];

    (void)state;
    s.slots = 2;
    assert_int_equal(fv_store_open(&store, many), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    int rc;
    while ((rc = src->next(src->ctx, &b)) == 1)
        src->release(src->ctx);
    assert_int_equal(rc, FV_ECORRUPT);
    snprintf(why, sizeof why, "%s", fv_err_text());
    for (int i = 0; i < 8; i++) {
        if (i == 5)
            assert_int_equal(src->seek(src->ctx, 0), FV_OK);
        fv_err(FV_EINVAL, "something else");
        assert_int_equal(src->next(src->ctx, &b), FV_ECORRUPT);
        assert_string_equal(fv_err_text(), why);
        assert_null(b);
    }
    fv_loader_close(&l);
    fv_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stand_in_keeps_the_batch_full),
        cmocka_unit_test(a_single_pass_leaves_them_out),
        cmocka_unit_test(a_single_pass_takes_nobody_else),
        cmocka_unit_test(too_many_end_the_run),
        cmocka_unit_test(too_many_stay_too_many),
    };
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
