/* SPDX-License-Identifier: MIT */
/* The device (device_cuda*.c), unmodified, over CUDA's libraries as they are played: memory, copies, events, captured
 * graphs, matrix products against loops, and the sentences of a machine that has not what is needed. By several seeds,
 * since each makes the device work in another order. */
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host_math.h"
#include "tests/cuda/standin/standin.h"

#include "common/err.h"
#include "trainer/cuda/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 12, BYTES = 4096 };

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static struct fv_gpu *opened(void)
{
    struct fv_gpu *g;
    must(fv_gpu_open(&g, 0));
    return g;
}

static void *on_device(struct fv_gpu *g, size_t bytes)
{
    void *p;
    must(fv_gpu_alloc(g, &p, bytes, "a test"));
    return p;
}

static void *on_host(struct fv_gpu *g, size_t bytes)
{
    void *p;
    must(fv_gpu_host_alloc(g, &p, bytes, "a test"));
    return p;
}

static void refuses(int rc, int want, const char *says)
{
    assert_int_equal(rc, want);
    if (!strstr(fv_err_text(), says))
        fail_msg("\"%s\" is not in: %s", says, fv_err_text());
}

/* Machines that have not what is needed */

static void test_no_device(void **state)
{
    (void)state;
    struct fv_gpu *g;
    standin.no_driver = 1;
    refuses(fv_gpu_open(&g, 0), FV_EUNSUPPORTED, "no NVIDIA driver");
    assert_null(g);
    standin.no_driver = 0;
    standin.devices = 0;
    refuses(fv_gpu_open(&g, 0), FV_EUNSUPPORTED, "no NVIDIA GPU");
    standin.devices = 2;
    refuses(fv_gpu_open(&g, 2), FV_EUNSUPPORTED, "there is no GPU 2, they are 0 .. 1");
    standin.devices = 1;
    must(fv_gpu_open(&g, 3)); /* a launcher that shows each process one GPU */
    fv_gpu_close(&g);
    standin.sm = 70;
    refuses(fv_gpu_open(&g, 0), FV_EUNSUPPORTED, "sm_75 is the least");
    standin.sm = 90;
}

static void test_name(void **state)
{
    (void)state;
    struct fv_gpu *g = opened();
    assert_non_null(strstr(fv_gpu_name(g), "Stand-in (sm_90), cuDNN "));
    assert_true(fv_gpu_has_bf16(g));
    fv_gpu_close(&g);
    standin.sm = 75;
    g = opened();
    assert_false(fv_gpu_has_bf16(g));
    fv_gpu_close(&g);
    standin.sm = 90;
}

static void test_memory(void **state)
{
    (void)state;
    struct fv_gpu *g = opened();
    size_t before, after, total;
    void *p = NULL;
    must(fv_gpu_memory(g, &before, &total));
    refuses(fv_gpu_alloc(g, &p, before + 1, "too much"), FV_ENOMEM, "for too much are not free");
    assert_null(p);
    p = on_device(g, 1000);
    must(fv_k_zero(p, 1000, fv_gpu_stream(g, FV_GPU_WORK)));
    must(fv_gpu_memory(g, &after, &total));
    assert_int_equal(before - after, 1000);
    assert_false(fv_gpu_is_host(g, p));
    fv_gpu_free(g, p);
    assert_false(fv_gpu_is_host(g, &before));
    p = on_host(g, 1000);
    assert_true(fv_gpu_is_host(g, (char *)p + 999));
    fv_gpu_host_free(g, p);
    p = on_device(g, 0); /* something that can be freed */
    fv_gpu_free(g, p);
    fv_gpu_free(g, NULL);
    fv_gpu_close(&g);
    must(fv_gpu_memory(NULL, &after, &total));
    assert_int_equal(after, total); /* nothing is left behind */
}

/* Copies and events */

