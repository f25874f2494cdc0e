/* SPDX-License-Identifier: MIT */
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/fv-test-store-XXXXXX";
static char path[64], other[64];
static const struct demo demo = {.labels = 12, .images = 20, .holdout = 3, .side = 40};
enum { ALL = 240 };

static void it_describes_itself(void **state)
{
    struct fv_store *s;
    struct fv_store_label l;
    struct fv_store_image im;

    (void)state;
    assert_int_equal(demo_make(path, &demo), FV_OK);
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    const struct fv_store_info *i = fv_store_info(s);
    assert_int_equal(i->images, ALL);
    assert_int_equal(i->labels, 12);
    assert_int_equal(i->train_labels, 9);
    assert_int_equal(i->split_images[FV_SPLIT_TRAIN], 9 * 16);
    assert_int_equal(i->split_images[FV_SPLIT_VAL], 9 * 4);
    assert_int_equal(i->split_images[FV_SPLIT_HOLDOUT], 3 * 20);
    assert_string_equal(i->packed_with, "size = demo\n");
    assert_int_equal(fv_store_label(s, 9, &l), FV_OK);
    assert_string_equal(l.name, "person009");
    assert_true(l.holdout && l.first == 180 && l.count == 20);
    assert_int_equal(fv_store_image(s, 184, &im), FV_OK);
    assert_string_equal(im.name, "person009/0004.jpg");
    assert_int_equal(fv_store_image(s, ALL, &im), FV_EINVAL);
    uint64_t found;
    assert_int_equal(fv_store_find(s, "person003/0007.jpg", &found), FV_OK);
    assert_int_equal(found, 67);
    assert_int_equal(fv_store_find(s, "person003/9999.jpg", &found), FV_ENOTFOUND);
    fv_store_close(&s);
    assert_null(s);
}

static void pixels_come_back(void **state)
{
    uint8_t want[40 * 40 * 3], got[40 * 40 * 3 + FV_DECODE_PAD];
    struct fv_store *s;
    struct fv_decoder *d;

    (void)state;
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    assert_int_equal(fv_decoder_open(&d, s), FV_OK);
    for (uint32_t i = 0; i < ALL; i++) {
        demo_pixels(i, 40, want);
        assert_int_equal(fv_decoder_read(d, i, got), FV_OK);
        assert_memory_equal(want, got, sizeof want);
    }
    fv_decoder_close(&d);
    fv_store_close(&s);
}

static void *read_all(void *store)
{
    uint8_t want[40 * 40 * 3], got[40 * 40 * 3 + FV_DECODE_PAD];
    struct fv_decoder *d;
    intptr_t wrong = 0;

    if (fv_decoder_open(&d, store) < 0)
        return (void *)(intptr_t)-1;
    for (uint32_t i = 0; i < ALL; i++) {
        demo_pixels(i, 40, want);
        wrong += fv_decoder_read(d, i, got) < 0 || memcmp(want, got, sizeof want) != 0;
    }
    fv_decoder_close(&d);
    return (void *)wrong;
}

static void one_handle_serves_many_threads(void **state)
{
    struct fv_store *s;
    pthread_t t[8];

    (void)state;
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&t[i], NULL, read_all, s), 0);
    for (int i = 0; i < 8; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        assert_null(wrong);
    }
    fv_store_close(&s);
}

static pthread_barrier_t all_ready;

static void *find_all(void *store)
{
    struct fv_store_image im;
    intptr_t wrong = 0;
    uint64_t found;

    pthread_barrier_wait(&all_ready);
    for (uint64_t i = 0; i < ALL; i++)
        wrong += fv_store_image(store, i, &im) < 0 || fv_store_find(store, im.name, &found) < 0 ||
                 found != i;
    return (void *)wrong;
}

/* The first of them builds the table that all use. */
static void many_threads_find_at_once(void **state)
{
    struct fv_store *s;
    pthread_t t[8];

    (void)state;
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    pthread_barrier_init(&all_ready, NULL, 8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&t[i], NULL, find_all, s), 0);
    for (int i = 0; i < 8; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        assert_null(wrong);
    }
    pthread_barrier_destroy(&all_ready);
    fv_store_close(&s);
}

static void same_content_same_bytes(void **state)
{
    char *a, *b;
    size_t na, nb;

    (void)state;
    assert_int_equal(demo_make(other, &demo), FV_OK);
    assert_int_equal(fv_file_read(path, 1 << 30, &a, &na), FV_OK);
    assert_int_equal(fv_file_read(other, 1 << 30, &b, &nb), FV_OK);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    free(a);
    free(b);
}

