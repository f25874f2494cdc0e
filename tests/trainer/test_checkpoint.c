/* SPDX-License-Identifier: MIT */
/* Safetensors: bytes written against a file drawn by hand, files of other programs, and every fault. */
#include "trainer/run/checkpoint.h"
#include "trainer/run/snapshot.h"

#include "common/err.h"
#include "common/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/fv-test-checkpoint-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static const float weight[6] = {1, 2, 3, 4, 5, -0.5f};
static const int64_t count = 0x0102030405060708;
static const struct fv_st_tensor two[2] = {
    {"fc.weight", "F32", 2, {2, 3}, weight, sizeof weight},
    {"bn1.num_batches_tracked", "I64", 0, {0}, &count, sizeof count},
};
static const struct fv_st_meta meta[2] = {{"arch", "tiny"}, {"settings", "a = \"1\"\n"}};

/* 8-byte types first; the header is padded with blanks so that data begins at a multiple of 8. */
static void test_bytes_written(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"arch\":\"tiny\",\"settings\":\"a = \\\"1\\\"\\n\"},"
        "\"bn1.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]}}";
    size_t text = sizeof header - 1, padded = (text + 7) / 8 * 8, n;
    char *got, want[8 + 512 + 32] = {(char)(padded & 255), (char)(padded >> 8)};
    memset(want + 8, ' ', padded);
    memcpy(want + 8, header, text);
    memcpy(want + 8 + padded, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    memcpy(want + 16 + padded, weight, sizeof weight);

    assert_int_equal(fv_st_write(path, two, 2, meta, 2), 0);
    assert_int_equal(fv_file_read(path, 1 << 20, &got, &n), 0);
    assert_int_equal(n, 8 + padded + 32);
    assert_memory_equal(got, want, n);
    free(got);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct fv_st *st;
    struct fv_st_tensor t;
    assert_int_equal(fv_st_write(path, two, 2, meta, 2), 0);
    assert_int_equal(fv_st_open(&st, path), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fv_st_tensor(st, two[i].name, &t), 0);
        assert_string_equal(t.dtype, two[i].dtype);
        assert_int_equal(t.ndim, two[i].ndim);
        assert_memory_equal(t.dim, two[i].dim, sizeof t.dim);
        assert_int_equal(t.bytes, two[i].bytes);
        assert_memory_equal(t.data, two[i].data, t.bytes);
        assert_string_equal(fv_st_meta(st, meta[i].key), meta[i].value);
    }
    assert_int_equal(fv_st_tensor_at(st, 1, &t), 0);
    assert_string_equal(t.name, "fc.weight");
    assert_int_equal(fv_st_tensor_at(st, 2, &t), FV_ENOTFOUND);
    assert_int_equal(fv_st_tensor(st, "fc.bias", &t), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "fc.bias"));
    assert_null(fv_st_meta(st, "stem"));
    fv_st_close(&st);
    assert_null(st);
    fv_st_close(&st);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    struct fv_st_tensor bad = two[0];
    bad.bytes = 20;
    assert_int_equal(fv_st_write(path, &bad, 1, NULL, 0), FV_EINVAL);
    bad = two[0];
    bad.dtype = "F31";
    assert_int_equal(fv_st_write(path, &bad, 1, NULL, 0), FV_EINVAL);
    struct fv_st_tensor twice[2] = {two[0], two[0]};
    assert_int_equal(fv_st_write(path, twice, 2, NULL, 0), FV_EINVAL);
    struct fv_st_meta latin = {"name", "caf\xe9"};
    assert_int_equal(fv_st_write(path, two, 2, &latin, 1), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "name"));
    assert_int_equal(fv_st_write("/nonexistent/a.safetensors", two, 2, NULL, 0), FV_EIO);
}

/* A failed write leaves the old file. */
static void test_replaces_whole(void **state)
{
    (void)state;
    struct fv_st *st;
    struct fv_st_meta latin = {"name", "caf\xe9"};
    assert_int_equal(fv_st_write(path, two, 2, meta, 2), 0);
    assert_int_equal(fv_st_write(path, two, 1, &latin, 1), FV_EINVAL);
    assert_int_equal(fv_st_open(&st, path), 0);
    assert_string_equal(fv_st_meta(st, "arch"), "tiny");
    fv_st_close(&st);
}

/* Parses the given header followed by `data` zero bytes. */
static int parse(const char *header, size_t data, struct fv_st **st)
{
    size_t text = strlen(header), n = 8 + text + data;
    char *bytes = calloc(1, n);
    bytes[0] = (char)(text & 255);
    bytes[1] = (char)(text >> 8);
    memcpy(bytes + 8, header, text);
    return fv_st_parse(st, bytes, n, "a.st");
}

