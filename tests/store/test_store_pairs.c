/* SPDX-License-Identifier: MIT */
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/fv-test-pairs-XXXXXX", list[64];
static struct fv_store *store;

static void lists_are_balanced_and_true(void **state)
{
    struct fv_pairs p;
    unsigned char seen[240][240];

    (void)state;
    assert_int_equal(fv_pairs_make(&p, store, FV_SPLIT_HOLDOUT, 400, 1), FV_OK);
    assert_int_equal(p.n, 400);
    assert_int_equal(p.genuine, 200);
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < p.n; i++) {
        struct fv_store_image a, b;
        const uint32_t lo = p.pair[i].a < p.pair[i].b ? p.pair[i].a : p.pair[i].b;
        const uint32_t hi = p.pair[i].a ^ p.pair[i].b ^ lo;
        assert_true(lo != hi);
        assert_int_equal(seen[lo][hi]++, 0);
        assert_int_equal(fv_store_image(store, p.pair[i].a, &a), FV_OK);
        assert_int_equal(fv_store_image(store, p.pair[i].b, &b), FV_OK);
        assert_int_equal(a.split, FV_SPLIT_HOLDOUT);
        assert_int_equal(b.split, FV_SPLIT_HOLDOUT);
        assert_int_equal(p.pair[i].same, a.label == b.label);
    }
    fv_pairs_free(&p);
}

static void few_pairs_stay_balanced(void **state)
{
    struct fv_pairs p;

    (void)state;
    /* 3 identities of 20 images: 3 * 190 genuine pairs exist. */
    assert_int_equal(fv_pairs_make(&p, store, FV_SPLIT_HOLDOUT, 100000, 1), FV_OK);
    assert_int_equal(p.genuine, 570);
    assert_int_equal(p.n, 1140);
    fv_pairs_free(&p);
}

static void the_seed_decides(void **state)
{
    struct fv_pairs a, b, c;

    (void)state;
    assert_int_equal(fv_pairs_make(&a, store, FV_SPLIT_VAL, 100, 1), FV_OK);
    assert_int_equal(fv_pairs_make(&b, store, FV_SPLIT_VAL, 100, 1), FV_OK);
    assert_int_equal(fv_pairs_make(&c, store, FV_SPLIT_VAL, 100, 2), FV_OK);
    int same = 1, same_c = a.n == c.n;
    for (size_t i = 0; i < a.n; i++) {
        same &= a.pair[i].a == b.pair[i].a && a.pair[i].b == b.pair[i].b;
        same_c = same_c && a.pair[i].a == c.pair[i].a && a.pair[i].b == c.pair[i].b;
    }
    assert_true(same && !same_c);
    fv_pairs_free(&a);
    fv_pairs_free(&b);
    fv_pairs_free(&c);
}

static void text_reads_back(void **state)
{
    struct fv_pairs a, b;

    (void)state;
    assert_int_equal(fv_pairs_make(&a, store, FV_SPLIT_HOLDOUT, 50, 1), FV_OK);
    assert_int_equal(fv_pairs_write(&a, store, list), FV_OK);
    assert_int_equal(fv_pairs_read(&b, store, list, NULL), FV_OK);
    assert_true(a.n == b.n && a.genuine == b.genuine);
    for (size_t i = 0; i < a.n; i++)
        assert_true(a.pair[i].a == b.pair[i].a && a.pair[i].b == b.pair[i].b &&
                    a.pair[i].same == b.pair[i].same);
    fv_pairs_free(&a);
    fv_pairs_free(&b);
}

