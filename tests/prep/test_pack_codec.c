/* SPDX-License-Identifier: MIT */
/* What the codecs make of photos: JPEGs of the wanted size stay as they are, the file is hardly larger than its
 * records, neither threads nor dictionary change what is packed.
 */
#include "prep/prep.h"

#include "common/err.h"
#include "store/store.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { IDENTITIES = 16, IMAGES = 15, DRAWN = 128, SIDE = 112, LARGE = 224 };

static int draw_photos(void **state)
{
    struct fv_synth_settings synth;
    (void)state;
    scratch_open();
    fv_synth_defaults(&synth);
    synth.output = scratch_path("photos");
    synth.identities = IDENTITIES;
    synth.images = IMAGES;
    synth.size = DRAWN;
    return fv_synth_run(&synth, NULL);
}

static int teardown(void **state)
{
    (void)state;
    scratch_close();
    return 0;
}

struct packed {
    const char *path;
    struct fv_pack_result result;
    struct fv_store *store;
    struct fv_decoder *decoder;
};

static struct fv_pack_settings settings(const char *codec)
{
    struct fv_pack_settings s;
    fv_pack_defaults(&s);
    s.codec = codec;
    s.size = SIDE;
    return s;
}

static void pack(struct packed *p, struct fv_pack_settings s, const char *name)
{
    p->path = scratch_path("%s", name);
    s.output = p->path;
    s.overwrite = 1;
    assert_int_equal(fv_pack_run(&s, scratch_path("photos"), NULL, &p->result), 0);
    assert_int_equal(p->result.packed, IDENTITIES * IMAGES);
    assert_int_equal(fv_store_open(&p->store, p->path), 0);
    assert_int_equal(fv_decoder_open(&p->decoder, p->store), 0);
}

static void done(struct packed *p)
{
    fv_decoder_close(&p->decoder);
    fv_store_close(&p->store);
}

/* PSNR of all images of b against those of a, in dB. */
static double compare(struct packed *a, struct packed *b, int side)
{
    const size_t n = (size_t)side * (size_t)side * 3;
    uint8_t *x = malloc(n + FV_DECODE_PAD), *y = malloc(n + FV_DECODE_PAD);
    double sum = 0;
    for (uint64_t i = 0; i < IDENTITIES * IMAGES; i++) {
        assert_int_equal(fv_decoder_read(a->decoder, i, x), 0);
        assert_int_equal(fv_decoder_read(b->decoder, i, y), 0);
        for (size_t k = 0; k < n; k++)
            sum += (x[k] - y[k]) * (x[k] - y[k]);
    }
    free(x);
    free(y);
    return sum == 0 ? INFINITY : 10 * log10(255.0 * 255 * (double)n * IDENTITIES * IMAGES / sum);
}

static void finished_jpegs_stay_as_they_are(void **state)
{
    struct packed pixels, jpeg;
    struct fv_pack_settings plain = settings("pixels"), files = settings("jpeg");
    (void)state;
    plain.size = files.size = DRAWN;
    pack(&pixels, plain, "pixels.lmdb");
    pack(&jpeg, files, "jpeg.lmdb");
    assert_int_equal(pixels.result.kept, 0);
    assert_int_equal(jpeg.result.kept, IDENTITIES * IMAGES);
    assert_true(isinf(compare(&pixels, &jpeg, DRAWN)));
    done(&pixels);
    done(&jpeg);
}

static void others_are_made_anew_with_little_loss(void **state)
{
    struct packed pixels, jpeg;
    (void)state;
    pack(&pixels, settings("pixels"), "pixels.lmdb");
    pack(&jpeg, settings("jpeg"), "jpeg.lmdb");
    assert_int_equal(jpeg.result.kept, 0);
    double db = compare(&pixels, &jpeg, SIDE);
    if (db < 41 || db > 47) /* 43 to 44 for faces at quality 95 */
        fail_msg("%.2f dB", db);
    assert_true(jpeg.result.record_bytes * 2 < pixels.result.record_bytes);
    done(&pixels);
    done(&jpeg);
}

static void files_are_hardly_larger_than_their_records(void **state)
{
    static const struct {
        const char *codec;
        int size;
        double most;
    } want[] = {{"pixels", SIDE, 1.05}, {"jpeg", SIDE, 1.05}, {"pixels", LARGE, 1.01}};
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct fv_pack_settings s = settings(want[i].codec);
        struct packed p;
        s.size = want[i].size;
        pack(&p, s, "file.lmdb");
        double overhead = (double)p.result.file_bytes / (double)p.result.record_bytes;
        if (overhead > want[i].most)
            fail_msg("%s, %d px: the file is %.4f of its records", s.codec, want[i].size, overhead);
        done(&p);
    }
}

