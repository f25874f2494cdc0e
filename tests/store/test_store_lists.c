/* SPDX-License-Identifier: MIT */
/* The pair lists of the field, each written here as its authors lay it out, read against data sets whose images
 * are known by their place. */
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { PEOPLE = 6, IMAGES = 4 };
static char set_path[] = "/tmp/fv-test-lists-XXXXXX", list[64];

/* PEOPLE people P_0 .. of IMAGES images each, named by the format (twice the person, then 1 .. IMAGES). */
static struct fv_store *make_set(const char *format)
{
    const struct fv_store_settings settings = {
        .height = 8, .width = 8, .codec = "pixels", .level = 3, .packed_with = ""};
    uint8_t rgb[8 * 8 * 3], record[2048];
    struct fv_store_writer *w;
    struct fv_encoder *e;
    struct fv_store *s;
    char person[32], name[128];
    size_t n;

    assert_int_equal(fv_encoder_open(&e, &settings), FV_OK);
    assert_true(fv_encoder_bound(e) <= sizeof record);
    assert_int_equal(fv_store_create(&w, set_path, &settings, 1), FV_OK);
    for (int p = 0; p < PEOPLE; p++) {
        snprintf(person, sizeof person, "P._%d", p);
        assert_int_equal(fv_store_put_label(w, person, 1), FV_OK);
        for (int i = 0; i < IMAGES; i++) {
            demo_pixels((uint32_t)(p * IMAGES + i), 8, rgb);
            assert_int_equal(fv_encoder_write(e, rgb, record, &n), FV_OK);
            snprintf(name, sizeof name, format, person, person, i + 1);
            assert_int_equal(fv_store_put(w, record, n, name, FV_SPLIT_HOLDOUT), FV_OK);
        }
    }
    fv_encoder_close(&e);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    assert_int_equal(fv_store_open(&s, set_path), FV_OK);
    return s;
}

static uint32_t image(int person, int number)
{
    return (uint32_t)(person * IMAGES + number - 1);
}

static int read_text(struct fv_pairs *p, struct fv_store *s, const char *text, const char *format)
{
    assert_int_equal(fv_file_write(list, text, strlen(text)), FV_OK);
    return fv_pairs_read(p, s, list, format);
}

static void check_pair(const struct fv_pairs *p, size_t i, uint32_t a, uint32_t b, int same,
                       int fold)
{
    assert_true(i < p->n);
    assert_int_equal(p->pair[i].a, a);
    assert_int_equal(p->pair[i].b, b);
    assert_int_equal(p->pair[i].same, same);
    assert_int_equal(p->pair[i].fold, fold);
}

static void fails(struct fv_store *s, const char *text, const char *format, int code,
                  const char *sentence)
{
    struct fv_pairs p;

    assert_int_equal(read_text(&p, s, text, format), code);
    if (!strstr(fv_err_text(), sentence))
        fail_msg("'%s' lacks '%s'", fv_err_text(), sentence);
    assert_null(p.pair);
}

/* --- LFW, RFW ------------------------------------------------------------------------------------- */

#define LFW_PAIRS                                                                                  \
    "P._0\t1\t4\nP._1\t2\t3\n"                                                                     \
    "P._0\t1\tP._2\t2\nP._3\t4\tP._1\t1\n"                                                         \
    "P._4\t1\t2\nP._5\t3\t4\n"                                                                     \
    "P._4\t4\tP._5\t1\nP._0\t2\tP._5\t2\n"

static void check_lfw_pairs(const struct fv_pairs *p, int folds)
{
    assert_int_equal(p->n, 8);
    assert_int_equal(p->genuine, 4);
    assert_int_equal(p->folds, folds);
    check_pair(p, 0, image(0, 1), image(0, 4), 1, 0);
    check_pair(p, 1, image(1, 2), image(1, 3), 1, 0);
    check_pair(p, 2, image(0, 1), image(2, 2), 0, 0);
    check_pair(p, 3, image(3, 4), image(1, 1), 0, 0);
    check_pair(p, 4, image(4, 1), image(4, 2), 1, folds > 0);
    check_pair(p, 7, image(0, 2), image(5, 2), 0, folds > 0);
}

