/* SPDX-License-Identifier: MIT */
/* Damaged, unfinished and foreign files: each is refused in a sentence, at the latest when it is read. */
#include "common/fs.h"
#include "store/append_file.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"
#include "tests/store/store_bytes.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/fv-test-damage-XXXXXX";
static char path[64], other[64];
static const struct demo demo = {.labels = 4, .images = 5, .holdout = 1, .side = 8, .with_dict = 1};
static struct store_bytes whole; /* of `path`; what a test changes, it puts back */

static int setup(void **state)
{
    char *data;

    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.lmdb", folder);
    snprintf(other, sizeof other, "%s/b.lmdb", folder);
    if (demo_make(path, &demo) < 0 || fv_file_read(path, 1 << 30, &data, &whole.n) < 0)
        return 1;
    whole.p = (uint8_t *)data;
    return store_leaf(&whole) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(whole.p);
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

static void put(const char *name, const uint8_t *data, size_t n)
{
    const int fd = open(name, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    assert_int_equal(pwrite(fd, data, n, 0), n);
    close(fd);
}

/* What opening says of these bytes. */
static int open_bytes(const uint8_t *data, size_t n)
{
    struct fv_store *s;

    put(other, data, n);
    const int rc = fv_store_open(&s, other);
    if (rc < 0)
        assert_true(s == NULL && strstr(fv_err_text(), other) == fv_err_text());
    fv_store_close(&s);
    return rc;
}

static void check_sentence(int rc, int code, const char *part)
{
    if (rc != code || (code < 0 && !strstr(fv_err_text(), part)))
        print_error("%d: %s\n", rc, fv_err_text());
    assert_int_equal(rc, code);
    if (code < 0)
        assert_non_null(strstr(fv_err_text(), part));
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < whole.n; n += n < 300 || n > whole.n - 300 ? 1 : 67)
        assert_int_equal(open_bytes(whole.p, n), FV_ECORRUPT);
    assert_int_equal(open_bytes(whole.p, whole.n), FV_OK);
}

static void every_flipped_byte_of_a_table_is_refused(void **state)
{
    (void)state;
    for (int k = 1; k < STORE_KEYS; k++) {
        const struct store_bytes v = store_value(&whole, k);
        assert_true(v.n > 0);
        for (size_t i = 0; i < v.n; i++) {
            v.p[i] ^= 0x10;
            const int rc = open_bytes(whole.p, whole.n);
            assert_true(rc == FV_ECORRUPT || rc == FV_EVERSION);
            v.p[i] ^= 0x10;
        }
    }
}

static void a_flipped_byte_in_the_settings_text_is_told(void **state)
{
    const struct store_bytes v = store_value(&whole, 2);

    (void)state;
    assert_memory_equal(v.p + FV_SETTINGS_FIXED, "size = demo\n", 12);
    v.p[FV_SETTINGS_FIXED + 7] ^= 1;
    check_sentence(open_bytes(whole.p, whole.n), FV_ECORRUPT, "do not match their checksum");
    v.p[FV_SETTINGS_FIXED + 7] ^= 1;
}

static void a_damaged_page_of_the_tree_is_told(void **state)
{
    uint8_t *leaf = store_leaf(&whole);

    (void)state;
    leaf[12] ^= 0x80;
    check_sentence(open_bytes(whole.p, whole.n), FV_ECORRUPT, "is damaged at page");
    leaf[12] ^= 0x80;
}

/* A change to a table whose checksums are right again. */
static void check_resealed(uint8_t *at, uint32_t value, int code, const char *part)
{
    const uint32_t saved = fv__get32(at);

    fv__put32(at, value);
    assert_true(store_reseal(&whole));
    check_sentence(open_bytes(whole.p, whole.n), code, part);
    fv__put32(at, saved);
    assert_true(store_reseal(&whole));
}

static void tables_that_contradict_are_refused(void **state)
{
    uint8_t *complete = store_value(&whole, 1).p, *settings = store_value(&whole, 2).p;
    uint8_t *index = store_value(&whole, 3).p, *labels = store_value(&whole, 4).p;
    uint8_t *names = store_value(&whole, 5).p, *dict = store_value(&whole, 6).p;
    const uint32_t block = (uint32_t)store_value(&whole, 0).n;

    (void)state;
    check_resealed(settings + 8, 1, FV_EVERSION, "is a data set of version 1");
    check_resealed(settings + 12, 0, FV_ECORRUPT, "damaged settings");
    check_resealed(settings + 16, FV_SIDE_MAX + 1, FV_ECORRUPT, "damaged settings");
    check_resealed(settings + 20, 99, FV_EVERSION, "codec 99");
    check_resealed(settings + 24, 13, FV_ECORRUPT, "damaged settings");
    check_resealed(complete, 0, FV_ECORRUPT, "its counts");
    check_resealed(complete, 21, FV_ECORRUPT, "table");
    check_resealed(complete, FV_IMAGES_MAX, FV_ECORRUPT, "its counts");
    check_resealed(complete + 8, 5, FV_ECORRUPT, "its table of identities");
    check_resealed(complete + 8, 21, FV_ECORRUPT, "its counts");
    check_resealed(complete + 16, 2, FV_ECORRUPT, "blocks are missing");
    check_resealed(complete + 24, 1, FV_ECORRUPT, "its counts");
    check_resealed(index, 1, FV_ECORRUPT, "its index");              /* block */
    check_resealed(index + 4, block - 24, FV_ECORRUPT, "its index"); /* offset */
    check_resealed(index + 4, 4, FV_ECORRUPT, "its index");
    check_resealed(index + 4, UINT32_MAX - 7, FV_ECORRUPT, "its index");
    check_resealed(index + 8, block + 1, FV_ECORRUPT, "its index"); /* bytes */
    check_resealed(index + 8, FV_RECORD_HEADER - 1, FV_ECORRUPT, "its index");
    check_resealed(index + 12, 1, FV_ECORRUPT, "its index");        /* label */
    check_resealed(index + 12, 2u << 30, FV_ECORRUPT, "its index"); /* split */
    check_resealed(index + 12, 3u << 30, FV_ECORRUPT, "its index");
    check_resealed(dict, 1, FV_ECORRUPT, "its dictionary");
    check_resealed(labels, 3, FV_ECORRUPT, "its table of identities");
    check_resealed(labels + 4, 1, FV_ECORRUPT, "its table of identities"); /* first image */
    check_resealed(labels + 8, 0, FV_ECORRUPT, "its table of identities"); /* images */
    check_resealed(labels + 8, UINT32_MAX, FV_ECORRUPT, "its table of identities");
    check_resealed(labels + 12, 1, FV_ECORRUPT, "its table of identities");          /* held out */
    check_resealed(labels + 16, UINT32_MAX, FV_ECORRUPT, "its table of identities"); /* name */
    check_resealed(names, 1, FV_ECORRUPT, "its table of names");
    check_resealed(names + 8, 0, FV_ECORRUPT, "its table of names");
    check_resealed(names + 8, 18, FV_ECORRUPT, "its table of names"); /* not where a name ends */
    check_resealed(names + 8 * 20, UINT32_MAX, FV_ECORRUPT, "its table of names");
    /* The last name ends where it may, and something follows. */
    uint8_t *last = names + store_value(&whole, 5).n - 3;
    const uint8_t saved = *last;
    *last = '\0';
    check_resealed(names + 8 * 20, fv__get32(names + 8 * 20) - 2, FV_ECORRUPT,
                   "its table of names");
    *last = saved;
    assert_true(store_reseal(&whole));
    assert_int_equal(open_bytes(whole.p, whole.n), FV_OK);
}

static void a_name_that_comes_twice_is_told_by_find(void **state)
{
    const struct store_bytes v = store_value(&whole, 5);
    char *name = memmem(v.p, v.n, "person002/0004.jpg", sizeof "person002/0004.jpg");
    struct fv_store *s;
    uint64_t image;

    (void)state;
    assert_non_null(name);
    memcpy(name, "person003/0004.jpg", 18); /* still the last of its identity */
    assert_true(store_reseal(&whole));
    put(other, whole.p, whole.n);
    memcpy(name, "person002/0004.jpg", 18);
    assert_true(store_reseal(&whole));
    assert_int_equal(fv_store_open(&s, other), FV_OK);
    for (int i = 0; i < 2; i++)
        check_sentence(fv_store_find(s, "person001/0000.jpg", &image), FV_ECORRUPT,
                       "two images are named person003/0004.jpg");
    fv_store_close(&s);
}

/* Names go into lists and onto terminals: a line break in one would forge a row of photos.csv. */
static void names_with_control_characters_are_refused(void **state)
{
    static const struct {
        const char *name, *what;
        int key;
    } of[] = {{"person000/0000.jpg", "its table of names", 5},
              {"person000", "its table of identities", 4}}; /* first, so still in order */
    static const char bad[] = {'\n', '\t', 27};

    (void)state;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof bad; i++) {
            const struct store_bytes v = store_value(&whole, of[k].key);
            char *name = memmem(v.p, v.n, of[k].name, strlen(of[k].name));
            assert_non_null(name);
            const char saved = name[8];
            name[8] = bad[i];
            assert_true(store_reseal(&whole));
            check_sentence(open_bytes(whole.p, whole.n), FV_ECORRUPT, of[k].what);
            name[8] = saved;
        }
    assert_true(store_reseal(&whole));
    assert_int_equal(open_bytes(whole.p, whole.n), FV_OK);
}

