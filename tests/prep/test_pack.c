/* SPDX-License-Identifier: MIT */
/* The whole way from a folder to a data set: what is in it, that threads do not matter, and that a run which
 * does not succeed leaves nothing behind.
 */
#include "prep/prep.h"

#include "common/err.h"
#include "prep/pack/split.h"
#include "store/store.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { IDENTITIES = 6, IMAGES = 5, SIDE = 16 };

static struct fv_pack_settings settings;
static struct fv_pack_result result;

/* Six people of five flat grey photos each; what is wrong beside them is added by the tests. */
static int setup(void **state)
{
    (void)state;
    scratch_open();
    for (int i = 0; i < IDENTITIES; i++)
        for (int k = 0; k < IMAGES; k++) {
            char name[64];
            snprintf(name, sizeof name, "photos/p%d/%d.pgm", i, k);
            scratch_pgm(name, SIDE + i, 40 * i + k);
        }
    assert_int_equal(mkdir(scratch_path("out"), 0700), 0);
    fv_pack_defaults(&settings);
    settings.size = SIDE;
    settings.output = strdup(scratch_path("out/faces.lmdb"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free((char *)settings.output);
    fv_prep_stop = 0;
    scratch_close();
    return 0;
}

static int pack(void)
{
    return fv_pack_run(&settings, scratch_path("photos"), NULL, &result);
}

static void add_bad_files(void)
{
    scratch_write("photos/p0/notes.txt", "not meant as a photo", 20);
    scratch_write("photos/p0/.DS_Store", "x", 1);
    scratch_write("photos/p1/text.jpg", "meant as a photo", 16);
    scratch_write("photos/p2/cut.pgm", "P5\n64 64\n255\n0123456789", 23);
    scratch_write("photos/p2/empty.png", "", 0);
    scratch_write("photos/p1b/only.jpg", "nobody has this face", 20);
    scratch_write("photos/loose.jpg", "x", 1);
}

/* --- what is in it -------------------------------------------------------------------------------- */

static void assert_pixels(struct fv_decoder *d, uint64_t image, int grey)
{
    static uint8_t rgb[SIDE * SIDE * 3 + FV_DECODE_PAD];
    assert_int_equal(fv_decoder_read(d, image, rgb), 0);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        assert_int_equal(rgb[i], grey);
}

/* Training identities by name, then held-out ones by name; images by name; pixels and splits as due. */
static void assert_content(const char *path, size_t held_want, size_t val_want)
{
    struct fv_store *store;
    struct fv_decoder *d;
    uint64_t at = 0;
    size_t held = 0;
    int seen = 0;
    assert_int_equal(fv_store_open(&store, path), 0);
    assert_int_equal(fv_decoder_open(&d, store), 0);
    assert_int_equal(fv_store_info(store)->labels, IDENTITIES);
    assert_int_equal(fv_store_info(store)->images, IDENTITIES * IMAGES);
    for (uint64_t l = 0; l < IDENTITIES; l++) {
        struct fv_store_label label;
        size_t val = 0;
        assert_int_equal(fv_store_label(store, l, &label), 0);
        int id = label.name[1] - '0';
        seen |= 1 << id;
        held += label.holdout != 0;
        assert_int_equal(label.count, IMAGES);
        for (int k = 0; k < IMAGES; k++, at++) {
            struct fv_store_image image;
            char name[32];
            snprintf(name, sizeof name, "p%d/%d.pgm", id, k);
            assert_int_equal(fv_store_image(store, at, &image), 0);
            assert_string_equal(image.name, name);
            assert_int_equal(image.label, l);
            assert_int_equal(image.split == FV_SPLIT_HOLDOUT, label.holdout);
            val += image.split == FV_SPLIT_VAL;
            assert_pixels(d, at, 40 * id + k);
        }
        assert_int_equal(val, label.holdout ? 0 : val_want);
    }
    assert_int_equal(seen, (1 << IDENTITIES) - 1);
    assert_int_equal(held, held_want);
    assert_int_equal(fv_store_info(store)->train_labels, IDENTITIES - held_want);
    fv_decoder_close(&d);
    fv_store_close(&store);
}

static void packs_all_without_splits(void **state)
{
    (void)state;
    assert_int_equal(pack(), 0);
    assert_content(settings.output, 0, 0);
    assert_int_equal(result.files, 30);
    assert_int_equal(result.packed, 30);
    assert_int_equal(result.rejected, 0);
    assert_int_equal(result.identities, 6);
    assert_int_equal(result.train_images, 30);
    assert_true(result.file_bytes >= result.record_bytes && result.record_bytes > 0);
    assert_int_equal(scratch_count("out"), 3);
}

static void holds_out_and_validates_exact_shares(void **state)
{
    (void)state;
    add_bad_files(); /* a seventh identity, dropped: of seven, half would be four */
    settings.holdout_ids = 0.5;
    settings.val = 0.4;
    assert_int_equal(pack(), 0);
    assert_content(settings.output, 3, 2);
    assert_int_equal(result.holdout_identities, 3);
    assert_int_equal(result.holdout_images, 15);
    assert_int_equal(result.val_images, 6);
    assert_int_equal(result.train_images, 9);
    assert_int_equal(result.files, 35);
    assert_int_equal(result.rejected, 5);
}

static void the_lowest_ranks_are_held_out(void **state)
{
    (void)state;
    struct fv_store *store;
    struct fv_store_label in, out;
    settings.holdout_ids = 0.34;
    settings.seed = 9;
    assert_int_equal(pack(), 0);
    assert_int_equal(fv_store_open(&store, settings.output), 0);
    for (uint64_t a = 0; a < 4; a++)
        for (uint64_t b = 4; b < 6; b++) {
            assert_int_equal(fv_store_label(store, a, &in), 0);
            assert_int_equal(fv_store_label(store, b, &out), 0);
            assert_true(!in.holdout && out.holdout);
            assert_true(fv__split_rank(9, FV_SPLIT_IDENTITIES, in.name) >
                        fv__split_rank(9, FV_SPLIT_IDENTITIES, out.name));
        }
    fv_store_close(&store);
}

static void validation_leaves_an_image_to_train_on(void **state)
{
    (void)state;
    scratch_pgm("photos/single/1.pgm", SIDE, 9);
    settings.val = 1;
    assert_int_equal(pack(), 0);
    assert_int_equal(result.val_images, IDENTITIES * (IMAGES - 1));
    assert_int_equal(result.train_images, IDENTITIES + 1);
}

static void keeps_its_settings_but_not_those_of_the_run(void **state)
{
    (void)state;
    struct fv_store *store;
    settings.holdout_ids = 0.5;
    settings.threads = 2;
    assert_int_equal(pack(), 0);
    assert_int_equal(fv_store_open(&store, settings.output), 0);
    assert_string_equal(fv_store_info(store)->packed_with,
                        "size = 16\nframe = photo\nfit = cover\ncrop = 1\nmargin = "
                        "0.3\nholdout-ids = 0.5\nval = 0\n"
                        "seed = 1\ncodec = pixels\nquality = 0\nlevel = 6\ndict = auto\n");
    fv_store_close(&store);
}

/* name, and where it must be: split, and its identity's place */
static void assert_split(struct fv_store *store, const char *name, enum fv_split split, int holdout)
{
    struct fv_store_image image;
    struct fv_store_label label;
    uint64_t at;
    assert_int_equal(fv_store_find(store, name, &at), 0);
    assert_int_equal(fv_store_image(store, at, &image), 0);
    assert_int_equal(fv_store_label(store, image.label, &label), 0);
    assert_int_equal(image.split, split);
    assert_int_equal(label.holdout, holdout);
}

static void given_splits_win(void **state)
{
    (void)state;
    struct fv_store *store;
    char list[4096] = "path,label,split\n";
    /* p0: trained and validated; p1: test only; p2: nothing is said; p3: of two minds; p4, p5: trained */
    for (int i = 0; i < IDENTITIES; i++)
        for (int k = 0; k < IMAGES; k++)
            snprintf(list + strlen(list), sizeof list - strlen(list), "p%d/%d.pgm,p%d,%s\n", i, k,
                     i,
                     i == 0   ? (k < 3 ? "train" : "val")
                     : i == 1 ? "test"
                     : i == 2 ? ""
                     : i == 3 ? (k < 2 ? "train" : "")
                              : "train");
    scratch_write("photos/list.csv", list, strlen(list));
    settings.holdout_ids = 1;
    settings.val = 1;
    assert_int_equal(fv_pack_run(&settings, scratch_path("photos/list.csv"), NULL, &result), 0);
    assert_int_equal(fv_store_open(&store, settings.output), 0);
    assert_split(store, "p0/0.pgm", FV_SPLIT_TRAIN, 0);
    assert_split(store, "p0/3.pgm", FV_SPLIT_VAL, 0);
    assert_split(store, "p1/0.pgm", FV_SPLIT_HOLDOUT, 1);
    assert_split(store, "p3/0.pgm", FV_SPLIT_TRAIN, 0);
    for (int k = 2; k < IMAGES;
         k++) { /* two images to train on are given, so all others may validate */
        char name[16];
        snprintf(name, sizeof name, "p3/%d.pgm", k);
        assert_split(store, name, FV_SPLIT_VAL, 0);
    }
    assert_split(store, "p5/4.pgm", FV_SPLIT_TRAIN, 0);
    fv_store_close(&store);
    assert_int_equal(result.train_images + result.val_images + result.holdout_images, 30);
    assert_int_equal(result.packed, 30);
    assert_int_equal(result.identities, 6);
}

static void the_rule_chooses_among_those_left(void **state)
{
    (void)state;
    struct fv_store *store;
    struct fv_store_label label;
    char list[4096] = "";
    int held = 0;
    /* of p0 .. p3 nothing is said, p4 is trained, p5 is held out: half of four are two */
    for (int i = 0; i < IDENTITIES; i++)
        for (int k = 0; k < IMAGES; k++)
            snprintf(list + strlen(list), sizeof list - strlen(list), "p%d/%d.pgm,p%d,%s\n", i, k,
                     i,
                     i < 4    ? ""
                     : i == 4 ? "0"
                              : "2");
    scratch_write("photos/list.csv", list, strlen(list));
    settings.holdout_ids = 0.5;
    assert_int_equal(fv_pack_run(&settings, scratch_path("photos/list.csv"), NULL, &result), 0);
    assert_int_equal(result.holdout_identities, 3);
    assert_int_equal(fv_store_open(&store, settings.output), 0);
    for (uint64_t i = 0; i < IDENTITIES; i++) {
        assert_int_equal(fv_store_label(store, i, &label), 0);
        if (label.name[1] == '4')
            assert_false(label.holdout);
        else if (label.name[1] == '5')
            assert_true(label.holdout);
        else
            held += label.holdout;
    }
    assert_int_equal(held, 2);
    fv_store_close(&store);
}

/* Each image is in the shard of its identity's place in name order, with the split that it has in the whole. */
static void shards_divide_the_whole(void **state)
{
    enum { SHARDS = 4 };
    struct fv_store *whole, *part;
    uint64_t images = 0;
    (void)state;
    add_bad_files(); /* p1b counts among the places, though nothing comes of it */
    settings.holdout_ids = 0.5;
    settings.val = 0.4;
    assert_int_equal(pack(), 0);
    assert_int_equal(fv_store_open(&whole, settings.output), 0);
    for (int i = 0; i < SHARDS; i++) {
        char shard[8], path[1024];
        snprintf(shard, sizeof shard, "%d/%d", i + 1, SHARDS);
        snprintf(path, sizeof path, "%s", scratch_path("out/%d.lmdb", i));
        struct fv_pack_settings s = settings;
        s.shard = shard;
        s.output = path;
        assert_int_equal(fv_pack_run(&s, scratch_path("photos"), NULL, &result), 0);
        assert_int_equal(fv_store_open(&part, path), 0);
        for (uint64_t k = 0; k < fv_store_info(part)->images; k++) {
            struct fv_store_image here, there;
            uint64_t image;
            assert_int_equal(fv_store_image(part, k, &here), 0);
            assert_int_equal(fv_store_find(whole, here.name, &image), 0);
            assert_int_equal(fv_store_image(whole, image, &there), 0);
            assert_int_equal(here.split, there.split);
            assert_int_equal(here.content, there.content);
            /* p0 p1 p1b p2 p3 p4 p5 */
            const int id = here.name[1] - '0', place = id < 2 ? id : id + 1;
            assert_int_equal(place % SHARDS, i);
        }
        images += fv_store_info(part)->images;
        assert_non_null(strstr(fv_store_info(part)->packed_with, shard));
        fv_store_close(&part);
    }
    assert_int_equal(images, fv_store_info(whole)->images);
    fv_store_close(&whole);
}

static void a_wrong_shard_is_bad_usage(void **state)
{
    static const char *const wrong[] = {"",     "1",    "0/2",  "3/2",
                                        "1/2x", "1/",   "/2",   "-1/2",
                                        "1/0",  "1//2", " 1/2", "1/99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        settings.shard = wrong[i];
        assert_int_equal(pack(), FV_EUSAGE);
    }
    settings.shard = "9/9"; /* there are six identities */
    assert_int_equal(pack(), FV_ENOTFOUND);
    assert_non_null(strstr(fv_err_text(), "shard 9/9"));
}

static void a_wrong_suffix_is_packed_and_remarked_on(void **state)
{
    (void)state;
    size_t n;
    scratch_pgm("photos/p0/really.png", SIDE, 7);
    assert_int_equal(pack(), 0);
    assert_int_equal(result.packed, 31);
    assert_int_equal(result.misnamed, 1);
    assert_int_equal(result.rejected, 0);
    char *text = scratch_read("out/faces.rejects.tsv", &n);
    assert_non_null(strstr(text, "\n# packed\tp0/really.png\twrong-suffix\tPNM\n"));
    free(text);
}

static void a_git_lfs_pointer_is_named(void **state)
{
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                                  "oid sha256:0123\nsize 12345\n";
    size_t n;
    scratch_write("photos/p0/pointer.jpg", pointer, sizeof pointer - 1);
    assert_int_equal(pack(), 0);
    assert_int_equal(result.rejected, 1);
    char *text = scratch_read("out/faces.rejects.tsv", &n);
    assert_non_null(strstr(text, "\np0/pointer.jpg\tlfs-pointer\t"));
    free(text);
}

/* --- threads -------------------------------------------------------------------------------------- */

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 7, 8};
    char *first = NULL;
    size_t first_n = 0, n;
    add_bad_files();
    settings.holdout_ids = 0.3;
    settings.val = 0.2;
    settings.overwrite = 1;
    for (int i = 0; i < 4; i++) {
        settings.threads = threads[i];
        assert_int_equal(pack(), 0);
        char *bytes = scratch_read("out/faces.lmdb", &n);
        if (!first) {
            first = bytes;
            first_n = n;
            continue;
        }
        assert_int_equal(n, first_n);
        assert_memory_equal(bytes, first, n);
        free(bytes);
    }
    free(first);
}