static void lfw_is_read_whatever_the_set_was_packed_from(void **state)
{
    static const char *const named[] = {"%s/%s_%04d.jpg", "%s/%s_%04d.png", "lfw/%s/%s_%04d.jpg",
                                        "%s/%s_%04d"};
    struct fv_pairs p;

    (void)state;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        struct fv_store *s = make_set(named[i]);
        assert_int_equal(read_text(&p, s, "2\t2\n" LFW_PAIRS, NULL), FV_OK);
        assert_string_equal(p.format, "lfw");
        check_lfw_pairs(&p, 2);
        fv_pairs_free(&p);
        assert_int_equal(read_text(&p, s, LFW_PAIRS, "auto"), FV_OK);
        assert_string_equal(p.format, "rfw");
        check_lfw_pairs(&p, 2);
        fv_pairs_free(&p);
        fv_store_close(&s);
    }
}

static void lfw_view_1_has_no_folds(void **state)
{
    struct fv_store *s = make_set("%s/%s_%04d.jpg");
    struct fv_pairs p;

    (void)state;
    assert_int_equal(read_text(&p, s, "1\r\nP._0\t1\t4\r\nP._3\t1\tP._1\t1\r\n\r\n", NULL), FV_OK);
    assert_string_equal(p.format, "lfw");
    assert_int_equal(p.n, 2);
    assert_int_equal(p.folds, 0);
    check_pair(&p, 1, image(3, 1), image(1, 1), 0, 0);
    fv_pairs_free(&p);
    /* Nor has RFW's form, where what would be folds differ. */
    assert_int_equal(
        read_text(&p, s, "P._0\t1\t4\nP._0\t1\tP._1\t1\nP._0\t1\t3\nP._0\t1\t2\nP._0\t1\tP._2\t1\n",
                  NULL),
        FV_OK);
    assert_string_equal(p.format, "rfw");
    assert_int_equal(p.folds, 0);
    fv_pairs_free(&p);
    fv_store_close(&s);
}

static void lfw_is_taken_whole_or_not_at_all(void **state)
{
    struct fv_store *s = make_set("%s/%s_%04d.jpg");

    (void)state;
    fails(s, "2\t2\nP._0\t1\t4\nP._1\t2\t5\nP._0\t1\tP._2\t2\nP._3\t4\tP._1\t1\n", NULL,
          FV_ENOTFOUND, "line 3: ");
    fails(s, "2\t2\nP._0\t1\t4\nP._1\t2\t5\n", NULL, FV_ENOTFOUND,
          "has no image named P._1/P._1_0005");
    fails(s, "1\t1\nP._0\t1\t4\nP._1\t2\t3\n", NULL, FV_ECORRUPT,
          "line 3: pairs one person: a fold is 1");
    fails(s, "1\t2\nP._0\t1\t4\nP._0\t1\tP._1\t1\n", NULL, FV_ECORRUPT, "line 3: pairs two people");
    fails(s, "2\t2\nP._0\t1\t4\n", NULL, FV_ECORRUPT, "promises 8 pairs, not 1");
    fails(s, "1\nP._0\t1\t4\nP._0\t1\tP._1\t1\nP._0\t1\t2\n", NULL, FV_ECORRUPT,
          "line 4: is one more than the first line promises");
    fails(s, "1\nP._0\t1\t4\nP._0\t1\tP._1\n", NULL, FV_ECORRUPT,
          "line 3: is neither 'name n1 n2'");
    fails(s, "0\t300\n", "lfw", FV_ECORRUPT, "line 1: is no first line of LFW");
    fails(s, "99999999999\t99999999999\n", "lfw", FV_ECORRUPT, "is no first line of LFW");
    fails(s, LFW_PAIRS, "lfw", FV_ECORRUPT, "line 1: is no first line of LFW");
    fails(s, LFW_PAIRS "P._0\t1\n", "rfw", FV_ECORRUPT, "line 9: is neither");
    fv_store_close(&s);
}

/* --- CALFW, CPLFW --------------------------------------------------------------------------------- */

