/* SPDX-License-Identifier: MIT */
/* Names beside embeddings, and the forms in which embeddings are written. */
#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/npy.h"
#include "trainer/eval/rows.h"
#include "trainer/eval/vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[2][128];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int parse(struct fv_rows *r, const char *text)
{
    return fv__rows_parse(r, "names", text, strlen(text));
}

static void csv_and_plain(void **state)
{
    struct fv_rows r;

    (void)state;
    assert_int_equal(
        parse(&r, "\xef\xbb\xbfid,Label,PATH\r\n1,x,a/1.jpg\r\n2,\"q\"\"r,s\",\"b, c\"\n"), FV_OK);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.name[0], "a/1.jpg");
    assert_string_equal(r.identity[0], "x");
    assert_string_equal(r.name[1], "b, c");
    assert_string_equal(r.identity[1], "q\"r,s");
    fv_rows_free(&r);
    assert_int_equal(parse(&r, "a b,c\n\"d\"\ne"), FV_OK);
    assert_true(r.n == 3 && !r.identity);
    assert_string_equal(r.name[0], "a b,c");
    assert_string_equal(r.name[1], "\"d\"");
    fv_rows_free(&r);
    assert_int_equal(parse(&r, "a\t1\nb\t2 3\n"), FV_OK);
    assert_string_equal(r.identity[1], "2 3");
    fv_rows_free(&r);
}

static void faults_name_the_line(void **state)
{
    struct fv_rows r;

    (void)state;
    assert_int_equal(parse(&r, "name,identity\na,1\nb\n"), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "names: line 3"));
    assert_int_equal(parse(&r, "a\n\nb\n"), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "names: line 2"));
    assert_int_equal(parse(&r, "a\t1\nb\n"), FV_ECORRUPT);
    assert_int_equal(parse(&r, ""), FV_ENOTFOUND);
    assert_int_equal(parse(&r, "name\n"), FV_ENOTFOUND);
    assert_int_equal(fv__rows_parse(&r, "names", "a\0b", 3), FV_ECORRUPT);
}

static void identities_are_numbered(void **state)
{
    static const uint32_t want[] = {0, 1, 0, 2, 1, 2, 0};
    uint32_t label[7], labels;
    struct fv_rows r;

    (void)state;
    assert_int_equal(parse(&r, "1\tzoe\n2\ta\n3\tzoe\n4\tab\n5\ta\n6\tab\n7\tzoe\n"), FV_OK);
    assert_int_equal(fv_rows_labels(&r, label, &labels), FV_OK);
    assert_int_equal(labels, 3);
    assert_memory_equal(label, want, sizeof want);
    fv_rows_free(&r);
    assert_int_equal(parse(&r, "x/a/1\nx/b/1\nx/a/2\n"), FV_OK);
    assert_int_equal(fv_rows_folders(&r), FV_OK);
    assert_string_equal(r.identity[2], "x/a");
    fv_rows_free(&r);
    assert_int_equal(parse(&r, "x/a\nb\n"), FV_OK);
    assert_int_equal(fv_rows_folders(&r), FV_ENOTFOUND);
    fv_rows_free(&r);
}

static void written_names_are_read(void **state)
{
    const char *name[] = {"a,b", "\"q\"", " c", "d\te", "f"},
               *identity[] = {"1", "", "x,y", "\"", "z"};
    const struct fv_rows rows = {.n = 5, .name = name, .identity = identity};
    struct fv_rows r;

    (void)state;
    assert_int_equal(fv_rows_write(&rows, in_folder("n.csv")), FV_OK);
    assert_int_equal(fv_rows_read(&r, in_folder("n.csv")), FV_OK);
    assert_int_equal(r.n, 5);
    for (size_t i = 0; i < r.n; i++) {
        assert_string_equal(r.name[i], name[i]);
        assert_string_equal(r.identity[i], identity[i]);
    }
    fv_rows_free(&r);
}