static void test_reads_others(void **state)
{
    (void)state;
    struct fv_st *st;
    struct fv_st_tensor t;
    /* no metadata, other order than by position, an empty tensor, types that we never write */
    assert_int_equal(parse("{\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[1,7]},"
                           "\"e\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[7,7]},"
                           "\"a\":{\"shape\":[1],\"dtype\":\"U8\",\"data_offsets\":[0,1]}}  ",
                           7, &st),
                     0);
    assert_int_equal(fv_st_tensor_at(st, 0, &t), 0);
    assert_string_equal(t.name, "a");
    assert_int_equal(fv_st_tensor(st, "e", &t), 0);
    assert_int_equal(t.bytes, 0);
    fv_st_close(&st);
    assert_int_equal(parse("{}", 0, &st), 0);
    fv_st_close(&st);
}

#define T(range) "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" range "}}"
static const struct {
    const char *header;
    size_t data;
    const char *says; /* a part of the sentence */
} faults[] = {
    {"", 0, "header"},
    {"[]", 0, "not a safetensors"},
    {"{\"a\"", 0, "header"},
    {"{\"a\":1}", 0, "'a'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "'a' lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "'a' lacks"},
    {"{\"a\":{\"dtype\":\"Q4\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'Q4'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "dimension"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}}", 8, "dimension"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],\"data_offsets\":[0,8]}}", 8,
     "impossible"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
     "impossible"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904,4],\"data_offsets\":[0,0]}}", 0,
     "impossible"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
     "dimensions"},
    {T("[0,4]"), 8, "needs 8 bytes"},
    {T("[0,8]"), 7, "of 7"},
    {T("[8,0]"), 8, "lies at"},
    {T("[-8,0]"), 8, "lies at"},
    {T("[0,8,8]"), 8, "lacks"},
    {T("[0,9223372036854775807]"), 8, "lies at"},
    {T("[0,18446744073709551616]"), 8, "header"},
    {T("[4,12]"), 12, "hole"},
    {T("[0,8]"), 9, "1 bytes follow"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
     3, "overlaps"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     1, "duplicate"},
    {"{\"__metadata__\":[]}", 0, "__metadata__"},
    {"{\"__metadata__\":{\"step\":1}}", 0, "'step'"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct fv_st *st;
        int rc = parse(faults[i].header, faults[i].data, &st);
        if (rc >= 0 || st)
            fail_msg("accepted: %s", faults[i].header);
        if (!strstr(fv_err_text(), faults[i].says) || !strstr(fv_err_text(), "a.st"))
            fail_msg("%s\nsays \"%s\", should say \"%s\"", faults[i].header, fv_err_text(),
                     faults[i].says);
    }
}

/* A file of nothing but metadata is gone through in a time that grows with it, and not with its square. */
static void test_much_metadata(void **state)
{
    (void)state;
    enum { MANY = 100000, ENTRY = 14 };
    char *bytes = malloc(8 + ENTRY * (MANY + 4)), digest[FV_SNAPSHOT_DIGEST];
    size_t n = 8;
    struct fv_st *st;
    struct fv_st_meta m;
    n += (size_t)sprintf(bytes + n, "{\"__metadata__\":{");
    for (int i = 0; i < MANY; i++)
        n += (size_t)sprintf(bytes + n, "%s\"%06d\":\"\"", i ? "," : "", i);
    n += (size_t)sprintf(bytes + n, "}}");
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((n - 8) >> 8 * i);
    assert_int_equal(fv_st_parse(&st, bytes, n, "a.st"), 0);
    const clock_t begin = clock();
    assert_int_equal(fv__snapshot_digest_of(st, digest), 0);
    assert_true(clock() - begin < 5 * CLOCKS_PER_SEC);
    assert_int_equal(fv_st_meta_at(st, MANY - 1, &m), 0);
    assert_string_equal(m.key, "099999");
    assert_int_equal(fv_st_meta_at(st, MANY, &m), FV_ENOTFOUND);
    assert_int_equal(fv_st_meta_at(st, -1, &m), FV_ENOTFOUND);
    fv_st_close(&st);
}

/* No prefix of a file is a file. */
static void test_every_truncation(void **state)
{
    (void)state;
    char *whole;
    size_t n;
    assert_int_equal(fv_st_write(path, two, 2, meta, 2), 0);
    assert_int_equal(fv_file_read(path, 1 << 20, &whole, &n), 0);
    for (size_t k = 0; k < n; k++) {
        struct fv_st *st;
        char *part = malloc(k + 1);
        memcpy(part, whole, k);
        assert_int_equal(fv_st_parse(&st, part, k, path), FV_ECORRUPT);
    }
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_written),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_writer_refuses),   cmocka_unit_test(test_replaces_whole),
        cmocka_unit_test(test_reads_others),     cmocka_unit_test(test_faults),
        cmocka_unit_test(test_every_truncation), cmocka_unit_test(test_much_metadata),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
