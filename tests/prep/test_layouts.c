/* SPDX-License-Identifier: MIT */
/* The layouts of whole sets, made as they are documented: VGGFace2, and HW2P2 of each semester. */
#include "common/err.h"
#include "prep/import/importer.h"
#include "tests/cmocka_all.h"
#include "tests/prep/listed.h"
#include "tests/prep/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fv_listing l;

static int teardown(void **state)
{
    (void)state;
    fv__listing_free(&l);
    scratch_close();
    return 0;
}

static int import(const char *name, const char *layout)
{
    fv__listing_free(&l);
    listed_forget();
    return fv__import(&l, scratch_path("%s", name), &(struct fv_import_settings){.layout = layout},
                      &listed_report);
}

static void imports(const char *name, const char *layout)
{
    if (import(name, NULL) < 0)
        fail_msg("%s", fv_err_text());
    assert_string_equal(l.importer->name, layout);
}

static void photo(const char *name)
{
    scratch_write(name, "x", 1);
}

static void text(const char *name, const char *what)
{
    scratch_write(name, what, strlen(what));
}

/* "identity name split", one photo a line */
static void assert_photos(const char *want)
{
    static char got[4096];
    got[0] = 0;
    for (size_t i = 0; i < l.photos; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s %s %s\n", l.photo[i].identity,
                 l.photo[i].name, l.photo[i].split < 0 ? "rule" : fv_split_names[l.photo[i].split]);
    assert_string_equal(got, want);
}

/* --- VGGFace2 ------------------------------------------------------------------------------------- */

#define VGG_HEAD "NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y\n"

static void make_vggface2(void)
{
    photo("v/train/n000002/0001_01.jpg");
    photo("v/train/n000002/0002_01.jpg");
    photo("v/train/n000002/0003_01.jpg");
    photo("v/train/n000003/0001_01.jpg");
    photo("v/test/n000001/0001_01.jpg");
    text("v/meta/identity_meta.csv", "Class_ID, Name, Sample_Num, Flag, Gender\n"
                                     "n000001, \"14th_Dalai_Lama\", 1, 0, m\n"
                                     "n000002, \"A_Fine_Frenzy\", 3, 1, f\n"
                                     "n000003, \"A., A. _Gill\", 2, 1, m\n");
    text("v/bb_landmark/loose_bb_train.csv",
         "NAME_ID,X,Y,W,H\n\"n000002/0001_01\",161,140,224,324\n\"n000009/0001_01\",1,1,1,1\n");
    text("v/bb_landmark/loose_bb_test.csv", "NAME_ID,X,Y,W,H\n\"n000001/0001_01\",1,2,3,4\n");
    text("v/bb_landmark/loose_landmark_train.csv",
         VGG_HEAD "\"n000002/0001_01\",1.5,2,3,4,5,6,7,8,9,10\n"
                  "\"n000003/0001_01\",1.5,2,3,4,5,6,7,8,9,10\n");
}

static const struct fv_face *face_of(size_t photo_at)
{
    assert_in_range(l.photo[photo_at].face, 1, l.faces);
    return &l.face[l.photo[photo_at].face - 1];
}

static void vggface2_by_its_folders(void **state)
{
    (void)state;
    make_vggface2();
    imports("v", "vggface2");
    assert_photos("n000001 test/n000001/0001_01.jpg holdout\n"
                  "n000002 train/n000002/0001_01.jpg rule\n"
                  "n000002 train/n000002/0002_01.jpg rule\n"
                  "n000002 train/n000002/0003_01.jpg rule\n"
                  "n000003 train/n000003/0001_01.jpg rule\n");
    const float box[4] = {161, 140, 224, 324};
    assert_memory_equal(face_of(1)->box, box, sizeof box);
    assert_true(face_of(1)->has_box && face_of(1)->has_points && face_of(1)->point[0][0] == 1.5f);
    assert_true(face_of(0)->has_box && !face_of(0)->has_points && face_of(0)->box[3] == 4);
    assert_true(!face_of(4)->has_box && face_of(4)->has_points);
    assert_int_equal(l.photo[2].face, 0);
    assert_non_null(strstr(listed_warnings(),
                           "1 of its 3 identities have fewer photos here (n000003: 1 of 2)"));
}

