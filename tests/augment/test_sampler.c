/* SPDX-License-Identifier: MIT */
/* Orders of images: what each promises, parts of ranks, read-ahead in time. The order itself is checked by its
 * definition: a permutation has everything once, a balanced order counts the same for all. */
#include "augment/sampler.h"
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE = 4, IDENTITIES = 80, MOST = 97, LARGE = 6000, PER_LARGE = 20 };
#define TRAIN (1u << FV_SPLIT_TRAIN)

static char folder[] = "/tmp/fv-test-sampler-XXXXXX";
static char small_path[64], large_path[64];
static struct fv_store *small,
    *large; /* identities of 1 to MOST images; LARGE images, PER_LARGE an identity */
static uint32_t small_n, train[IDENTITIES * MOST];

static int images_of(int identity)
{
    return 1 + identity * identity % MOST;
}

static void put(struct fv_store_writer *w, const uint8_t *record, size_t n, int label, int images,
                int every_fifth_val)
{
    char name[32];

    snprintf(name, sizeof name, "p%05d", label);
    assert_int_equal(fv_store_put_label(w, name, 0), FV_OK);
    for (int k = 0; k < images; k++) {
        snprintf(name, sizeof name, "p%05d/%02d", label, k);
        assert_int_equal(
            fv_store_put(w, record, n, name,
                         every_fifth_val && k % 5 == 4 ? FV_SPLIT_VAL : FV_SPLIT_TRAIN),
            FV_OK);
    }
}

static void make(const char *path, int identities, int each)
{
    const struct fv_store_settings set = {
        .height = SIDE, .width = SIDE, .codec = "pixels", .level = 1, .packed_with = ""};
    const uint8_t rgb[SIDE * SIDE * 3 + 64] = {0};
    struct fv_store_writer *w;
    struct fv_encoder *e;
    size_t n;

    assert_int_equal(fv_store_create(&w, path, &set, 0), FV_OK);
    assert_int_equal(fv_encoder_open(&e, &set), FV_OK);
    uint8_t *record = malloc(fv_encoder_bound(e));
    assert_int_equal(fv_encoder_write(e, rgb, record, &n), FV_OK);
    for (int i = 0; i < identities; i++)
        put(w, record, n, i, each ? each : images_of(i), !each);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    fv_encoder_close(&e);
    free(record);
}

static int make_data(void **state)
{
    struct fv_store_image image;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(small_path, sizeof small_path, "%s/small.lmdb", folder);
    snprintf(large_path, sizeof large_path, "%s/large.lmdb", folder);
    make(small_path, IDENTITIES, 0);
    make(large_path, LARGE / PER_LARGE, PER_LARGE);
    assert_int_equal(fv_store_open(&small, small_path), FV_OK);
    assert_int_equal(fv_store_open(&large, large_path), FV_OK);
    for (uint32_t i = 0; i < fv_store_info(small)->images; i++) {
        assert_int_equal(fv_store_image(small, i, &image), FV_OK);
        if (image.split == FV_SPLIT_TRAIN)
            train[small_n++] = i;
    }
    return 0;
}

static int remove_data(void **state)
{
    (void)state;
    fv_store_close(&small);
    fv_store_close(&large);
    unlink(small_path);
    unlink(large_path);
    return rmdir(folder);
}

static struct fv_sampler_settings settings(const char *order)
{
    return (struct fv_sampler_settings){.order = order,
                                        .seed = 7,
                                        .splits = TRAIN,
                                        .endless = 1,
                                        .batch = 24,
                                        .world = 1,
                                        .images_per_id = 4,
                                        .window = 512};
}

static struct fv_sampler *open_sampler(const struct fv_store *store,
                                       const struct fv_sampler_settings *s)
{
    struct fv_sampler *out;

    if (fv_sampler_open(&out, store, s) < 0)
        fail_msg("%s", fv_err_text());
    return out;
}

static uint32_t label_of(const struct fv_store *store, uint32_t image)
{
    struct fv_store_image about;

    assert_int_equal(fv_store_image(store, image, &about), FV_OK);
    assert_int_equal(about.split, FV_SPLIT_TRAIN);
    return about.label;
}

/* --- orders ------------------------------------------------------------------------------------ */

