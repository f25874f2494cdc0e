/* SPDX-License-Identifier: MIT */
/* The walk accepts what LMDB writes, refuses every damage to its pages that LMDB would trip over, and does not
 * look at the pages of large values. */
#include "common/err.h"
#include "common/fs.h"
#include "store/append_file.h"
#include "store/pages.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* 12000 small values make three levels; every hundredth is large. Filled with a byte that makes no page look like
 * one of the tree. */
enum { VALUES = 12000, SMALL = 100, LARGE = 9000, FILL = 0xEE };
enum { BRANCH = 1, LEAF = 2 };

static char folder[] = "/tmp/fv-test-pages-XXXXXX", path[64];
static uint8_t *file; /* a private map: what a test damages, it puts back */
static size_t bytes, page;

static int make(void)
{
    struct fv_append_file *f;
    uint8_t value[LARGE];
    int rc = fv__append_file_create(&f, path, 0);

    memset(value, FILL, sizeof value);
    if (rc == 0) /* one transaction: no page is replaced */
        rc = fv__append_file_begin_last(f, 256 << 20);
    for (uint32_t i = 0; i < VALUES && rc == 0; i++) {
        const uint8_t key[5] = {'B', 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        rc = fv__append_file_put(f, (struct fv_span){key, 5},
                                 (struct fv_span){value, i % 100 ? SMALL : LARGE});
    }
    if (rc == 0)
        rc = fv__append_file_finish(f);
    fv__append_file_close(&f);
    return rc;
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.lmdb", folder);
    if (make() < 0)
        return 1;
    FILE *f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    bytes = (size_t)ftell(f);
    file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(f), 0);
    fclose(f);
    page = fv__get32(file + 40);
    return file == MAP_FAILED;
}

static int teardown(void **state)
{
    (void)state;
    munmap(file, bytes);
    unlink(path);
    return rmdir(folder);
}

static int is_tree(const uint8_t *p)
{
    return fv__get16(p + 10) == BRANCH || fv__get16(p + 10) == LEAF;
}

static uint8_t *young_meta(void)
{
    return fv__get64(file + 144) < fv__get64(file + page + 144) ? file + page : file;
}

static void what_lmdb_writes_passes(void **state)
{
    (void)state;
    assert_int_equal(fv__get16(young_meta() + 94), 3); /* levels */
    assert_int_equal(fv__pages_check(file, bytes), FV_OK);
}

static void the_pages_of_large_values_are_not_read(void **state)
{
    size_t hidden = 0;

    (void)state;
    for (size_t i = 2; i < bytes / page; i++)
        if (!is_tree(file + i * page)) {
            assert_int_equal(mprotect(file + i * page, page, PROT_NONE), 0);
            hidden++;
        }
    assert_true(hidden >= VALUES / 100 * (LARGE / page));
    assert_int_equal(fv__pages_check(file, bytes), FV_OK);
    assert_int_equal(mprotect(file, bytes, PROT_READ | PROT_WRITE), 0);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < bytes; n += n < 3 * page || n > bytes - 3 * page ? 1 : 997) {
        assert_int_equal(fv__pages_check(file, n), FV_ECORRUPT);
        if (n >= 2 * page)
            assert_non_null(strstr(fv_err_text(), "is cut short"));
    }
}

/* The file with these bytes at `at` gives this code. */
static void check_damage(uint8_t *at, uint64_t value, int width, int code)
{
    uint8_t saved[8], wrong[8];

    memcpy(saved, at, (size_t)width);
    fv__put64(wrong, value);
    memcpy(at, wrong, (size_t)width);
    const int rc = fv__pages_check(file, bytes);
    if (rc != code)
        print_error("%d bytes of %#llx at page %zu, offset %zu: %d\n", width,
                    (unsigned long long)value, (size_t)(at - file) / page,
                    (size_t)(at - file) % page, rc);
    assert_int_equal(rc, code);
    memcpy(at, saved, (size_t)width);
    if (rc == FV_ECORRUPT)
        assert_true(strstr(fv_err_text(), "damaged at page") ||
                    strstr(fv_err_text(), "cut short") ||
                    strstr(fv_err_text(), "is not an fv data set"));
}