/* 20 pairs of one person, then 20 of two; labels are folds (CALFW) or 1 (CPLFW). */
static void write_calfw(char *text, size_t room, int labels_are_folds, int pairs)
{
    size_t n = 0;

    for (int same = 1; same >= 0; same--)
        for (int i = 0; i < pairs; i++)
            for (int side = 0; side < 2; side++)
                n += (size_t)snprintf(text + n, room - n, "P._%d_%04d.jpg %d\n",
                                      (i + (side && !same)) % PEOPLE, side + 1,
                                      !same              ? 0
                                      : labels_are_folds ? 1 + i / 2
                                                         : 1);
}

static void calfw_has_ten_folds(void **state)
{
    struct fv_store *s = make_set("%s/%s_%04d.jpg");
    static char text[4096];
    struct fv_pairs p;

    (void)state;
    for (int folds = 0; folds < 2; folds++) {
        write_calfw(text, sizeof text, folds, 20);
        assert_int_equal(read_text(&p, s, text, NULL), FV_OK);
        assert_string_equal(p.format, "calfw");
        assert_int_equal(p.n, 40);
        assert_int_equal(p.genuine, 20);
        assert_int_equal(p.folds, 10);
        for (int i = 0; i < 20; i++) {
            check_pair(&p, (size_t)i, image(i % PEOPLE, 1), image(i % PEOPLE, 2), 1, i / 2);
            check_pair(&p, (size_t)(20 + i), image(i % PEOPLE, 1), image((i + 1) % PEOPLE, 2), 0,
                       i / 2);
        }
        fv_pairs_free(&p);
    }
    write_calfw(text, sizeof text, 0, 3);
    assert_int_equal(read_text(&p, s, text, NULL), FV_OK);
    assert_int_equal(p.folds, 0);
    fv_pairs_free(&p);
    fails(s, "P._0_0001.jpg 1\nP._0_0002.jpg 1\nP._1_0001.jpg 0\n", NULL, FV_ECORRUPT,
          "line 3: is half a pair");
    fails(s, "P._0_0001.jpg 1\nP._0_0002.jpg 0\n", "calfw", FV_ECORRUPT,
          "line 2: has label 0, and the line before it 1");
    fails(s, "P._0_0001.jpg 1\nP._0_0002.jpg 1\nP._0_0001.jpg 1\nP._9_0002.jpg 1\n", NULL,
          FV_ENOTFOUND, "line 4: ");
    fv_store_close(&s);
}

/* --- lists of paths ------------------------------------------------------------------------------- */

static void insightface_and_hw2p2_lists_are_read(void **state)
{
    struct fv_store *s = make_set("%s/%s_%04d.jpg");
    struct fv_pairs p;

    (void)state;
    /* pairs_label.txt; val_pairs.txt names what lies in ver_data/ */
    assert_int_equal(read_text(&p, s,
                               "P._0/P._0_0001.jpg P._0/P._0_0002.jpg 1\n"
                               "ver_data/P._1/P._1_0003.jpg P._2/P._2_0001 0\n",
                               NULL),
                     FV_OK);
    assert_string_equal(p.format, "list");
    assert_int_equal(p.folds, 0);
    check_pair(&p, 0, image(0, 1), image(0, 2), 1, 0);
    check_pair(&p, 1, image(1, 3), image(2, 1), 0, 0);
    fv_pairs_free(&p);
    /* verification_dev.csv */
    assert_int_equal(read_text(&p, s,
                               "\xef\xbb\xbfimg1,img2,match\r\n"
                               "dev/P._0/P._0_0001.jpg,dev/P._1/P._1_0002.jpg,0\r\n"
                               "\"P._5/P._5_0004.jpg\" , P._5/P._5_0001.jpg , 1\r\n",
                               NULL),
                     FV_OK);
    assert_string_equal(p.format, "csv");
    check_pair(&p, 0, image(0, 1), image(1, 2), 0, 0);
    check_pair(&p, 1, image(5, 4), image(5, 1), 1, 0);
    fv_pairs_free(&p);
    assert_int_equal(
        read_text(&p, s, "id,same,image2,image1\n7,1,P._0/P._0_0001,P._0/P._0_0002\n", NULL),
        FV_OK);
    check_pair(&p, 0, image(0, 2), image(0, 1), 1, 0);
    fv_pairs_free(&p);
    fails(s, "img1,img2,match\nP._0/P._0_0001,P._0/P._0_0002\n", NULL, FV_ECORRUPT,
          "line 2: has fewer columns");
    fails(s, "img1,img2,match\na,b,1\n", NULL, FV_ENOTFOUND, "line 2: ");
    fails(s, "P._0/P._0_0001.jpg P._0/P._0_0002.jpg\n", NULL, FV_ECORRUPT,
          "without the answer there is nothing to measure");
    fails(s, "P._0/P._0_0001.jpg P._0/P._0_0002.jpg 1\n", "csv", FV_ECORRUPT, "is no header");
    fails(s, "P._0/P._0_0001.jpg P._0/P._0_0002.jpg 1\n", "cvs", FV_EUSAGE,
          "valid are auto, list, csv, lfw, rfw, calfw");
    fails(s, "a b 1\n\n", NULL, FV_ENOTFOUND, "line 1: ");
    fails(s, "", "lfw", FV_ECORRUPT, "is no first line");
    fails(s, "\n\n", NULL, FV_ENOTFOUND, "has no pairs");
    fv_store_close(&s);
}