static void shuffle_is_the_permutation_of_the_epoch(void **state)
{
    const struct fv_sampler_settings set = settings("shuffle");
    struct fv_sampler *s = open_sampler(small, &set);
    const uint64_t batches = small_n / set.batch;

    (void)state;
    assert_int_equal(fv_sampler_images(s), small_n);
    assert_int_equal(fv_sampler_batches(s), batches);
    for (uint64_t t = 0; t < 3 * batches; t++)
        for (uint32_t i = 0; i < set.batch; i++) {
            const struct fv_draw d = fv_sampler_draw(s, t, i);
            const uint64_t at = fv_rng_permute(set.seed, (uint32_t)(t / batches), small_n,
                                               t % batches * set.batch + i);
            assert_int_equal(d.image, train[at]);
            assert_int_equal(d.sample, d.image);
        }
    fv_sampler_close(&s);
}

static void a_single_pass_has_every_image_once_whatever_the_ranks(void **state)
{
    static const char *const orders[] = {"shuffle", "sequential", "blocks"};
    static const uint32_t batch[] = {1, 7, 24, 3000}, world[] = {1, 2, 3, 64};
    uint8_t *seen = malloc(fv_store_info(small)->images);

    (void)state;
    for (int k = 0; k < 3 * 4 * 4; k++) {
        struct fv_sampler_settings set = settings(orders[k / 16]);
        uint64_t batches = 0, images = 0;
        set.endless = 0;
        set.batch = batch[k / 4 % 4];
        set.world = world[k % 4];
        memset(seen, 0, fv_store_info(small)->images);
        for (set.rank = 0; set.rank < set.world; set.rank++) {
            struct fv_sampler *s = open_sampler(small, &set);
            if (set.rank == 0)
                batches = fv_sampler_batches(s);
            assert_int_equal(fv_sampler_batches(s), batches);
            for (uint64_t t = 0; t < batches; t++)
                for (uint32_t i = 0; i < fv_sampler_items(s, t); i++, images++) {
                    const uint32_t image = fv_sampler_draw(s, t, i).image;
                    label_of(small, image);
                    assert_int_equal(seen[image]++, 0);
                }
            const uint64_t rest = small_n - (batches - 1) * set.batch * set.world;
            assert_in_range(fv_sampler_items(s, batches - 1), rest / set.world,
                            (rest + set.world - 1) / set.world);
            fv_sampler_close(&s);
        }
        assert_int_equal(images, small_n);
    }
    free(seen);
}

static void ranks_share_the_batch_of_one(void **state)
{
    static const uint32_t world[] = {2, 3, 6};

    (void)state;
    for (int o = 0; fv_sampler_orders[o]; o++)
        for (int k = 0; k < 3; k++) {
            struct fv_sampler_settings one = settings(fv_sampler_orders[o]), part = one;
            one.batch = 48;
            struct fv_sampler *whole = open_sampler(small, &one);
            part.world = world[k];
            part.batch = one.batch / part.world;
            for (part.rank = 0; part.rank < part.world; part.rank++) {
                struct fv_sampler *s = open_sampler(small, &part);
                assert_int_equal(fv_sampler_batches(s), fv_sampler_batches(whole));
                for (uint64_t t = 0; t < 3 * fv_sampler_batches(s); t++)
                    for (uint32_t i = 0; i < part.batch; i++) {
                        const struct fv_draw a = fv_sampler_draw(s, t, i);
                        const struct fv_draw b =
                            fv_sampler_draw(whole, t, part.rank * part.batch + i);
                        assert_int_equal(a.sample, b.sample);
                    }
                fv_sampler_close(&s);
            }
            fv_sampler_close(&whole);
        }
}

static int by_draw(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(uint64_t[2]));
}

/* The same decisions twice would be the same pixels twice. */
static void no_draw_of_an_epoch_is_decided_alike(void **state)
{
    enum { EPOCHS = 3 };

    (void)state;
    for (int o = 0; fv_sampler_orders[o]; o++) {
        const struct fv_sampler_settings set = settings(fv_sampler_orders[o]);
        struct fv_sampler *s = open_sampler(small, &set);
        const uint64_t batches = fv_sampler_batches(s);
        const size_t n = EPOCHS * batches * set.batch;
        uint64_t(*key)[2] = malloc(n * sizeof *key);
        for (size_t k = 0; k < n; k++) {
            const uint64_t t = k / set.batch;
            const struct fv_draw d = fv_sampler_draw(s, t, (uint32_t)(k % set.batch));
            assert_int_equal((uint32_t)d.sample, d.image);
            key[k][0] = t / batches;
            key[k][1] = d.sample;
        }
        qsort(key, n, sizeof *key, by_draw);
        for (size_t k = 1; k < n; k++)
            assert_memory_not_equal(key[k - 1], key[k], sizeof *key);
        free(key);
        fv_sampler_close(&s);
    }
}