static void damaged_metas_are_refused(void **state)
{
    uint8_t *young = young_meta();

    (void)state;
    for (uint8_t *m = file; m <= file + page; m += page) {
        check_damage(m + 10, LEAF, 2, FV_ECORRUPT);
        check_damage(m + 16, 0, 4, FV_ECORRUPT);
        check_damage(m + 20, 2, 4, m == file ? FV_EVERSION : FV_ECORRUPT);
        for (uint64_t size = 1; size < 1u << 31; size *= 2)
            if (size != page)
                check_damage(m + 40, size, 4, FV_ECORRUPT);
        check_damage(m + 40, page + 1, 4, FV_ECORRUPT);
    }
    check_damage(young + 92, 4, 2, FV_ECORRUPT); /* a table with duplicates */
    check_damage(young + 94, 0, 2, FV_ECORRUPT); /* its depth */
    check_damage(young + 94, 2, 2, FV_ECORRUPT);
    check_damage(young + 94, 4, 2, FV_ECORRUPT);
    check_damage(young + 94, 32, 2, FV_ECORRUPT);
    check_damage(young + 128, UINT64_MAX, 8, FV_ECORRUPT); /* its root */
    check_damage(young + 128, 0, 8, FV_ECORRUPT);
    check_damage(young + 128, bytes / page, 8, FV_ECORRUPT);
    check_damage(young + 128, UINT64_MAX / page, 8, FV_ECORRUPT);
    check_damage(young + 136, bytes / page, 8, FV_ECORRUPT); /* the last page */
    check_damage(young + 136, UINT64_MAX, 8, FV_ECORRUPT);
    check_damage(young + 136, fv__get64(young + 128) - 1, 8, FV_ECORRUPT);
    check_damage(young + 144, 0, 8, FV_OK); /* then the other one counts: an empty table */
}

static void damage_node(uint8_t *p, uint8_t *node)
{
    const size_t key = fv__get16(node + 6);

    check_damage(node + 6, 0xffff, 2, FV_ECORRUPT);
    check_damage(node + 6, page - (size_t)(node - p) - 7, 2, FV_ECORRUPT);
    if (fv__get16(p + 10) == BRANCH) {
        check_damage(node, 1, 6, FV_ECORRUPT);
        check_damage(node, fv__get64(p), 6, FV_ECORRUPT); /* itself: a circle */
        check_damage(node, bytes / page, 6, FV_ECORRUPT);
        check_damage(node, UINT64_MAX, 6, FV_ECORRUPT);
        return;
    }
    check_damage(node + 4, 2, 2, FV_ECORRUPT); /* a nested table */
    check_damage(node + 4, 4, 2, FV_ECORRUPT); /* duplicates */
    check_damage(node, UINT32_MAX, 4, FV_ECORRUPT);
    if (fv__get16(node + 4) == 0) {
        check_damage(node, page - (size_t)(node - p) - 8 - key + 1, 4, FV_ECORRUPT);
        return;
    }
    const uint64_t first = fv__get64(node + 8 + key), left = bytes / page - first;
    check_damage(node + 8 + key, 1, 8, FV_ECORRUPT);
    check_damage(node + 8 + key, bytes / page, 8, FV_ECORRUPT);
    check_damage(node + 8 + key, UINT64_MAX, 8, FV_ECORRUPT);
    check_damage(node, left * page - 16 + 1, 4, FV_ECORRUPT);
}

static void damage_page(uint8_t *p)
{
    const uint64_t size = page, lower = fv__get16(p + 12), upper = fv__get16(p + 14);
    const uint64_t least = fv__get16(p + 10) == BRANCH ? 20 : 18;

    check_damage(p, fv__get64(p) + 1, 8, FV_ECORRUPT);
    check_damage(p + 10, fv__get16(p + 10) ^ 3, 2, FV_ECORRUPT);
    check_damage(p + 10, fv__get16(p + 10) | 0x20, 2, FV_ECORRUPT); /* keys of one size */
    check_damage(p + 12, least - 2, 2, FV_ECORRUPT);
    check_damage(p + 12, lower + 1, 2, FV_ECORRUPT);
    check_damage(p + 12, upper + 2, 2, FV_ECORRUPT);
    check_damage(p + 14, size + 2, 2, FV_ECORRUPT);
    check_damage(p + 14, 0, 2, FV_ECORRUPT);
    for (size_t at = 16; at < lower; at += 2) {
        const uint64_t offset = fv__get16(p + at);
        check_damage(p + at, offset + 1, 2, FV_ECORRUPT);
        check_damage(p + at, upper - 2, 2, FV_ECORRUPT);
        check_damage(p + at, size - 6, 2, FV_ECORRUPT);
        check_damage(p + at, 0xfffe, 2, FV_ECORRUPT);
        damage_node(p, p + offset);
    }
}