static void threads_change_nothing(void **state)
{
    static const int threads[] = {1, 2, 7};
    char *bytes[3];
    size_t n[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fv_pack_settings s = settings("jpeg");
        struct packed p;
        s.threads = threads[i];
        pack(&p, s, "threads.lmdb");
        assert_true(p.result.dict_bytes > 0);
        done(&p);
        bytes[i] = scratch_read("threads.lmdb", &n[i]);
    }
    for (int i = 1; i < 3; i++) {
        assert_int_equal(n[i], n[0]);
        assert_memory_equal(bytes[i], bytes[0], n[0]);
    }
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
}

static void a_dictionary_saves_bytes_and_changes_nothing_else(void **state)
{
    struct fv_pack_settings s = settings("jpeg");
    struct packed with, without;
    (void)state;
    pack(&with, s, "with.lmdb");
    s.dict = "no";
    pack(&without, s, "without.lmdb");
    assert_int_equal(without.result.dict_bytes, 0);
    assert_true(with.result.file_bytes < without.result.file_bytes);
    assert_int_equal(with.result.digest, without.result.digest);
    assert_true(isinf(compare(&with, &without, SIDE)));
    done(&with);
    done(&without);
}

static void trials_foretell_what_packing_gives(void **state)
{
    struct fv_codecs_settings s;
    struct fv_codecs_result of_photos, of_store;
    struct packed pixels, jpeg;
    (void)state;
    fv_codecs_defaults(&s);
    s.sample = 80;
    assert_int_equal(setenv("TMPDIR", scratch_path("tmp"), 1), 0);
    assert_int_equal(mkdir(scratch_path("tmp"), 0700), 0);
    assert_int_equal(fv_codecs_run(&s, scratch_path("photos"), NULL, &of_photos), 0);
    assert_int_equal(scratch_count("tmp"), 0);
    assert_int_equal(of_photos.sampled, 80);
    assert_int_equal(of_photos.images, IDENTITIES * IMAGES);

    pack(&pixels, settings("pixels"), "pixels.lmdb");
    pack(&jpeg, settings("jpeg"), "jpeg.lmdb");
    double loss = compare(&pixels, &jpeg, SIDE);
    done(&pixels);
    done(&jpeg);
    int seen = 0;
    for (int i = 0; i < of_photos.trials; i++) {
        const struct fv_codec_trial *t = &of_photos.trial[i];
        const int lossless = strcmp(t->codec, "pixels") == 0;
        assert_int_equal(t->quality == 0, lossless);
        assert_int_equal(isinf(t->psnr_db) != 0, lossless);
        assert_true(t->encode_per_s > 0 && t->decode_per_s > 0);
        if (lossless ? t->dict_bytes != 0 : t->quality != 95 || t->dict_bytes == 0)
            continue;
        const struct fv_pack_result *real = lossless ? &pixels.result : &jpeg.result;
        const double ratio = (double)t->file_bytes / (double)real->file_bytes;
        if (fabs(ratio - 1) > 0.05)
            fail_msg("%s: %.3f of the real file", t->codec, ratio);
        assert_true(lossless || fabs(t->psnr_db - loss) < 0.3);
        seen++;
    }
    assert_int_equal(seen, 2);

    assert_int_equal(fv_codecs_run(&s, scratch_path("pixels.lmdb"), NULL, &of_store), 0);
    assert_int_equal(of_store.trials, of_photos.trials);
    assert_int_equal(of_store.images, IDENTITIES * IMAGES);
    assert_true(of_store.trial[0].bytes_per_image == of_photos.trial[0].bytes_per_image);
    s.pack.size = 64;
    assert_int_equal(fv_codecs_run(&s, scratch_path("pixels.lmdb"), NULL, &of_store), FV_EUSAGE);
    assert_int_equal(fv_codecs_run(&s, scratch_path("nothing"), NULL, &of_store), FV_ENOTFOUND);
    assert_int_equal(scratch_count("tmp"), 0);
}

static void wrong_choices_are_named(void **state)
{
    struct fv_pack_settings s = settings("pixels");
    struct fv_pack_result result;
    (void)state;
    s.output = scratch_path("wrong.lmdb");
    s.quality = 90;
    assert_int_equal(fv_pack_run(&s, scratch_path("photos"), NULL, &result), FV_EUSAGE);
    assert_string_equal(fv_err_text(),
                        "--quality: the codec pixels is lossless: it has no quality to choose");
    s.quality = 0;
    s.codec = "gif";
    assert_int_equal(fv_pack_run(&s, scratch_path("photos"), NULL, &result), FV_EUSAGE);
    assert_string_equal(fv_err_text(), "--codec: unknown codec 'gif': valid are pixels, jpeg");
    assert_false(scratch_has("wrong.lmdb"));
    assert_false(scratch_has("wrong.lmdb.part"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finished_jpegs_stay_as_they_are),
        cmocka_unit_test(others_are_made_anew_with_little_loss),
        cmocka_unit_test(files_are_hardly_larger_than_their_records),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_dictionary_saves_bytes_and_changes_nothing_else),
        cmocka_unit_test(trials_foretell_what_packing_gives),
        cmocka_unit_test(wrong_choices_are_named),
    };
    return cmocka_run_group_tests(tests, draw_photos, teardown);
}
