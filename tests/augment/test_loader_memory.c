/* SPDX-License-Identifier: MIT */
/* What a running loader holds: the slots, and a constant for each thread; nothing in /dev/shm. In the
 * steady state nobody calls malloc, neither we nor the libraries below us, for which this program
 * brings its own. */
#include "augment/augment.h"
#include "common/err.h"
#include "store/store.h"
#include "tests/cmocka_all.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 112, IMAGES = 256, EACH = 16, BATCH = 32, SLOTS = 4, WARM = 12, BATCHES = 40 };
enum { SLOT_KIB = BATCH * SIDE * SIDE * 3 / 1024 };
#define POLICY "rrc(.8,1),flip,rotate(10),jitter(.2,.2,.2,.1),erase(.25),cutmix(1,p=.5)"

static char folder[] = "/tmp/fv-test-memory-XXXXXX";
static const char *const codecs[] = {"pixels", "jpeg"};
static char path[2][64];

/* --- malloc: glibc's, counted ------------------------------------------------------------------ */

static _Atomic long allocations;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
enum { COUNTS = 0 }; /* malloc is the sanitizer's, and memory is what it needs */
#else
enum { COUNTS = 1 };

void *malloc(size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(align, n);
}
#endif

/* --- data -------------------------------------------------------------------------------------- */

static void write_data(const char *to, const char *codec)
{
    const struct fv_store_settings set = {
        .height = SIDE, .width = SIDE, .codec = codec, .level = 1, .packed_with = ""};
    uint8_t *rgb = calloc(1, SIDE * SIDE * 3 + FV_DECODE_PAD);
    struct fv_store_writer *w;
    struct fv_encoder *e;
    char name[32];
    size_t n;

    assert_int_equal(fv_store_create(&w, to, &set, 0), FV_OK);
    assert_int_equal(fv_encoder_open(&e, &set), FV_OK);
    uint8_t *record = malloc(fv_encoder_bound(e));
    for (int i = 0; i < IMAGES; i++) {
        snprintf(name, sizeof name, "p%03d", i / EACH);
        if (i % EACH == 0)
            assert_int_equal(fv_store_put_label(w, name, 0), FV_OK);
        for (int k = 0; k < SIDE * SIDE * 3; k++)
            rgb[k] = (uint8_t)(i + k / 40 + k % 7);
        assert_int_equal(fv_encoder_write(e, rgb, record, &n), FV_OK);
        snprintf(name, sizeof name, "p%03d/%03d", i / EACH, i);
        assert_int_equal(fv_store_put(w, record, n, name, FV_SPLIT_TRAIN), FV_OK);
    }
    assert_int_equal(fv_store_finish(&w), FV_OK);
    fv_encoder_close(&e);
    free(record);
    free(rgb);
}

static int make_data(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (int c = 0; c < 2; c++) {
        snprintf(path[c], sizeof path[c], "%s/%s.lmdb", folder, codecs[c]);
        write_data(path[c], codecs[c]);
    }
    return 0;
}

static int remove_data(void **state)
{
    (void)state;
    unlink(path[0]);
    unlink(path[1]);
    return rmdir(folder);
}

/* --- figures ----------------------------------------------------------------------------------- */

/* In KiB; without what is read from files. */
static long private_memory(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long kib = -1;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Anonymous: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static int maps_shared_memory(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    int found = 0;

    while (f && fgets(line, sizeof line, f))
        found |= strstr(line, "/dev/shm") != NULL;
    if (f)
        fclose(f);
    return found;
}

struct figures {
    long before, after; /* KiB, without a loader and in its steady state */
    long allocations;
    int shared;
};

static void measure(const char *db, int threads, struct figures *out)
{
    struct fv_loader_settings s;
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    long before = 0;

    fv_loader_defaults(&s);
    s.batch = BATCH;
    s.slots = SLOTS;
    s.threads = threads;
    s.policy = POLICY;
    assert_int_equal(fv_store_open(&store, db), FV_OK);
    out->before = private_memory();
    assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    for (int i = 0; i < BATCHES + threads; i++) {
        if (i == WARM + threads)
            before = atomic_load(&allocations);
        assert_int_equal(src->next(src->ctx, &b), 1);
        src->release(src->ctx);
    }
    out->allocations = atomic_load(&allocations) - before;
    out->after = private_memory();
    out->shared = maps_shared_memory();
    fv_loader_close(&l);
    fv_store_close(&store);
}

/* In a process of its own: memory that was given back may still be its process's. */
static struct figures measure_apart(const char *db, int threads)
{
    struct figures f = {0};
    int fd[2], status;

    assert_int_equal(pipe(fd), 0);
    const pid_t child = fork();
    if (child == 0) {
        measure(db, threads, &f);
        _exit(write(fd[1], &f, sizeof f) != sizeof f);
    }
    assert_int_equal(read(fd[0], &f, sizeof f), sizeof f);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(fd[0]);
    close(fd[1]);
    return f;
}

/* --- tests ------------------------------------------------------------------------------------- */

static void memory_is_the_slots_and_a_constant_a_thread(void **state)
{
    /* meson test lets malloc fill what it gives, so all that was asked for counts, used or not. */
    enum { THREAD_KIB = 384, REST_KIB = 512 };
    static const int threads[] = {1, 2, 8, 32};

    (void)state;
    if (!COUNTS || private_memory() < 0)
        skip();
    for (int c = 0; c < 2; c++) {
        long first = 0;
        for (int k = 0; k < 4; k++) {
            const struct figures f = measure_apart(path[c], threads[k]);
            const long held = f.after - f.before;
            printf("%-6s %2d threads: %6ld KiB, of which the slots are %d\n", codecs[c], threads[k],
                   held, SLOTS * SLOT_KIB);
            assert_true(held >= SLOTS * SLOT_KIB);
            assert_true(held < SLOTS * SLOT_KIB + REST_KIB + threads[k] * THREAD_KIB);
            assert_int_equal(f.shared, 0);
            first = k ? first : held;
            if (k == 3)
                printf("%-6s a thread more: %ld KiB\n", codecs[c], (held - first) / 31);
        }
    }
}

static void nothing_lies_in_dev_shm(void **state)
{
    (void)state;
    for (int c = 0; c < 2; c++)
        assert_int_equal(measure_apart(path[c], 3).shared, 0);
}

static void the_steady_state_allocates_nothing(void **state)
{
    (void)state;
    if (!COUNTS)
        skip();
    assert_true(atomic_load(&allocations) > 0);
    for (int c = 0; c < 2; c++)
        for (int threads = 1; threads < 9; threads += 7)
            assert_int_equal(measure_apart(path[c], threads).allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_the_slots_and_a_constant_a_thread),
        cmocka_unit_test(nothing_lies_in_dev_shm),
        cmocka_unit_test(the_steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
