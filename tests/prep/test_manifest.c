/* SPDX-License-Identifier: MIT */
/* usage: test_manifest DATA_MANIFEST LIBVIPS_VERSION LIBJPEG_VERSION (of the build; "" is none) */
#include "prep/pack/manifest.h"

#include "prep/import/importer.h"
#include "prep/pack/libraries.h"
#include "prep/prep.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"
#include "tests/store/demo_store.h"

#include <inttypes.h>
#include <string.h>

static const char *project, *vips_version, *jpeg_version;

static struct fv_manifest *parse(const char *text)
{
    struct fv_manifest *m;
    if (fv_manifest_parse(&m, "m", text, strlen(text)) < 0)
        fail_msg("%s", fv_err_text());
    return m;
}

static void parse_fails(const char *text, const char *sentence)
{
    struct fv_manifest *m;
    assert_int_equal(fv_manifest_parse(&m, "m", text, strlen(text)), FV_ECORRUPT);
    assert_null(m);
    if (!strstr(fv_err_text(), sentence))
        fail_msg("'%s' lacks '%s'", fv_err_text(), sentence);
}

/* --- the text ------------------------------------------------------------------------------------- */

static void a_stanza_is_read_whole(void **state)
{
    (void)state;
    struct fv_manifest *m = parse("# a remark\r\n"
                                  "\r\n"
                                  "[one.A-b_2]\r\n"
                                  "title=One = two\r\n"
                                  "citation =  A. Author,\r\n"
                                  "\t  \"A title\",  \r\n"
                                  "   2024\r\n"
                                  "  # no part of it\r\n"
                                  "layout = folders\n"
                                  "size = 64\n"
                                  "holdout-ids = 15%\n"
                                  "images = 0\n"
                                  "digest = 0123456789abcdef with libvips 8.14.1, librsvg 2.54.7\n"
                                  "digest = ffffffffffffffff\n"
                                  "[two]\n"
                                  "  identities = 18446744");
    assert_int_equal(m->sets, 2);
    const struct fv_data_set *d = &m->set[0];
    assert_string_equal(d->name, "one.A-b_2");
    assert_int_equal(d->line, 3);
    assert_string_equal(d->text[FV_TITLE], "One = two");
    assert_string_equal(d->text[FV_CITATION], "A. Author, \"A title\", 2024");
    assert_null(d->text[FV_LICENCE]);
    assert_int_equal(d->options, 3);
    assert_string_equal(d->option[2].name, "holdout-ids");
    assert_string_equal(d->option[2].value, "15%");
    assert_int_equal(d->counted, 1u << FV_IMAGES);
    assert_int_equal(d->count[FV_IMAGES], 0);
    assert_int_equal(d->digests, 2);
    assert_true(d->digest[0].value == 0x0123456789abcdef && d->digest[1].value == UINT64_MAX);
    assert_string_equal(d->digest[0].libraries, "libvips 8.14.1, librsvg 2.54.7");
    assert_string_equal(d->digest[1].libraries, "");
    assert_int_equal(m->set[1].count[FV_IDENTITIES], 18446744);

    assert_int_equal(fv_manifest_find(m, "two", &d), 0);
    assert_ptr_equal(d, &m->set[1]);
    assert_int_equal(fv_manifest_find(m, "three", &d), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "no data set 'three': valid are one.A-b_2, two"));
    fv_manifest_close(&m);
    assert_null(m);
    fv_manifest_close(&m);
}

