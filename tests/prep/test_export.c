/* SPDX-License-Identifier: MIT */
/* What export writes, read by readers of this file's own: PNG by libspng, RecordIO and tar by their documented
 * bytes. Threads do not matter, and a run that does not succeed leaves nothing behind.
 */
#include "prep/export/export.h"

#include "common/err.h"
#include "prep/export/new_folder.h"
#include "prep/export/tar_file.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"
#include "tests/store/demo_store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <spng.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Three training identities of 4 training images and one for validation, two held-out ones of 5. */
enum { LABELS = 5, IMAGES = 5, HOLDOUT = 2, SIDE = 16, TRAINED = 12 };

static struct fv_export_settings settings;
static struct fv_export_result result;
static char store_path[1024], folder_path[1024];

static int setup(void **state)
{
    const struct demo demo = {.labels = LABELS, .images = IMAGES, .holdout = HOLDOUT, .side = SIDE};
    (void)state;
    scratch_open();
    snprintf(store_path, sizeof store_path, "%s", scratch_path("faces.lmdb"));
    snprintf(folder_path, sizeof folder_path, "%s", scratch_path("out"));
    assert_int_equal(demo_make(store_path, &demo), 0);
    fv_export_defaults(&settings);
    settings.output = folder_path;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fv_prep_stop = 0;
    scratch_close();
    return 0;
}

static int export_as(const char *format)
{
    settings.format = format;
    return fv_export_run(&settings, store_path, NULL, &result);
}

static void expect_pixels(const char *name, uint32_t image)
{
    uint8_t expected[SIDE * SIDE * 3], got[SIDE * SIDE * 3];
    size_t n, bytes;
    char *file = scratch_read(name, &n);
    spng_ctx *png = spng_ctx_new(0);
    demo_pixels(image, SIDE, expected);
    assert_int_equal(spng_set_png_buffer(png, file, n), 0);
    assert_int_equal(spng_decoded_image_size(png, SPNG_FMT_RGB8, &bytes), 0);
    assert_int_equal(bytes, sizeof got);
    assert_int_equal(spng_decode_image(png, got, sizeof got, SPNG_FMT_RGB8, 0), 0);
    spng_ctx_free(png);
    free(file);
    assert_memory_equal(got, expected, sizeof got);
}

static void expect_text(const char *name, const char *text)
{
    size_t n;
    char *got = scratch_read(name, &n);
    assert_string_equal(got, text);
    free(got);
}

/* --- folders -------------------------------------------------------------------------------------- */

static void test_folders(void **state)
{
    (void)state;
    assert_int_equal(export_as("folders"), 0);
    assert_int_equal(result.images, LABELS * IMAGES);
    assert_int_equal(scratch_count("out"), 4);
    assert_int_equal(scratch_count("out/train"), LABELS - HOLDOUT);
    assert_int_equal(scratch_count("out/train/person000"), 4);
    expect_pixels("out/train/person001/0003.png", 8);
    expect_pixels("out/val/person002/0004.png", 14);
    expect_pixels("out/holdout/person004/0004.png", 24);
    assert_false(scratch_has("out.part"));

    size_t n;
    char *list = scratch_read("out/photos.csv", &n);
    assert_ptr_equal(strstr(list, "path,identity,split,packed_as\n"
                                  "train/person000/0000.png,person000,train,person000/0000.jpg\n"),
                     list);
    assert_non_null(strstr(list, "\nval/person000/0004.png,person000,val,person000/0004.jpg\n"));
    free(list);
}

static void test_flat_and_one_split(void **state)
{
    (void)state;
    settings.flat = 1;
    settings.split = "holdout";
    assert_int_equal(export_as("folders"), 0);
    assert_int_equal(result.images, HOLDOUT * IMAGES);
    assert_int_equal(scratch_count("out"), HOLDOUT + 1);
    expect_pixels("out/person003/0000.png", 15);
}

