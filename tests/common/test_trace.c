/* SPDX-License-Identifier: MIT */
/* The trace is valid JSON with one lane a thread, and holds the spans that were made. */
#include "common/err.h"
#include "common/trace.h"
#include "tests/cmocka_all.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPANS = 100 };

static void *work(void *name)
{
    fv_trace_thread(name);
    for (int i = 0; i < SPANS; i++) {
        const uint64_t t = fv_trace_begin("decode");
        fv_trace_end("decode", t);
    }
    fv_trace_counter("ring", 3);
    fv_trace_counter_of("ring", 1, 4);
    fv_trace_counter("ring", NAN); /* which JSON cannot say */
    fv_trace_counter("ring", INFINITY);
    return NULL;
}

static int count(const json_t *events, const char *name, const char *phase)
{
    size_t i;
    json_t *e;
    int n = 0;

    json_array_foreach(events, i, e) n +=
        strcmp(json_string_value(json_object_get(e, "name")), name) == 0 &&
        strcmp(json_string_value(json_object_get(e, "ph")), phase) == 0;
    return n;
}

static void spans_of_two_threads_are_written(void **state)
{
    char path[] = "/tmp/fv-test-trace-XXXXXX";
    pthread_t t[2];
    json_error_t error;
    size_t i;
    json_t *e;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(fv_trace_start(path), FV_OK);
    assert_int_equal(fv_trace_start(path), FV_EEXIST);
    pthread_create(&t[0], NULL, work, "worker 1");
    pthread_create(&t[1], NULL, work, "worker 2");
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    assert_int_equal(fv_trace_stop(), FV_OK);
    assert_int_equal(fv_trace_stop(), FV_OK);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    const json_t *events = json_object_get(root, "traceEvents");
    assert_int_equal(count(events, "decode", "X"), 2 * SPANS);
    assert_int_equal(count(events, "ring", "C"), 4);
    json_array_foreach(events, i, e)
    {
        const json_t *value = json_object_get(json_object_get(e, "args"), "value");
        const char *id = json_string_value(json_object_get(e, "id"));
        if (value) /* 3 of the first, 4 of the second */
            assert_int_equal(json_integer_value(value), id && strcmp(id, "2") == 0 ? 4 : 3);
    }
    assert_int_equal(count(events, "thread_name", "M"), 2);
    json_decref(root);
    unlink(path);
}

/* Viewers sort by time alone: what begins at once must stand in the file from the outside inwards. */
static void of_spans_that_begin_at_once_the_outer_stands_first(void **state)
{
    char path[] = "/tmp/fv-test-trace-XXXXXX";
    json_error_t error;
    size_t i, outer = 0, inner = 0;
    json_t *e;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(fv_trace_start(path), FV_OK);
    const uint64_t t = fv_trace_begin("outer");
    fv_trace_end("inner", t); /* as if it had begun within the clock's resolution */
    fv_trace_end("outer", t);
    assert_int_equal(fv_trace_stop(), FV_OK);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "traceEvents"), i, e)
    {
        const char *name = json_string_value(json_object_get(e, "name"));
        outer = strcmp(name, "outer") == 0 ? i : outer;
        inner = strcmp(name, "inner") == 0 ? i : inner;
    }
    assert_true(outer > 0 && inner > outer);
    json_decref(root);
    unlink(path);
}

static void nothing_is_recorded_while_off(void **state)
{
    (void)state;
    assert_int_equal(fv_trace_begin("nothing"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_recorded_while_off),
        cmocka_unit_test(spans_of_two_threads_are_written),
        cmocka_unit_test(of_spans_that_begin_at_once_the_outer_stands_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