/* Orders that a writer keeps and that joining several files relies on. */
static void names_out_of_order_are_refused(void **state)
{
    const struct store_bytes names = store_value(&whole, 5), labels = store_value(&whole, 4);
    char *name = memmem(names.p, names.n, "person001/0002.jpg", 18);
    char *label = memmem(labels.p, labels.n, "person001", 9);

    (void)state;
    assert_true(name && label);
    name[13] = '4'; /* behind the one that follows */
    assert_true(store_reseal(&whole));
    check_sentence(open_bytes(whole.p, whole.n), FV_ECORRUPT, "its table of names");
    name[13] = '1'; /* as the one before */
    assert_true(store_reseal(&whole));
    check_sentence(open_bytes(whole.p, whole.n), FV_ECORRUPT, "its table of names");
    name[13] = '2';
    for (const char *c = "029"; *c;
         c++) { /* as the one before, as the one behind it, behind that */
        label[8] = *c;
        assert_true(store_reseal(&whole));
        check_sentence(open_bytes(whole.p, whole.n), FV_ECORRUPT, "its table of identities");
    }
    label[8] = '1';
    label = memmem(labels.p, labels.n, "person002", 9);
    label[8] = '3'; /* trained on, and held out */
    assert_true(store_reseal(&whole));
    check_sentence(open_bytes(whole.p, whole.n), FV_ECORRUPT, "its table of identities");
    label[8] = '2';
    assert_true(store_reseal(&whole));
    assert_int_equal(open_bytes(whole.p, whole.n), FV_OK);
}