/* --- what is refused ------------------------------------------------------------------------------ */

struct heard {
    char text[8][512];
    int n;
};

static void hear(void *ctx, enum fv_level level, const char *text)
{
    struct heard *h = ctx;
    if (level == FV_LEVEL_WARN && h->n < 8)
        snprintf(h->text[h->n++], sizeof h->text[0], "%s", text);
}

static void refused_files_are_named_and_listed(void **state)
{
    (void)state;
    static const char want[] = "# path\treason\tdetail\n"
                               "loose.jpg\tno-identity\t\n"
                               "p2/empty.png\tempty\t\n"
                               "# ignored\tp0/.DS_Store\thidden\n"
                               "# ignored\tp0/notes.txt\tnot-a-photo\n"
                               "p1/text.jpg\tnot-an-image\t\n"
                               "p1b/only.jpg\tnot-an-image\t\n"
                               "# few-images\tp1b\t0\n"
                               "p2/cut.pgm\tdamaged\tPNM, 64 x 64, 23 bytes\n";
    struct heard h = {0};
    struct fv_report report = {&h, hear, NULL};
    size_t n;
    add_bad_files();
    assert_int_equal(fv_pack_run(&settings, scratch_path("photos"), &report, &result), 0);
    char *list = scratch_read("out/faces.rejects.tsv", &n);
    assert_string_equal(list, want);
    free(list);
    assert_int_equal(h.n, 6);
    assert_string_equal(h.text[0], "loose.jpg: lies beside the identity folders, not in one");
    assert_string_equal(h.text[2], "p1/text.jpg: its first bytes are those of no image format");
    assert_string_equal(h.text[4], "p1b: no usable photo, identity dropped");
}