static void test_copies(void **state)
{
    (void)state;
    for (standin.seed = 0; standin.seed < SEEDS; standin.seed++) {
        struct fv_gpu *g = opened();
        char *a = on_device(g, BYTES), *b = on_device(g, BYTES);
        unsigned char *h = on_host(g, BYTES), *back = on_host(g, BYTES);
        void *event;
        must(fv_gpu_event_new(g, &event, 0));
        for (int i = 0; i < BYTES; i++)
            h[i] = (unsigned char)(i * 7);
        must(fv_gpu_upload(g, FV_GPU_COPY, a, h, BYTES));
        must(fv_gpu_event_record(g, event, FV_GPU_COPY));
        must(fv_gpu_event_wait(g, event, FV_GPU_WORK));
        must(fv_gpu_copy(g, FV_GPU_WORK, b, a, BYTES));
        must(fv_gpu_zero(g, FV_GPU_WORK, b + 16, 32));
        must(fv_gpu_download(g, FV_GPU_WORK, back, b, BYTES));
        must(fv_gpu_event_record(g, event, FV_GPU_WORK));
        int done = 0;
        while ((done = fv_gpu_event_done(g, event)) == 0)
            continue;
        assert_int_equal(done, 1);
        must(fv_gpu_event_sync(g, event));
        for (int i = 0; i < BYTES; i++)
            assert_int_equal(back[i], i >= 16 && i < 48 ? 0 : h[i]);
        must(fv_gpu_sync(g, FV_GPU_WORK));
        fv_gpu_event_free(g, event);
        fv_gpu_free(g, a);
        fv_gpu_free(g, b);
        fv_gpu_host_free(g, h);
        fv_gpu_host_free(g, back);
        fv_gpu_close(&g);
    }
}

static void test_time(void **state)
{
    (void)state;
    struct fv_gpu *g = opened();
    void *from, *to, *p = on_device(g, 64);
    double ms = -1;
    must(fv_gpu_event_new(g, &from, 1));
    must(fv_gpu_event_new(g, &to, 1));
    refuses(fv_gpu_event_ms(g, from, to, &ms), FV_EBACKEND, "timing: invalid resource handle");
    must(
        fv_k_zero(p, 64, fv_gpu_stream(g, FV_GPU_WORK))); /* whose launch asks for the last error */
    must(fv_gpu_event_record(g, from, FV_GPU_WORK));
    for (int i = 0; i < 5; i++)
        must(fv_gpu_zero(g, FV_GPU_WORK, p, 64));
    must(fv_gpu_event_record(g, to, FV_GPU_WORK));
    must(fv_gpu_event_sync(g, to));
    must(fv_gpu_event_ms(g, from, to, &ms));
    assert_true(fabs(ms - 0.005) < 1e-5);
    fv_gpu_event_free(g, from);
    fv_gpu_event_free(g, to);
    fv_gpu_free(g, p);
    fv_gpu_close(&g);
}

/* Two launches of a captured step with a branch: b = a on the side while c is cleared; then a = c. */
static void test_capture(void **state)
{
    (void)state;
    for (standin.seed = 0; standin.seed < SEEDS; standin.seed++) {
        struct fv_gpu *g = opened();
        char *a = on_device(g, BYTES), *b = on_device(g, BYTES), *c = on_device(g, BYTES);
        char *h = on_host(g, 1), *one = on_host(g, BYTES);
        void *ready, *joined, *graph;
        must(fv_gpu_event_new(g, &ready, 0));
        must(fv_gpu_event_new(g, &joined, 0));
        memset(one, 1, BYTES);
        must(fv_gpu_upload(g, FV_GPU_WORK, a, one, BYTES));
        must(fv_gpu_capture_begin(g));
        must(fv_gpu_event_record(g, ready, FV_GPU_WORK));
        must(fv_gpu_event_wait(g, ready, FV_GPU_COMM));
        must(fv_gpu_copy(g, FV_GPU_COMM, b, a, BYTES));
        must(fv_gpu_event_record(g, joined, FV_GPU_COMM));
        must(fv_gpu_zero(g, FV_GPU_WORK, c, BYTES));
        must(fv_gpu_event_wait(g, joined, FV_GPU_WORK));
        must(fv_k_copy(a, c, BYTES, fv_gpu_stream(g, FV_GPU_WORK)));
        must(fv_gpu_download(g, FV_GPU_WORK, h, b, 1));
        must(fv_gpu_capture_end(g, &graph));
        must(fv_gpu_graph_launch(g, graph));
        must(fv_gpu_sync(g, FV_GPU_WORK));
        assert_int_equal(*h, 1);
        must(fv_gpu_graph_launch(g, graph));
        must(fv_gpu_sync(g, FV_GPU_WORK));
        assert_int_equal(*h, 0);
        fv_gpu_graph_free(g, graph);
        fv_gpu_graph_free(g, NULL);
        fv_gpu_event_free(g, ready);
        fv_gpu_event_free(g, joined);
        fv_gpu_free(g, a);
        fv_gpu_free(g, b);
        fv_gpu_free(g, c);
        fv_gpu_host_free(g, h);
        fv_gpu_host_free(g, one);
        fv_gpu_close(&g);
    }
}

