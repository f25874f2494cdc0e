/* SPDX-License-Identifier: MIT */
/* The demo faces' promises: the same bytes for any number of threads and in every run; a longer set
 * begins with the shorter one; a person does not change from shot to shot, nor a shot with the person;
 * nothing foreign is touched; and what is written are pictures of the size asked for.
 */
#include "prep/synth/synth.h"

#include "common/err.h"
#include "prep/photo/photo.h"
#include "prep/prep.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 3, IMAGES = 4, SIZE = 48 };

static struct fv_synth_settings settings(const char *folder)
{
    struct fv_synth_settings s;
    fv_synth_defaults(&s);
    s.output = scratch_path("%s", folder);
    s.identities = IDS;
    s.images = IMAGES;
    s.size = SIZE;
    s.threads = 2;
    return s;
}

static void make(const struct fv_synth_settings *s)
{
    int rc = fv_synth_run(s, NULL);
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static const char *picture(const char *folder, int identity, int image)
{
    static char name[200];
    snprintf(name, sizeof name, "%s/id%04d/%04d.jpg", folder, identity, image);
    return name;
}

static int same_picture(const char *a, const char *b, int identity, int image)
{
    size_t na, nb;
    char *pa = scratch_read(picture(a, identity, image), &na),
         *pb = scratch_read(picture(b, identity, image), &nb);
    int same = na == nb && na > 0 && memcmp(pa, pb, na) == 0;
    free(pa);
    free(pb);
    return same;
}

static void assert_same_set(const char *a, const char *b)
{
    for (int i = 1; i <= IDS; i++)
        for (int k = 1; k <= IMAGES; k++)
            if (!same_picture(a, b, i, k))
                fail_msg("%s differs between %s and %s", picture("", i, k), a, b);
}

/* --- files ------------------------------------------------------------------------------------------- */

static void threads_do_not_show(void **state)
{
    (void)state;
    const int threads[] = {1, 2, 3, 8};
    char name[20];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "t%d", threads[i]);
        struct fv_synth_settings s = settings(name);
        s.threads = threads[i];
        make(&s);
        assert_same_set("t1", name);
        assert_int_equal(scratch_count(name), IDS + 1); /* and .synth: no temporary file is left */
    }
}

/* A language with a decimal comma must not reach the drawings. */
static void language_does_not_show(void **state)
{
    (void)state;
    static const char *const comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "nl_NL.UTF-8"};
    int found = 0;
    struct fv_synth_settings s = settings("c");
    make(&s);
    for (int i = 0; i < 4 && !found; i++)
        found = setlocale(LC_ALL, comma[i]) != NULL;
    if (!found) {
        print_message("no locale with a decimal comma is installed: not tested\n");
        skip();
    }
    s = settings("de");
    make(&s);
    setlocale(LC_ALL, "C");
    assert_same_set("c", "de");
}

static void longer_set_begins_with_the_shorter(void **state)
{
    (void)state;
    struct fv_synth_settings s = settings("short");
    make(&s);
    s = settings("long");
    s.identities = IDS + 2;
    s.images = IMAGES + 3;
    make(&s);
    assert_same_set("short", "long");

    /* Also when the same folder grows; what is there stays, what is missing or empty is drawn. */
    s.output = scratch_path("short");
    scratch_write(picture("short", 1, 1), "kept", 4);
    scratch_write(picture("short", 1, 2), "", 0);
    make(&s);
    size_t n;
    char *kept = scratch_read(picture("short", 1, 1), &n);
    assert_int_equal(n, 4);
    free(kept);
    assert_true(same_picture("short", "long", 1, 2));
    assert_true(same_picture("short", "long", IDS + 2, IMAGES + 3));
}

static void pictures_differ(void **state)
{
    (void)state;
    struct fv_synth_settings s = settings("one");
    make(&s);
    s = settings("two");
    s.seed = 2;
    make(&s);
    for (int i = 1; i <= IDS; i++)
        for (int k = 1; k <= IMAGES; k++)
            assert_false(same_picture("one", "two", i, k));
    size_t na, nb;
    char *a = scratch_read(picture("one", 1, 1), &na), *b = scratch_read(picture("one", 1, 2), &nb);
    assert_false(na == nb && memcmp(a, b, na) == 0);
    free(a);
    free(b);
}

