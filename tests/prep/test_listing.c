/* SPDX-License-Identifier: MIT */
/* A listing's promises: order, unique names, and what becomes of given splits. */
#include "prep/import/listing.h"

#include "common/err.h"
#include "prep/import/importer.h"
#include "tests/cmocka_all.h"
#include "tests/prep/listed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct fv_listing *l, const char *identity, const char *name, int split)
{
    assert_int_equal(
        fv__listing_add(l, identity,
                        &(struct fv_listed_photo){.name = name, .split = (int8_t)split}),
        0);
}

static void any_order_gives_the_same(void **state)
{
    (void)state;
    enum { N = 4000 };
    struct fv_listing a, b;
    char identity[32], name[64];
    assert_int_equal(fv__listing_begin(&a, "x///"), 0);
    assert_int_equal(fv__listing_begin(&b, "/"), 0);
    assert_string_equal(a.root, "x");
    assert_string_equal(b.root, "/");
    for (int i = 0; i < N; i++) {
        int k = i * 1771 % N; /* coprime: each once */
        snprintf(identity, sizeof identity, "p%d", i / 9);
        snprintf(name, sizeof name, "p%d/%d.jpg", i / 9, i);
        add(&a, identity, name, FV_SPLIT_BY_RULE);
        snprintf(identity, sizeof identity, "p%d", k / 9);
        snprintf(name, sizeof name, "p%d/%d.jpg", k / 9, k);
        add(&b, identity, name, FV_SPLIT_BY_RULE);
    }
    assert_int_equal(fv__listing_end(&a), 0);
    assert_int_equal(fv__listing_end(&b), 0);
    assert_int_equal(a.photos, N);
    assert_int_equal(b.photos, N);
    assert_int_equal(a.identities, (N + 8) / 9);
    assert_int_equal(b.identities, a.identities);
    for (size_t i = 0; i < N; i++) {
        assert_photo(&b, i, a.photo[i].identity, a.photo[i].name, FV_SPLIT_BY_RULE);
        assert_true(i == 0 || strcmp(a.photo[i - 1].identity, a.photo[i].identity) < 0 ||
                    strcmp(a.photo[i - 1].name, a.photo[i].name) < 0);
    }
    for (size_t i = 0; i < a.identities; i++) {
        assert_string_equal(a.identity[i].name, a.photo[a.identity[i].first].identity);
        assert_int_equal(a.identity[i].first + a.identity[i].count,
                         i + 1 < a.identities ? a.identity[i + 1].first : a.photos);
        assert_string_equal(b.identity[i].name, a.identity[i].name);
        assert_int_equal(b.identity[i].first, a.identity[i].first);
    }
    fv__listing_free(&a);
    fv__listing_free(&b);
}

static void an_identity_may_have_no_photo(void **state)
{
    (void)state;
    struct fv_listing l;
    assert_int_equal(fv__listing_begin(&l, "x"), 0);
    add(&l, "b", "1", FV_SPLIT_BY_RULE);
    add(&l, "c", NULL, FV_SPLIT_BY_RULE);
    add(&l, "b", NULL, FV_SPLIT_BY_RULE);
    add(&l, "a", NULL, FV_SPLIT_BY_RULE);
    assert_int_equal(fv__listing_end(&l), 0);
    assert_int_equal(l.identities, 3);
    assert_int_equal(l.photos, 1);
    assert_string_equal(l.identity[0].name, "a");
    assert_int_equal(l.identity[0].count, 0);
    assert_int_equal(l.identity[1].count, 1);
    assert_int_equal(l.identity[2].count, 0);
    fv__listing_free(&l);

    assert_int_equal(fv__listing_begin(&l, "x"), 0);
    assert_int_equal(fv__listing_end(&l), 0);
    assert_int_equal(l.identities, 0);
    fv__listing_free(&l);
}

