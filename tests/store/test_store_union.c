/* SPDX-License-Identifier: MIT */
/* Several files as one data set are what the one file of all of them is: every label, id, name, pixel and the
 * digest. And what contradicts is refused by name. */
#include "store/record.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <string.h>
#include <unistd.h>

enum { SIDE = 12, MOST = 7 };
static char folder[] = "/tmp/fv-test-union-XXXXXX", whole[64], other[64], part[MOST][64];
static const struct demo demo = {.labels = 9, .images = 11, .holdout = 3, .side = SIDE};

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(whole, sizeof whole, "%s/whole.lmdb", folder);
    snprintf(other, sizeof other, "%s/other,x.lmdb", folder);
    for (int i = 0; i < MOST; i++)
        snprintf(part[i], sizeof part[i], "%s/part%d.lmdb", folder, i);
    return demo_make(whole, &demo) < 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(whole);
    unlink(other);
    for (int i = 0; i < MOST; i++)
        unlink(part[i]);
    return rmdir(folder);
}

static char *joined(int n)
{
    static char list[MOST * 65];

    list[0] = '\0';
    for (int i = 0; i < n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? "," : "", part[i]);
    return list;
}

static void check_same(struct fv_store *a, struct fv_store *b)
{
    const struct fv_store_info *ia = fv_store_info(a), *ib = fv_store_info(b);
    uint8_t pa[SIDE * SIDE * 3 + FV_DECODE_PAD], pb[sizeof pa];
    struct fv_decoder *da, *db;

    assert_true(ia->images == ib->images && ia->labels == ib->labels);
    assert_int_equal(ia->train_labels, ib->train_labels);
    assert_memory_equal(ia->split_images, ib->split_images, sizeof ia->split_images);
    assert_int_equal(ia->digest, ib->digest);
    assert_int_equal(ia->raw_bytes, ib->raw_bytes);
    for (uint64_t l = 0; l < ia->labels; l++) {
        struct fv_store_label la, lb;
        assert_int_equal(fv_store_label(a, l, &la), FV_OK);
        assert_int_equal(fv_store_label(b, l, &lb), FV_OK);
        assert_string_equal(la.name, lb.name);
        assert_true(la.first == lb.first && la.count == lb.count && la.holdout == lb.holdout);
    }
    assert_int_equal(fv_decoder_open(&da, a), FV_OK);
    assert_int_equal(fv_decoder_open(&db, b), FV_OK);
    for (uint64_t i = 0; i < ia->images; i++) {
        struct fv_store_image ma, mb;
        uint64_t at;
        assert_int_equal(fv_store_image(a, i, &ma), FV_OK);
        assert_int_equal(fv_store_image(b, i, &mb), FV_OK);
        assert_string_equal(ma.name, mb.name);
        assert_true(ma.label == mb.label && ma.split == mb.split && ma.content == mb.content);
        assert_int_equal(fv_store_find(b, ma.name, &at), FV_OK);
        assert_int_equal(at, i);
        assert_int_equal(fv_decoder_read(da, i, pa), FV_OK);
        assert_int_equal(fv_decoder_read(db, i, pb), FV_OK);
        assert_memory_equal(pa, pb, SIDE * SIDE * 3);
        fv_store_will_need(b, i, i + 1);
    }
    struct fv_store_image none;
    assert_int_equal(fv_store_image(b, ia->images, &none), FV_EINVAL);
    fv_decoder_close(&da);
    fv_decoder_close(&db);
}

/* Neighbours stand in different files, some files lack some identities, some have a dictionary. */
static void shards_are_the_one_file(void **state)
{
    static const int shards[] = {1, 2, 3, 7};
    struct fv_store *one, *many;
    uint64_t bad;

    (void)state;
    for (size_t k = 0; k < sizeof shards / sizeof *shards; k++) {
        uint64_t files = 0, records = 0;
        for (int i = 0; i < shards[k]; i++) {
            struct demo d = demo;
            d.shard = i;
            d.shards = shards[k];
            d.with_dict = i == 1;
            assert_int_equal(demo_make(part[i], &d), FV_OK);
            assert_int_equal(fv_store_open(&one, part[i]), FV_OK);
            files += fv_store_info(one)->file_bytes;
            records += fv_store_info(one)->record_bytes;
            fv_store_close(&one);
        }
        assert_int_equal(fv_store_open(&one, whole), FV_OK);
        assert_int_equal(fv_store_open(&many, joined(shards[k])), FV_OK);
        assert_string_equal(fv_store_path(many), joined(shards[k]));
        assert_int_equal(fv_store_info(many)->parts, shards[k]);
        assert_int_equal(fv_store_info(many)->file_bytes, files);
        assert_int_equal(fv_store_info(many)->record_bytes, records);
        check_same(one, many);
        for (int threads = 1; threads < 4; threads++)
            assert_int_equal(fv_store_verify(many, threads, NULL, &bad), FV_OK);
        fv_store_close(&one);
        fv_store_close(&many);
    }
}