/* A name decides about its file, but not about where that lies. */
static void test_folders_names(void **state)
{
    static const struct {
        const char *identity, *name, *file;
    } row[] = {
        {"../up", "../../up/1.jpg", "train/_._up/1.png"},
        {"d", "../../up/1.jpg", "train/d/_./_./up/1.png"},
        {"a/b", "x/a/b/1.jpg", "train/a_b/1.png"},
        {"a/b", "x/a/b/1.png", "train/a_b/1~1.png"},
        {"c", "/c/.hidden/.x.jpg", "train/c/_hidden/_x.png"},
        {"c", "c/d.e/photo", "train/c/d.e/photo.png"},
        {"c", "photos/1,\" .bmp", "train/c/photos/1,\" .png"},
    };
    (void)state;
    const struct fv_export_format *folders = fv_export_formats[0];
    const struct fv_export e = {.s = &settings, .folder = folder_path, .suffix = ".png"};
    void *ctx;
    assert_int_equal(mkdir(folder_path, 0700), 0);
    assert_string_equal(folders->name, "folders");
    assert_int_equal(folders->open(&ctx, &e), 0);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct fv_export_image im = {.image = i,
                                     .is = {.name = row[i].name, .split = FV_SPLIT_TRAIN},
                                     .identity = row[i].identity,
                                     .file = {(const uint8_t *)row[i].name, strlen(row[i].name)}};
        assert_int_equal(folders->put(ctx, &im), 0);
    }
    assert_int_equal(folders->finish(ctx), 0);
    folders->close(ctx);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char name[256];
        snprintf(name, sizeof name, "out/%s", row[i].file);
        expect_text(name, row[i].name);
    }
    size_t n;
    char *list = scratch_read("out/photos.csv", &n);
    assert_non_null(
        strstr(list, "\n\"train/c/photos/1,\"\" .png\",c,train,\"photos/1,\"\" .bmp\"\n"));
    free(list);
}