/* Read by the loader for photos of others, which refuses SVG: both live in one process. */
static void pictures_decode(void **state)
{
    (void)state;
    static uint8_t rgb[SIZE * SIZE * 3];
    struct fv_refusal why;
    struct fv_photo *reader;
    struct fv_synth_settings s = settings("d");
    if (fv__photo_open(&reader, &(struct fv_framing){.size = SIZE, .crop = 1}) < 0)
        fail_msg("%s", fv_err_text());
    make(&s);
    for (int k = 1; k <= IMAGES; k++) {
        double sum = 0, squares = 0, n = SIZE * SIZE * 3;
        assert_int_equal(scratch_decode(reader, scratch_path("%s", picture("d", 1, k)), rgb, &why),
                         0);
        for (int i = 0; i < SIZE * SIZE * 3; i++) {
            sum += rgb[i];
            squares += (double)rgb[i] * rgb[i];
        }
        assert_true(squares / n - sum / n * (sum / n) > 100); /* not one flat colour */
        size_t bytes;
        char *jpeg = scratch_read(picture("d", 1, k), &bytes);
        int side[2] = {0, 0};
        for (size_t i = 0; i + 9 < bytes && !side[0];
             i++) /* the frame header: FF C0, length, 8 bits */
            if ((uint8_t)jpeg[i] == 0xff && (uint8_t)jpeg[i + 1] == 0xc0 && jpeg[i + 4] == 8) {
                side[0] = (uint8_t)jpeg[i + 5] << 8 | (uint8_t)jpeg[i + 6];
                side[1] = (uint8_t)jpeg[i + 7] << 8 | (uint8_t)jpeg[i + 8];
            }
        free(jpeg);
        assert_int_equal(side[0], SIZE);
        assert_int_equal(side[1], SIZE);
    }
    const char svg[] = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"48\" height=\"48\"/>";
    scratch_write("hostile.svg", svg, sizeof svg - 1);
    assert_int_equal(scratch_decode(reader, scratch_path("hostile.svg"), rgb, &why), 1);
    fv__photo_close(&reader);
}

static void refuses(struct fv_synth_settings s, int code, const char *sentence)
{
    assert_int_equal(fv_synth_run(&s, NULL), code);
    if (!strstr(fv_err_text(), sentence))
        fail_msg("'%s' does not say '%s'", fv_err_text(), sentence);
}

static void foreign_folders_are_refused(void **state)
{
    (void)state;
    struct fv_synth_settings s = settings("holiday"), t;
    scratch_write("holiday/beach.jpg", "x", 1);
    refuses(s, FV_EEXIST, "no demo faces");
    assert_int_equal(scratch_count("holiday"), 1);
    scratch_write("file", "x", 1);
    refuses(settings("file"), FV_EEXIST, "no folder");

    s = settings("mine");
    make(&s);
    t = s;
    t.seed = 2;
    refuses(t, FV_EEXIST, "--seed 1 --size 48");
    t = s;
    t.size = 64;
    refuses(t, FV_EEXIST, "--seed 1 --size 48");
    t = s;
    t.images = 1;
    refuses(t, FV_EEXIST, "more than asked for");
    t = s;
    t.identities = 1;
    refuses(t, FV_EEXIST, "more than asked for");
    scratch_write("mine/.synth", "fvprep synth 99\n", 16);
    refuses(s, FV_EVERSION, "another version");
    t = s;
    t.images = 0;
    refuses(t, FV_EINVAL, "out of range");
}

static void stops_on_request(void **state)
{
    (void)state;
    struct fv_synth_settings s = settings("stopped");
    s.images = 2000;
    fv_prep_stop = 1;
    int rc = fv_synth_run(&s, NULL);
    fv_prep_stop = 0;
    assert_int_equal(rc, FV_EINTR);
    s.images = 2000;
    assert_false(scratch_has(picture("stopped", IDS, 2000)));
}

