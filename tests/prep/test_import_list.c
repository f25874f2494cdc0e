/* SPDX-License-Identifier: MIT */
/* Lists of photos in every form that is documented, and boxes and landmarks beside them. */
#include "common/err.h"
#include "prep/import/importer.h"
#include "tests/cmocka_all.h"
#include "tests/prep/listed.h"
#include "tests/prep/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct fv_listing l;
static struct fv_import_settings settings;

static int setup(void **state)
{
    (void)state;
    settings = (struct fv_import_settings){0};
    scratch_open();
    for (int i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof name, "p/%d.jpg", i);
        scratch_write(name, "x", 1);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fv__listing_free(&l);
    scratch_close();
    return 0;
}

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text));
}

static int list(const char *name, const char *text)
{
    fv__listing_free(&l);
    write_text(name, text);
    return fv__import(&l, scratch_path("%s", name), &settings, NULL);
}

static void lists(const char *name, const char *text)
{
    if (list(name, text) < 0)
        fail_msg("%s: %s", name, fv_err_text());
    assert_string_equal(l.importer->name, "list");
}

/* "identity name split", one photo a line */
static void assert_photos(const char *want)
{
    static char got[2048];
    got[0] = 0;
    for (size_t i = 0; i < l.photos; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s %s %d\n", l.photo[i].identity,
                 l.photo[i].name, l.photo[i].split);
    assert_string_equal(got, want);
}

static void assert_face(const char *name, const float *box, const float *points)
{
    for (size_t i = 0; i < l.photos; i++) {
        if (strcmp(l.photo[i].name, name) != 0)
            continue;
        if (!box && !points) {
            assert_int_equal(l.photo[i].face, 0);
            return;
        }
        assert_in_range(l.photo[i].face, 1, l.faces);
        const struct fv_face *f = &l.face[l.photo[i].face - 1];
        assert_int_equal(f->has_box, box != NULL);
        assert_int_equal(f->has_points, points != NULL);
        if (box)
            assert_memory_equal(f->box, box, sizeof f->box);
        if (points)
            assert_memory_equal(f->point, points, sizeof f->point);
        return;
    }
    fail_msg("%s is not listed", name);
}

static void refuses(const char *name, const char *text, const char *sentence)
{
    assert_error(list(name, text), text, sentence);
}

static void reads_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } forms[] = {
        {"labels.txt", "p/1.jpg b\np/0.jpg a\n\np/2.jpg b\n"},
        {"l.txt", "b p/1.jpg\na p/0.jpg\nb p/2.jpg\n"},
        {"dots.txt", "./p/1.jpg\tb\np//0.jpg\ta\np/./2.jpg\tb\n"},
        {"l.csv", "\"p/1.jpg\",\"b\"\n\"p/0.jpg\",a\np/2.jpg, b\n"},
        {"head.csv", "label,split,file\nb,,p/1.jpg\na,,p/0.jpg\nb,,p/2.jpg\n"},
        {"id.csv", "id,label\np/1.jpg,b\np/0.jpg,a\np/2.jpg,b\n"},
        {"id2.csv", "id,Image\nb,p/1.jpg\na,p/0.jpg\nb,p/2.jpg\n"},
        {"train.tsv", "0\tp/1.jpg\tb\n1\tp/0.jpg\ta\n2\tp/2.jpg\tb\n"},
        {"im2rec.lst", "0\tb\tp/1.jpg\n1\ta\tp/0.jpg\n2\tb\tp/2.jpg\n"},
        {"face2rec.lst", "1\tp/1.jpg\tb\n1\tp/0.jpg\ta\n1\tp/2.jpg\tb\n"},
        {"noname", "p/1.jpg b\np/0.jpg a\np/2.jpg b\n"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        lists(forms[i].name, forms[i].text);
        assert_photos("a p/0.jpg -1\nb p/1.jpg -1\nb p/2.jpg -1\n");
        assert_int_equal(l.photo[0].bytes, 1);
        assert_true(l.photo[0].stamp > 0);
        assert_int_equal(l.refused.n, 0);
    }
}

