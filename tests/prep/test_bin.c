/* SPDX-License-Identifier: MIT */
/* Verification sets in every form that Python writes them (tests/golden/make_bin_golden.py), and pickles that
 * want to be more than that.
 *
 * usage: test_bin GOLDEN_FOLDER
 */
#include "prep/import/bin_pairs.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/pickle.h"
#include "prep/import/importer.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *golden;

static void assert_picture(const struct fv_listing *l, const char *name, const char *identity,
                           int grey)
{
    static const char head[] = "P5\n12 12\n255\n";
    uint8_t *buf = NULL;
    size_t room = 0, n = 0, i = 0;
    struct fv_refusal why;
    while (i < l->photos && strcmp(l->photo[i].name, name) != 0)
        i++;
    assert_true(i < l->photos);
    assert_string_equal(l->photo[i].identity, identity);
    assert_int_equal(l->photo[i].split, FV_SPLIT_HOLDOUT);
    assert_int_equal(fv__import_read(l, &l->photo[i], &buf, &room, &n, &why), 0);
    assert_int_equal(n, sizeof head - 1 + 144);
    assert_memory_equal(buf, head, sizeof head - 1);
    for (size_t k = sizeof head - 1; k < n; k++)
        assert_int_equal(buf[k], grey);
    free(buf);
}

static void reads_all_that_python_writes(void **state)
{
    (void)state;
    static const char *const names[] = {"bin_py2",    "bin_bytes2", "bin_bytes4",    "bin_numpy2",
                                        "bin_numpy4", "bin_numpy5", "bin_numpy_core"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fv_listing l;
        char path[1024], *text = NULL;
        size_t n;
        snprintf(path, sizeof path, "%s/%s.bin", golden, names[i]);
        if (fv__import(&l, path, &(struct fv_import_settings){0}, NULL) < 0)
            fail_msg("%s", fv_err_text());
        assert_string_equal(l.importer->name, "bin");
        assert_int_equal(l.photos, 6);
        assert_int_equal(l.identities, 4);
        assert_picture(&l, "pair00001_a", "pair00001", 10);
        assert_picture(&l, "pair00001_b", "pair00001", 11);
        assert_picture(&l, "pair00002_a", "pair00002_a", 127);
        assert_picture(&l, "pair00002_b", "pair00002_b", 128);
        assert_picture(&l, "pair00003_a", "pair00003", 200);
        assert_picture(&l, "pair00003_b", "pair00003", 255);
        FILE *f = open_memstream(&text, &n);
        l.importer->write_pairs(&l, f);
        fclose(f);
        assert_string_equal(text, "pair00001_a pair00001_b 1\npair00002_a pair00002_b 0\n"
                                  "pair00003_a pair00003_b 1\n");
        free(text);
        fv__listing_free(&l);
    }
}

/* --- pickles, byte by byte ------------------------------------------------------------------------ */

static int parse(const char *bytes, size_t n)
{
    struct fv_bin_pairs b;
    int rc = fv__bin_parse(&b, (const uint8_t *)bytes, n, "x.bin");
    if (rc == 0)
        fv__bin_free(&b);
    return rc;
}

#define TAKES(bytes)                                                                               \
    do {                                                                                           \
        if (parse(bytes, sizeof bytes - 1) < 0)                                                    \
            fail_msg("%s", fv_err_text());                                                         \
    } while (0)
#define REFUSES(bytes, sentence)                                                                   \
    do {                                                                                           \
        assert_int_equal(parse(bytes, sizeof bytes - 1), FV_ECORRUPT);                             \
        if (!strstr(fv_err_text(), sentence))                                                      \
            fail_msg("'%s' does not say '%s'", fv_err_text(), sentence);                           \
    } while (0)