static void check_spread(const int *count, int n, int most_apart)
{
    int low = count[0], high = count[0];

    for (int i = 1; i < n; i++) {
        low = count[i] < low ? count[i] : low;
        high = count[i] > high ? count[i] : high;
    }
    assert_true(high - low <= most_apart);
}

static void balanced_has_every_identity_and_its_images_equally_often(void **state)
{
    const struct fv_sampler_settings set = settings("balanced");
    struct fv_sampler *s = open_sampler(small, &set);
    static int of_identity[IDENTITIES], of_image[IDENTITIES][MOST];
    int at_identity_epoch[IDENTITIES] = {0};

    (void)state;
    assert_int_equal(fv_sampler_batches(s), small_n / set.batch);
    for (uint64_t t = 0; t < 5 * fv_sampler_batches(s); t++) {
        for (uint32_t i = 0; i < set.batch; i++) {
            const uint32_t image = fv_sampler_draw(s, t, i).image, label = label_of(small, image);
            struct fv_store_label about;
            assert_int_equal(fv_store_label(small, label, &about), FV_OK);
            of_identity[label]++;
            of_image[label][image - about.first]++;
        }
        check_spread(of_identity, IDENTITIES, 1);
        if ((t + 1) % fv_sampler_batches(s) == 0) { /* within an epoch too */
            for (int k = 0; k < IDENTITIES; k++)
                at_identity_epoch[k] = of_identity[k] - at_identity_epoch[k];
            check_spread(at_identity_epoch, IDENTITIES, 2);
            memcpy(at_identity_epoch, of_identity, sizeof of_identity);
        }
    }
    for (int k = 0; k < IDENTITIES; k++) { /* without those of the other split */
        int count[MOST], n = 0;
        for (int i = 0; i < images_of(k); i++)
            if (i % 5 != 4)
                count[n++] = of_image[k][i];
        check_spread(count, n, 1);
    }
    fv_sampler_close(&s);
}

static void check_group(const struct fv_sampler *s, uint64_t t, uint32_t at, uint32_t label)
{
    const int val = images_of((int)label) / 5, there = images_of((int)label) - val;
    uint32_t image[4];
    int different = 0;

    for (uint32_t k = 0; k < 4; k++) {
        image[k] = fv_sampler_draw(s, t, at + k).image;
        assert_int_equal(label_of(small, image[k]), label);
        int again = 0;
        for (uint32_t j = 0; j < k; j++)
            again |= image[j] == image[k];
        different += !again;
    }
    assert_int_equal(different, there < 4 ? there : 4);
}

static void pk_has_k_images_of_each_of_p_identities(void **state)
{
    struct fv_sampler_settings set = settings("pk");
    enum { ROUNDS = 600 };
    static int count[IDENTITIES];

    (void)state;
    set.batch = 24 * 4; /* 24 of 80 identities: a round of 3 batches leaves 8 out */
    struct fv_sampler *s = open_sampler(small, &set);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint8_t seen[IDENTITIES] = {0};
        for (uint64_t t = 3 * round; t < 3 * round + 3; t++)
            for (uint32_t p = 0; p < 24; p++) {
                const uint32_t label = label_of(small, fv_sampler_draw(s, t, 4 * p).image);
                assert_int_equal(seen[label]++, 0);
                count[label]++;
                check_group(s, t, 4 * p, label);
            }
    }
    /* binomial, 600 * 0.9: five standard deviations of 7.3 */
    for (int k = 0; k < IDENTITIES; k++)
        assert_in_range(count[k], 540 - 37, 540 + 37);
    fv_sampler_close(&s);
}

/* --- blocks ------------------------------------------------------------------------------------ */

/* How an order of LARGE images mixes: of two that lie side by side in the file, how far apart they are drawn; and how
 * many identities a batch has. */