static void the_list_may_lie_elsewhere(void **state)
{
    (void)state;
    char path[1024];
    strcpy(path, scratch_path("list.txt"));
    settings.rejects = path;
    assert_int_equal(pack(), 0);
    assert_true(scratch_has("list.txt"));
    assert_int_equal(scratch_count("out"), 2);
}

static void the_list_never_takes_the_place_of_the_data_set(void **state)
{
    (void)state;
    static const char *const names[] = {"out/faces.lmdb",           "out/faces.lmdb.part",
                                        "out/../out/faces.lmdb",    "out/faces.lmdb.part.journal",
                                        "out/faces.duplicates.tsv", "./out/faces.lmdb.part"};
    char path[1024];
    settings.overwrite = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        strcpy(path, scratch_path("%s", names[i]));
        settings.rejects = path;
        assert_int_equal(pack(), FV_EUSAGE);
        assert_non_null(strstr(fv_err_text(), "--rejects"));
        assert_int_equal(scratch_count("out"), 0);
    }
}

static void an_output_without_a_name_is_told_at_once(void **state)
{
    (void)state;
    static const char *const names[] = {"", "out/", "no/such/"};
    const char *own = settings.output;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        settings.output = names[i];
        assert_int_equal(pack(), FV_EINVAL);
        assert_non_null(strstr(fv_err_text(), "names no file"));
        assert_int_equal(result.files, 0);
    }
    settings.output = own;
}