static void forms_by_hand(void **state)
{
    (void)state;
    TAKES("\x80\x02](U\x01"
          "aU\x01"
          "be]\x88"
          "a\x86.");
    TAKES("(](U\x01"
          "aU\x01"
          "be]I01\nat."); /* protocol 1 */
    TAKES("\x80\x04U\x01"
          "aU\x01"
          "b\x86\x88\x85\x86."); /* tuples for lists */
    TAKES("\x80\x04](C\x01"
          "aq\x05h\x05"
          "e]K\x01"
          "a\x86."); /* one image twice; 1 for true */
    TAKES("\x80\x04](C\x00"
          "C\x00"
          "e]\x8a\x01\x01"
          "a\x86."); /* empty images are refused later */
    REFUSES("", "byte 0: the file ends before its pickle does");
    REFUSES("\x80\x06.", "a protocol that is not known");
    REFUSES("\x80\x02.", "more or less than one value");
    REFUSES("\x80\x02NN.", "more or less than one value");
    REFUSES("\x80\x02(.", "more or less than one value");
    REFUSES("\x80\x02N.", "not of two things");
    REFUSES("\x80\x02](U\x01"
            "aU\x01"
            "be]\x86.",
            "holds 2 images for 0 answers");
    REFUSES("\x80\x02](U\x01"
            "ae]\x88"
            "a\x86.",
            "holds 1 images for 1 answers");
    REFUSES("\x80\x02](U\x01"
            "aNe]\x88"
            "a\x86.",
            "image 1 is neither bytes nor an array");
    REFUSES("\x80\x02](U\x01"
            "aU\x01"
            "be]Na\x86.",
            "the answer of pair 0 is neither");
    REFUSES("\x80\x02](U\x01"
            "aU\x01"
            "be]K\x02"
            "a\x86.",
            "the answer of pair 0 is neither");
    REFUSES("\x80\x02]]\x86.", "holds 0 images for 0 answers");
}

static void nothing_is_executed(void **state)
{
    (void)state;
    REFUSES("cos\nsystem\n(U\x0btouch /tmp/xtR.", "byte 0: refers to 'os.system'");
    REFUSES("\x80\x04\x8c\x05posix\x8c\x06system\x93(C\x02idtR.", "refers to 'posix.system'");
    REFUSES("c\x1b[31m\nx\n.", "refers to '?[31m.x'");
    REFUSES("cnumpy\nndarray\n)R.", "not meant to be called");
    REFUSES("\x80\x02N)R.", "no known name");
    REFUSES("c_codecs\nencode\n(X\x01\x00\x00\x00"
            "aX\x03\x00\x00\x00hextR.",
            "not Latin-1");
    REFUSES("\x80\x02i", "opcode 0x69");
    REFUSES("\x80\x02P0\n.", "opcode 0x50");     /* persistent ids */
    REFUSES("\x80\x02\x82\x01.", "opcode 0x82"); /* extension registry */
    REFUSES("\x80\x02S'a'\n.", "opcode 0x53");
}

