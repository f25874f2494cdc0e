/* SPDX-License-Identifier: MIT */
/* zstd around contents: what is packed comes back, with a dictionary and without; what is not one frame of this
 * dictionary is refused; and a data set is the same content whatever its dictionary. */
#include "store/frame.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <string.h>
#include <unistd.h>

enum { SIDE = 8, BYTES = SIDE * SIDE * 3, ROOM = 1024 };
static struct fv_dict *const none = NULL;
static struct fv_dict *trained;

static int setup(void **state)
{
    (void)state;
    trained = demo_dict(SIDE, 2048, 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fv_dict_close(&trained);
    return 0;
}

/* One frame of image `which` into packed, and its content. */
static size_t pack(const struct fv_dict *with, uint32_t which, uint8_t *content, uint8_t *packed)
{
    uint8_t rgb[BYTES];
    struct fv_frame *f;
    size_t n;

    demo_pixels(which, SIDE, rgb);
    fv__pixels_filter(rgb, SIDE, SIDE, content);
    assert_int_equal(fv__frame_open(&f, 3), FV_OK);
    assert_true(fv__frame_bound(BYTES) <= ROOM);
    assert_int_equal(fv__frame_pack(f, with, (struct fv_span){content, BYTES}, packed, &n), FV_OK);
    fv__frame_close(&f);
    assert_null(f);
    return n;
}

static int unpack(const struct fv_dict *with, const uint8_t *packed, size_t n, uint8_t *content,
                  size_t room, size_t *bytes)
{
    struct fv_frame *f;

    assert_int_equal(fv__frame_open(&f, 0), FV_OK);
    const int rc = fv__frame_unpack(f, with, (struct fv_span){packed, n}, content, room, bytes);
    fv__frame_close(&f);
    return rc;
}

static void what_is_packed_comes_back(void **state)
{
    uint8_t in[BYTES], out[BYTES], packed[ROOM];
    size_t n;

    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        const struct fv_dict *with = i % 2 ? trained : none;
        const size_t bytes = pack(with, i, in, packed);
        assert_int_equal(unpack(with, packed, bytes, out, sizeof out, &n), FV_OK);
        assert_int_equal(n, BYTES);
        assert_memory_equal(in, out, BYTES);
    }
}

static void anything_but_one_frame_is_refused(void **state)
{
    uint8_t in[BYTES], out[2 * BYTES], packed[2 * ROOM];
    size_t bytes;

    (void)state;
    const size_t n = pack(none, 1, in, packed);
    assert_int_equal(unpack(none, packed, n, out, BYTES - 1, &bytes), FV_ECORRUPT);
    for (size_t less = 0; less < n; less++)
        assert_int_equal(unpack(none, packed, less, out, sizeof out, &bytes), FV_ECORRUPT);
    memcpy(packed + n, packed, n);
    assert_int_equal(unpack(none, packed, 2 * n, out, sizeof out, &bytes), FV_ECORRUPT);
    assert_int_equal(unpack(none, packed, n + 1, out, sizeof out, &bytes), FV_ECORRUPT);
}

static void a_frame_wants_its_dictionary(void **state)
{
    uint8_t in[BYTES], out[BYTES], packed[ROOM];
    struct fv_dict *second = demo_dict(2 * SIDE, 1024, 3);
    size_t bytes;

    (void)state;
    size_t n = pack(trained, 2, in, packed);
    assert_int_equal(unpack(none, packed, n, out, sizeof out, &bytes), FV_ECORRUPT);
    assert_int_equal(unpack(second, packed, n, out, sizeof out, &bytes), FV_ECORRUPT);
    n = pack(none, 2, in, packed);
    assert_int_equal(unpack(trained, packed, n, out, sizeof out, &bytes), FV_ECORRUPT);
    fv_dict_close(&second);
}

static void what_is_no_dictionary_is_refused(void **state)
{
    uint8_t damaged[2048];
    const struct fv_span bytes = fv__dict_bytes(trained);
    struct fv_dict *d;

    (void)state;
    assert_true(bytes.n >= 256 && bytes.n <= sizeof damaged);
    memcpy(damaged, bytes.p, bytes.n);
    memset(damaged + 8, 0, bytes.n - 8); /* its name is there, its tables are not */
    assert_int_equal(fv_dict_open(&d, damaged, bytes.n, 3), FV_ECORRUPT);
    assert_null(d);
    assert_int_equal(fv_dict_open(&d, bytes.p + 1, bytes.n - 1, 3), FV_ECORRUPT);
    assert_int_equal(fv_dict_open(&d, bytes.p, 7, 0), FV_ECORRUPT);
    assert_int_equal(fv_dict_open(&d, NULL, 0, 0), FV_ECORRUPT);
}

static void a_dictionary_makes_records_smaller_and_no_other_content(void **state)
{
    struct demo demo = {.labels = 6, .images = 10, .holdout = 1, .side = SIDE};
    char path[2][64];
    struct fv_store *s[2];
    uint64_t bad;

    (void)state;
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "/tmp/fv-test-frame-%d-%d.lmdb", (int)getpid(), i);
        demo.with_dict = i;
        assert_int_equal(demo_make(path[i], &demo), FV_OK);
        assert_int_equal(fv_store_open(&s[i], path[i]), FV_OK);
        unlink(path[i]);
        assert_int_equal(fv_store_verify(s[i], 2, NULL, &bad), FV_OK);
    }
    const struct fv_store_info *plain = fv_store_info(s[0]), *with = fv_store_info(s[1]);
    assert_int_equal(plain->dict_bytes, 0);
    assert_int_equal(with->dict_bytes, fv__dict_bytes(trained).n);
    assert_true(with->record_bytes < plain->record_bytes);
    assert_int_equal(with->digest, plain->digest);
    fv_store_close(&s[0]);
    fv_store_close(&s[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_back),
        cmocka_unit_test(anything_but_one_frame_is_refused),
        cmocka_unit_test(a_frame_wants_its_dictionary),
        cmocka_unit_test(what_is_no_dictionary_is_refused),
        cmocka_unit_test(a_dictionary_makes_records_smaller_and_no_other_content),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