/* Without a list of boxes every photo would be refused for having none. */
static void a_frame_that_nothing_is_known_of_is_bad_usage(void **state)
{
    (void)state;
    settings.frame = "box";
    assert_int_equal(pack(), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "--boxes"));
    settings.frame = "landmarks";
    settings.size = 112;
    assert_int_equal(pack(), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "--landmarks"));
    assert_int_equal(scratch_count("out"), 0);
}

static void control_bytes_in_names_are_written_as_text(void **state)
{
    (void)state;
    struct heard h = {0};
    struct fv_report report = {&h, hear, NULL};
    size_t n;
    scratch_write("odd/a/\033]0;x\a\\.jpg", "x", 1);
    scratch_write("odd/a/tab\t\n.jpg", "x", 1);
    scratch_write("odd/#.jpg", "x", 1);
    scratch_pgm("odd/a/good.pgm", 64, 9);
    assert_int_equal(fv_pack_run(&settings, scratch_path("odd"), &report, &result), 0);
    char *list = scratch_read("out/faces.rejects.tsv", &n);
    assert_string_equal(list, "# path\treason\tdetail\n"
                              "\\x23.jpg\tno-identity\t\n"
                              "a/\\x1b]0;x\\x07\\\\.jpg\tbad-name\t\n"
                              "a/tab\\t\\n.jpg\tbad-name\t\n");
    free(list);
    assert_int_equal(h.n, 3);
    assert_ptr_equal(strstr(h.text[0], "#.jpg: "), h.text[0]);
    assert_ptr_equal(strstr(h.text[1], "a/\\x1b]0;x\\x07\\\\.jpg: "), h.text[1]);
    settings.strict = settings.overwrite = 1;
    remove(scratch_path("odd/#.jpg"));
    assert_int_equal(fv_pack_run(&settings, scratch_path("odd"), &report, &result), FV_ECORRUPT);
    assert_ptr_equal(strstr(fv_err_text(), "a/\\x1b"), fv_err_text());
}

