/* SPDX-License-Identifier: MIT */
/* Training a dictionary: the same samples give the same bytes, records of other images shrink by it, and samples too
 * few to be worth one give none. */
#include "store/dict.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <string.h>

enum { SIDE = 32, PIXELS = SIDE * SIDE * 3, LEVEL = 6 };

static struct fv_encoder *encoder(const char *codec, const struct fv_dict *dict)
{
    const struct fv_store_settings s = {
        .height = SIDE, .width = SIDE, .codec = codec, .level = LEVEL, .dict = dict};
    struct fv_encoder *e = NULL;

    assert_int_equal(fv_encoder_open(&e, &s), FV_OK);
    return e;
}

/* Bytes of the records of so many images. */
static size_t write_images(struct fv_encoder *e, uint32_t first, int images,
                           struct fv_dict_samples *samples)
{
    uint8_t rgb[PIXELS], *record = malloc(fv_encoder_bound(e));
    size_t n, sum = 0;

    for (int i = 0; i < images; i++) {
        demo_pixels(first + (uint32_t)i, SIDE, rgb);
        assert_int_equal(fv_encoder_write(e, rgb, record, &n), FV_OK);
        if (samples)
            assert_int_equal(fv_dict_samples_add(samples, record, n), FV_OK);
        sum += n;
    }
    free(record);
    return sum;
}

static int train(struct fv_dict **dict, const char *codec, int images)
{
    struct fv_dict_samples *samples;
    struct fv_encoder *e = encoder(codec, NULL);

    assert_int_equal(fv_dict_samples_open(&samples), FV_OK);
    write_images(e, 1000, images, samples);
    const int rc = fv_dict_train(dict, samples, LEVEL);
    fv_dict_samples_close(&samples);
    assert_null(samples);
    fv_encoder_close(&e);
    return rc;
}

static void other_images_shrink(void **state)
{
    enum {
        TRAINED = 64,
        OTHERS = 100,
        HEADER = 150 /* bytes: a JPEG's of one size, at the least */
    };
    struct fv_dict *dict;

    (void)state;
    assert_int_equal(train(&dict, "jpeg", TRAINED), FV_OK);
    struct fv_encoder *plain = encoder("jpeg", NULL), *with = encoder("jpeg", dict);
    const size_t before = write_images(plain, 0, OTHERS, NULL),
                 after = write_images(with, 0, OTHERS, NULL);
    if (after + OTHERS * HEADER > before)
        fail_msg("%zu bytes without, %zu with the dictionary", before, after);
    fv_encoder_close(&plain);
    fv_encoder_close(&with);
    fv_dict_close(&dict);
    assert_null(dict);
}

static void the_same_samples_give_the_same_dictionary(void **state)
{
    struct fv_dict *a, *b, *c;

    (void)state;
    assert_int_equal(train(&a, "jpeg", 64), FV_OK);
    assert_int_equal(train(&b, "jpeg", 64), FV_OK);
    assert_int_equal(train(&c, "jpeg", 65), FV_OK);
    const struct fv_span x = fv__dict_bytes(a), y = fv__dict_bytes(b), z = fv__dict_bytes(c);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    assert_int_equal(fv__dict_id(a), fv__dict_id(b));
    assert_true(x.n != z.n || memcmp(x.p, z.p, x.n) != 0);
    assert_true(fv__dict_id(a) != fv__dict_id(c));
    fv_dict_close(&a);
    fv_dict_close(&b);
    fv_dict_close(&c);
}

static void too_few_samples_give_none(void **state)
{
    struct fv_dict *dict;

    (void)state;
    for (int images = 0; images < 4; images++) {
        assert_int_equal(train(&dict, "jpeg", images), 1);
        assert_null(dict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_images_shrink),
        cmocka_unit_test(the_same_samples_give_the_same_dictionary),
        cmocka_unit_test(too_few_samples_give_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
