/* SPDX-License-Identifier: MIT */
/* Files that NumPy wrote, number by number; and what is none of them. */
#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *golden;

static unsigned char *from_hex(const char *hex, size_t n)
{
    unsigned char *p = malloc(n / 2 + 1);
    unsigned byte;

    for (size_t i = 0; i < n / 2; i++) {
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        p[i] = (unsigned char)byte;
    }
    return p;
}

static void check_line(char *line)
{
    size_t rows, columns;
    struct fv_npy a;
    int dims, at;

    assert_int_equal(sscanf(line, "%zu %zu %d %n", &rows, &columns, &dims, &at), 3);
    const size_t n = strspn(line + at, "0123456789abcdef");
    unsigned char *file = from_hex(line + at, n);
    char *next = line + at + n;

    assert_int_equal(fv_npy_parse(&a, file, n / 2, "golden"), FV_OK);
    assert_true(a.rows == rows && a.columns == columns && a.dims == dims);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < columns; k++) {
            const double want = strtod(next, &next), got = fv_npy_at(&a, i, k);
            assert_true(got == want && signbit(got) == signbit(want));
        }
    /* Every byte is needed, or of padding: one less is never accepted. */
    if (rows)
        assert_int_equal(fv_npy_parse(&a, file, n / 2 - 1, "golden"), FV_ECORRUPT);
    free(file);
}

static void numbers_are_numpys(void **state)
{
    FILE *f = fopen(golden, "r");
    char *line = NULL;
    size_t room = 0;
    int lines = 0;

    (void)state;
    assert_non_null(f);
    while (getline(&line, &room, f) > 0)
        if (*line != '#') {
            check_line(line);
            lines++;
        }
    assert_int_equal(lines, 160);
    free(line);
    fclose(f);
}

static int parse(const char *dictionary)
{
    struct fv_npy a;
    char file[256] = "\x93NUMPY\x01";

    file[8] = (char)strlen(dictionary);
    strcpy(file + 10, dictionary);
    return fv_npy_parse(&a, file, 10 + strlen(dictionary) + 48, "x.npy");
}

static void headers(void **state)
{
    (void)state;
    assert_int_equal(parse("{'shape':(3,4),\"descr\":'<f4','fortran_order':False}"), FV_OK);
    assert_int_equal(parse("{'descr':'<f4','fortran_order':False,'shape':(3,4)}"), FV_OK);
    assert_int_equal(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }"), FV_OK);
    assert_int_equal(parse("{'descr':'<f4','fortran_order':False,'shape':(3l,4)}"), FV_ECORRUPT);
    assert_int_equal(parse("{'descr':'<f4','fortran_order':False,'shape':(3,5)}"), FV_ECORRUPT);
    assert_int_equal(parse("{'descr':'<f4','fortran_order':False,'shape':()}"), FV_ECORRUPT);
    assert_int_equal(parse("{'descr':'<f4','fortran_order':False,'shape':(1,1,1)}"), FV_ECORRUPT);
    assert_int_equal(parse("{'descr':'<f4','fortran_order':0,'shape':(3,4)}"), FV_ECORRUPT);
    assert_int_equal(parse("{'descr':'<f4','shape':(3,4)}"), FV_ECORRUPT);
    assert_int_equal(parse("{'descr':'|O','fortran_order':False,'shape':(3,4)}"), FV_EUNSUPPORTED);
    assert_int_equal(parse("{'descr':'<U9','fortran_order':False,'shape':(3,4)}"), FV_EUNSUPPORTED);
    assert_int_equal(parse("{'descr':[('a','<f4')],'fortran_order':False,'shape':(3,4)}"),
                     FV_EUNSUPPORTED);
    assert_int_equal(parse("{'descr':'<f8','fortran_order':False,'shape':(4294967296,4294967296)}"),
                     FV_ECORRUPT);
    assert_int_equal(
        parse("{'descr':'<f8','fortran_order':False,'shape':(99999999999999999999,0)}"),
        FV_ECORRUPT);
}

static void an_archive_is_refused_with_the_remedy(void **state)
{
    const char zip[64] = "PK\x03\x04";
    struct fv_npy a;

    (void)state;
    assert_int_equal(fv_npy_parse(&a, zip, sizeof zip, "e.npz"), FV_EUNSUPPORTED);
    assert_non_null(strstr(fv_err_text(), "numpy.save('e.npy', numpy.load('e.npz')['NAME'])"));
}

static void what_is_written_is_read(void **state)
{
    const float v[6] = {1, -2.5f, 3e-30f, 4, 5, -6};
    char path[] = "/tmp/fv-npy-XXXXXX", *file;
    struct fv_npy a;
    size_t n;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(fv_npy_write(path, v, 3, 2), FV_OK);
    assert_int_equal(fv_file_read(path, 4096, &file, &n), FV_OK);
    assert_int_equal(fv_npy_parse(&a, file, n, path), FV_OK);
    assert_true(a.rows == 3 && a.columns == 2 && n == 128 + sizeof v);
    for (size_t i = 0; i < 6; i++)
        assert_true(fv_npy_at(&a, i / 2, i % 2) == (double)v[i]);
    free(file);
    unlink(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_numpys),
        cmocka_unit_test(headers),
        cmocka_unit_test(an_archive_is_refused_with_the_remedy),
        cmocka_unit_test(what_is_written_is_read),
    };

    golden = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