static void the_file_is_little_more_than_its_records(void **state)
{
    const struct demo big = {.labels = 40, .images = 50, .holdout = 0, .side = 64};
    struct fv_store *s;

    (void)state;
    assert_int_equal(demo_make(other, &big), FV_OK);
    assert_int_equal(fv_store_open(&s, other), FV_OK);
    const struct fv_store_info *i = fv_store_info(s);
    assert_true((double)i->file_bytes <= 1.05 * (double)i->record_bytes);
    fv_store_close(&s);
}

static void verify_names_what_is_damaged(void **state)
{
    struct fv_store *s;
    uint64_t bad;
    char *data;
    size_t n;

    (void)state;
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    for (int threads = 1; threads <= 3; threads++)
        assert_int_equal(fv_store_verify(s, threads, NULL, &bad), FV_OK);
    assert_int_equal(bad, 0);
    fv_store_close(&s);
    assert_int_equal(fv_file_read(path, 1 << 30, &data, &n), FV_OK);
    data[n / 3] ^= 1;
    assert_int_equal(fv_file_write(other, data, n), FV_OK);
    free(data);
    assert_int_equal(fv_store_open(&s, other), FV_OK);
    assert_int_equal(fv_store_verify(s, 2, NULL, &bad), FV_ECORRUPT);
    assert_int_equal(bad, 1);
    assert_non_null(strstr(fv_err_text(), "1 of 240 images are damaged"));
    fv_store_close(&s);
}

struct heard {
    pthread_t caller;
    uint64_t done[64];
    int calls, wrong;
};

static void hear(void *ctx, const struct fv_progress *p)
{
    struct heard *h = ctx;

    h->wrong += !pthread_equal(pthread_self(), h->caller) || p->total != ALL ||
                (h->calls > 0 && p->done < h->done[h->calls - 1]);
    if (h->calls < 64)
        h->done[h->calls++] = p->done;
}

static void verify_tells_its_progress_from_the_calling_thread(void **state)
{
    const uint64_t alone[] = {0, 64, 128, 192, 240};
    struct fv_store *s;
    uint64_t bad;

    (void)state;
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    for (int threads = 1; threads <= 4; threads++) {
        struct heard h = {.caller = pthread_self()};
        const struct fv_report report = {&h, NULL, hear};
        assert_int_equal(fv_store_verify(s, threads, &report, &bad), FV_OK);
        assert_int_equal(h.wrong, 0);
        assert_true(h.calls >= 2 && h.calls <= 6);
        assert_int_equal(h.done[0], 0);
        assert_int_equal(h.done[h.calls - 1], ALL);
        assert_true(h.done[h.calls - 2] < ALL); /* the end is told once */
        if (threads == 1) {
            assert_int_equal(h.calls, 5);
            assert_memory_equal(h.done, alone, sizeof alone);
        }
    }
    fv_store_close(&s);
}

static void what_is_not_a_data_set_is_refused(void **state)
{
    struct fv_store *s;
    char *data;
    size_t n;

    (void)state;
    assert_int_equal(fv_store_open(&s, "/tmp/fv-no-such-file.lmdb"), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "fvprep pack"));
    assert_int_equal(fv_store_open(&s, folder), FV_EINVAL);
    assert_int_equal(fv_file_read(path, 1 << 30, &data, &n), FV_OK);
    memset(data, 'x', 4096);
    assert_int_equal(fv_file_write(other, data, n), FV_OK);
    assert_true(fv_store_open(&s, other) < 0);
    free(data);
}

static void an_aborted_file_leaves_nothing(void **state)
{
    const struct fv_store_settings set = {
        .height = 40, .width = 40, .codec = "pixels", .level = 3, .packed_with = ""};
    struct fv_store_writer *w;
    char part[80];

    (void)state;
    unlink(other);
    snprintf(part, sizeof part, "%s.part", other);
    assert_int_equal(fv_store_create(&w, other, &set, 0), FV_OK);
    assert_int_equal(access(part, F_OK), 0);
    fv_store_abort(&w);
    fv_store_abort(&w);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(fv_store_create(&w, path, &set, 0), FV_EEXIST);
    assert_int_equal(fv_store_create(&w, other, &set, 0), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_EINVAL);
    assert_int_equal(access(part, F_OK), -1);
}

static int clean(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_describes_itself),
        cmocka_unit_test(pixels_come_back),
        cmocka_unit_test(one_handle_serves_many_threads),
        cmocka_unit_test(many_threads_find_at_once),
        cmocka_unit_test(same_content_same_bytes),
        cmocka_unit_test(the_file_is_little_more_than_its_records),
        cmocka_unit_test(verify_names_what_is_damaged),
        cmocka_unit_test(verify_tells_its_progress_from_the_calling_thread),
        cmocka_unit_test(what_is_not_a_data_set_is_refused),
        cmocka_unit_test(an_aborted_file_leaves_nothing),
    };
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.lmdb", folder);
    snprintf(other, sizeof other, "%s/b.lmdb", folder);
    return cmocka_run_group_tests(tests, NULL, clean);
}