static void vggface2_by_its_lists(void **state)
{
    (void)state;
    make_vggface2();
    text("v/data/train_list.txt",
         "n000002/0003_01.jpg\nn000003/0001_01.jpg\nn000003/0002_01.jpg\n");
    text("v/data/test_list.txt", "n000001/0001_01.jpg\n");
    imports("v", "vggface2");
    assert_photos("n000001 test/n000001/0001_01.jpg holdout\n"
                  "n000002 train/n000002/0003_01.jpg rule\n"
                  "n000003 train/n000003/0001_01.jpg rule\n");
    assert_int_equal(l.refused.n, 1);
    assert_string_equal(l.refused.at[0].name, "train/n000003/0002_01.jpg");
    assert_int_equal(l.refused.at[0].reason.why, FV_REJECT_MISSING);
    text("v/data/train_list.txt", "n000002/0003_01.jpg\n0001_01.jpg\n");
    assert_int_equal(import("v", NULL), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "train_list.txt:2: is no path of the form"));
}

static void vggface2_that_is_not_all_there(void **state)
{
    (void)state;
    photo("v/test/n000001/0001_01.jpg");
    text("v/identity_meta.csv", "n000001, \"14th_Dalai_Lama\", 1, 0, m\n"
                                "n000002, \"A_Fine_Frenzy\", 3, 1, f\n");
    imports("v", "vggface2");
    assert_photos("n000001 test/n000001/0001_01.jpg holdout\n");
    assert_string_equal(listed_warnings(), ""); /* nothing is said of train/, which is not here */
    text("v/identity_meta.csv", "n000001, \"14th_Dalai_Lama\", 1, 0, m\nn000002, 3, 1\n");
    assert_int_equal(import("v", NULL), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "identity_meta.csv:2: is no row of Class_ID"));
}

/* --- HW2P2 ---------------------------------------------------------------------------------------- */

static void hw2p2_of_s19_and_s20(void **state)
{
    (void)state;
    photo("h/train_data/medium/17/1.jpg");
    photo("h/train_data/large/900/1.jpg");
    photo("h/validation_classification/medium/17/2.jpg");
    photo("h/test_classification/medium/5000.jpg");
    photo("h/validation_verification/a.jpg");
    photo("h/test_verification/b.jpg");
    imports("h", "hw2p2");
    assert_photos("17 train_data/medium/17/1.jpg train\n"
                  "17 validation_classification/medium/17/2.jpg val\n"
                  "900 train_data/large/900/1.jpg train\n"
                  "test_verification/b.jpg test_verification/b.jpg holdout\n"
                  "validation_verification/a.jpg validation_verification/a.jpg holdout\n");
    assert_int_equal(l.ignored.n, 1);
    assert_int_equal(l.ignored.at[0].reason.why, FV_IGNORE_UNLABELLED);
}

static void hw2p2_of_f20_and_s21(void **state)
{
    (void)state;
    photo("h/classification_data/train_data/17/1.jpg");
    photo("h/classification_data/val_data/17/2.jpg");
    photo("h/classification_data/test_data/17/3.jpg");
    photo("h/verification_data/a.jpg");
    imports("h", "hw2p2");
    assert_photos("17 classification_data/train_data/17/1.jpg train\n"
                  "17 classification_data/val_data/17/2.jpg val\n"
                  "verification_data/a.jpg verification_data/a.jpg holdout\n");
    assert_int_equal(l.ignored.at[0].reason.why, FV_IGNORE_TEST);
}

static void hw2p2_of_s22(void **state)
{
    (void)state;
    photo("h/classification/classification/train/n000002/1.jpg");
    photo("h/classification/classification/dev/n000002/2.jpg");
    photo("h/classification/classification/test/000000.jpg");
    photo("h/verification/verification/dev/a.jpg");
    photo("h/verification/verification/test/b.jpg");
    imports("h", "hw2p2");
    assert_photos(
        "n000002 classification/classification/dev/n000002/2.jpg val\n"
        "n000002 classification/classification/train/n000002/1.jpg train\n"
        "verification/verification/dev/a.jpg verification/verification/dev/a.jpg holdout\n"
        "verification/verification/test/b.jpg verification/verification/test/b.jpg holdout\n");
}

