/* SPDX-License-Identifier: MIT */
/* Settings and figures by name: what they set is what a loader does, and wrong names are answered by the right ones. */
#include "augment/augment.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <string.h>
#include <unistd.h>

enum { LABELS = 6, EACH = 10, TRAIN = 4 * 8, VAL = 4 * 2, HOLDOUT = 20, SIDE = 16 };

static char folder[] = "/tmp/fv-test-options-XXXXXX", path[64];
static struct fv_store *store;

static int make_data(void **state)
{
    const struct demo d = {.labels = LABELS, .images = EACH, .holdout = 2, .side = SIDE};

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/set.lmdb", folder);
    assert_int_equal(demo_make(path, &d), FV_OK);
    assert_int_equal(fv_store_open(&store, path), FV_OK);
    return 0;
}

static int remove_data(void **state)
{
    (void)state;
    fv_store_close(&store);
    unlink(path);
    return rmdir(folder);
}

/* "name=value" ... NULL */
static struct fv_loader_options *make_options(const char *const *pairs)
{
    struct fv_loader_options *o;
    char name[64];

    assert_int_equal(fv_loader_options_new(&o), FV_OK);
    for (; *pairs; pairs++) {
        const char *value = strchr(*pairs, '=') + 1;
        snprintf(name, sizeof name, "%.*s", (int)(value - *pairs - 1), *pairs);
        assert_int_equal(fv_loader_options_set(o, name, value), FV_OK);
    }
    return o;
}

static void the_texts_are_copied(void **state)
{
    struct fv_loader_options *o;
    struct fv_loader *l;
    const struct fv_batch *b;
    char name[] = "aug", policy[] = "flip(1)", text[1024];

    (void)state;
    assert_int_equal(fv_loader_options_new(&o), FV_OK);
    assert_int_equal(fv_loader_options_set(o, "batch", "4"), FV_OK);
    assert_int_equal(fv_loader_options_set(o, name, policy), FV_OK);
    memset(name, 'x', sizeof name - 1);
    memset(policy, 'x', sizeof policy - 1);
    assert_true(fv_loader_options_text(o, text, sizeof text) > 0);
    assert_non_null(strstr(text, "aug = flip(1)\n"));
    assert_int_equal(fv_loader_open_options(&l, store, o), FV_OK);
    fv_loader_options_free(&o);
    assert_null(o);
    fv_loader_options_free(&o);
    const struct fv_batch_source *s = fv_loader_source(l);
    assert_int_equal(s->next(s->ctx, &b), 1);
    uint8_t rgb[SIDE * SIDE * 3];
    demo_pixels(b->image[0], SIDE, rgb);
    for (int x = 0; x < SIDE; x++)
        assert_memory_equal(b->pixels + 3 * x, rgb + 3 * (SIDE - 1 - x), 3);
    fv_loader_close(&l);
}

static void splits_and_passes_are_those_asked_for(void **state)
{
    static const struct {
        const char *split;
        int images;
    } cases[] = {{"train", TRAIN},
                 {"val", VAL},
                 {"holdout", HOLDOUT},
                 {"train,val", TRAIN + VAL},
                 {"val,holdout,val", VAL + HOLDOUT}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char split[64];
        struct fv_loader *l;
        const struct fv_batch *b;
        snprintf(split, sizeof split, "split=%s", cases[i].split);
        struct fv_loader_options *o = make_options(
            (const char *[]){split, "batch=7", "order=sequential", "endless=no", NULL});
        assert_int_equal(fv_loader_open_options(&l, store, o), FV_OK);
        fv_loader_options_free(&o);
        const struct fv_batch_source *s = fv_loader_source(l);
        int images = 0, rc;
        while ((rc = s->next(s->ctx, &b)) == 1) {
            images += b->n;
            s->release(s->ctx);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(images, cases[i].images);
        uint64_t told;
        assert_int_equal(fv_loader_stat(l, "images", &told), FV_OK);
        assert_int_equal(told, images);
        assert_int_equal(fv_loader_stat(l, "imagos", &told), FV_ENOTFOUND);
        assert_non_null(strstr(fv_err_text(), "'imagos': there are images, batches,"));
        fv_loader_close(&l);
    }
}

static void wrong_ones_are_refused_and_change_nothing(void **state)
{
    static const struct {
        const char *name, *value, *says;
        int code;
    } wrong[] = {
        {"batches", "3", "no option 'batches': there are batch, loader-threads,", FV_ENOTFOUND},
        {"", "3", "no option ''", FV_ENOTFOUND},
        {"batch", "", "batch: '' is not a whole number", FV_EUSAGE},
        {"batch", "3.5", "batch: '3.5'", FV_EUSAGE},
        {"batch", "0", "within 1 to", FV_EUSAGE},
        {"order", "random", "shuffle", FV_EUSAGE},
        {"on-error", "cry", "fail", FV_EUSAGE},
        {"endless", "maybe", "yes or no", FV_EUSAGE},
        {"split", "", "'' is not one of train, val, holdout", FV_EUSAGE},
        {"split", "train,", "'' is not one of", FV_EUSAGE},
        {"split", "trainval", "'trainval' is not one of", FV_EUSAGE},
        {"split", "tra", "'tra' is not one of", FV_EUSAGE},
        {"aug", "flip\nflip", "one line", FV_EUSAGE},
    };
    struct fv_loader_options *o =
        make_options((const char *[]){"batch=5", "split=val", "aug=flip", NULL});
    char before[1024], after[1024];

    (void)state;
    fv_loader_options_text(o, before, sizeof before);
    assert_non_null(strstr(before, "batch = 5\n"));
    assert_non_null(strstr(before, "split = val\n"));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(fv_loader_options_set(o, wrong[i].name, wrong[i].value), wrong[i].code);
        if (!strstr(fv_err_text(), wrong[i].says))
            fail_msg("%s=%s: %s", wrong[i].name, wrong[i].value, fv_err_text());
        assert_memory_equal(fv_err_text(), wrong[i].name,
                            wrong[i].code == FV_EUSAGE ? strlen(wrong[i].name) : 0);
        fv_loader_options_text(o, after, sizeof after);
        assert_string_equal(after, before);
    }
    fv_loader_options_free(&o);
}

