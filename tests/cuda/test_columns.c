/* SPDX-License-Identifier: MIT */
/* All against all, and a search in a gallery, by a device's matrix products, against the same by the processors: on a
 * device that is the host (device_host.h). Vectors are of +-1/8, so that every score is exact whatever the order of its
 * sum, and the results must be the same to the bit. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/cuda/noise.h"
#include "trainer/backend.h"
#include "trainer/eval/allpairs.h"
#include "trainer/eval/gallery.h"

#include <stdlib.h>
#include <string.h>

enum { DIM = 64, ROWS = 300, COLUMNS = 77, PEOPLE = 9 };

extern const struct fv_backend fv_backend_cuda;

static float a[ROWS * DIM], b[COLUMNS * DIM];
static uint32_t who_a[ROWS], who_b[COLUMNS];

static void draw(float *v, uint32_t *who, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        who[i] = noise_next(&seed) % PEOPLE;
        for (uint32_t k = 0; k < DIM; k++) /* half of it says who it is */
            v[i * DIM + k] =
                (k % 2 ? noise_next(&seed) % 2 : who[i] >> k / 2 % 4 & 1) ? .125f : -.125f;
    }
}

static void same(const struct fv_allpairs *p, const struct fv_allpairs *q)
{
    assert_int_equal(p->comparisons, q->comparisons);
    assert_int_equal(p->roc.n, q->roc.n);
    for (size_t i = 0; i < p->roc.n; i++) {
        assert_true(p->roc.point[i].threshold == q->roc.point[i].threshold);
        assert_int_equal(p->roc.point[i].tp, q->roc.point[i].tp);
        assert_int_equal(p->roc.point[i].fp, q->roc.point[i].fp);
    }
}

static void compare(struct fv_device *device, const struct fv_allpairs_side *one,
                    const struct fv_allpairs_side *two)
{
    struct fv_allpairs want, got;
    for (int threads = 1; threads <= 3; threads++)
        for (size_t keep = 50; keep <= 5000; keep *= 100) {
            struct fv_allpairs_settings s = {.threads = threads, .keep = keep};
            assert_int_equal(fv_allpairs_run(&want, DIM, one, two, &s), 0);
            s.backend = &fv_backend_cuda;
            s.device = device;
            assert_int_equal(fv_allpairs_run(&got, DIM, one, two, &s), 0);
            same(&got, &want);
            fv_allpairs_free(&got);
            fv_allpairs_free(&want);
            assert_int_equal(fv_device_host.allocated, 0);
        }
}

static struct fv_device *open_device(void)
{
    const struct fv_device_settings ds = {.dtype = "fp32"};
    struct fv_device *device;
    assert_int_equal(fv_backend_cuda.open(&device, &ds), 0);
    return device;
}

static void test_all(void **state)
{
    (void)state;
    struct fv_device *device = open_device();
    draw(a, who_a, ROWS, 1);
    draw(b, who_b, COLUMNS, 2);
    const struct fv_allpairs_side one = {a, who_a, ROWS}, two = {b, who_b, COLUMNS};
    compare(device, &one, NULL);
    compare(device, &one, &two);
    fv_backend_cuda.close(&device);
}

static void test_gallery(void **state)
{
    (void)state;
    struct fv_device *device = open_device();
    static struct fv_answer want[ROWS], got[ROWS];
    draw(a, who_a, ROWS, 3);
    draw(b, who_b, COLUMNS, 4);
    const struct fv_gallery g = {b, who_b, COLUMNS, PEOPLE, DIM};
    for (int i = 0; i < ROWS; i++)
        got[i].truth = want[i].truth = i % 7 ? who_a[i] : FV_PROBE_STRANGER;
    assert_int_equal(fv_gallery_search(&g, a, ROWS, want), 0);
    assert_int_equal(fv_gallery_search_on(&fv_backend_cuda, device, &g, a, ROWS, got), 0);
    for (int i = 0; i < ROWS; i++) {
        assert_true(got[i].score == want[i].score && got[i].mate == want[i].mate);
        assert_int_equal(got[i].best, want[i].best);
        assert_int_equal(got[i].better, want[i].better);
        assert_int_equal(got[i].equal, want[i].equal);
    }
    fv_device_host.limit = 100;
    assert_int_equal(fv_gallery_search_on(&fv_backend_cuda, device, &g, a, ROWS, got), FV_ENOMEM);
    fv_device_host.limit = 0;
    assert_int_equal(fv_device_host.allocated, 0);
    fv_backend_cuda.close(&device);
}

/* Memory that is not there, for the columns or only for a tile: a sentence, and nothing is left behind. */
static void test_too_little(void **state)
{
    (void)state;
    struct fv_device *device = open_device();
    draw(a, who_a, ROWS, 1);
    const struct fv_allpairs_side one = {a, who_a, ROWS};
    const struct fv_allpairs_settings s = {
        .threads = 2, .backend = &fv_backend_cuda, .device = device};
    static const size_t limits[] = {1000, sizeof a + 1000, sizeof a + 40000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct fv_allpairs p;
        fv_device_host.limit = limits[i];
        assert_int_equal(fv_allpairs_run(&p, DIM, &one, NULL, &s), FV_ENOMEM);
        assert_non_null(strstr(fv_err_text(), i == 0 ? "embeddings" : i == 1 ? "rows" : "scores"));
        assert_int_equal(fv_device_host.allocated, 0);
    }
    fv_device_host.limit = 0;
    fv_backend_cuda.close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_gallery),
                                       cmocka_unit_test(test_too_little)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