/* --- people and shots -------------------------------------------------------------------------------- */

static void people_are_functions(void **state)
{
    (void)state;
    struct fv__person a, b;
    struct fv__shot s, t;
    for (uint32_t i = 0; i < 50; i++) {
        memset(&a, 0x55, sizeof a);
        memset(&b, 0xaa, sizeof b);
        fv__person_draw(&a, 7, i);
        fv__shot_draw(&s, 7, i, i + 1);
        fv__person_draw(&b, 7, i);
        assert_memory_equal(&a, &b, sizeof a);
        fv__person_draw(&b, 7, i + 1);
        assert_memory_not_equal(&a, &b, sizeof a);
        fv__person_draw(&b, 8, i);
        assert_memory_not_equal(&a, &b, sizeof a);
        fv__shot_draw(&t, 7, i, i + 2);
        assert_true(s.yaw != t.yaw && s.back_angle != t.back_angle && s.blur != t.blur);
        fv__shot_draw(&t, 7, i + 1, i + 1);
        assert_true(s.yaw != t.yaw && s.back_angle != t.back_angle && s.blur != t.blur);
    }
}

/* No nuisance leaks who it is: the mean of a nuisance over one person's shots scatters around the mean
 * over all people as chance has it, F(IDS - 1, rest) near 1. For 60 and 1740 degrees of freedom a value
 * above 1.9 has a probability below 1e-4. */
static void shots_do_not_identify(void **state)
{
    (void)state;
    enum { PEOPLE = 61, SHOTS = 30, CUES = 6 };
    static double value[CUES][PEOPLE][SHOTS];
    for (uint32_t i = 0; i < PEOPLE; i++)
        for (uint32_t k = 0; k < SHOTS; k++) {
            struct fv__shot s;
            fv__shot_draw(&s, 1, i, k);
            const double cue[CUES] = {s.yaw, s.smile, s.back[0].r, s.exposure, s.warmth, s.noise};
            for (int c = 0; c < CUES; c++)
                value[c][i][k] = cue[c];
        }
    for (int c = 0; c < CUES; c++) {
        double all = 0, between = 0, within = 0;
        for (int i = 0; i < PEOPLE * SHOTS; i++)
            all += value[c][i / SHOTS][i % SHOTS] / (PEOPLE * SHOTS);
        for (int i = 0; i < PEOPLE; i++) {
            double mean = 0;
            for (int k = 0; k < SHOTS; k++)
                mean += value[c][i][k] / SHOTS;
            between += SHOTS * (mean - all) * (mean - all) / (PEOPLE - 1);
            for (int k = 0; k < SHOTS; k++)
                within +=
                    (value[c][i][k] - mean) * (value[c][i][k] - mean) / (PEOPLE * (SHOTS - 1));
        }
        assert_true(within > 0);
        assert_true(between / within < 1.9);
    }
}

/* Faces stay anatomical over many people: what must lie above what does. */
static void features_are_in_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        struct fv__person p;
        fv__person_draw(&p, 3, i);
        assert_true(p.crown_y < p.hairline[3] || p.hair == FV__HAIR_BALD);
        assert_true(p.eye_h < p.nose_y && p.nose_y < p.mouth_y - p.lip_upper);
        assert_true(p.mouth_y + p.lip_lower < p.chin_y - 4);
        assert_true(p.eye_x - p.eye_w > 2);
        assert_true(p.eye_x + p.eye_w < fv__head_half_width(&p, 0));
        assert_true(p.jaw_y < p.chin_y && p.chin_w < p.jaw_w && p.jaw_w < p.cheek_w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_do_not_show, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(language_does_not_show, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(longer_set_begins_with_the_shorter, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(pictures_differ, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(pictures_decode, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(foreign_folders_are_refused, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(stops_on_request, scratch_setup, scratch_teardown),
        cmocka_unit_test(people_are_functions),
        cmocka_unit_test(shots_do_not_identify),
        cmocka_unit_test(features_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