static void faults_name_their_line(void **state)
{
    (void)state;
    parse_fails("", "m: describes no data set");
    parse_fails("# x\nsize = 64\n", "line 2: 'size' stands before the first data set");
    parse_fails("[a]\nsizes = 64\n", "line 2: unknown key 'sizes': valid are digest, title, ");
    parse_fails("[a]\nsizes = 64\n", "identities, ");
    parse_fails("[a]\nsizes = 64\n", ", holdout-ids");
    /* options of a run are none of the data set */
    parse_fails("[a]\nthreads = 2\n", "line 2: unknown key 'threads'");
    parse_fails("[a]\noutput = x\n", "line 2: unknown key 'output'");
    parse_fails("[a]\n\nsize = 6a\n", "line 3: --size: '6a' is not a whole number");
    parse_fails("[a]\nsize = 4\n", "line 2: --size: '4' is not within 8 to 4096");
    parse_fails("[a]\nimages = 12,000\n", "line 2: '12,000' is no number of images");
    parse_fails("[a]\nimages = 99999999999999999999\n", "is no number of images");
    parse_fails("[a]\nimages =\n", "line 2: images has no value: leave out what is not known");
    parse_fails("[a]\nsize 64\n", "line 2: 'size 64' is neither '[name]' nor 'key = value'");
    parse_fails("[a\nsize = 64\n", "line 1: a data set begins with its name in brackets");
    parse_fails("[]\n", "line 1: '' is no name");
    parse_fails("[a b]\n", "line 1: 'a b' is no name");
    parse_fails("[a]\n[b]\n[a]\n", "line 3: [a] is already in line 1");
    parse_fails("[a]\nsize = 64\nsize = 64\n", "line 3: [a] already has a size");
    parse_fails("[a]\nimages = 1\nimages = 1\n", "line 3: [a] already has images");
    parse_fails("[a]\ntitle = 1\n  2\ntitle = 1\n", "line 4: [a] already has a title");
    parse_fails("[a]\ndigest = 0123456789abcde\n", "line 2: '0123456789abcde' is no digest");
    parse_fails("[a]\ndigest = 0123456789ABCDEF\n", "is no digest of 16 hexadecimal digits");
    parse_fails("[a]\ndigest = 0123456789abcdef libvips 8\n", "comes 'with library version, ...'");
    parse_fails("[a]\ndigest = 0123456789abcdef with libvip 8\n",
                "line 2: unknown library 'libvip': valid are libvips, ");
    parse_fails("[a]\ndigest = 0123456789abcdef with libvips\n",
                "line 2: 'libvips' is not 'library");
    parse_fails("[a]\ndigest = 0123456789abcdef\ndigest = 0123456789abcdee\n",
                "line 3: [a] already has a digest with any libraries");
    struct fv_manifest *m;
    assert_int_equal(fv_manifest_parse(&m, "m", "[a]\0", 4), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "is not a text file"));
    assert_int_equal(fv_manifest_open(&m, "/nowhere/m"), FV_ENOTFOUND);
    assert_null(m);
}

/* --- packing -------------------------------------------------------------------------------------- */

static void options_come_from_the_stanza_and_stay(void **state)
{
    (void)state;
    struct fv_manifest *m =
        parse("[a]\nlayout = folders\nsize = 64\nval = 10%\n[b]\ntitle = none\n");
    struct fv_pack_settings s, none;
    fv_pack_defaults(&s);
    fv_pack_defaults(&none);
    assert_int_equal(fv_manifest_apply(&m->set[1], &s), 0);
    assert_memory_equal(&s, &none, sizeof s);
    assert_int_equal(fv_manifest_apply(&m->set[0], &s), 0);
    assert_int_equal(s.size, 64);
    assert_string_equal(s.layout, "folders");
    assert_true(s.val > 0.0999 && s.val < 0.1001);
    assert_int_equal(fv_manifest_allows(m, &m->set[0], &s), 0);
    s.level = 19; /* of which the stanza says nothing */
    s.val = 0.1;
    assert_int_equal(fv_manifest_allows(m, &m->set[0], &s), 0);
    s.val = 0.2;
    assert_int_equal(fv_manifest_allows(m, &m->set[0], &s), FV_EUSAGE);
    assert_string_equal(fv_err_text(), "--val 0.2 contradicts m, where [a] has val = 10%");
    s.val = 0.1;
    s.layout = "list";
    assert_int_equal(fv_manifest_allows(m, &m->set[0], &s), FV_EUSAGE);
    assert_string_equal(fv_err_text(),
                        "--layout list contradicts m, where [a] has layout = folders");
    assert_int_equal(fv_manifest_allows(m, &m->set[1], &s), 0);
    fv_manifest_close(&m);
}

/* --- checking ------------------------------------------------------------------------------------- */

/* 5 identities of 10 images, one held out; every fifth image of the others validates. */
static const struct demo demo = {.labels = 5, .images = 10, .holdout = 1, .side = 8};
#define COUNTS                                                                                     \
    "identities = 5\ntrain-identities = 4\nholdout-identities = 1\nimages = 50\n"                  \
    "train-images = 32\nval-images = 8\nholdout-images = 10\n"

static struct fv_store *open_demo(void)
{
    struct fv_store *s;
    const char *path = scratch_path("demo.lmdb");
    assert_int_equal(demo_make(path, &demo), FV_OK);
    assert_int_equal(fv_store_open(&s, path), FV_OK);
    return s;
}

/* The result of the check; a failure's sentence must have `sentence`. */
static void check(const struct fv_store *s, int packed_here, int result, const char *sentence,
                  const char *format, ...)
{
    char text[1000] = "[a]\n";
    va_list ap;
    va_start(ap, format);
    vsnprintf(text + 4, sizeof text - 4, format, ap);
    va_end(ap);
    struct fv_manifest *m = parse(text);
    assert_int_equal(fv_manifest_check(m, &m->set[0], s, packed_here), result);
    if (result < 0 && !strstr(fv_err_text(), sentence))
        fail_msg("'%s' lacks '%s'", fv_err_text(), sentence);
    fv_manifest_close(&m);
}

