/* SPDX-License-Identifier: MIT */
/* The stand-in's runtime: each rule is seen to fire, and each order that CUDA allows is seen to come about. */
#include "tests/cmocka_all.h"
#include "tests/cuda/standin/standin.h"
#include "tests/cuda/standin/standin_rule.h"
#include "trainer/cuda/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT = 64, BYTES = COUNT * 4, SEEDS = 64 };

static void must(cudaError_t e)
{
    if (e != cudaSuccess)
        standin_fail("a call failed: %s", cudaGetErrorString(e));
}

static cudaStream_t new_stream(void)
{
    cudaStream_t s;
    must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    return s;
}

static cudaEvent_t new_event(void)
{
    cudaEvent_t e;
    must(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    return e;
}

/* What a round has taken, so that the next begins without it. */
static void *taken[64];
static int taken_count;

static void give_all(void)
{
    must(cudaDeviceSynchronize());
    while (taken_count > 0) {
        void *p = taken[--taken_count];
        must(standin_room_at(p) ? cudaFree(p) : cudaFreeHost(p));
    }
}

static float *device_floats(void)
{
    void *p;
    must(cudaMalloc(&p, BYTES));
    return taken[taken_count++] = p;
}

static float *pinned_floats(float value)
{
    void *p;
    must(cudaHostAlloc(&p, BYTES, cudaHostAllocPortable));
    for (int i = 0; i < COUNT; i++)
        ((float *)p)[i] = value;
    return taken[taken_count++] = p;
}

static void up(float *to, const float *from, cudaStream_t s)
{
    must(cudaMemcpyAsync(to, from, BYTES, cudaMemcpyHostToDevice, s));
}

static void down(float *to, const float *from, cudaStream_t s)
{
    must(cudaMemcpyAsync(to, from, BYTES, cudaMemcpyDeviceToHost, s));
}

static void across(float *to, const float *from, cudaStream_t s)
{
    must(cudaMemcpyAsync(to, from, BYTES, cudaMemcpyDeviceToDevice, s));
}

/* Faults that a program could have */

static void host_reads_device(void)
{
    volatile float *p = device_floats();
    (void)p[3];
}

static void host_reads_behind(void)
{
    volatile float *p = device_floats();
    (void)p[1024];
}

static void host_uses_freed_pinned(void)
{
    float *p = pinned_floats(1);
    must(cudaFreeHost(p));
    *(volatile float *)p = 2;
}

static void device_uses_freed(void)
{
    /* by a seed whose cudaFree does not wait */
    for (standin.seed = 0; taken_count < 60; standin.seed += 4) {
        float *p = device_floats(), *q = device_floats();
        cudaStream_t s = new_stream();
        across(p, q, s);
        must(cudaFree(p));
        must(cudaStreamSynchronize(s));
    }
}

static void kernel_leaves_memory(void)
{
    float *p = device_floats(), *q = device_floats();
    fv_k_copy(p, q, 8192, NULL);
    must(cudaDeviceSynchronize());
}

static void free_twice(void)
{
    float *p = device_floats();
    must(cudaFree(p));
    must(cudaFree(p));
}

static void free_inside(void)
{
    must(cudaFree(device_floats() + 1));
}

static void free_host_with_free(void)
{
    must(cudaFree(pinned_floats(1)));
}

static void copy_too_long(void)
{
    float *p = device_floats();
    must(cudaMemcpyAsync(p + 1, p, BYTES, cudaMemcpyDeviceToDevice, NULL));
}

static void copy_the_wrong_way(void)
{
    float *p = device_floats();
    must(cudaMemcpyAsync(p, p, BYTES, cudaMemcpyHostToDevice, NULL));
}

static void destroyed_stream(void)
{
    cudaStream_t s = new_stream();
    must(cudaStreamDestroy(s));
    must(cudaStreamSynchronize(s));
}

static void launch_beside_an_error(void)
{
    float *p = device_floats();
    void *none;
    standin.memory_bytes = 0;
    cudaMalloc(&none, 100);
    fv_k_copy(p, p, BYTES, NULL);
}

static void kernel_on_the_stack(void)
{
    float v[COUNT];
    fv_k_copy(v, device_floats(), BYTES, NULL);
}

/* ... while capturing */

static cudaStream_t begun(void)
{
    cudaStream_t s = new_stream();
    must(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    return s;
}

static void capture_malloc(void)
{
    begun();
    device_floats();
}

static void capture_free(void)
{
    float *p = device_floats();
    begun();
    must(cudaFree(p));
}

static void capture_host_alloc(void)
{
    begun();
    pinned_floats(1);
}

static void capture_synchronise(void)
{
    must(cudaStreamSynchronize(begun()));
}

static void capture_query(void)
{
    cudaEvent_t e = new_event();
    must(cudaEventRecord(e, begun()));
    cudaEventQuery(e);
}

static void capture_event_outside(void)
{
    cudaEvent_t e = new_event();
    cudaStream_t s = new_stream();
    must(cudaEventRecord(e, s));
    must(cudaStreamWaitEvent(begun(), e, 0));
}

static void capture_event_after(void)
{
    cudaEvent_t e = new_event();
    cudaGraph_t g;
    cudaStream_t s = begun();
    must(cudaEventRecord(e, s));
    must(cudaStreamEndCapture(s, &g));
    must(cudaStreamWaitEvent(new_stream(), e, 0));
}

static void capture_event_synchronised_after(void)
{
    cudaEvent_t e = new_event();
    cudaGraph_t g;
    cudaStream_t s = begun();
    must(cudaEventRecord(e, s));
    must(cudaStreamEndCapture(s, &g));
    must(cudaEventSynchronize(e));
}

static void capture_unjoined(void)
{
    float *p = device_floats();
    cudaEvent_t e = new_event();
    cudaGraph_t g;
    cudaStream_t s = begun(), side = new_stream();
    must(cudaEventRecord(e, s));
    must(cudaStreamWaitEvent(side, e, 0));
    must(cudaMemsetAsync(p, 0, BYTES, side));
    must(cudaStreamEndCapture(s, &g));
}

static void capture_ends_elsewhere(void)
{
    cudaGraph_t g;
    begun();
    must(cudaStreamEndCapture(new_stream(), &g));
}

static void capture_default(void)
{
    must(cudaStreamBeginCapture(NULL, cudaStreamCaptureModeThreadLocal));
}

static void capture_pageable(void)
{
    static float v[COUNT];
    const float *p = device_floats();
    down(v, p, begun());
}

static void capture_beside_default(void)
{
    cudaStream_t s;
    float *p = device_floats();
    must(cudaStreamCreateWithFlags(&s, cudaStreamDefault));
    must(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    must(cudaMemsetAsync(p, 0, BYTES, NULL));
}

static void test_rules(void **state)
{
    (void)state;
    expect_rule(host_reads_device, "the host touches the device's memory itself: byte 12 of 256");
    expect_rule(host_reads_behind, "the host leaves the device's memory: 3840 bytes behind");
    expect_rule(host_uses_freed_pinned, "the host uses pinned memory that was freed");
    expect_rule(device_uses_freed, "a copy on the device uses the device's memory that was freed");
    expect_rule(kernel_leaves_memory, "leaves the device's memory");
    expect_rule(free_twice, "which was freed");
    expect_rule(free_inside, "which cudaMalloc has not given");
    expect_rule(free_host_with_free, "which cudaMalloc has not given");
    expect_rule(copy_too_long, "needs 256 bytes of the device's memory");
    expect_rule(copy_the_wrong_way, "the device's memory where the host's is said to be");
    expect_rule(destroyed_stream, "a stream that is not there");
    expect_rule(launch_beside_an_error, "is launched while \"out of memory\" stands");
    expect_rule(kernel_on_the_stack, "is given an address on the host's stack");
}

static void test_rules_of_capture(void **state)
{
    (void)state;
    expect_rule(capture_malloc, "cudaMalloc while this thread captures");
    expect_rule(capture_free, "cudaFree while this thread captures");
    expect_rule(capture_host_alloc, "cudaHostAlloc while this thread captures");
    expect_rule(capture_synchronise, "cudaStreamSynchronize while this thread captures");
    expect_rule(capture_query, "cudaEventQuery while this thread captures");
    expect_rule(capture_event_outside, "recorded outside of its capture");
    expect_rule(capture_event_after, "recorded in a capture which has ended");
    expect_rule(capture_event_synchronised_after, "recorded while its stream was captured");
    expect_rule(capture_unjoined, "has not been waited for");
    expect_rule(capture_ends_elsewhere, "did not begin there");
    expect_rule(capture_default, "the default stream cannot be captured");
    expect_rule(capture_pageable, "of pageable memory is captured");
    expect_rule(capture_beside_default, "a stream that waits for it is captured");
}

/* Orders: what is not forbidden must come about by some seed, what is forbidden by none. */

/* Returns a bit for each of 1, 2 and NaN that `read` gave, over the seeds. */
static unsigned seen(float (*read)(void))
{
    unsigned bits = 0;
    for (standin.seed = 0; standin.seed < SEEDS; standin.seed++) {
        const float v = read();
        bits |= v == 1 ? 1u : v == 2 ? 2u : v != v ? 4u : 8u;
        give_all();
    }
    return bits;
}

/* One stream fills, another reads, with an event between them or without. */
static float read_beside(int wait)
{
    float *p = device_floats(), *one = pinned_floats(1), *h = pinned_floats(8);
    cudaStream_t fill = new_stream(), use = new_stream();
    cudaEvent_t e = new_event();
    up(p, one, fill);
    must(cudaEventRecord(e, fill));
    if (wait)
        must(cudaStreamWaitEvent(use, e, 0));
    down(h, p, use);
    must(cudaStreamSynchronize(use));
    return *h;
}
static float read_after_event(void)
{
    return read_beside(1);
}
static float read_without_event(void)
{
    return read_beside(0);
}

/* The host's buffer is used again, after the copy or at once. */
static float reuse(int wait)
{
    float *p = device_floats(), *h = pinned_floats(1), *got = pinned_floats(8);
    cudaStream_t s = new_stream();
    up(p, h, s);
    if (wait)
        must(cudaStreamSynchronize(s));
    for (int i = 0; i < COUNT; i++)
        h[i] = 2;
    down(got, p, s);
    must(cudaStreamSynchronize(s));
    return *got;
}
static float reuse_after_wait(void)
{
    return reuse(1);
}
static float reuse_at_once(void)
{
    return reuse(0);
}

/* A download is read before it is waited for. */
static float read_too_early(void)
{
    float *p = device_floats(), *h = pinned_floats(2), *one = pinned_floats(1);
    cudaStream_t s = new_stream();
    up(p, one, s);
    down(h, p, s);
    return *h;
}

static float query_often(void)
{
    float *p = device_floats(), *h = pinned_floats(2), *one = pinned_floats(1);
    cudaStream_t s = new_stream();
    cudaEvent_t e = new_event();
    up(p, one, s);
    down(h, p, s);
    must(cudaEventRecord(e, s));
    while (cudaEventQuery(e) == cudaErrorNotReady)
        (void)cudaGetLastError();
    return *h;
}

/* A wait is for what the event was recorded of before it, and not for what it is recorded of later. */
static float record_again(void)
{
    float *p = device_floats(), *one = pinned_floats(1), *two = pinned_floats(2),
          *h = pinned_floats(8);
    cudaStream_t fill = new_stream(), use = new_stream();
    cudaEvent_t e = new_event();
    up(p, one, fill);
    must(cudaEventRecord(e, fill));
    must(cudaStreamWaitEvent(use, e, 0));
    up(p, two, fill);
    must(cudaEventRecord(e, fill));
    down(h, p, use);
    must(cudaStreamSynchronize(use));
    return *h;
}

/* The default stream waits for streams that are not non-blocking, and they for it. */
static float default_beside(unsigned flags)
{
    float *p = device_floats(), *one = pinned_floats(1), *h = pinned_floats(8);
    cudaStream_t s;
    must(cudaStreamCreateWithFlags(&s, flags));
    up(p, one, s);
    down(h, p, NULL);
    must(cudaStreamSynchronize(NULL));
    return *h;
}
static float default_beside_blocking(void)
{
    return default_beside(cudaStreamDefault);
}
static float default_beside_other(void)
{
    return default_beside(cudaStreamNonBlocking);
}

static void test_orders(void **state)
{
    (void)state;
    assert_int_equal(seen(read_after_event), 1);
    assert_int_equal(seen(read_without_event), 1 | 4);
    assert_int_equal(seen(reuse_after_wait), 1);
    assert_int_equal(seen(reuse_at_once), 1 | 2);
    assert_int_equal(seen(read_too_early), 1 | 2);
    assert_int_equal(seen(query_often), 1);
    assert_int_equal(seen(record_again), 1 | 2);
    assert_int_equal(seen(default_beside_blocking), 1);
    assert_int_equal(seen(default_beside_other), 1 | 4);
}

/* A graph of two branches: p = 1, then on the side q = p; on the origin r = p or, unjoined in time, r = q. */
static float graph_of_branches(int joined_before_use)
{
    float *p = device_floats(), *q = device_floats(), *r = device_floats();
    float *one = pinned_floats(1), *h = pinned_floats(8);
    cudaStream_t s = new_stream(), side = new_stream();
    cudaEvent_t fork = new_event(), join = new_event();
    cudaGraph_t g;
    cudaGraphExec_t x;
    must(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    up(p, one, s);
    must(cudaEventRecord(fork, s));
    must(cudaStreamWaitEvent(side, fork, 0));
    across(q, p, side);
    must(cudaEventRecord(join, side));
    if (joined_before_use)
        must(cudaStreamWaitEvent(s, join, 0));
    across(r, q, s);
    must(cudaStreamWaitEvent(s, join, 0));
    down(h, r, s);
    must(cudaStreamEndCapture(s, &g));
    must(cudaGraphInstantiate(&x, g, 0));
    must(cudaGraphDestroy(g));
    must(cudaGraphLaunch(x, s));
    must(cudaStreamSynchronize(s));
    const float got = *h;
    must(cudaGraphExecDestroy(x));
    return got;
}
static float graph_joined(void)
{
    return graph_of_branches(1);
}
static float graph_joined_late(void)
{
    return graph_of_branches(0);
}

static void test_graphs(void **state)
{
    (void)state;
    assert_int_equal(seen(graph_joined), 1);
    assert_int_equal(seen(graph_joined_late), 1 | 4);
}

/* Nothing is done while capturing; launches do it again, on other streams one after the other. */
static void test_launches(void **state)
{
    (void)state;
    for (standin.seed = 0; standin.seed < SEEDS; standin.seed++) {
        float *a = device_floats(), *b = device_floats(), *h = pinned_floats(3);
        float *one = pinned_floats(1);
        cudaStream_t s = new_stream(), other = new_stream();
        cudaGraph_t g;
        cudaGraphExec_t x;
        must(cudaMemset(a, 0, BYTES));
        must(cudaDeviceSynchronize());
        must(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
        across(b, a, s); /* b = a; a = 1: after one launch b is 0, after two it is 1 */
        up(a, one, s);
        must(cudaStreamEndCapture(s, &g));
        must(cudaGraphInstantiate(&x, g, 0));
        must(cudaGraphDestroy(g));
        must(cudaGraphLaunch(x, s));
        must(cudaGraphLaunch(x, other));
        must(cudaGraphExecDestroy(x)); /* while it is under way */
        must(cudaStreamSynchronize(other));
        down(h, b, other);
        must(cudaStreamSynchronize(other));
        assert_true(*h == 1);
        must(cudaStreamDestroy(s));
        must(cudaStreamDestroy(other));
        give_all();
    }
}

static void test_errors(void **state)
{
    (void)state;
    int count = 7;
    void *p = NULL;
    size_t free_bytes, total;
    const size_t plenty = standin.memory_bytes;
    standin.devices = 0;
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorNoDevice);
    assert_int_equal(count, 0);
    standin.devices = 1;
    standin.no_driver = 1;
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    standin.no_driver = 0;
    assert_int_equal(cudaGetLastError(), cudaErrorInsufficientDriver);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    assert_int_equal(cudaSetDevice(1), cudaErrorInvalidDevice);
    must(cudaMemGetInfo(&free_bytes, &total));
    standin.memory_bytes = plenty - free_bytes + 1000;
    assert_int_equal(cudaMalloc(&p, 1001), cudaErrorMemoryAllocation);
    assert_null(p);
    (void)cudaGetLastError();
    assert_int_equal(cudaMalloc(&p, 1000), cudaSuccess);
    assert_int_equal((uintptr_t)p % 256, 0);
    must(cudaMemGetInfo(&free_bytes, &total));
    assert_int_equal(free_bytes, 0);
    must(cudaFree(p));
    standin.memory_bytes = plenty;
}

static void test_pointers(void **state)
{
    (void)state;
    struct cudaPointerAttributes a;
    float *p = device_floats(), *h = pinned_floats(1);
    must(cudaPointerGetAttributes(&a, p + 3));
    assert_int_equal(a.type, cudaMemoryTypeDevice);
    must(cudaPointerGetAttributes(&a, h + 3));
    assert_int_equal(a.type, cudaMemoryTypeHost);
    must(cudaPointerGetAttributes(&a, &a));
    assert_int_equal(a.type, cudaMemoryTypeUnregistered);
    assert_int_equal(standin_room_at(p + 3), BYTES - 12);
    assert_int_equal(standin_room_at(p + COUNT), 0);
}

static void test_time(void **state)
{
    (void)state;
    float *p = device_floats(), ms = -1;
    cudaEvent_t a, b, untimed = new_event();
    cudaStream_t s = new_stream();
    must(cudaEventCreate(&a));
    must(cudaEventCreate(&b));
    assert_int_equal(cudaEventElapsedTime(&ms, a, b), cudaErrorInvalidResourceHandle);
    must(cudaEventRecord(a, s));
    must(cudaMemsetAsync(p, 0, BYTES, s));
    must(cudaMemsetAsync(p, 0, BYTES, s));
    must(cudaEventRecord(b, s));
    must(cudaEventSynchronize(b));
    must(cudaEventElapsedTime(&ms, a, b));
    assert_true(ms > 0.0019f && ms < 0.0021f);
    must(cudaEventRecord(untimed, s));
    assert_int_equal(cudaEventElapsedTime(&ms, a, untimed), cudaErrorInvalidResourceHandle);
    (void)cudaGetLastError();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),    cmocka_unit_test(test_rules_of_capture),
        cmocka_unit_test(test_orders),   cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_launches), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_pointers), cmocka_unit_test(test_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