static void the_text_leaves_out_what_changes_no_batch(void **state)
{
    struct fv_loader_options *o = make_options((const char *[]){NULL});
    char before[1024], after[1024], cut[8];

    (void)state;
    const int n = fv_loader_options_text(o, before, sizeof before);
    assert_int_equal(n, strlen(before));
    assert_int_equal(fv_loader_options_text(o, NULL, 0), n);
    assert_int_equal(fv_loader_options_text(o, cut, sizeof cut), n);
    assert_memory_equal(cut, before, sizeof cut - 1);
    assert_int_equal(cut[sizeof cut - 1], 0);
    assert_int_equal(fv_loader_options_set(o, "loader-threads", "7"), FV_OK);
    assert_int_equal(fv_loader_options_set(o, "slots", "9"), FV_OK);
    fv_loader_options_text(o, after, sizeof after);
    assert_string_equal(after, before);
    assert_int_equal(fv_loader_options_set(o, "seed", "9"), FV_OK);
    fv_loader_options_text(o, after, sizeof after);
    assert_string_not_equal(after, before);
    fv_loader_options_free(&o);
}

static void the_text_writes_presets_out(void **state)
{
    struct fv_loader_options *o = make_options((const char *[]){"aug=finetune-resnet18", NULL});
    char text[1024];

    (void)state;
    assert_true(fv_loader_options_text(o, text, sizeof text) > 0);
    assert_non_null(strstr(text, "aug = rrc,flip\n"));
    assert_int_equal(fv_loader_options_set(o, "aug", "flap"), FV_OK);
    assert_int_equal(fv_loader_options_text(o, text, sizeof text), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "'flap'"));
    fv_loader_options_free(&o);
}

static void every_row_can_be_named(void **state)
{
    struct fv_loader_options *o = make_options((const char *[]){NULL});
    const char *name, *help;
    size_t rows = 0;

    (void)state;
    for (; fv_loader_options_row(rows, &name, &help); rows++) {
        assert_true(*help);
        assert_int_not_equal(fv_loader_options_set(o, name, "\x01"), FV_ENOTFOUND);
    }
    assert_true(rows > 8);
    assert_int_equal(fv_loader_options_row(SIZE_MAX, &name, &help), 0);
    fv_loader_options_free(&o);
}

static int64_t lent;

static void *lend(void *ctx, size_t bytes)
{
    assert_ptr_equal(ctx, &lent);
    lent += (int64_t)bytes;
    return aligned_alloc(64, bytes);
}

static void take_back(void *ctx, void *p, size_t bytes)
{
    assert_ptr_equal(ctx, &lent);
    lent -= (int64_t)bytes;
    free(p);
}

static void batches_lie_where_the_allocator_says(void **state)
{
    static const struct fv_allocator memory = {.ctx = &lent, .alloc = lend, .free = take_back};
    struct fv_loader_options *o = make_options((const char *[]){"batch=8", "slots=3", NULL});
    struct fv_loader *l;

    (void)state;
    fv_loader_options_allocator(o, &memory);
    assert_int_equal(fv_loader_open_options(&l, store, o), FV_OK);
    assert_true(lent >= 3 * 8 * SIDE * SIDE * 3);
    fv_loader_close(&l);
    assert_int_equal(lent, 0);
    fv_loader_options_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_texts_are_copied),
        cmocka_unit_test(splits_and_passes_are_those_asked_for),
        cmocka_unit_test(wrong_ones_are_refused_and_change_nothing),
        cmocka_unit_test(the_text_leaves_out_what_changes_no_batch),
        cmocka_unit_test(the_text_writes_presets_out),
        cmocka_unit_test(every_row_can_be_named),
        cmocka_unit_test(batches_lie_where_the_allocator_says),
    };
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