static void splits_may_be_given(void **state)
{
    (void)state;
    const char *want = "a p/0.jpg 0\na p/1.jpg 1\na p/2.jpg -1\nb p/3.jpg 2\n";
    lists("s.csv",
          "path,label,split\np/0.jpg,a,Train\np/1.jpg,a,valid\np/2.jpg,a,\np/3.jpg,b,test\n");
    assert_photos(want);
    lists("s.txt", "p/0.jpg a 0\np/1.jpg a 1\np/3.jpg b 2\n");
    assert_photos("a p/0.jpg 0\na p/1.jpg 1\nb p/3.jpg 2\n");
    refuses("s.csv", "path,label,split\np/0.jpg,a,train\np/1.jpg,a,maybe\n",
            "s.csv:3: unknown split 'maybe': valid are train, val, test");
}

static void faces_come_with_the_list(void **state)
{
    (void)state;
    const float box[4] = {10, 20, 30, 40.5f}, points[10] = {1, 6, 2, 7, 3, 8, 4, 9, 5, 10};
    /* corners; the points' x first, then their y */
    lists("f.lst", "0\tp/0.jpg\t7\t10\t20\t40\t60.5\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n"
                   "1\tp/1.jpg\t7\t10\t20\t40\t60\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n");
    assert_photos("7 p/0.jpg -1\n7 p/1.jpg -1\n");
    assert_face("p/0.jpg", box, points);
    assert_face("p/1.jpg", NULL, NULL); /* aligned already */
    lists("b.lst", "0\tp/0.jpg\t7\t10\t20\t40\t60.5\n");
    assert_face("p/0.jpg", box, NULL);
    lists("b.csv", "file,identity,y,x,h,w\np/0.jpg,7,20,10,40.5,30\np/1.jpg,7,0,0,0,0\n");
    assert_face("p/0.jpg", box, NULL);
    assert_face("p/1.jpg", NULL, NULL); /* no area */
    refuses("b.csv", "file,identity,y,x,h,w\np/0.jpg,7,20,ten,40.5,30\n",
            "b.csv:2: 'ten' is no place in a photo");
}

static void faces_come_from_beside(void **state)
{
    (void)state;
    const float box[4] = {10, 20, 30, 40.5f}, points[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10.25f};
    const char *photos = "p/0.jpg a\np/1.jpg a\np/10 a\n";
    scratch_write("p/10", "x", 1);
    write_text("boxes.csv", "NAME_ID,X,Y,W,H\n\"p/0\",10,20,30,40.5\n\"p/gone\",1,1,1,1\n");
    write_text("plain.txt", "p/0.jpg 10 20 30 40.5\np/10 10 20 30 40.5\n");
    write_text("points.csv",
               "NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y\np/1,1,2,3,4,5,6,7,8,9,10.25\n"
               "p/0.jpg,1,2,3,4,5,6,7,8,9,10.25\n");
    char *boxes = strdup(scratch_path("boxes.csv")),
         *landmarks = strdup(scratch_path("points.csv")),
         *plain = strdup(scratch_path("plain.txt"));
    settings.boxes = boxes;
    lists("l.txt", photos);
    assert_face("p/0.jpg", box, NULL);
    assert_face("p/1.jpg", NULL, NULL);
    settings.landmarks = landmarks;
    lists("l.txt", photos);
    assert_face("p/0.jpg", box, points);
    assert_face("p/1.jpg", NULL, points);
    assert_face("p/10", NULL, NULL); /* not the "p/1" of the list */
    settings.boxes = plain;
    lists("l.txt", photos);
    assert_face("p/0.jpg", box, points);
    assert_face("p/10", box, NULL);
    write_text("boxes.csv", "p/7.png,1,2,3,4\n");
    settings.boxes = boxes;
    refuses("l.txt", photos, "none of its rows is about a photo");
    write_text("boxes.csv", "p/0.jpg,1,2,3\n");
    refuses("l.txt", photos, "is no list of boxes or landmarks");
    write_text("boxes.csv", "p/0.jpg,1,2,3,4\np/1.jpg,1,2,3\n");
    refuses("l.txt", photos, "boxes.csv:2: 4 fields, where the first row has 5");
    settings = (struct fv_import_settings){0};
    free(boxes);
    free(landmarks);
    free(plain);
}