/* Matrix products */

static size_t item(enum fv_low_dtype t)
{
    return t == FV_LOW_F32 ? 4 : 2;
}

/* Operands `shift` bytes from where memory begins: what is asked of the library must hold for them. */
static void check_product(struct fv_gpu *g, const struct fv_gpu_gemm *s, size_t shift)
{
    const size_t counts[3] = {(size_t)s->m * (size_t)s->k, (size_t)s->k * (size_t)s->n,
                              (size_t)s->m * (size_t)s->n};
    const enum fv_low_dtype types[3] = {s->type, s->type, s->c_type};
    char *host[3], *device[3], *want = malloc(counts[2] * 4);
    for (int i = 0; i < 3; i++) {
        const size_t bytes = counts[i] * item(types[i]);
        host[i] = on_host(g, bytes);
        device[i] = (char *)on_device(g, bytes + shift) + shift;
        for (size_t j = 0; j < counts[i] && i < 2; j++)
            host_store(host[i], types[i], j, (double)((j * 7 + (size_t)i) % 11) - 5);
        if (i < 2)
            must(fv_gpu_upload(g, FV_GPU_WORK, device[i], host[i], bytes));
    }
    must(fv_gpu_gemm_run(g, s, device[0], device[1], device[2]));
    must(fv_gpu_download(g, FV_GPU_WORK, host[2], device[2], counts[2] * item(s->c_type)));
    must(fv_gpu_sync(g, FV_GPU_WORK));
    host_product(s, host[0], host[1], want);
    assert_memory_equal(host[2], want, counts[2] * item(s->c_type));
    for (int i = 0; i < 3; i++) {
        fv_gpu_host_free(g, host[i]);
        fv_gpu_free(g, device[i] - shift);
    }
    free(want);
}

static void test_products(void **state)
{
    (void)state;
    static const int shapes[][3] = {{1, 1, 1}, {8, 16, 24}, {7, 5, 3}, {64, 10, 33}, {3, 40, 1}};
    struct fv_gpu *g = opened();
    for (int type = FV_LOW_F32; type <= FV_LOW_F16; type++)
        for (int wide = 0; wide < 2; wide++)
            for (int t = 0; t < 4; t++)
                for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
                    const struct fv_gpu_gemm s = {.m = shapes[i][0],
                                                  .n = shapes[i][1],
                                                  .k = shapes[i][2],
                                                  .ta = t & 1,
                                                  .tb = t >> 1,
                                                  .type = (enum fv_low_dtype)type,
                                                  .c_type =
                                                      wide ? FV_LOW_F32 : (enum fv_low_dtype)type};
                    check_product(g, &s, 0);
                    check_product(g, &s, 0); /* its plan is there now */
                }
    fv_gpu_close(&g);
}

/* Rows of an odd number of floats begin anywhere. */
static void test_products_anywhere(void **state)
{
    (void)state;
    const struct fv_gpu_gemm s = {
        .m = 4, .n = 6, .k = 9, .tb = 1, .type = FV_LOW_F32, .c_type = FV_LOW_F32};
    struct fv_gpu *g = opened();
    for (size_t shift = 4; shift <= 256; shift *= 2)
        check_product(g, &s, shift);
    check_product(g, &s, 36);
    check_product(g, &s, 0);
    fv_gpu_close(&g);
}

static void test_no_algorithm(void **state)
{
    (void)state;
    const struct fv_gpu_gemm s = {.m = 4, .n = 6, .k = 9, .type = FV_LOW_F32, .c_type = FV_LOW_F32};
    struct fv_gpu *g = opened();
    void *p = on_device(g, BYTES);
    standin.no_algorithm = 1;
    assert_true(fv_gpu_gemm_run(g, &s, p, p, p) < 0);
    assert_non_null(strstr(fv_err_text(), "cuBLASLt"));
    standin.no_algorithm = 0;
    check_product(g, &s, 0);
    fv_gpu_free(g, p);
    fv_gpu_close(&g);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_device),   cmocka_unit_test(test_name),
        cmocka_unit_test(test_memory),      cmocka_unit_test(test_copies),
        cmocka_unit_test(test_time),        cmocka_unit_test(test_capture),
        cmocka_unit_test(test_products),    cmocka_unit_test(test_products_anywhere),
        cmocka_unit_test(test_no_algorithm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