static void bounds_are_checked(void **state)
{
    (void)state;
    REFUSES("\x80", "ends within an opcode");
    REFUSES("\x80\x02U", "ends within an opcode");
    REFUSES("\x80\x02U\x02"
            "a",
            "a string is longer than the file");
    REFUSES("\x80\x02T\xff\xff\xff\xff"
            "a",
            "a string is longer than the file");
    REFUSES("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff"
            "a",
            "a string is longer than the file");
    REFUSES("\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00N.", "a frame is longer than the file");
    REFUSES("\x80\x02J\x01", "ends within an opcode");
    REFUSES("\x80\x02\x8a\x09"
            "123456789",
            "more than 64 bits");
    REFUSES("\x80\x02"
            "e.",
            "a mark is missing");
    REFUSES("\x80\x02(e.", "a list is missing");
    REFUSES("\x80\x02N(e.", "a list is missing");
    REFUSES("\x80\x02"
            "a",
            "a list is missing");
    REFUSES("\x80\x02](a", "a value is missing");
    REFUSES("\x80\x02\x85", "a value is missing");
    REFUSES("\x80\x02(\x85", "a value is missing");
    REFUSES("\x80\x02N\x87", "a value is missing");
    REFUSES("\x80\x02q\x00", "nothing to remember");
    REFUSES("\x80\x02(q\x00", "nothing to remember");
    REFUSES("\x80\x02h\x00", "recalls what it does not remember");
    REFUSES("\x80\x02Nq\x01h\x00", "recalls what it does not remember");
    REFUSES("\x80\x02Nr\xff\xff\xff\xff", "remembers more");
    REFUSES("\x80\x02j\xff\xff\xff\xff", "recalls what it does not remember");
    REFUSES("\x80\x02R", "a call without its parts");
    REFUSES("\x80\x02"
            "b",
            "a state without its object");
    REFUSES("\x80\x02NNb", "a state for what has none");
    REFUSES("\x80\x02\x93", "a name without its parts");
    REFUSES("\x80\x02NN\x93", "a name without its parts");
    REFUSES("\x80\x02"
            "cnumpy",
            "ends within an opcode");
    REFUSES("\x80\x02I2\n", "where a truth value is due");
    REFUSES("cnumpy\ndtype\n)R.", "a dtype without a name");
    REFUSES("cnumpy.core.multiarray\nscalar\n)R.", "no truth value");
    REFUSES("cnumpy.core.numeric\n_frombuffer\n)R.", "an array without its data");
    REFUSES("cnumpy.core.multiarray\n_reconstruct\n)R)b.", "an array without its data");
    REFUSES("c__builtin__\nbytes\n(NtR.", "bytes from something else");
}

/* A list that holds itself, and more values than memory should be spent on. */
static void bombs_are_refused(void **state)
{
    (void)state;
    REFUSES("\x80\x02]q\x00h\x00"
            "a.",
            "not of two things");
    size_t n = 3 << 20;
    char *many = malloc(n);
    memset(many, 'N', n);
    many[0] = '(';
    assert_int_equal(parse(many, n), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "holds more than a pair list does"));
    memset(many, ')', n);
    assert_int_equal(parse(many, n), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "holds more than a pair list does"));
    memset(many, '(', n);
    assert_int_equal(parse(many, n), FV_ECORRUPT);
    free(many);
}

static void latin1_comes_back_to_bytes(void **state)
{
    (void)state;
    uint8_t text[513], want[256];
    size_t n = 0;
    for (int i = 0; i < 256; i++) {
        want[i] = (uint8_t)i;
        if (i < 0x80) {
            text[n++] = (uint8_t)i;
        } else {
            text[n++] = (uint8_t)(0xc0 | i >> 6);
            text[n++] = (uint8_t)(0x80 | (i & 0x3f));
        }
    }
    assert_int_equal(fv__bin_from_latin1(text, n), 256);
    assert_memory_equal(text, want, 256);
    static const char *const bad[] = {"\x80",     "\xc2",         "\xc2\x41",
                                      "\xc4\x80", "\xe2\x82\xac", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(text, bad[i], strlen(bad[i]));
        assert_int_equal(fv__bin_from_latin1(text, strlen(bad[i])), -1);
    }
}

static void says_what_the_file_is(void **state)
{
    (void)state;
    struct fv_listing l;
    scratch_open();
    scratch_write("lfs.bin", "version https://git-lfs.github.com/spec/v1\n", 43);
    const struct fv_import_settings bin = {.layout = "bin"};
    assert_int_equal(fv__import(&l, scratch_path("lfs.bin"), &bin, NULL), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "git lfs pull"));
    assert_int_equal(fv__import(&l, scratch_path("gone.bin"), &bin, NULL), FV_ENOTFOUND);
    assert_null(l.root);
    scratch_close();
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    golden = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_that_python_writes),
        cmocka_unit_test(forms_by_hand),
        cmocka_unit_test(nothing_is_executed),
        cmocka_unit_test(bounds_are_checked),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(latin1_comes_back_to_bytes),
        cmocka_unit_test(says_what_the_file_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
