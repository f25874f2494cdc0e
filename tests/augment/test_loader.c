/* SPDX-License-Identifier: MIT */
/* The loader: the same batches whatever the threads and slots, every image once an epoch, seeking,
 * bad records, and a steady state without allocation. */
#include "augment/augment.h"
#include "augment/policy.h"
#include "augment/sampler.h"
#include "common/err.h"
#include "store/store.h"
#include "tests/cmocka_all.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE = 20, LABELS = 5, PER_LABEL = 9, IMAGES = LABELS * PER_LABEL, BATCH = 8 };
#define POLICY "rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),erase(.25),cutmix(1,p=.5)"

static char folder[] = "/tmp/fv-test-loader-XXXXXX";
enum { SHARDS = 3 };
static char whole[64], damaged[64], shard[SHARDS][64], sharded[SHARDS * 64];
static const uint32_t bad_image = 12; /* of label 1: the fourth */

/* --- no allocation: the linker sends every call of ours here
 * ---------------------------------------- */

static _Atomic long allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *__wrap_malloc(size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(align, n);
}

/* --- data
 * ------------------------------------------------------------------------------------------ */

static void paint(uint8_t *rgb, uint32_t image)
{
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        rgb[i] = (uint8_t)(image * 5 + (uint32_t)(i * 7 % 31) + (uint32_t)(i / 60));
}

static void damage(const uint8_t *record, size_t n)
{
    FILE *in = fopen(whole, "rb"), *out = fopen(damaged, "wb");
    static char file[1 << 20];
    const size_t size = fread(file, 1, sizeof file, in);
    char *at = memmem(file, size, record, n);

    assert_non_null(at);
    at[n - 3] ^= 0x55;
    assert_int_equal(fwrite(file, 1, size, out), size);
    fclose(in);
    fclose(out);
}

/* Every step-th image from the first; *bad is the record of bad_image. */
static void write_data(const char *path, uint32_t first, uint32_t step, uint8_t **bad,
                       size_t *bad_n)
{
    const struct fv_store_settings set = {
        .height = SIDE, .width = SIDE, .codec = "pixels", .level = 3, .packed_with = ""};
    struct fv_store_writer *w;
    struct fv_encoder *e;
    uint8_t rgb[SIDE * SIDE * 3 + 64];
    uint32_t image = 0;
    size_t n;

    assert_int_equal(fv_store_create(&w, path, &set, 0), FV_OK);
    assert_int_equal(fv_encoder_open(&e, &set), FV_OK);
    uint8_t *record = malloc(fv_encoder_bound(e));
    *bad = malloc(fv_encoder_bound(e));
    for (int label = 0; label < LABELS; label++) {
        char name[32];
        snprintf(name, sizeof name, "person%d", label);
        assert_int_equal(fv_store_put_label(w, name, 0), FV_OK);
        for (int k = 0; k < PER_LABEL; k++, image++) {
            if (image % step != first)
                continue;
            paint(rgb, image);
            assert_int_equal(fv_encoder_write(e, rgb, record, &n), FV_OK);
            snprintf(name, sizeof name, "person%d/%d.png", label, k);
            assert_int_equal(
                fv_store_put(w, record, n, name, k == 4 ? FV_SPLIT_VAL : FV_SPLIT_TRAIN), FV_OK);
            if (image == bad_image)
                memcpy(*bad, record, *bad_n = n);
        }
    }
    assert_int_equal(fv_store_finish(&w), FV_OK);
    fv_encoder_close(&e);
    free(record);
}

static int make_data(void **state)
{
    uint8_t *bad;
    size_t bad_n = 0;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(whole, sizeof whole, "%s/whole.lmdb", folder);
    snprintf(damaged, sizeof damaged, "%s/damaged.lmdb", folder);
    write_data(whole, 0, 1, &bad, &bad_n);
    damage(bad, bad_n);
    free(bad);
    for (uint32_t i = 0; i < SHARDS; i++) {
        snprintf(shard[i], sizeof shard[i], "%s/shard%u.lmdb", folder, i);
        write_data(shard[i], i, SHARDS, &bad, &bad_n);
        free(bad);
    }
    snprintf(sharded, sizeof sharded, "%s,%s,%s", shard[0], shard[1], shard[2]);
    return 0;
}

static int remove_data(void **state)
{
    (void)state;
    unlink(whole);
    unlink(damaged);
    for (int i = 0; i < SHARDS; i++)
        unlink(shard[i]);
    return rmdir(folder);
}

/* --- running it
 * ------------------------------------------------------------------------------------ */