static void the_order_of_the_files_does_not_matter(void **state)
{
    const char *const order[2][3] = {{part[0], part[1], part[2]}, {part[2], part[0], part[1]}};
    struct fv_store *s[2];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct demo d = demo;
        d.shard = i;
        d.shards = 3;
        assert_int_equal(demo_make(part[i], &d), FV_OK);
    }
    uint64_t digest[2];
    for (int k = 0; k < 2; k++) {
        assert_int_equal(fv_store_open_many(&s[k], order[k], 3), FV_OK);
        digest[k] = fv_store_info(s[k])->digest;
        fv_store_close(&s[k]);
    }
    assert_int_equal(digest[0], digest[1]);
}

static void check_refused(const char *path, int code, const char *a, const char *b)
{
    struct fv_store *s;

    const int rc = fv_store_open(&s, path);
    if (rc != code || !strstr(fv_err_text(), a) || !strstr(fv_err_text(), b))
        print_error("%d: %s\n", rc, fv_err_text());
    assert_int_equal(rc, code);
    assert_null(s);
    assert_non_null(strstr(fv_err_text(), a));
    assert_non_null(strstr(fv_err_text(), b));
}

static void files_that_contradict_are_refused(void **state)
{
    struct demo d = demo;

    (void)state;
    assert_int_equal(demo_make(part[0], &d), FV_OK);
    d.shard = 3;
    d.shards = 5;
    assert_int_equal(demo_make(part[1], &d), FV_OK); /* a part of the first */
    check_refused(joined(2), FV_EINVAL, "both have an image person000/0003.jpg", part[1]);
    check_refused(joined(2), FV_EINVAL, "part0", "part1");
    d.holdout = 4; /* person005 is trained on in the one and held out in the other */
    assert_int_equal(demo_make(part[1], &d), FV_OK);
    d = demo;
    d.shard = 2;
    d.shards = 5;
    assert_int_equal(demo_make(part[0], &d), FV_OK);
    check_refused(joined(2), FV_EINVAL, "identity person005 is trained on in",
                  "part0.lmdb and held");
    d.side = SIDE + 1;
    assert_int_equal(demo_make(part[1], &d), FV_OK);
    check_refused(joined(2), FV_EINVAL, "images of 12x12", "of 13x13");
}

static void lists_of_files_are_checked(void **state)
{
    char list[256];

    (void)state;
    snprintf(list, sizeof list, "%s,", whole);
    check_refused(list, FV_EINVAL, "a file is missing", whole);
    snprintf(list, sizeof list, ",%s", whole);
    check_refused(list, FV_EINVAL, "a file is missing", whole);
    snprintf(list, sizeof list, "%s,%s", whole, whole);
    check_refused(list, FV_EEXIST, "already open", whole);
    snprintf(list, sizeof list, "%s,%s/none.lmdb", whole, folder);
    check_refused(list, FV_ENOTFOUND, "none.lmdb: does not exist", "fvprep pack");
}

static void a_file_with_a_comma_is_one_file(void **state)
{
    struct fv_store *s;
    char *path, list[256];

    (void)state;
    assert_int_equal(demo_make(other, &demo), FV_OK);
    assert_int_equal(fv_store_open(&s, other), FV_OK);
    assert_int_equal(fv_store_info(s)->parts, 1);
    fv_store_close(&s);
    assert_int_equal(fv_store_absolute_path(&path, other), FV_OK);
    assert_string_equal(path, other);
    free(path);
    snprintf(list, sizeof list, "%s/../%s/whole.lmdb,/dev/../%s", folder, folder + 5, whole);
    assert_int_equal(fv_store_absolute_path(&path, list), FV_OK);
    snprintf(list, sizeof list, "%s,%s", whole, whole);
    assert_string_equal(path, list);
    free(path);
    snprintf(list, sizeof list, "%s,%s/none", whole, folder);
    assert_int_equal(fv_store_absolute_path(&path, list), FV_ENOTFOUND);
    assert_null(path);
}

static void damage_in_a_part_is_told_by_its_name(void **state)
{
    struct fv_store *s;
    uint64_t bad;
    long at = -1;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct demo d = demo;
        d.shard = i;
        d.shards = 2;
        assert_int_equal(demo_make(part[i], &d), FV_OK);
    }
    /* The zstd magic of some record of the second file. */
    FILE *f = fopen(part[1], "r+b");
    char *bytes = malloc(1 << 20);
    const size_t n = fread(bytes, 1, 1 << 20, f);
    for (size_t i = n / 2; i + 4 < n && at < 0; i++)
        if (memcmp(bytes + i, "\x28\xb5\x2f\xfd", 4) == 0)
            at = (long)i;
    assert_true(at > 0);
    fseek(f, at, SEEK_SET);
    fputc(0, f);
    fclose(f);
    free(bytes);
    assert_int_equal(fv_store_open(&s, joined(2)), FV_OK);
    assert_int_equal(fv_store_verify(s, 2, NULL, &bad), FV_ECORRUPT);
    assert_int_equal(bad, 1);
    fv_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_the_one_file),
        cmocka_unit_test(the_order_of_the_files_does_not_matter),
        cmocka_unit_test(files_that_contradict_are_refused),
        cmocka_unit_test(lists_of_files_are_checked),
        cmocka_unit_test(a_file_with_a_comma_is_one_file),
        cmocka_unit_test(damage_in_a_part_is_told_by_its_name),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