static void measure(const char *order, uint32_t window, double *apart, double *identities)
{
    struct fv_sampler_settings set = settings(order);
    static uint32_t when[LARGE];
    double sum = 0, different = 0;

    set.window = window;
    set.endless = 0;
    struct fv_sampler *s = open_sampler(large, &set);
    for (uint64_t t = 0; t < fv_sampler_batches(s); t++) {
        uint8_t seen[LARGE / PER_LARGE] = {0};
        for (uint32_t i = 0; i < set.batch; i++) {
            const uint32_t image = fv_sampler_draw(s, t, i).image;
            when[image] = (uint32_t)t * set.batch + i;
            different += !seen[image / PER_LARGE]++;
        }
    }
    for (uint32_t i = 1; i < LARGE; i++)
        sum += abs((int)when[i] - (int)when[i - 1]);
    *apart = sum / (LARGE - 1);
    *identities = different / (double)fv_sampler_batches(s);
    fv_sampler_close(&s);
}

static void blocks_mix_as_well_as_their_window(void **state)
{
    static const uint32_t windows[] = {512, 1024, 2048};
    double full, full_ids, apart, ids;

    (void)state;
    measure("shuffle", 1, &full, &full_ids);
    printf("%-16s neighbours %6.0f apart, %5.2f identities in a batch of 24\n", "shuffle", full,
           full_ids);
    assert_true(full > LARGE / 3.0 * 0.97 && full < LARGE / 3.0 * 1.03);
    for (int k = 0; k < 3; k++) {
        measure("blocks", windows[k], &apart, &ids);
        printf("blocks of %-6u neighbours %6.0f apart, %5.2f identities in a batch of 24\n",
               windows[k], apart, ids);
        /* Within a window as in a shuffle of so many: a third of it apart, and v identities in 24 draws. */
        const double v = windows[k] / (double)PER_LARGE, expected = v * (1 - pow(1 - 1 / v, 24));
        assert_true(apart > windows[k] / 3.0 * 0.95 && apart < windows[k] / 3.0 * 1.25);
        assert_true(ids > expected * 0.95);
    }
}

/* The working set: what a window's batches read lies in as many blocks as make a window. */
static void a_window_reads_few_blocks(void **state)
{
    struct fv_sampler_settings set = settings("blocks");
    enum { WINDOWS = 12, BLOCKS = LARGE / FV_SAMPLER_BLOCK + 1 };

    (void)state;
    set.batch = LARGE / WINDOWS;
    set.window = LARGE / WINDOWS;
    struct fv_sampler *s = open_sampler(large, &set);
    for (uint64_t t = 0; t < 3 * WINDOWS; t++) { /* a batch is a window */
        uint8_t seen[BLOCKS + 1] = {0};
        uint32_t blocks = 0;
        for (uint32_t i = 0; i < set.batch; i++) {
            const uint32_t image = fv_sampler_draw(s, t, i).image;
            blocks += !seen[image / FV_SAMPLER_BLOCK]++;
        }
        /* 500 images are 8 to 9 blocks, each of which may lie across two of ours. */
        assert_in_range(blocks, 500 / FV_SAMPLER_BLOCK, 2 * 9);
    }
    fv_sampler_close(&s);
}

static void check_ahead(uint32_t world, uint32_t batch, uint32_t window)
{
    struct fv_sampler_settings set = settings("blocks");
    static uint64_t asked[LARGE]; /* for which epoch, counted from 1 */
    uint64_t hints = 0;

    set.world = world;
    set.batch = batch;
    set.window = window;
    set.rank = world - 1;
    memset(asked, 0, sizeof asked);
    struct fv_sampler *s = open_sampler(large, &set);
    const uint64_t batches = fv_sampler_batches(s);
    for (uint64_t t = 0; t < 4 * batches; t++)
        for (uint32_t i = 0; i < batch; i++) {
            uint32_t first, last;
            for (uint32_t n = 0; fv_sampler_ahead(s, t, i, n, &first, &last); n++, hints++) {
                assert_true(first <= last && last < LARGE && last - first < FV_SAMPLER_BLOCK);
                for (uint32_t k = first; k <= last; k++)
                    asked[k]++;
            }
            /* Whatever is due after the first two windows was asked for, once an epoch. */
            const uint32_t image = fv_sampler_draw(s, t, i).image;
            if (t * world * batch > 3 * window)
                assert_in_range(asked[image], t / batches, t / batches + 2);
            if (t / batches >= 1)
                assert_true(asked[image] >= t / batches);
        }
    assert_in_range(hints, 3 * (LARGE / FV_SAMPLER_BLOCK), 5 * (LARGE / FV_SAMPLER_BLOCK + 1));
    fv_sampler_close(&s);
}