static uint64_t mix_in(uint64_t h, const void *data, size_t n)
{
    for (const uint8_t *p = data; n--; p++)
        h = (h ^ *p) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static uint64_t digest(const struct fv_batch *b)
{
    const size_t n = (size_t)b->capacity;
    uint64_t h = mix_in(UINT64_C(0xcbf29ce484222325), b->pixels,
                        n * (size_t)b->height * (size_t)b->width * 3);

    h = mix_in(h, b->label, n * 4);
    h = mix_in(h, b->label_mix, n * 4);
    h = mix_in(h, b->lambda, n * 4);
    h = mix_in(h, b->image, n * 4);
    return mix_in(h, &b->ticket, 8);
}

static struct fv_loader_settings settings(int threads, int slots)
{
    struct fv_loader_settings s;

    fv_loader_defaults(&s);
    s.batch = BATCH;
    s.threads = threads;
    s.slots = slots;
    s.size = 16;
    s.policy = POLICY;
    return s;
}

static void run(const char *path, const struct fv_loader_settings *s, uint64_t from, int n,
                uint64_t *digests)
{
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;

    assert_int_equal(fv_store_open(&store, path), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    if (from)
        assert_int_equal(src->seek(src->ctx, from), FV_OK);
    for (int i = 0; i < n; i++) {
        assert_int_equal(src->next(src->ctx, &b), 1);
        assert_int_equal(b->ticket, from + (uint64_t)i);
        digests[i] = digest(b);
        src->release(src->ctx);
    }
    fv_loader_close(&l);
    assert_null(l);
    fv_store_close(&store);
}

static void batches_do_not_depend_on_threads_or_slots(void **state)
{
    static const int threads[] = {1, 2, 3, 8}, slots[] = {1, 2, 4, 7};
    enum { N = 20 };
    uint64_t first[N], other[N];

    (void)state;
    for (int d = 0; d < 2; d++)
        for (int t = 0; t < 4; t++)
            for (int k = 0; k < 4; k++) {
                const struct fv_loader_settings s = settings(threads[t], slots[k]);
                run(d ? damaged : whole, &s, 0, N, t + k ? other : first);
                if (t + k)
                    assert_memory_equal(first, other, sizeof first);
            }
    for (int i = 1; i < N; i++)
        assert_true(first[i] != first[i - 1]);
}

static void shards_give_the_batches_of_the_one_file(void **state)
{
    enum { N = 20 };
    uint64_t one[N], three[N];

    (void)state;
    for (int o = 0; fv_sampler_orders[o]; o++)
        for (int threads = 1; threads <= 4; threads += 3) {
            struct fv_loader_settings s = settings(threads, 3);
            s.order = fv_sampler_orders[o];
            run(whole, &s, 0, N, one);
            run(sharded, &s, 0, N, three);
            assert_memory_equal(one, three, sizeof one);
        }
}

/* The ranks' batches one after the other are the batch of one process: pixels, labels, and with CutMix box and
 * lambda. Only where an item takes a box from the one before it, the first of a rank takes it from the last of the same
 * rank. */
static void compare_part(const struct fv_batch *part, const struct fv_batch *all, int rank,
                         int mixes)
{
    const size_t image = (size_t)all->height * (size_t)all->width * 3;

    for (int i = 0; i < part->n; i++) {
        const int k = rank * part->n + i;
        assert_int_equal(part->image[i], all->image[k]);
        assert_int_equal(part->label[i], all->label[k]);
        assert_true(part->lambda[i] == all->lambda[k]);
        if (mixes && i == 0) {
            assert_int_equal(part->label_mix[0],
                             part->lambda[0] < 1 ? part->label[part->n - 1] : part->label[0]);
            continue;
        }
        assert_int_equal(part->label_mix[i], all->label_mix[k]);
        assert_memory_equal(part->pixels + (size_t)i * image, all->pixels + (size_t)k * image,
                            image);
    }
}

static void ranks_have_the_batch_of_one(void **state)
{
    enum { WORLD = 2, N = 12 };
    static const char *const policies[] = {"rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),erase(.25)",
                                           POLICY};

    (void)state;
    for (int o = 0; fv_sampler_orders[o]; o++)
        for (int mixes = 0; mixes < 2; mixes++) {
            struct fv_store *store;
            struct fv_loader *l[WORLD + 1];
            const struct fv_batch *b[WORLD + 1];
            const struct fv_batch_source *src[WORLD + 1];
            struct fv_loader_settings s = settings(2, 3);
            s.order = fv_sampler_orders[o];
            s.policy = policies[mixes];
            s.images_per_id = 2;
            assert_int_equal(fv_store_open(&store, whole), FV_OK);
            assert_int_equal(fv_loader_open(&l[WORLD], store, &s), FV_OK);
            s.batch = BATCH / WORLD;
            s.world = WORLD;
            for (int r = 0; r < WORLD; r++) {
                s.rank = r;
                assert_int_equal(fv_loader_open(&l[r], store, &s), FV_OK);
            }
            for (int r = 0; r <= WORLD; r++)
                src[r] = fv_loader_source(l[r]);
            for (int t = 0; t < N; t++) {
                for (int r = 0; r <= WORLD; r++)
                    assert_int_equal(src[r]->next(src[r]->ctx, &b[r]), 1);
                for (int r = 0; r < WORLD; r++)
                    compare_part(b[r], b[WORLD], r, mixes);
                for (int r = 0; r <= WORLD; r++)
                    src[r]->release(src[r]->ctx);
            }
            for (int r = 0; r <= WORLD; r++)
                fv_loader_close(&l[r]);
            fv_store_close(&store);
        }
}

static void seeking_equals_having_come_that_far(void **state)
{
    enum { N = 24 };
    uint64_t all[N], part[4];
    const struct fv_loader_settings s = settings(3, 3);

    (void)state;
    run(whole, &s, 0, N, all);
    for (uint64_t k = 1; k < N - 4; k += 3) {
        run(whole, &s, k, 4, part);
        assert_memory_equal(part, all + k, sizeof part);
    }
}

static void one_pass_gives_every_image_once(void **state)
{
    struct fv_loader_settings s = settings(3, 2);
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    static const uint8_t black[16 * 16 * 3];

    (void)state;
    s.endless = 0;
    assert_int_equal(fv_store_open(&store, whole), FV_OK);
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        s.order = shuffle ? "shuffle" : "sequential";
        assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
        const struct fv_batch_source *src = fv_loader_source(l);
        assert_int_equal(src->images_per_epoch, IMAGES - LABELS);
        for (int pass = 0; pass < 2; pass++) {
            int seen[IMAGES] = {0};
            while (src->next(src->ctx, &b) == 1) {
                for (int i = 0; i < b->n; i++) {
                    seen[b->image[i]]++;
                    assert_int_equal(b->label[i], b->image[i] / PER_LABEL);
                }
                for (int i = b->n; i < b->capacity; i++) {
                    assert_int_equal(b->label[i], -1);
                    assert_memory_equal(b->pixels + i * 16 * 16 * 3, black, sizeof black);
                }
                src->release(src->ctx);
            }
            for (int i = 0; i < IMAGES; i++)
                assert_int_equal(seen[i], i % PER_LABEL != 4);
            assert_int_equal(src->seek(src->ctx, 0), FV_OK);
        }
        fv_loader_close(&l);
    }
    fv_store_close(&store);
}

static void without_a_policy_images_are_as_stored(void **state)
{
    struct fv_loader_settings s = settings(2, 2);
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    uint8_t rgb[SIDE * SIDE * 3];

    (void)state;
    s.size = 0;
    s.policy = "none";
    assert_int_equal(fv_store_open(&store, whole), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    for (int k = 0; k < 10; k++) {
        assert_int_equal(src->next(src->ctx, &b), 1);
        for (int i = 0; i < b->n; i++) {
            paint(rgb, b->image[i]);
            assert_memory_equal(b->pixels + (size_t)i * sizeof rgb, rgb, sizeof rgb);
        }
        src->release(src->ctx);
    }
    fv_loader_close(&l);
    fv_store_close(&store);
}

static int messages;
static char message[512];

static void listen(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx, (void)level;
    messages++;
    snprintf(message, sizeof message, "%s", text);
}

static void a_bad_record_is_replaced_and_told_once(void **state)
{
    static const struct fv_report report = {.message = listen};
    struct fv_loader_settings s = settings(3, 2);
    struct fv_store *store;
    struct fv_loader *l;
    struct fv_loader_stats stats;
    const struct fv_batch *b;

    (void)state;
    s.endless = 0;
    s.order = "sequential";
    s.report = &report;
    messages = 0;
    assert_int_equal(fv_store_open(&store, damaged), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    for (int pass = 0; pass < 2; pass++) {
        int seen[IMAGES] = {0};
        while (src->next(src->ctx, &b) == 1) {
            for (int i = 0; i < b->n; i++)
                seen[b->image[i]]++;
            src->release(src->ctx);
        }
        assert_int_equal(seen[bad_image], 0);
        /* its neighbour, 13, is in another split */
        assert_int_equal(seen[bad_image + 1], 0);
        assert_int_equal(seen[bad_image + 2], 2);
        assert_int_equal(src->seek(src->ctx, 0), FV_OK);
    }
    assert_int_equal(messages, 1);
    assert_non_null(strstr(message, "person1/3.png"));
    fv_loader_stats(l, &stats);
    assert_int_equal(stats.replaced, 2);
    assert_int_equal(stats.images, 2 * (IMAGES - LABELS));
    fv_loader_close(&l);
    fv_store_close(&store);
}

static void a_bad_record_may_be_fatal(void **state)
{
    struct fv_loader_settings s = settings(3, 2);
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    int rc, batches = 0;

    (void)state;
    s.order = "sequential";
    s.on_error = "fail";
    assert_int_equal(fv_store_open(&store, damaged), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    while ((rc = src->next(src->ctx, &b)) == 1) {
        batches++;
        src->release(src->ctx);
    }
    assert_int_equal(rc, FV_ECORRUPT);
    assert_int_equal(batches, 1); /* image 12 is the 12th of training, in the second batch */
    assert_non_null(strstr(fv_err_text(), "damaged.lmdb"));
    fv_loader_close(&l);
    fv_store_close(&store);
}

static void steady_state_allocates_nothing(const char *mode)
{
    struct fv_loader_settings s = settings(3, 3);
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    long before = 0;

    s.mode = mode;
    assert_int_equal(fv_store_open(&store, whole), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    for (int i = 0; i < 60; i++) {
        if (i == 10)
            before = atomic_load(&allocations);
        assert_int_equal(src->next(src->ctx, &b), 1);
        src->release(src->ctx);
    }
    assert_true(before > 0);
    assert_int_equal(atomic_load(&allocations), before);
    fv_loader_close(&l);
    fv_store_close(&store);
}

static void the_steady_state_allocates_nothing(void **state)
{
    (void)state;
    steady_state_allocates_nothing("fused");
    steady_state_allocates_nothing("exact");
}

/* Every item is what the plan for its image says, carried out step by step, whatever thread made it. */
static void the_exact_mode_carries_out_the_plans_step_by_step(void **state)
{
    enum { OUT = 16 };
    static const char policy_text[] = "rrc(0.8,1),rotate(10),jitter(.2,.2,.2),erase(.25)";
    struct fv_loader_settings s = settings(3, 3);
    struct fv_policy *policy;
    struct fv_store *store;
    struct fv_loader *l;
    const struct fv_batch *b;
    uint8_t expected[OUT * OUT * 3], source[SIDE * SIDE * 3];
    void *scratch =
        aligned_alloc(64, (fv_render_exact_scratch(SIDE, SIDE, OUT, OUT) + 63) / 64 * 64);

    (void)state;
    s.mode = "exact";
    s.policy = policy_text;
    assert_int_equal(fv_policy_parse(&policy, policy_text), FV_OK);
    assert_int_equal(fv_store_open(&store, whole), FV_OK);
    assert_int_equal(fv_loader_open(&l, store, &s), FV_OK);
    const struct fv_batch_source *src = fv_loader_source(l);
    for (int k = 0; k < 20; k++) {
        assert_int_equal(src->next(src->ctx, &b), 1);
        for (int i = 0; i < b->n; i++) {
            struct fv_plan plan;
            fv_policy_plan(policy, (uint64_t)s.seed, b->epoch, b->image[i], SIDE, SIDE, OUT, OUT,
                           &plan);
            paint(source, b->image[i]);
            fv_render_exact(&plan, source, SIDE, SIDE, expected, OUT, OUT, scratch, NULL);
            assert_memory_equal(b->pixels + (size_t)i * sizeof expected, expected, sizeof expected);
        }
        src->release(src->ctx);
    }
    fv_loader_close(&l);
    fv_store_close(&store);
    fv_policy_free(&policy);
    free(scratch);
}

static void impossible_settings_are_refused(void **state)
{
    struct fv_loader_settings s = settings(1, 1);
    struct fv_store *store;
    struct fv_loader *l;

    (void)state;
    assert_int_equal(fv_store_open(&store, whole), FV_OK);
    s.policy = "flap";
    assert_int_equal(fv_loader_open(&l, store, &s), FV_EUSAGE);
    assert_null(l);
    s = settings(1, 1);
    s.batch = IMAGES;
    assert_int_equal(fv_loader_open(&l, store, &s), FV_EINVAL);
    s = settings(1, 1);
    s.splits = 1u << FV_SPLIT_HOLDOUT;
    assert_int_equal(fv_loader_open(&l, store, &s), FV_ENOTFOUND);
    fv_loader_close(&l);
    fv_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_do_not_depend_on_threads_or_slots),
        cmocka_unit_test(shards_give_the_batches_of_the_one_file),
        cmocka_unit_test(seeking_equals_having_come_that_far),
        cmocka_unit_test(one_pass_gives_every_image_once),
        cmocka_unit_test(without_a_policy_images_are_as_stored),
        cmocka_unit_test(a_bad_record_is_replaced_and_told_once),
        cmocka_unit_test(a_bad_record_may_be_fatal),
        cmocka_unit_test(ranks_have_the_batch_of_one),
        cmocka_unit_test(the_steady_state_allocates_nothing),
        cmocka_unit_test(the_exact_mode_carries_out_the_plans_step_by_step),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