static void a_name_comes_once(void **state)
{
    (void)state;
    struct fv_listing l;
    assert_int_equal(fv__listing_begin(&l, "faces.lst"), 0);
    add(&l, "a", "a-", FV_SPLIT_BY_RULE);
    add(&l, "a-b", "a-b/1", FV_SPLIT_BY_RULE);
    add(&l, "b", "a-", FV_SPLIT_BY_RULE);
    assert_int_equal(fv__listing_end(&l), FV_ECORRUPT);
    assert_string_equal(fv_err_text(), "faces.lst: 'a-' is listed twice");
    fv__listing_free(&l);

    assert_int_equal(fv__listing_begin(&l, "faces.lst"), 0);
    add(&l, "a", "same", FV_SPLIT_TRAIN);
    add(&l, "a", "same", FV_SPLIT_VAL);
    assert_int_equal(fv__listing_end(&l), FV_ECORRUPT);
    fv__listing_free(&l);
}

static void who_has_nothing_to_train_on_is_held_out(void **state)
{
    (void)state;
    struct fv_listing l;
    assert_int_equal(fv__listing_begin(&l, "x"), 0);
    add(&l, "both", "1", FV_SPLIT_TRAIN);
    add(&l, "both", "2", FV_SPLIT_VAL);
    add(&l, "open", "3", FV_SPLIT_BY_RULE);
    add(&l, "test", "4", FV_SPLIT_HOLDOUT);
    add(&l, "val", "5", FV_SPLIT_VAL);
    add(&l, "val", "6", FV_SPLIT_HOLDOUT);
    assert_int_equal(fv__listing_end(&l), 0);
    assert_int_equal(l.photos, 6);
    assert_photo(&l, 0, "both", "1", FV_SPLIT_TRAIN);
    assert_photo(&l, 1, "both", "2", FV_SPLIT_VAL);
    assert_photo(&l, 2, "open", "3", FV_SPLIT_BY_RULE);
    assert_photo(&l, 3, "test", "4", FV_SPLIT_HOLDOUT);
    assert_photo(&l, 4, "val", "5", FV_SPLIT_HOLDOUT);
    assert_photo(&l, 5, "val", "6", FV_SPLIT_HOLDOUT);
    fv__listing_free(&l);
}

static void test_photos_of_the_trained_validate_or_are_passed_over(void **state)
{
    (void)state;
    struct fv_listing l;
    for (int val = 0; val < 2; val++) {
        assert_int_equal(fv__listing_begin(&l, "x"), 0);
        add(&l, "a", "a/test", FV_SPLIT_HOLDOUT);
        add(&l, "a", "a/train", FV_SPLIT_TRAIN);
        add(&l, "b", "b/1", FV_SPLIT_BY_RULE);
        if (val)
            add(&l, "b", "b/2", FV_SPLIT_VAL);
        assert_int_equal(fv__listing_end(&l), 0);
        assert_int_equal(l.photos, 3);
        assert_int_equal(l.ignored.n, val);
        assert_int_equal(l.identity[0].count, 2 - val);
        assert_int_equal(l.identity[1].first, 2 - val);
        assert_int_equal(l.identity[1].count, 1 + val);
        if (val) {
            assert_string_equal(l.ignored.at[0].name, "a/test");
            assert_int_equal(l.ignored.at[0].reason.why, FV_IGNORE_TEST);
        } else {
            assert_photo(&l, 0, "a", "a/test", FV_SPLIT_VAL);
        }
        fv__listing_free(&l);
    }
}

static void layouts_have_names(void **state)
{
    (void)state;
    struct fv_listing l;
    for (size_t i = 0; fv__importer_at(i); i++) {
        assert_true(strlen(fv__importer_at(i)->help) > 10);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(fv__importer_at(i)->name, fv__importer_at(k)->name);
    }
    assert_int_equal(fv__import(&l, ".", &(struct fv_import_settings){.layout = "nonsense"}, NULL),
                     FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "'nonsense': valid are auto, folders"));
    assert_int_equal(fv__import(&l, "/dev/null/no", &(struct fv_import_settings){0}, NULL),
                     FV_ENOTFOUND);
    assert_null(l.root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_same),
        cmocka_unit_test(an_identity_may_have_no_photo),
        cmocka_unit_test(a_name_comes_once),
        cmocka_unit_test(who_has_nothing_to_train_on_is_held_out),
        cmocka_unit_test(test_photos_of_the_trained_validate_or_are_passed_over),
        cmocka_unit_test(layouts_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