static void a_changed_name_is_told_by_verify(void **state)
{
    const struct store_bytes v = store_value(&whole, 5);
    struct fv_store *s;
    uint64_t bad;

    (void)state;
    v.p[v.n - 2] ^= 1;
    assert_true(store_reseal(&whole));
    put(other, whole.p, whole.n);
    v.p[v.n - 2] ^= 1;
    assert_true(store_reseal(&whole));
    assert_int_equal(fv_store_open(&s, other), FV_OK);
    check_sentence(fv_store_verify(s, 1, NULL, &bad), FV_ECORRUPT, "the digest does not match");
    assert_int_equal(bad, 0);
    fv_store_close(&s);
}

/* A file of LMDB's that holds what a packing has written until it was killed. */
static void check_content(const char *const *key, const size_t *n, int keys, int code,
                          const char *part)
{
    struct fv_append_file *f;
    struct fv_store *s;

    unlink(other);
    assert_int_equal(fv__append_file_create(&f, other, 0), FV_OK);
    for (int i = 0; i < keys; i++) {
        const struct fv_span name = {(const uint8_t *)key[i], n[i]};
        const int table = strcmp(key[i], "fv") == 0 ? 2 : 0;
        assert_int_equal(fv__append_file_put(f, name, store_table(&whole, table)), FV_OK);
    }
    assert_int_equal(fv__append_file_finish(f), FV_OK);
    fv__append_file_close(&f);
    check_sentence(fv_store_open(&s, other), code, part);
    assert_null(s);
}

static void what_is_not_finished_is_told(void **state)
{
    const char *const packing[] = {"B\0\0\0\0", "fv"}, *const foreign[] = {"cat", "dog"};

    (void)state;
    check_content(packing, (size_t[]){5, 2}, 0, FV_ENOTFOUND,
                  "run the same 'fvprep pack' command again");
    check_content(packing, (size_t[]){5, 2}, 1, FV_ENOTFOUND,
                  "run the same 'fvprep pack' command again");
    check_content(packing, (size_t[]){5, 2}, 2, FV_ENOTFOUND,
                  "run the same 'fvprep pack' command again");
    check_content(foreign, (size_t[]){3, 3}, 2, FV_ECORRUPT,
                  "is an LMDB file, but not an fv data set");
}

static void a_file_opens_once(void **state)
{
    struct fv_store *s, *again;

    (void)state;
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    check_sentence(fv_store_open(&again, path), FV_EEXIST, "is already open in this process");
    assert_null(again);
    unlink(other);
    assert_int_equal(symlink(path, other), 0);
    check_sentence(fv_store_open(&again, other), FV_EEXIST, "is already open in this process");
    unlink(other);
    put(other, whole.p, whole.n);
    assert_int_equal(fv_store_open(&again, other), FV_OK); /* another file of the same bytes */
    fv_store_close(&again);
    fv_store_close(&s);
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    fv_store_close(&s);
}