/* The same people's images once as PNG beside the JPEGs. */
static void names_of_two_images_are_refused(void **state)
{
    const struct fv_store_settings settings = {
        .height = 8, .width = 8, .codec = "pixels", .level = 3, .packed_with = ""};
    static const char *const name[] = {"a/1.jpg", "a/1.png", "a/2.jpg", "b/2.jpg", "b/a/1.gif"};
    uint8_t rgb[8 * 8 * 3] = {0}, record[2048];
    struct fv_store_writer *w;
    struct fv_encoder *e;
    struct fv_store *s;
    struct fv_pairs p;
    size_t n;

    (void)state;
    assert_int_equal(fv_encoder_open(&e, &settings), FV_OK);
    assert_int_equal(fv_store_create(&w, set_path, &settings, 1), FV_OK);
    assert_int_equal(fv_store_put_label(w, "x", 1), FV_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fv_encoder_write(e, rgb, record, &n), FV_OK);
        assert_int_equal(fv_store_put(w, record, n, name[i], FV_SPLIT_HOLDOUT), FV_OK);
    }
    fv_encoder_close(&e);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    assert_int_equal(fv_store_open(&s, set_path), FV_OK);
    assert_int_equal(read_text(&p, s, "a/1.jpg a/1.png 1\n", NULL), FV_OK);
    check_pair(&p, 0, 0, 1, 1, 0);
    fv_pairs_free(&p);
    fails(s, "a/1 a/2.jpg 1\n", NULL, FV_ENOTFOUND,
          "'a/1' may be a/1.jpg or a/1.png: the list has to give the whole name");
    fails(s, "a/1.bmp a/2.jpg 1\n", NULL, FV_ENOTFOUND, "may be a/1.jpg or a/1.png");
    /* Without a folder, 2.jpg is a/2.jpg and b/2.jpg. */
    fails(s, "a/1.jpg 2.jpg 1\n", NULL, FV_ENOTFOUND, "'2.jpg' may be a/2.jpg or b/2.jpg");
    /* The list's folder is left out only when no image has it. */
    assert_int_equal(read_text(&p, s, "b/a/1.jpg c/a/2.gif 1\n", NULL), FV_OK);
    check_pair(&p, 0, 4, 2, 1, 0);
    fv_pairs_free(&p);
    /* Nothing but a photo's suffix is one. */
    fails(s, "a/1.x a/1.jpg 1\n", NULL, FV_ENOTFOUND, "has no image named a/1.x");
    fv_store_close(&s);
}

/* --- IJB ------------------------------------------------------------------------------------------ */

static int read_templates(struct fv_templates *t, struct fv_store *s, const char *text)
{
    assert_int_equal(fv_file_write(list, text, strlen(text)), FV_OK);
    return fv_templates_read(t, s, list);
}