static void reasons_are_counted(void **state)
{
    (void)state;
    add_bad_files();
    assert_int_equal(pack(), 0);
    assert_int_equal(result.ignored, 2);
    assert_int_equal(result.reasons, 4);
    static const struct fv_pack_reason want[] = {
        {"no-identity", 1}, {"empty", 1}, {"not-an-image", 2}, {"damaged", 1}};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(result.reason[i].code, want[i].code);
        assert_int_equal(result.reason[i].files, want[i].files);
    }
}

static void identities_of_few_images_are_listed(void **state)
{
    (void)state;
    size_t n;
    scratch_pgm("photos/p2b/1.pgm", SIDE, 250);
    scratch_write("photos/p2b/2.jpg", "text", 4);
    settings.min_images = IMAGES;
    assert_int_equal(pack(), 0);
    assert_int_equal(result.few, 1);
    char *list = scratch_read("out/faces.rejects.tsv", &n);
    assert_string_equal(list, "# path\treason\tdetail\n"
                              "p2b/2.jpg\tnot-an-image\t\n"
                              "# few-images\tp2b\t1\n");
    free(list);
}

static void duplicates_are_listed_and_told_when_under_two_identities(void **state)
{
    (void)state;
    struct heard h = {0};
    struct fv_report report = {&h, hear, NULL};
    size_t n;
    scratch_pgm("photos/p1/9.pgm", SIDE, 40);         /* p1/0 once more */
    scratch_pgm("photos/p4/again.pgm", 3 * SIDE, 80); /* p2/0, of another size */
    scratch_pgm("photos/p5/odd\\name.pgm", SIDE, 40); /* p1/0 again */
    for (int threads = 1; threads <= 3; threads += 2) {
        settings.threads = threads;
        settings.overwrite = 1;
        assert_int_equal(fv_pack_run(&settings, scratch_path("photos"), &report, &result), 0);
        assert_int_equal(result.packed, 33);
        assert_int_equal(result.duplicates, 3);
        assert_int_equal(result.mislabelled, 2);
        char *list = scratch_read("out/faces.duplicates.tsv", &n);
        assert_string_equal(list, "# path\tearlier path\tidentity\n"
                                  "p1/9.pgm\tp1/0.pgm\tsame\n"
                                  "p4/again.pgm\tp2/0.pgm\tother\n"
                                  "p5/odd\\\\name.pgm\tp1/0.pgm\tother\n");
        free(list);
    }
    assert_int_equal(h.n, 6);
    assert_string_equal(h.text[0],
                        "p4/again.pgm: is the same picture as p2/0.pgm, of another identity");
    assert_non_null(strstr(h.text[1], "p5/odd\\\\name.pgm: is the same picture as p1/0.pgm"));
    assert_non_null(strstr(h.text[2], "3 images are copies of earlier ones, 2 of them under"));
}