static void a_child_may_open_what_its_parent_has(void **state)
{
    struct fv_store *s, *own = NULL;
    int status;

    (void)state;
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    const pid_t child = fork();
    if (child == 0) {
        int ok = fv_store_open(&own, path) == FV_OK && fv_store_info(own)->images > 0;
        ok = ok && fv_store_open(&s, path) == FV_EEXIST; /* its own is open now */
        fv_store_close(&own);
        ok = ok && fv_store_open(&own, path) == FV_OK;
        _exit(!ok);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(fv_store_open(&own, path), FV_EEXIST);
    fv_store_close(&s);
}

/* The first image's entry, where the second's belongs: both records are whole, but one is not this image. */
static void a_record_of_another_image_is_told(void **state)
{
    const struct store_bytes index = store_value(&whole, 3);
    uint8_t saved[FV_INDEX_ENTRY];
    struct fv_store *s;
    uint64_t bad;

    (void)state;
    memcpy(saved, index.p, sizeof saved);
    memcpy(index.p + 16, index.p + FV_INDEX_ENTRY + 16, 8);
    assert_true(store_reseal(&whole));
    put(other, whole.p, whole.n);
    memcpy(index.p, saved, sizeof saved);
    assert_true(store_reseal(&whole));
    assert_int_equal(fv_store_open(&s, other), FV_OK);
    check_sentence(fv_store_verify(s, 1, NULL, &bad), FV_ECORRUPT, "1 of 20 images are damaged");
    struct fv_decoder *d;
    uint8_t rgb[8 * 8 * 3 + FV_DECODE_PAD];
    assert_int_equal(fv_decoder_open(&d, s), FV_OK);
    check_sentence(fv_decoder_read(d, 0, rgb), FV_ECORRUPT,
                   "image 0 (person000/0000.jpg): the record belongs to another image");
    fv_decoder_close(&d);
    fv_store_close(&s);
}

/* Every checksum is right, but the content hash was never that of the content. */
static void a_content_that_was_not_packed_is_told_by_verify(void **state)
{
    const struct store_bytes index = store_value(&whole, 3), block = store_value(&whole, 0);
    uint8_t *saved = malloc(block.n);
    struct fv_record r;
    struct fv_store *s;
    uint64_t bad;

    (void)state;
    memcpy(saved, block.p, block.n);
    const uint32_t n = fv__get32(index.p + 8);
    assert_int_equal(fv__record_parse(block.p, n, &r), FV_OK);
    r.content ^= 1;
    fv__record_seal(block.p, &r);
    index.p[16] ^= 1;
    assert_true(store_reseal(&whole));
    put(other, whole.p, whole.n);
    index.p[16] ^= 1;
    memcpy(block.p, saved, block.n);
    free(saved);
    assert_true(store_reseal(&whole));
    assert_int_equal(fv_store_open(&s, other), FV_OK);
    struct fv_decoder *d;
    uint8_t rgb[8 * 8 * 3 + FV_DECODE_PAD];
    assert_int_equal(fv_decoder_open(&d, s), FV_OK);
    assert_int_equal(fv_decoder_read(d, 0, rgb), FV_OK);
    fv_decoder_close(&d);
    check_sentence(fv_store_verify(s, 1, NULL, &bad), FV_ECORRUPT, "1 of 20 images are damaged");
    assert_int_equal(bad, 1);
    fv_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(every_flipped_byte_of_a_table_is_refused),
        cmocka_unit_test(a_flipped_byte_in_the_settings_text_is_told),
        cmocka_unit_test(a_damaged_page_of_the_tree_is_told),
        cmocka_unit_test(tables_that_contradict_are_refused),
        cmocka_unit_test(a_name_that_comes_twice_is_told_by_find),
        cmocka_unit_test(names_out_of_order_are_refused),
        cmocka_unit_test(names_with_control_characters_are_refused),
        cmocka_unit_test(a_changed_name_is_told_by_verify),
        cmocka_unit_test(what_is_not_finished_is_told),
        cmocka_unit_test(a_record_of_another_image_is_told),
        cmocka_unit_test(a_content_that_was_not_packed_is_told_by_verify),
        cmocka_unit_test(a_file_opens_once),
        cmocka_unit_test(a_child_may_open_what_its_parent_has),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