static void templates_are_grouped_and_paired(void **state)
{
    struct fv_store *s = make_set("%s/%s_%04d.jpg");
    struct fv_templates t;
    struct fv_pairs p;

    (void)state;
    assert_int_equal(read_templates(&t, s,
                                    "P._0_0002.jpg 17 900\n"
                                    "P._1_0001.jpg 3 7\n"
                                    "P._0_0001.jpg 17 12\n"
                                    "P._0_0003.jpg 17 900\n"),
                     FV_OK);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.images, 4);
    assert_true(t.template[0].number == 3 && t.template[0].first == 0 && t.template[0].count == 1);
    assert_true(t.template[1].number == 17 && t.template[1].first == 1 && t.template[1].count == 3);
    const struct fv_template_image want[] = {
        {image(1, 1), 0, 7}, {image(0, 1), 1, 12}, {image(0, 2), 1, 900}, {image(0, 3), 1, 900}};
    for (int i = 0; i < 4; i++)
        assert_true(t.image[i].image == want[i].image && t.image[i].template == want[i].template &&
                    t.image[i].media == want[i].media);

    assert_int_equal(fv_file_write(list, "3 17 0\n17 17 1\n", 15), FV_OK);
    assert_int_equal(fv_pairs_read_templates(&p, &t, list), FV_OK);
    assert_int_equal(p.n, 2);
    check_pair(&p, 0, 0, 1, 0, 0);
    check_pair(&p, 1, 1, 1, 1, 0);
    fv_pairs_free(&p);
    assert_int_equal(fv_file_write(list, "3 4 0\n", 6), FV_OK);
    assert_int_equal(fv_pairs_read_templates(&p, &t, list), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "line 1: no image is of template 4"));
    assert_int_equal(fv_file_write(list, "3 x 0\n", 6), FV_OK);
    assert_int_equal(fv_pairs_read_templates(&p, &t, list), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "line 1: 'x' is no template's number"));
    fv_templates_free(&t);

    assert_int_equal(read_templates(&t, s, "P._0_0002.jpg 17 900\nP._0_0009.jpg 17 900\n"),
                     FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "line 2: "));
    assert_non_null(strstr(fv_err_text(), "P._0_0009.jpg"));
    assert_int_equal(read_templates(&t, s, "P._0_0002.jpg 17\n"), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "line 1: is not 'image template media'"));
    assert_int_equal(read_templates(&t, s, "\n"), FV_ENOTFOUND);

    float weight[PEOPLE * IMAGES];
    const char *text =
        "P._0_0002.jpg 1 2 3 4 5 6 7 8 9 10 0.75\nP._1_0001.jpg 0\nP._0_0002.jpg 0.75\n";
    assert_int_equal(fv__image_weights_parse(weight, s, "w", text, strlen(text)), FV_OK);
    assert_true(isnan(weight[0]) && weight[1] == 0.75f && weight[IMAGES] == 0);
    for (size_t i = 0; i < 4; i++) {
        static const char *const bad[] = {"P._0_0002.jpg", "P._0_0002.jpg nan",
                                          "P._0_0002.jpg 1 -0.5",
                                          "P._0_0002.jpg 1\nP._0_0002.jpg 2"};
        assert_int_equal(fv__image_weights_parse(weight, s, "w", bad[i], strlen(bad[i])),
                         FV_ECORRUPT);
    }
    assert_int_equal(fv__image_weights_parse(weight, s, "w", "P._9_0001.jpg 1", 15), FV_ENOTFOUND);
    fv_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lfw_is_read_whatever_the_set_was_packed_from),
        cmocka_unit_test(lfw_view_1_has_no_folds),
        cmocka_unit_test(lfw_is_taken_whole_or_not_at_all),
        cmocka_unit_test(calfw_has_ten_folds),
        cmocka_unit_test(insightface_and_hw2p2_lists_are_read),
        cmocka_unit_test(names_of_two_images_are_refused),
        cmocka_unit_test(templates_are_grouped_and_paired),
    };

    close(mkstemp(set_path));
    snprintf(list, sizeof list, "%s.txt", set_path);
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(set_path);
    unlink(list);
    return rc;
}