static void counts_and_form_are_checked(void **state)
{
    (void)state;
    struct fv_store *s = open_demo();
    check(s, 0, 0, "", "title = nothing known\n");
    check(s, 0, 0, "", COUNTS "size = 8\ncodec = pixels\nlayout = recordio\n");
    check(s, 0, FV_ECORRUPT, "demo.lmdb: is not [a] of m: that has size = 16, this has 8",
          "size = 16\n");
    check(s, 0, FV_ECORRUPT, "has codec = jpeg, this has pixels", "codec = jpeg\n");
    static const char *const keys[] = {
        "identities = 5",    "train-identities = 4", "holdout-identities = 1", "images = 50",
        "train-images = 32", "val-images = 8",       "holdout-images = 10"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char sentence[100];
        const char *value = strrchr(keys[i], ' ') + 1;
        const int key = (int)(value - keys[i]);
        check(s, 0, 0, "", "%s\n", keys[i]);
        snprintf(sentence, sizeof sentence, "that has %.*s7%s, this has %s", key, keys[i], value,
                 value);
        check(s, 0, FV_ECORRUPT, sentence, "%.*s7%s\n", key, keys[i], value);
    }
    fv_store_close(&s);
}

static void digests_prove(void **state)
{
    (void)state;
    struct fv_store *s = open_demo();
    const uint64_t own = fv_store_info(s)->digest, other = own ^ 1;
    const char *here = fv__libraries_of_photos();
    char sentence[200];

    check(s, 0, 1, "", "digest = %016" PRIx64 "\n", own);
    check(s, 1, 1, "", COUNTS "digest = %016" PRIx64 "\n", own);
    /* whatever it was seen with */
    check(s, 0, 1, "", "digest = %016" PRIx64 " with libvips 1.0\n", own);
    check(s, 1, 1, "", "digest = %016" PRIx64 "\ndigest = %016" PRIx64 " with libvips 1.0\n", other,
          own);
    snprintf(sentence, sizeof sentence, "that has digest = %016" PRIx64 ", this has %016" PRIx64,
             other, own);
    check(s, 0, FV_ECORRUPT, sentence, "digest = %016" PRIx64 "\n", other);
    check(s, 1, FV_ECORRUPT, sentence, "digest = %016" PRIx64 "\n", other);
    check(s, 1, FV_ECORRUPT, here, "digest = %016" PRIx64 " with %s\n", other, here);
    /* One seen with other libraries says nothing of what was packed here, but proves nothing either. */
    check(s, 1, 0, "", "digest = %016" PRIx64 " with libvips 1.0\n", other);
    check(s, 0, FV_ECORRUPT, "with libvips 1.0, this has",
          "digest = %016" PRIx64 " with libvips 1.0\n", other);
    /* A digest does not make up for counts. */
    check(s, 0, FV_ECORRUPT, "images = 51", "images = 51\ndigest = %016" PRIx64 "\n", own);
    fv_store_close(&s);
}

static void a_file_is_recognised_by_its_digest(void **state)
{
    (void)state;
    struct fv_store *s = open_demo();
    const struct fv_data_set *d;
    char text[200];
    snprintf(text, sizeof text, "[a]\ndigest = 0123456789abcdef\n[b]\ndigest = %016" PRIx64 "\n",
             fv_store_info(s)->digest);
    struct fv_manifest *m = parse(text);
    assert_int_equal(fv_manifest_recognise(m, s, &d), 0);
    assert_string_equal(d->name, "b");
    fv_manifest_close(&m);
    m = parse("[a]\ndigest = 0123456789abcdef\n[b]\nimages = 50\n");
    assert_int_equal(fv_manifest_recognise(m, s, &d), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "which is that of no data set in m"));
    assert_null(d);
    fv_manifest_close(&m);
    fv_store_close(&s);
}