/* list_bbox_celeba.txt and list_landmarks_celeba.txt: a count, then names of columns, in the latter without the
 * path's. */
static void celeba_faces_come_from_its_text_files(void **state)
{
    (void)state;
    const float box[4] = {95, 71, 226, 313};
    const float points[10] = {165, 184, 244, 176, 196, 249, 194, 271, 266, 260};
    write_text("bbox.txt", "2\nimage_id x_1 y_1 width height\n"
                           "p/0.jpg    95  71 226 313\np/1.jpg    72  94 221 306\n");
    write_text("marks.txt",
               "2\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x "
               "leftmouth_y rightmouth_x rightmouth_y\n"
               "p/0.jpg 165  184  244  176  196  249  194  271  266  260\n");
    char *bbox = strdup(scratch_path("bbox.txt")), *marks = strdup(scratch_path("marks.txt"));
    settings.boxes = bbox;
    settings.landmarks = marks;
    lists("l.txt", "p/0.jpg 2880\np/1.jpg 2937\n");
    assert_face("p/0.jpg", box, points);
    assert_int_equal(l.faces, 2);
    settings = (struct fv_import_settings){0};
    free(bbox);
    free(marks);
}

static void paths_begin_where_they_are_said_to(void **state)
{
    (void)state;
    char text[2048], *root = strdup(scratch_path("p")), *where = strdup(scratch_path("p/0.jpg"));
    scratch_write("elsewhere/empty", "", 0);
    settings.root = root;
    lists("elsewhere/l.txt", "0.jpg a\n");
    assert_photos("a 0.jpg -1\n");
    assert_string_equal(l.root, root);
    settings.root = NULL;
    snprintf(text, sizeof text, "%s a\n", where);
    lists("elsewhere/l.txt", text);
    assert_string_equal(l.root, "/");
    assert_string_equal(l.photo[0].name, where + 1);
    snprintf(text, sizeof text, "%s a\np/1.jpg b\n", where);
    refuses("l.txt", text, "l.txt:2: paths that begin with '/' and paths that do not are mixed");
    free(root);
    free(where);
}

static void assert_refused(size_t i, const char *name, enum fv_reject why)
{
    assert_true(i < l.refused.n);
    assert_string_equal(l.refused.at[i].name, name);
    assert_string_equal(fv__reject_code(l.refused.at[i].reason.why), fv__reject_code(why));
}