/* The root, and of each other kind a first, a middle and a last page. */
static void damaged_pages_of_the_tree_are_refused(void **state)
{
    const size_t root = fv__get64(young_meta() + 128), all = bytes / page;
    size_t leaves[3] = {0}, tested = 0;

    (void)state;
    for (size_t i = 2; i < all; i++)
        if (fv__get16(file + i * page + 10) == LEAF) {
            leaves[0] = leaves[0] ? leaves[0] : i;
            leaves[1] = i < all / 2 ? i : leaves[1];
            leaves[2] = i;
        }
    for (size_t i = 2; i < all; i++)
        if (i == root || fv__get16(file + i * page + 10) == BRANCH || i == leaves[0] ||
            i == leaves[1] || i == leaves[2]) {
            damage_page(file + i * page);
            tested++;
        }
    assert_true(tested >= 6);
    assert_int_equal(fv__pages_check(file, bytes), FV_OK);
}

/* A file of many transactions has free pages: the bytes of one that is made of small values. */
static uint8_t *file_with_free_pages(size_t *n)
{
    struct fv_append_file *f;
    uint8_t value[1000] = {0};
    char *data;

    unlink(path);
    assert_int_equal(fv__append_file_create(&f, path, 0), FV_OK);
    fv__append_file_set_grain(f, 20000);
    for (uint32_t i = 0; i < 200; i++) {
        const uint8_t key[5] = {'B', 0, 0, 0, (uint8_t)i};
        const struct fv_span v = {value, sizeof value};
        assert_int_equal(fv__append_file_put(f, (struct fv_span){key, 5}, v), FV_OK);
        assert_int_equal(fv__append_file_cut(f), FV_OK);
    }
    assert_int_equal(fv__append_file_finish(f), FV_OK);
    fv__append_file_close(&f);
    assert_int_equal(fv_file_read(path, 1 << 30, &data, n), FV_OK);
    return (uint8_t *)data;
}

static void free_pages_are_proved_for_a_writer(void **state)
{
    size_t n;
    uint8_t *p = file_with_free_pages(&n);
    const uint8_t *meta = fv__get64(p + 144) < fv__get64(p + page + 144) ? p + page : p;
    const uint64_t root = fv__get64(meta + 128), list = fv__get64(meta + 80);
    uint8_t *leaf = p + list * page, *node = NULL, *ids = NULL;

    (void)state;
    assert_int_equal(fv__get16(leaf + 10), LEAF);
    for (size_t at = 16; at < fv__get16(leaf + 12); at += 2) {
        node = leaf + fv__get16(leaf + at);
        ids = node + 16;
        if (fv__get64(ids) >= 2)
            break;
    }
    assert_true(fv__get64(ids) >= 2);
    assert_int_equal(fv__pages_check_writable(p, n), FV_OK);
    const struct {
        uint8_t *at;
        uint64_t value;
    } wrong[] = {
        {ids, fv__get32(node) / 8}, /* more than there are */
        {ids, UINT64_MAX},
        {ids + 8, root},
        {ids + 8, list},
        {ids + 8, 1},
        {ids + 8, n / page},
        {ids + 8, UINT64_MAX},
        {ids + 16, fv__get64(ids + 8)}, /* twice */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const uint64_t saved = fv__get64(wrong[i].at);
        fv__put64(wrong[i].at, wrong[i].value);
        if (fv__pages_check_writable(p, n) != FV_ECORRUPT)
            print_error("case %zu\n", i);
        assert_int_equal(fv__pages_check_writable(p, n), FV_ECORRUPT);
        assert_int_equal(fv__pages_check(p, n), FV_OK); /* nothing to a reader */
        fv__put64(wrong[i].at, saved);
    }
    node[6] = 4; /* bytes of the key */
    assert_int_equal(fv__pages_check_writable(p, n), FV_ECORRUPT);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lmdb_writes_passes),
        cmocka_unit_test(the_pages_of_large_values_are_not_read),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(free_pages_are_proved_for_a_writer),
        cmocka_unit_test(damaged_metas_are_refused),
        cmocka_unit_test(damaged_pages_of_the_tree_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