static void many_duplicates_are_all_found(void **state)
{
    (void)state;
    size_t n, lines = 0;
    for (int i = 0; i < 1500;
         i++) { /* more than the table begins with; every third one is a copy */
        char name[64], body[512];
        int k = i % 3 == 2 ? i - 1 : i, at = sprintf(body, "P2 8 8 255\n");
        snprintf(name, sizeof name, "many/p%d/%04d.pgm", i % 7, i);
        for (int x = 0; x < 64; x++)
            at += sprintf(body + at, "%d ", x == 0 ? k % 250 : x == 63 ? k / 250 : 7);
        scratch_write(name, body, (size_t)at);
    }
    settings.size = 8;
    assert_int_equal(fv_pack_run(&settings, scratch_path("many"), NULL, &result), 0);
    assert_int_equal(result.packed, 1500);
    assert_int_equal(result.duplicates, 500);
    char *list = scratch_read("out/faces.duplicates.tsv", &n);
    for (const char *p = list; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 501);
    free(list);
}

static void strict_makes_a_refused_file_fatal(void **state)
{
    (void)state;
    settings.strict = 1;
    assert_int_equal(pack(), 0);
    settings.overwrite = 1;
    scratch_write("photos/p3/2x.jpg", "text", 4);
    size_t n, m;
    char *before = scratch_read("out/faces.lmdb", &n);
    assert_int_equal(pack(), FV_ECORRUPT);
    assert_non_null(strstr(fv_err_text(), "p3/2x.jpg: its first bytes"));
    char *after = scratch_read("out/faces.lmdb", &m); /* the earlier one stands */
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    free(before);
    free(after);
    scratch_write("photos/p5/also.jpg", "text", 4); /* all are listed */
    remove(scratch_path("out/faces.lmdb"));
    remove(scratch_path("out/faces.duplicates.tsv"));
    assert_int_equal(pack(), FV_ECORRUPT);
    assert_int_equal(scratch_count("out"), 1);
    char *list = scratch_read("out/faces.rejects.tsv", &n);
    assert_string_equal(list, "# path\treason\tdetail\n"
                              "p3/2x.jpg\tnot-an-image\t\n"
                              "p5/also.jpg\tnot-an-image\t\n");
    free(list);
}