static void what_is_not_there_is_refused(void **state)
{
    (void)state;
    scratch_write("p/folder.jpg/x", "", 0);
    scratch_write("p/empty.jpg", "", 0);
    assert_int_equal(mkfifo(scratch_path("p/pipe.jpg"), 0600), 0);
    lists("l.txt", "p/0.jpg a\n../p/1.jpg b\np/../../x.jpg b\np/gone.jpg c\np/folder.jpg c\n"
                   "p/empty.jpg c\np/pipe.jpg c\np/0.jpg/x.jpg c\n. d\n");
    assert_photos("a p/0.jpg -1\n");
    assert_int_equal(l.identities, 4);
    assert_int_equal(l.refused.n, 8);
    assert_refused(0, "../p/1.jpg", FV_REJECT_OUTSIDE);
    assert_refused(1, "p/../../x.jpg", FV_REJECT_OUTSIDE);
    assert_refused(2, "p/gone.jpg", FV_REJECT_MISSING);
    assert_refused(3, "p/folder.jpg", FV_REJECT_FOLDER);
    assert_refused(4, "p/empty.jpg", FV_REJECT_EMPTY);
    assert_refused(5, "p/pipe.jpg", FV_REJECT_SPECIAL);
    assert_refused(6, "p/0.jpg/x.jpg", FV_REJECT_MISSING);
    assert_refused(7, "", FV_REJECT_OUTSIDE);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    settings.layout = "list";
    refuses("l.txt", "", "is no list of photos");
    refuses("l.txt", "p/0.jpg p/1.jpg 1\n", "is no list of photos");
    refuses("l.txt", "p/0.jpg\n", "is no list of photos");
    refuses("l.txt", "p/0.jpg a\np/1.jpg\n", "l.txt:2: 1 fields, where the first row has 2");
    refuses("l.txt", "p/0.jpg a\np/with blanks.jpg b\n", "a name with blanks needs quotes");
    refuses("l.csv", "p/0.jpg,a\np/1.jpg,\n", "l.csv:2: no label");
    refuses("l.csv", "p/0.jpg,a\n,a\n", "l.csv:2: no path");
    refuses("l.csv", "p/0.jpg,a\np/1.jpg,\x1b[2J\n", "l.csv:2: the label holds a control byte");
    refuses("l.txt", "p/0.jpg a\np/0.jpg b\n", "'p/0.jpg' is listed twice");
    refuses("l.csv", "path,label\n", "names no photo");
    settings.layout = NULL;
    refuses("l.bin", "no list", "is of no known layout");
    refuses("pairs.txt", "p/0.jpg p/1.jpg 1\n", "is of no known layout");
}

/* What export writes: a file's name in the data set is not its path. */
static void an_exported_folder_gives_names(void **state)
{
    (void)state;
    write_text("p/photos.csv", "path,identity,split,packed_as\n"
                               "0.jpg,anna,train,anna/a.png\n"
                               "1.jpg,\"a, b\",val,\"x \"\"y\"\".bmp\"\n");
    assert_int_equal(fv__import(&l, scratch_path("p/"), &settings, NULL), 0);
    assert_string_equal(l.importer->name, "list");
    assert_photos("a, b x \"y\".bmp 2\nanna anna/a.png 0\n");
    assert_string_equal(l.photo[0].path, "1.jpg");
    assert_string_equal(l.photo[1].path, "0.jpg");
    uint8_t *bytes = NULL;
    size_t room = 0, n;
    struct fv_refusal why;
    assert_int_equal(fv__import_read(&l, &l.photo[1], &bytes, &room, &n, &why), 0);
    assert_int_equal(n, 1);
    free(bytes);

    /* two photos of one name, and none */
    assert_int_equal(list("p/photos.csv", "path,identity,packed_as\n0.jpg,a,x\n1.jpg,b,x\n"),
                     FV_ECORRUPT);
    assert_int_equal(list("p/photos.csv", "path,identity,packed_as\n0.jpg,a,\n"), FV_ECORRUPT);
}

/* Another program's photos.csv says nothing about the folder around it. */
static void another_photos_csv_is_passed_over(void **state)
{
    (void)state;
    write_text("photos.csv", "path,identity\np/0.jpg,anna\n");
    assert_int_equal(fv__import(&l, scratch_path("."), &settings, NULL), 0);
    assert_string_equal(l.importer->name, "folders");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reads_every_form),
        T(splits_may_be_given),
        T(faces_come_with_the_list),
        T(faces_come_from_beside),
        T(celeba_faces_come_from_its_text_files),
        T(paths_begin_where_they_are_said_to),
        T(what_is_not_there_is_refused),
        T(says_what_is_wrong),
        T(an_exported_folder_gives_names),
        T(another_photos_csv_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