/* --- RecordIO ------------------------------------------------------------------------------------- */

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float f32(const uint8_t *p)
{
    const uint32_t bits = u32(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The whole record at p. */
static void expect_header(const uint8_t *p, uint32_t bytes, uint32_t flag, float label,
                          uint32_t key)
{
    assert_int_equal(u32(p), 0xced7230a);
    assert_int_equal(u32(p + 4), bytes);
    assert_int_equal(u32(p + 8), flag);
    assert_true(f32(p + 12) == label);
    assert_int_equal(u32(p + 16), key);
    assert_int_equal(u32(p + 20) | u32(p + 24) | u32(p + 28), 0);
}

static void expect_range(const uint8_t *p, uint32_t key, float first, float end)
{
    expect_header(p, 32, 2, 0, key);
    assert_true(f32(p + 32) == first);
    assert_true(f32(p + 36) == end);
}

static void test_rec(void **state)
{
    (void)state;
    assert_int_equal(export_as("rec"), 0);
    assert_int_equal(scratch_count("out"), 10);
    expect_text("out/property", "3,16,16\n");
    size_t n, idx_n;
    uint8_t *rec = (uint8_t *)scratch_read("out/train.rec", &n);
    char *idx = scratch_read("out/train.idx", &idx_n), *line = idx;
    for (unsigned key = 0; key <= TRAINED + 3; key++) {
        unsigned long got = strtoul(line, &line, 10), at = strtoul(line, &line, 10);
        assert_int_equal(got, key);
        assert_true(at % 4 == 0 && at + 32 <= n);
        line++;
        if (key == 0)
            expect_range(rec + at, 0, TRAINED + 1, TRAINED + 4);
        else if (key > TRAINED)
            expect_range(rec + at, key, (float)(4 * (key - TRAINED) - 3),
                         (float)(4 * (key - TRAINED) + 1));
        else
            expect_header(rec + at, u32(rec + at + 4), 0, (float)((key - 1) / 4), key);
        if (key > 0 && key <= TRAINED) {
            scratch_write("image.png", rec + at + 32, u32(rec + at + 4) - 24);
            expect_pixels("image.png", (key - 1) / 4 * IMAGES + (key - 1) % 4);
        }
    }
    assert_int_equal(*line, 0);
    free(rec);
    free(idx);
    char *list = scratch_read("out/holdout.lst", &n);
    assert_ptr_equal(strstr(list, "1\t3\tperson003/0000.jpg\n"), list);
    free(list);
}

/* Data with the magic in it, as dmlc-core's writer divides it: at multiples of 4 only, and never kept. */
static void test_rec_in_parts(void **state)
{
    static const uint8_t file[] = "abcd\x0a\x23\xd7\xce\x0a\x23\xd7\xce"
                                  "ef\x0a\x23\xd7\xceghi";
    static const uint8_t expected[] = "\x0a\x23\xd7\xce\x1c\x00\x00\x20" /* the first part: 28 */
                                      "\0\0\0\0\0\0\x40\x40\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                      "abcd"
                                      "\x0a\x23\xd7\xce\x00\x00\x00\x40" /* a middle one: 0 */
                                      "\x0a\x23\xd7\xce\x09\x00\x00\x60" /* the last one: 9 */
                                      "ef\x0a\x23\xd7\xceghi\0\0\0";
    (void)state;
    const struct fv_export_format *rec = fv_export_formats[1];
    struct fv_export e = {.s = &settings, .folder = folder_path, .suffix = ".png"};
    struct fv_store *store;
    void *ctx;
    size_t n;
    assert_string_equal(rec->name, "rec");
    assert_int_equal(mkdir(folder_path, 0700), 0);
    assert_int_equal(fv_store_open(&store, store_path), 0);
    e.store = store;
    e.images[FV_SPLIT_HOLDOUT] = 1;
    assert_int_equal(rec->open(&ctx, &e), 0);
    const struct fv_export_image im = {.is = {.name = "x", .split = FV_SPLIT_HOLDOUT, .label = 3},
                                       .file = {file, sizeof file - 1}};
    assert_int_equal(rec->put(ctx, &im), 0);
    assert_int_equal(rec->finish(ctx), 0);
    rec->close(ctx);
    fv_store_close(&store);
    uint8_t *got = (uint8_t *)scratch_read("out/holdout.rec", &n);
    assert_int_equal(n, 40 + sizeof expected - 1 + 40);
    assert_memory_equal(got + 40, expected, sizeof expected - 1);
    free(got);
}

/* --- tar ------------------------------------------------------------------------------------------ */

struct member {
    char name[101];
    const uint8_t *p;
    size_t n;
};

/* The member at *at, moved behind it; 0 at the end, which must be whole. */
static int next_member(const uint8_t *tar, size_t n, size_t *at, struct member *m)
{
    const uint8_t *h = tar + *at;
    unsigned sum = 0;
    assert_true(*at + 512 <= n);
    if (h[0] == 0) {
        assert_int_equal(n - *at, 1024);
        for (size_t i = *at; i < n; i++)
            assert_int_equal(tar[i], 0);
        return 0;
    }
    for (int i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    assert_int_equal(strtoul((const char *)h + 148, NULL, 8), sum);
    assert_memory_equal(h + 257, "ustar\00000", 8);
    snprintf(m->name, sizeof m->name, "%s", (const char *)h);
    m->n = strtoul((const char *)h + 124, NULL, 8);
    m->p = h + 512;
    *at += 512 + (m->n + 511) / 512 * 512;
    return 1;
}

/* Counts its samples; *order gets 1 when keys do not ascend. */
static int check_shard(const char *name, int *order)
{
    size_t n, at = 0;
    int samples = 0;
    unsigned long last = 0;
    struct member png, cls, json;
    uint8_t *tar = (uint8_t *)scratch_read(name, &n);
    char expected[256];
    while (next_member(tar, n, &at, &png)) {
        const unsigned long key = strtoul(png.name, NULL, 10), label = key / IMAGES;
        assert_true(next_member(tar, n, &at, &cls) && next_member(tar, n, &at, &json));
        snprintf(expected, sizeof expected, "%09lu.png", key);
        assert_string_equal(png.name, expected);
        scratch_write("image.png", png.p, png.n);
        expect_pixels("image.png", (uint32_t)key);
        snprintf(expected, sizeof expected, "%09lu.cls", key);
        assert_string_equal(cls.name, expected);
        assert_true(cls.n == 1 && cls.p[0] == '0' + label);
        snprintf(expected, sizeof expected,
                 "{\"name\": \"person%03lu/%04lu.jpg\", \"split\": \"train\", \"identity\": "
                 "\"person%03lu\", \"label\": %lu}",
                 label, key % IMAGES, label, label);
        assert_int_equal(json.n, strlen(expected));
        assert_memory_equal(json.p, expected, json.n);
        *order |= samples > 0 && key < last;
        last = key;
        samples++;
    }
    free(tar);
    return samples;
}

static void test_tar(void **state)
{
    int samples = 0, order = 0, shards = 0;
    (void)state;
    settings.split = "train";
    settings.shard_bytes = 12000;
    assert_int_equal(export_as("tar"), 0);
    for (char name[64];; shards++) {
        struct stat st;
        snprintf(name, sizeof name, "out/train-%06d.tar", shards);
        if (stat(scratch_path("%s", name), &st) != 0)
            break;
        assert_true(st.st_size <= 12000);
        samples += check_shard(name, &order);
    }
    assert_int_equal(scratch_count("out"), shards);
    assert_int_equal(samples, TRAINED);
    assert_true(shards > 2 && shards < TRAINED);
    assert_int_equal(order, 0);
}

static void test_tar_shuffled(void **state)
{
    int order = 0;
    (void)state;
    settings.split = "train";
    settings.shuffle = 1;
    assert_int_equal(export_as("tar"), 0);
    assert_int_equal(check_shard("out/train-000000.tar", &order), TRAINED);
    assert_int_equal(order, 1);
}

/* A sample that is too long gets a shard to itself. */
static void test_tar_tiny_shards(void **state)
{
    (void)state;
    settings.shard_bytes = 1;
    assert_int_equal(export_as("tar"), 0);
    assert_int_equal(scratch_count("out"), LABELS * IMAGES);
}

static void test_tar_json(void **state)
{
    static const char name[] = "q\" b\\ \xc3\xa4 \xff\xc0\x80\xed\xa0\x80 \xf0\x9f\x98\x80 \xc3";
    static const char expected[] =
        "{\"name\": \"q\\u0022 b\\u005c \xc3\xa4 \\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd "
        "\xf0\x9f\x98\x80 \\ufffd\", \"split\": \"val\", \"identity\": \"i\", \"label\": 7}";
    (void)state;
    const struct fv_export_format *tar = fv_export_formats[2];
    const struct fv_export e = {.s = &settings, .folder = folder_path, .suffix = ".png"};
    struct member m;
    void *ctx;
    size_t n, at = 0;
    assert_int_equal(mkdir(folder_path, 0700), 0);
    assert_int_equal(tar->open(&ctx, &e), 0);
    const struct fv_export_image im = {.is = {.name = name, .split = FV_SPLIT_VAL, .label = 7},
                                       .identity = "i"};
    assert_int_equal(tar->put(ctx, &im), 0);
    assert_int_equal(tar->finish(ctx), 0);
    tar->close(ctx);
    uint8_t *got = (uint8_t *)scratch_read("out/val-000000.tar", &n);
    for (int i = 0; i < 3; i++)
        assert_true(next_member(got, n, &at, &m));
    assert_int_equal(m.n, strlen(expected));
    assert_memory_equal(m.p, expected, m.n);
    free(got);
}

/* --- the run -------------------------------------------------------------------------------------- */

static void test_threads(void **state)
{
    size_t n[2];
    char *rec[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        settings.threads = i ? 5 : 1;
        settings.output = scratch_path("t%d", i);
        assert_int_equal(export_as("rec"), 0);
        rec[i] = scratch_read(i ? "t1/train.rec" : "t0/train.rec", &n[i]);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(rec[0], rec[1], n[0]);
    free(rec[0]);
    free(rec[1]);
}

static void test_jpeg(void **state)
{
    (void)state;
    size_t small, large;
    for (int i = 0; i < 2; i++) {
        settings.image = "jpeg";
        settings.quality = i ? 0 : 20;
        settings.output = scratch_path("j%d", i);
        assert_int_equal(export_as("folders"), 0);
        assert_string_equal(result.kind, "jpeg");
    }
    free(scratch_read("j0/train/person000/0000.jpg", &small));
    char *file = scratch_read("j1/train/person000/0000.jpg", &large);
    assert_memory_equal(file, "\xff\xd8\xff", 3);
    assert_true(small < large);
    free(file);
}

static void test_options_that_mean_nothing(void **state)
{
    (void)state;
    settings.flat = 1;
    assert_int_equal(export_as("rec"), FV_EUSAGE);
    settings.flat = 0;
    settings.shuffle = 1;
    assert_int_equal(export_as("folders"), FV_EUSAGE);
    settings.shuffle = 0;
    settings.shard_bytes = 100;
    assert_int_equal(export_as("folders"), FV_EUSAGE);
    settings.shard_bytes = 0;
    settings.quality = 90;
    assert_int_equal(export_as("folders"), FV_EUSAGE);
    settings.quality = 0;
    settings.image = "gif";
    assert_int_equal(export_as("folders"), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "valid are auto, png, jpeg"));
    settings.image = "auto";
    settings.split = "dev";
    assert_int_equal(export_as("folders"), FV_EUSAGE);
    settings.split = "all";
    assert_int_equal(export_as("zip"), FV_EUSAGE);
    assert_false(scratch_has("out"));
}

static void test_nothing_in_a_split(void **state)
{
    const struct demo demo = {.labels = 2, .images = 2, .side = SIDE};
    (void)state;
    assert_int_equal(demo_make(store_path, &demo), 0);
    settings.split = "holdout";
    assert_int_equal(export_as("tar"), FV_ENOTFOUND);
    assert_false(scratch_has("out"));
}

static void test_interrupted(void **state)
{
    (void)state;
    fv_prep_stop = 1;
    assert_int_equal(export_as("folders"), FV_EINTR);
    assert_false(scratch_has("out"));
    assert_false(scratch_has("out.part"));
}

/* A record that is not what was packed stops the run. */
static void test_damaged_record(void **state)
{
    (void)state;
    const int fd = open(store_path, O_RDWR);
    uint8_t page[4096];
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    /* the block of records is the largest value, so the middle of the file is in it */
    assert_int_equal(pread(fd, page, sizeof page, st.st_size / 2), sizeof page);
    page[100] ^= 1;
    assert_int_equal(pwrite(fd, page, sizeof page, st.st_size / 2), sizeof page);
    close(fd);
    assert_int_equal(export_as("folders"), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "person"));
    assert_false(scratch_has("out"));
    assert_false(scratch_has("out.part"));
}

static void test_places_that_are_taken(void **state)
{
    (void)state;
    scratch_write("out/file", "mine", 4);
    assert_int_equal(export_as("folders"), FV_EEXIST);
    expect_text("out/file", "mine");
    assert_int_equal(unlink(scratch_path("out/file")), 0);
    assert_int_equal(export_as("folders"), 0); /* an empty folder is no loss */

    settings.output = scratch_path("more///");
    assert_int_equal(mkdir(scratch_path("more.part"), 0700), 0);
    assert_int_equal(export_as("folders"), FV_EEXIST);
    assert_non_null(strstr(fv_err_text(), "more.part"));
    assert_true(scratch_has("more.part"));
    assert_int_equal(rmdir(scratch_path("more.part")), 0);
    assert_int_equal(export_as("folders"), 0);
    assert_true(scratch_has("more/photos.csv"));

    settings.output = store_path;
    assert_int_equal(export_as("folders"), FV_EEXIST);
    settings.output = scratch_path("not/there");
    assert_int_equal(export_as("folders"), FV_EIO);
}

/* What kill -9 leaves is emptied by the next run, unless the run is still there. */
static void test_after_a_killed_run(void **state)
{
    (void)state;
    scratch_write("out.part/.fvprep-export", "", 0);
    scratch_write("out.part/train/person_9/half.png", "half", 4);
    const int fd = open(scratch_path("out.part/.fvprep-export"), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(export_as("folders"), FV_EEXIST);
    assert_non_null(strstr(fv_err_text(), "another run"));
    assert_true(scratch_has("out.part/train/person_9/half.png"));
    close(fd);

    assert_int_equal(export_as("folders"), 0);
    assert_false(scratch_has("out.part"));
    assert_false(scratch_has("out/.fvprep-export"));
    assert_false(scratch_has("out/train/person_9"));
    assert_true(scratch_has("out/photos.csv"));
}

/* A link there is not followed: what it leads to is somebody else's. */
static void test_part_is_a_link(void **state)
{
    (void)state;
    scratch_write("mine/.fvprep-export", "", 0);
    scratch_write("mine/file", "mine", 4);
    assert_int_equal(symlink("mine", scratch_path("out.part")), 0);
    assert_int_equal(export_as("folders"), FV_EEXIST);
    expect_text("mine/file", "mine");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_folders),
        TEST(test_flat_and_one_split),
        TEST(test_folders_names),
        TEST(test_rec),
        TEST(test_rec_in_parts),
        TEST(test_tar),
        TEST(test_tar_shuffled),
        TEST(test_tar_tiny_shards),
        TEST(test_tar_json),
        TEST(test_threads),
        TEST(test_jpeg),
        TEST(test_options_that_mean_nothing),
        TEST(test_nothing_in_a_split),
        TEST(test_interrupted),
        TEST(test_damaged_record),
        TEST(test_places_that_are_taken),
        TEST(test_after_a_killed_run),
        TEST(test_part_is_a_link),
    };
    return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