/* --- what does not succeed ------------------------------------------------------------------------- */

static void an_existing_file_is_kept(void **state)
{
    (void)state;
    size_t n;
    scratch_write("out/faces.lmdb", "precious", 8);
    assert_int_equal(pack(), FV_EEXIST);
    assert_non_null(strstr(fv_err_text(), "--overwrite"));
    char *text = scratch_read("out/faces.lmdb", &n);
    assert_string_equal(text, "precious");
    free(text);
    assert_int_equal(scratch_count("out"), 1);
    settings.overwrite = 1;
    assert_int_equal(pack(), 0);
    assert_content(settings.output, 0, 0);
}

static void nothing_usable_is_an_error_with_reasons(void **state)
{
    (void)state;
    scratch_write("none/a/1.jpg", "text", 4);
    assert_int_equal(fv_pack_run(&settings, scratch_path("none"), NULL, &result), FV_ENOTFOUND);
    assert_false(scratch_has("out/faces.lmdb"));
    assert_true(scratch_has("out/faces.rejects.tsv"));
    scratch_write("empty/a/notes.txt", "text", 4);
    assert_int_equal(fv_pack_run(&settings, scratch_path("empty"), NULL, &result), FV_ENOTFOUND);
    assert_int_equal(scratch_count("out"), 1);
}

static void wrong_settings_leave_nothing(void **state)
{
    (void)state;
    settings.codec = "pixel";
    assert_int_equal(pack(), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "pixels"));
    settings.codec = "pixels";
    assert_int_equal(fv_pack_run(&settings, scratch_path("gone"), NULL, &result), FV_ENOTFOUND);
    assert_int_equal(scratch_count("out"), 0);
}

static void stop_soon(void *ctx, const struct fv_progress *p)
{
    if (p->done == *(const uint64_t *)ctx)
        fv_prep_stop = 1;
}

static void an_interrupted_run_leaves_nothing(void **state)
{
    (void)state;
    static const uint64_t when[] = {1, 7, 29};
    for (int i = 0; i < 3; i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            uint64_t at = when[i];
            struct fv_report report = {&at, NULL, stop_soon};
            settings.threads = threads;
            fv_prep_stop = 0;
            assert_int_equal(fv_pack_run(&settings, scratch_path("photos"), &report, &result),
                             FV_EINTR);
            assert_int_equal(scratch_count("out"), 0);
        }
    fv_prep_stop = 1;
    assert_int_equal(pack(), FV_EINTR);
    assert_int_equal(scratch_count("out"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packs_all_without_splits),
        TEST(holds_out_and_validates_exact_shares),
        TEST(the_lowest_ranks_are_held_out),
        TEST(validation_leaves_an_image_to_train_on),
        TEST(keeps_its_settings_but_not_those_of_the_run),
        TEST(given_splits_win),
        TEST(the_rule_chooses_among_those_left),
        TEST(shards_divide_the_whole),
        TEST(a_wrong_shard_is_bad_usage),
        TEST(a_wrong_suffix_is_packed_and_remarked_on),
        TEST(a_git_lfs_pointer_is_named),
        TEST(any_number_of_threads_gives_the_same_bytes),
        TEST(refused_files_are_named_and_listed),
        TEST(the_list_may_lie_elsewhere),
        TEST(the_list_never_takes_the_place_of_the_data_set),
        TEST(an_output_without_a_name_is_told_at_once),
        TEST(a_frame_that_nothing_is_known_of_is_bad_usage),
        TEST(control_bytes_in_names_are_written_as_text),
        TEST(reasons_are_counted),
        TEST(identities_of_few_images_are_listed),
        TEST(duplicates_are_listed_and_told_when_under_two_identities),
        TEST(many_duplicates_are_all_found),
        TEST(strict_makes_a_refused_file_fatal),
        TEST(an_existing_file_is_kept),
        TEST(nothing_usable_is_an_error_with_reasons),
        TEST(wrong_settings_leave_nothing),
        TEST(an_interrupted_run_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