/* A data set of four held-out images, with names that look like something else in a list. */
static int make_odd_names(const char *at)
{
    static const char *const name[] = {"# x/1.jpg", "# x/2.jpg", "#1/1 .jpg", "#1/2.jpg"};
    const struct fv_store_settings settings = {
        .height = 8, .width = 8, .codec = "pixels", .level = 3, .packed_with = ""};
    uint8_t rgb[8 * 8 * 3] = {0}, record[1024];
    struct fv_store_writer *w;
    struct fv_encoder *e;

    FV_TRY(fv_encoder_open(&e, &settings));
    assert_true(fv_encoder_bound(e) <= sizeof record);
    FV_TRY(fv_store_create(&w, at, &settings, 0));
    for (uint32_t k = 0; k < 4; k++) {
        size_t n;
        if (k % 2 == 0)
            FV_TRY(fv_store_put_label(w, k == 0 ? "# x" : "#1", 1));
        FV_TRY(fv_encoder_write(e, rgb, record, &n));
        FV_TRY(fv_store_put(w, record, n, name[k], FV_SPLIT_HOLDOUT));
    }
    fv_encoder_close(&e);
    return fv_store_finish(&w);
}

static void names_that_look_like_remarks_read_back(void **state)
{
    struct fv_pairs a, b;
    struct fv_store *odd;
    char odd_path[64];

    (void)state;
    snprintf(odd_path, sizeof odd_path, "%s.odd", path);
    assert_int_equal(make_odd_names(odd_path), FV_OK);
    assert_int_equal(fv_store_open(&odd, odd_path), FV_OK);
    assert_int_equal(fv_pairs_make(&a, odd, FV_SPLIT_HOLDOUT, 4, 1), FV_OK);
    assert_int_equal(a.n, 4);
    assert_int_equal(fv_pairs_write(&a, odd, list), FV_OK);
    assert_int_equal(fv_pairs_read(&b, odd, list, NULL), FV_OK);
    assert_int_equal(b.n, 4);
    for (size_t i = 0; i < a.n; i++)
        assert_true(a.pair[i].a == b.pair[i].a && a.pair[i].b == b.pair[i].b);
    /* Nor does a list take the place of its data set. */
    assert_int_equal(fv_pairs_write(&a, odd, odd_path), FV_EEXIST);
    assert_non_null(strstr(fv_err_text(), "is the data set itself"));
    fv_pairs_free(&a);
    fv_pairs_free(&b);
    fv_store_close(&odd);
    assert_int_equal(fv_store_open(&odd, odd_path), FV_OK);
    fv_store_close(&odd);
    unlink(odd_path);
}

static void check_text(const char *text, int code, const char *sentence)
{
    struct fv_pairs p;

    assert_int_equal(fv_file_write(list, text, strlen(text)), FV_OK);
    assert_int_equal(fv_pairs_read(&p, store, list, NULL), code);
    if (code < 0)
        assert_non_null(strstr(fv_err_text(), sentence));
    fv_pairs_free(&p);
}

static void faults_name_the_line(void **state)
{
    (void)state;
    check_text("# header\r\n\nperson000/0000.jpg  person001/0000.jpg  0\r\n", FV_OK, "");
    check_text("person000/0000.jpg\tperson001/0000.jpg\t0\n", FV_OK, "");
    check_text("", FV_ENOTFOUND, "has no pairs");
    check_text("person000/0000.jpg 1\n", FV_ECORRUPT, "line 1: is not 'path1 path2 0|1'");
    check_text("# x\na b c d 1\n", FV_ECORRUPT, "line 2: is not");
    check_text("person000/0000.jpg person001/0000.jpg 2\n", FV_ECORRUPT, "line 1: ends in '2'");
    check_text("person000/0000.jpg nobody.jpg 0\n", FV_ENOTFOUND, "no image named nobody.jpg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_balanced_and_true),
        cmocka_unit_test(few_pairs_stay_balanced),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(text_reads_back),
        cmocka_unit_test(names_that_look_like_remarks_read_back),
        cmocka_unit_test(faults_name_the_line),
    };
    close(mkstemp(path));
    snprintf(list, sizeof list, "%s.txt", path);
    if (demo_make(path, &(struct demo){.labels = 12, .images = 20, .holdout = 3, .side = 8}) < 0 ||
        fv_store_open(&store, path) < 0) {
        fprintf(stderr, "%s\n", fv_err_text());
        return 1;
    }
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    fv_store_close(&store);
    unlink(path);
    unlink(list);
    return rc;
}