static void vectors_are_of_unit_length(void **state)
{
    const float v[] = {3, 4, 0.6f, 0.8f}, none[] = {1, 0, 0, 0}, nan[] = {1, 0, NAN, 1};
    struct fv_vectors r;

    (void)state;
    assert_int_equal(fv_npy_write(in_folder("v.npy"), v, 2, 2), FV_OK);
    assert_int_equal(fv_vectors_read(&r, in_folder("v.npy")), FV_OK);
    assert_true(r.n == 2 && r.dim == 2);
    assert_true(r.v[0] == 0.6f && r.v[1] == 0.8f && r.v[2] == 0.6f && r.v[3] == 0.8f);
    fv_vectors_free(&r);
    assert_int_equal(fv_npy_write(in_folder("v.npy"), none, 2, 2), FV_OK);
    assert_int_equal(fv_vectors_read(&r, in_folder("v.npy")), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "v.npy: row 1 has no direction"));
    assert_int_equal(fv_npy_write(in_folder("v.npy"), nan, 2, 2), FV_OK);
    assert_int_equal(fv_vectors_read(&r, in_folder("v.npy")), FV_EINVAL);
}

/* The bytes that faiss.write_index writes for IndexFlatIP(2) with these two vectors (faiss 1.15.1). */
static void faiss_index(void **state)
{
    static const unsigned char want[] =
        "IxFI\2\0\0\0\2\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x10\0\0\0\0\0\1\0\0\0\0\4\0\0\0\0\0\0\0"
        "\0\0\x80\x3f\0\0\0\0\0\0\0\0\0\0\x80\xbf";
    float v[] = {1, 0, 0, -1};
    const struct fv_vectors vectors = {2, 2, v};
    const char *name[] = {"a", "b,c"}, *identity[] = {"x", "y"};
    const struct fv_rows rows = {.n = 2, .name = name, .identity = identity};
    char *file;
    size_t n;

    (void)state;
    assert_int_equal(fv_vectors_write(&vectors, &rows, in_folder("v.faiss")), FV_OK);
    assert_int_equal(fv_file_read(in_folder("v.faiss"), 4096, &file, &n), FV_OK);
    assert_int_equal(n, sizeof want - 1);
    assert_memory_equal(file, want, n);
    free(file);
    assert_int_equal(fv_vectors_write(&vectors, &rows, in_folder("v.csv")), FV_OK);
    assert_int_equal(fv_file_read(in_folder("v.csv"), 4096, &file, &n), FV_OK);
    assert_string_equal(file, "name,identity,e0,e1\na,x,1,0\n\"b,c\",y,0,-1\n");
    free(file);
    assert_int_equal(fv_vectors_write(&vectors, &rows, in_folder("v.txt")), FV_EUSAGE);
}

/* Of 64-bit integers. */
static void write_labels(const char *path, const char *shape, const int64_t *label, size_t n)
{
    struct fv_file f;

    assert_int_equal(fv_file_create(&f, path), FV_OK);
    const int length = snprintf(NULL, 0, "{'descr':'<i8','fortran_order':False,'shape':%s}", shape);
    fwrite("\x93NUMPY\x01", 1, 8, f.f);
    fprintf(f.f, "%c%c{'descr':'<i8','fortran_order':False,'shape':%s}", length, 0, shape);
    fwrite(label, sizeof *label, n, f.f);
    assert_int_equal(fv_file_commit(&f), FV_OK);
}

/* Identities that differ beyond what a double holds are not one. */
static void labels_are_exact(void **state)
{
    const int64_t label[] = {9007199254740992, 9007199254740993, -1};
    const char *path = in_folder("labels.npy");
    struct fv_rows r;
    double *number;
    size_t n;

    (void)state;
    write_labels(path, "(3,)", label, 3);
    assert_int_equal(fv_numbers_read_rows(&r, path), FV_OK);
    assert_int_equal(r.n, 3);
    assert_string_equal(r.name[0], "9007199254740992");
    assert_string_equal(r.name[1], "9007199254740993");
    assert_string_equal(r.name[2], "-1");
    fv_rows_free(&r);
    assert_int_equal(fv_numbers_read(&number, &n, path), FV_OK);
    assert_true(n == 3 && number[2] == -1);
    free(number);
    write_labels(path, "(1,3)", label, 3);
    assert_int_equal(fv_numbers_read_rows(&r, path), FV_EINVAL);
    write_labels(path, "(4,)", label, 3);
    assert_int_equal(fv_numbers_read_rows(&r, path), FV_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_and_plain),
        cmocka_unit_test(faults_name_the_line),
        cmocka_unit_test(identities_are_numbered),
        cmocka_unit_test(written_names_are_read),
        cmocka_unit_test(vectors_are_of_unit_length),
        cmocka_unit_test(faiss_index),
        cmocka_unit_test(labels_are_exact),
    };
    char command[96];

    strcpy(folder, "/tmp/fv-vectors-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0 || failed;
}