/* packed_with as fvprep pack writes it, so that its options are the stanza's. */
static void a_new_stanza_reads_back_and_fits(void **state)
{
    (void)state;
    const struct fv_store_settings settings = {
        .height = 8,
        .width = 8,
        .codec = "pixels",
        .level = 3,
        .packed_with = "size = 8\nval = 0.1\ncodec = pixels\nlevel = 3\n"};
    struct fv_store_writer *w;
    struct fv_encoder *e;
    struct fv_store *s;
    assert_int_equal(fv_store_create(&w, scratch_path("new.lmdb"), &settings, 1), FV_OK);
    assert_int_equal(fv_encoder_open(&e, &settings), FV_OK);
    assert_int_equal(demo_fill(w, e, &demo), FV_OK);
    fv_encoder_close(&e);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    assert_int_equal(fv_store_open(&s, scratch_path("new.lmdb")), FV_OK);
    char *text = fv_manifest_stanza(s, "new", "folders");
    assert_non_null(strstr(text, "\n" COUNTS));
    assert_null(strstr(text, "level"));
    struct fv_manifest *m = parse(text);
    struct fv_pack_settings p;
    fv_pack_defaults(&p);
    assert_int_equal(fv_manifest_apply(&m->set[0], &p), 0);
    assert_int_equal(p.size, 8);
    assert_true(p.val == 0.1);
    assert_string_equal(p.layout, "folders");
    assert_string_equal(m->set[0].name, "new");
    assert_string_equal(m->set[0].digest[0].libraries, fv__libraries_of_photos());
    assert_int_equal(fv_manifest_check(m, &m->set[0], s, 0), 1);
    fv_manifest_close(&m);
    free(text);
    fv_store_close(&s);
}

/* --- libraries ------------------------------------------------------------------------------------ */

static void libraries_are_those_of_the_build(void **state)
{
    (void)state;
    char list[100];
    snprintf(list, sizeof list, "libjpeg-turbo %s", jpeg_version);
    assert_int_equal(fv__libraries_hold(list), 1);
    snprintf(list, sizeof list, "libvips %s,libjpeg-turbo %s", vips_version, jpeg_version);
    assert_int_equal(fv__libraries_hold(list), *vips_version != 0);
    snprintf(list, sizeof list, "libvips %s0", vips_version);
    assert_int_equal(fv__libraries_hold(list), 0);
    assert_int_equal(fv__libraries_hold(""), 1);
    assert_int_equal(fv__libraries_hold("nothing 1.0"), 0);
    assert_int_equal(fv__libraries_hold("libjpeg-turbo"), 0);
    assert_int_equal(fv__libraries_hold(fv__libraries_of_photos()), 1);
    assert_int_equal(fv__libraries_check(fv__libraries_of_photos()), 0);
}

/* --- the project's own ---------------------------------------------------------------------------- */

static int is_layout(const char *name)
{
    const struct fv_importer *importer;
    for (size_t i = 0; (importer = fv__importer_at(i)); i++)
        if (strcmp(importer->name, name) == 0)
            return 1;
    return 0;
}

static void the_projects_manifest_is_whole(void **state)
{
    (void)state;
    static const char *const names[] = {"demo",      "demo-small", "vggface2",      "lfw",
                                        "calfw",     "cplfw",      "agedb",         "hw2p2-s19",
                                        "hw2p2-f20", "hw2p2-s22",  "casia-webface", "ms1mv3",
                                        "hw2p2-f22", "hw2p2-f24"};
    struct fv_manifest *m;
    const struct fv_data_set *d;
    if (fv_manifest_open(&m, project) < 0)
        fail_msg("%s", fv_err_text());
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(fv_manifest_find(m, names[i], &d), 0);
    for (size_t i = 0; i < m->sets; i++) {
        d = &m->set[i];
        assert_non_null(d->text[FV_TITLE]);
        for (int k = 0; k < d->options; k++)
            if (strcmp(d->option[k].name, "layout") == 0 && !is_layout(d->option[k].value))
                fail_msg("[%s]: unknown layout %s", d->name, d->option[k].value);
        /* Parts add up. */
        const unsigned ids =
            1u << FV_IDENTITIES | 1u << FV_TRAIN_IDENTITIES | 1u << FV_HOLDOUT_IDENTITIES;
        if ((d->counted & ids) == ids)
            assert_int_equal(d->count[FV_IDENTITIES],
                             d->count[FV_TRAIN_IDENTITIES] + d->count[FV_HOLDOUT_IDENTITIES]);
    }
    fv_manifest_close(&m);
}

static int open_scratch(void **state)
{
    (void)state;
    scratch_open();
    return 0;
}

static int close_scratch(void **state)
{
    (void)state;
    scratch_close();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stanza_is_read_whole),
        cmocka_unit_test(faults_name_their_line),
        cmocka_unit_test(options_come_from_the_stanza_and_stay),
        cmocka_unit_test(counts_and_form_are_checked),
        cmocka_unit_test(digests_prove),
        cmocka_unit_test(a_file_is_recognised_by_its_digest),
        cmocka_unit_test(a_new_stanza_reads_back_and_fits),
        cmocka_unit_test(libraries_are_those_of_the_build),
        cmocka_unit_test(the_projects_manifest_is_whole),
    };
    if (argc != 4)
        return 2;
    project = argv[1];
    vips_version = argv[2];
    jpeg_version = argv[3];
    return cmocka_run_group_tests(tests, open_scratch, close_scratch);
}