static void what_will_be_read_is_asked_for_in_time(void **state)
{
    (void)state;
    check_ahead(1, 24, 512);
    check_ahead(1, 32, 2048);
    check_ahead(3, 24, 512);
    check_ahead(100, 7, 1024);
}

/* --- stand-ins and refusals -------------------------------------------------------------------- */

static void siblings_are_all_others_of_the_identity(void **state)
{
    const struct fv_sampler_settings set = settings("shuffle");
    struct fv_sampler *s = open_sampler(small, &set);

    (void)state;
    for (uint32_t k = 0; k < small_n; k++) {
        const uint32_t label = label_of(small, train[k]);
        const int there = images_of((int)label) - images_of((int)label) / 5;
        uint8_t seen[MOST] = {0};
        struct fv_store_label about;
        uint32_t other, n = 0;
        assert_int_equal(fv_store_label(small, label, &about), FV_OK);
        for (; fv_sampler_sibling(s, train[k], n, &other); n++) {
            assert_int_equal(label_of(small, other), label);
            assert_int_not_equal(other, train[k]);
            assert_int_equal(seen[other - about.first]++, 0);
        }
        assert_int_equal(n, there - 1);
    }
    fv_sampler_close(&s);
}

static void other_images_are_drawn_for_a_place(void **state)
{
    const struct fv_sampler_settings set = settings("shuffle");
    struct fv_sampler *s = open_sampler(small, &set);
    uint32_t a, b, n = 0;
    int same = 0;

    (void)state;
    for (; fv_sampler_other(s, 5, 3, n, &a); n++) {
        label_of(small, a);
        assert_int_equal(fv_sampler_other(s, 5, 3, n, &b), 1);
        assert_int_equal(a, b);
        fv_sampler_other(s, 5, 4, n, &b);
        same += a == b;
    }
    assert_int_equal(n, 64);
    assert_true(same < 8);
    fv_sampler_close(&s);
}

static void refuse(struct fv_sampler_settings set, int code, const char *why)
{
    struct fv_sampler *s;

    assert_int_equal(fv_sampler_open(&s, small, &set), code);
    assert_null(s);
    if (!strstr(fv_err_text(), why))
        fail_msg("'%s' does not say '%s'", fv_err_text(), why);
}

static void impossible_orders_are_refused(void **state)
{
    struct fv_sampler_settings set = settings("balanced");

    (void)state;
    refuse(settings("random"), FV_EUSAGE, "'random'");
    set.endless = 0;
    refuse(set, FV_EINVAL, "single pass");
    set = settings("pk");
    set.batch = 26;
    refuse(set, FV_EINVAL, "multiple of --images-per-id");
    set.batch = 4 * (IDENTITIES + 1);
    refuse(set, FV_EINVAL, "81");
    set = settings("shuffle");
    set.rank = set.world = 2;
    refuse(set, FV_EINVAL, "rank 2 of 2");
    set.rank = 0;
    set.batch = small_n;
    refuse(set, FV_EINVAL, "of all ranks");
    set = settings("shuffle");
    set.splits = 1u << FV_SPLIT_HOLDOUT;
    refuse(set, FV_ENOTFOUND, "no image");
    struct fv_sampler *none = NULL;
    fv_sampler_close(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffle_is_the_permutation_of_the_epoch),
        cmocka_unit_test(a_single_pass_has_every_image_once_whatever_the_ranks),
        cmocka_unit_test(ranks_share_the_batch_of_one),
        cmocka_unit_test(no_draw_of_an_epoch_is_decided_alike),
        cmocka_unit_test(balanced_has_every_identity_and_its_images_equally_often),
        cmocka_unit_test(pk_has_k_images_of_each_of_p_identities),
        cmocka_unit_test(blocks_mix_as_well_as_their_window),
        cmocka_unit_test(a_window_reads_few_blocks),
        cmocka_unit_test(what_will_be_read_is_asked_for_in_time),
        cmocka_unit_test(siblings_are_all_others_of_the_identity),
        cmocka_unit_test(other_images_are_drawn_for_a_place),
        cmocka_unit_test(impossible_orders_are_refused),
    };
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