static void hw2p2_of_f22_to_s24(void **state)
{
    (void)state;
    static const char *const verification[] = {"verification", "11-785-f23-hw2p2-verification"};
    for (int i = 0; i < 2; i++) {
        char name[128], want[1024];
        const char *v = verification[i];
        snprintf(name, sizeof name, "h%d/11-785-f23-hw2p2-classification/train/n000002/1.jpg", i);
        photo(name);
        snprintf(name, sizeof name, "h%d/11-785-f23-hw2p2-classification/dev/n000002/2.jpg", i);
        photo(name);
        snprintf(name, sizeof name, "h%d/11-785-f23-hw2p2-classification/test/0.jpg", i);
        photo(name);
        snprintf(name, sizeof name, "h%d/%s/known/n000009/k.jpg", i, v);
        photo(name);
        snprintf(name, sizeof name, "h%d/%s/unknown_dev/u.jpg", i, v);
        photo(name);
        snprintf(name, sizeof name, "h%d", i);
        imports(name, "hw2p2");
        snprintf(
            want, sizeof want,
            "%sn000002 11-785-f23-hw2p2-classification/dev/n000002/2.jpg val\n"
            "n000002 11-785-f23-hw2p2-classification/train/n000002/1.jpg train\n"
            "n000009 %s/known/n000009/k.jpg holdout\n%s",
            i ? "11-785-f23-hw2p2-verification/unknown_dev/u.jpg "
                "11-785-f23-hw2p2-verification/unknown_dev/u.jpg holdout\n"
              : "",
            v, i ? "" : "verification/unknown_dev/u.jpg verification/unknown_dev/u.jpg holdout\n");
        assert_photos(want);
    }
}

static void hw2p2_of_f24_to_s26(void **state)
{
    (void)state;
    photo("h/HW2p2_S25/cls_data/train/images/0001/a.jpg");
    photo("h/HW2p2_S25/cls_data/train/images/b.jpg");
    photo("h/HW2p2_S25/cls_data/dev/images/c.jpg");
    photo("h/HW2p2_S25/cls_data/test/images/d.jpg");
    photo("h/HW2p2_S25/ver_data/e.jpg");
    text("h/HW2p2_S25/cls_data/train/labels.txt", "0001/a.jpg 5\nb.jpg 6\n");
    text("h/HW2p2_S25/cls_data/dev/labels.txt", "images/c.jpg 5\n"); /* from the folder itself */
    text("h/HW2p2_S25/val_pairs.txt", "ver_data/e.jpg ver_data/e.jpg 1\n");
    imports("h", "hw2p2"); /* from the folder above it, too */
    assert_photos("5 cls_data/dev/images/c.jpg val\n"
                  "5 cls_data/train/images/0001/a.jpg train\n"
                  "6 cls_data/train/images/b.jpg train\n"
                  "ver_data/e.jpg ver_data/e.jpg holdout\n");
    assert_int_equal(l.ignored.n, 1);
    assert_string_equal(l.ignored.at[0].name, "cls_data/test");
    text("h/HW2p2_S25/cls_data/test/labels.txt", "d.jpg 6\n");
    imports("h/HW2p2_S25", "hw2p2");
    assert_int_equal(l.photos, 4);
    assert_int_equal(l.ignored.at[0].reason.why, FV_IGNORE_TEST);
    text("h/HW2p2_S25/cls_data/dev/labels.txt", "c.jpg\n");
    assert_int_equal(import("h", NULL), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "cls_data/dev/labels.txt: is no list of photos"));
}

/* --- what is taken for what ----------------------------------------------------------------------- */

static void ordinary_folders_stay_ordinary(void **state)
{
    (void)state;
    photo("p/train/x/1.jpg"); /* no HW2P2, no VGGFace2: trees of splits */
    photo("p/test/y/1.jpg");
    imports("p", "folders");
    photo("q/ver_data/1.jpg"); /* one part alone may be a person's odd name */
    photo("q/bob/1.jpg");
    imports("q", "folders");
    assert_int_equal(import("q", "hw2p2"), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "HW2P2"));
    assert_int_equal(import("q", "vggface2"), FV_ENOTFOUND);
    assert_int_equal(import("gone", "hw2p2"), FV_ENOTFOUND);
    assert_int_equal(import("gone", "vggface2"), FV_ENOTFOUND);
}

static void equal_candidates_are_named(void **state)
{
    (void)state;
    make_vggface2();
    scratch_write("v/train.rec", "\x0a\x23\xd7\xce\0\0\0", 8);
    assert_int_equal(import("v", NULL), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "may be of layout recordio, vggface2: say which"));
    assert_int_equal(import("v", "vggface2"), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, scratch_setup, teardown)
    const struct CMUnitTest tests[] = {
        T(vggface2_by_its_folders),    T(vggface2_by_its_lists), T(vggface2_that_is_not_all_there),
        T(hw2p2_of_s19_and_s20),       T(hw2p2_of_f20_and_s21),  T(hw2p2_of_s22),
        T(hw2p2_of_f22_to_s24),        T(hw2p2_of_f24_to_s26),   T(ordinary_folders_stay_ordinary),
        T(equal_candidates_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
