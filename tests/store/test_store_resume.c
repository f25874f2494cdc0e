/* SPDX-License-Identifier: MIT */
/* A run that is stopped and gone on with makes the file of one that was not, to the byte: stopped after any
 * number of images, before any commit, by a full disk at any size of the file, and more than once. */
#include "common/fs.h"
#include "store/dict.h"
#include "store/writer.h"
#include "tests/cmocka_all.h"
#include "tests/store/demo_store.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 16, LABELS = 8, EACH = 25, ALL = LABELS * EACH, BLOCK = 2500, COMMIT = 16000 };
/* Hundreds of files are flushed: in memory, where there is such a file system. */
static char folder[32], path[64], part[80];
static uint8_t *record[ALL];
static size_t record_bytes[ALL];
static struct fv_dict *dict;
static struct fv_store_settings settings = {
    .height = SIDE, .width = SIDE, .codec = "pixels", .level = 3, .packed_with = "size = 16\n"};
static char *want; /* the bytes of an uninterrupted run */
static size_t want_bytes;

/* What was told before commits: shared with the runs that are killed. */
static struct told {
    uint64_t last, before, commits, kill_at;
} * told;

static int tell(void *ctx, uint64_t images)
{
    struct told *t = ctx;

    t->before = t->last;
    t->last = images;
    if (++t->commits == t->kill_at)
        kill(getpid(), SIGKILL);
    return FV_OK;
}

/* Puts images up to `stop`, those below `kept` by name only. */
static int put_images(struct fv_store_writer *w, uint32_t kept, uint32_t stop)
{
    char name[64];

    for (uint32_t i = 0; i < stop; i++) {
        const uint32_t label = i / EACH, k = i % EACH;
        const int holdout = label >= LABELS - 2;
        snprintf(name, sizeof name, "person%u", label);
        if (k == 0)
            FV_TRY(fv_store_put_label(w, name, holdout));
        snprintf(name, sizeof name, "person%u/%02u.jpg", label, k);
        FV_TRY(fv_store_put(w, i < kept ? NULL : record[i], record_bytes[i], name,
                            holdout ? FV_SPLIT_HOLDOUT : FV_SPLIT_TRAIN));
        if (k == EACH - 1 && !holdout)
            FV_TRY(fv_store_set_split(w, i - label, FV_SPLIT_VAL));
    }
    return FV_OK;
}

static int begin(struct fv_store_writer **w)
{
    FV_TRY(fv_store_create(w, path, &settings, 1));
    fv__store_set_grain(*w, BLOCK, COMMIT);
    fv_store_on_commit(*w, tell, told);
    return FV_OK;
}

/* Goes on, or begins anew when nothing was committed. */
static uint64_t go_on(struct fv_store_writer **w)
{
    uint64_t kept = 0;
    const int rc = fv_store_resume(w, path, &settings, 1, &kept);

    if (rc == FV_ENOTFOUND) {
        assert_null(*w);
        assert_int_equal(begin(w), FV_OK);
        return 0;
    }
    if (rc < 0)
        print_error("%s\n", fv_err_text());
    assert_int_equal(rc, FV_OK);
    fv__store_set_grain(*w, BLOCK, COMMIT);
    fv_store_on_commit(*w, tell, told);
    return kept;
}

static void check_bytes(void)
{
    char *got;
    size_t n;

    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(fv_file_read(path, 1 << 30, &got, &n), FV_OK);
    assert_int_equal(n, want_bytes);
    assert_memory_equal(got, want, n);
    free(got);
    unlink(path);
}

static void go_on_to_the_end(void)
{
    struct fv_store_writer *w;
    const uint64_t kept = go_on(&w);

    assert_int_equal(put_images(w, (uint32_t)kept, ALL), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    check_bytes();
}

static int setup(void **state)
{
    uint8_t rgb[SIDE * SIDE * 3];
    struct fv_encoder *e;
    struct fv_store_writer *w;

    (void)state;
    settings.dict = dict = demo_dict(SIDE, 2048, 3);
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(folder, sizeof folder, "%s/fv-test-resume-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder) || told == MAP_FAILED || fv_encoder_open(&e, &settings) < 0)
        return 1;
    snprintf(path, sizeof path, "%s/a.lmdb", folder);
    snprintf(part, sizeof part, "%s.part", path);
    for (uint32_t i = 0; i < ALL; i++) {
        demo_pixels(i, SIDE, rgb);
        record[i] = malloc(fv_encoder_bound(e));
        if (fv_encoder_write(e, rgb, record[i], &record_bytes[i]) < 0)
            return 1;
    }
    fv_encoder_close(&e);
    if (begin(&w) < 0 || put_images(w, 0, ALL) < 0 || fv_store_finish(&w) < 0 ||
        fv_file_read(path, 1 << 30, &want, &want_bytes) < 0)
        return 1;
    /* Many commits, or the tests below would say little. */
    return told->commits < 5 || told->last != ALL;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < ALL; i++)
        free(record[i]);
    free(want);
    fv_dict_close(&dict);
    unlink(path);
    return rmdir(folder);
}

/* --- kill ----------------------------------------------------------------------------------------- */

/* A run that is killed after `stop` images, or before its commit number `kill_at`. */
static void killed_run(uint32_t stop, uint64_t kill_at)
{
    int status;

    *told = (struct told){.kill_at = kill_at};
    const pid_t child = fork();
    if (child == 0) {
        struct fv_store_writer *w;
        if (begin(&w) < 0 || put_images(w, 0, stop) < 0 || (kill_at && fv_store_finish(&w) < 0))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void killed_after_any_image(void **state)
{
    (void)state;
    for (uint32_t stop = 0; stop <= ALL; stop++) {
        struct fv_store_writer *w;
        killed_run(stop, 0);
        const uint64_t committed = told->last;
        *told = (struct told){0};
        const uint64_t kept = go_on(&w);
        assert_int_equal(kept, committed);
        assert_true(kept <= stop);
        assert_int_equal(put_images(w, (uint32_t)kept, ALL), FV_OK);
        assert_int_equal(fv_store_finish(&w), FV_OK);
        assert_int_equal(told->last, ALL);
        check_bytes();
    }
}

static void killed_before_any_commit(void **state)
{
    uint64_t n = 1, committed;

    (void)state;
    do {
        struct fv_store_writer *w;
        killed_run(ALL, n++);
        committed = told->before;
        const uint64_t last = told->last;
        *told = (struct told){0};
        const uint64_t kept = go_on(&w);
        assert_int_equal(kept, committed);
        assert_int_equal(put_images(w, (uint32_t)kept, ALL), FV_OK);
        assert_int_equal(fv_store_finish(&w), FV_OK);
        check_bytes();
        if (last == ALL)
            break;
    } while (n < ALL);
    assert_true(n > 5);
}

static void stopped_again_and_again(void **state)
{
    (void)state;
    for (uint32_t step = 1; step < 60; step += 7) {
        struct fv_store_writer *w;
        for (uint32_t stop = step; stop < ALL; stop += step) {
            const uint64_t kept = go_on(&w);
            const uint32_t most = stop > kept ? stop : (uint32_t)kept;
            assert_int_equal(put_images(w, (uint32_t)kept, most), FV_OK);
            fv_store_abort(&w);
            assert_null(w);
        }
        go_on_to_the_end();
    }
}

/* --- a full disk ---------------------------------------------------------------------------------- */

/* Writes as long as the file stays below `limit` bytes. */
static void run_on_a_small_disk(size_t limit)
{
    struct fv_store_writer *w = NULL;
    struct rlimit saved;
    const struct told nothing = {0};

    *told = nothing;
    getrlimit(RLIMIT_FSIZE, &saved);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, saved.rlim_max});
    int rc = begin(&w);
    if (rc >= 0)
        rc = put_images(w, 0, ALL);
    if (rc >= 0)
        rc = fv_store_finish(&w);
    setrlimit(RLIMIT_FSIZE, &saved);
    if (rc != FV_EFULL)
        print_error("%zu: %d, %s\n", limit, rc, fv_err_text());
    assert_int_equal(rc, FV_EFULL);
    fv_store_abort(&w);
}

static void a_full_disk_at_any_size(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    for (size_t limit = 0; limit < want_bytes; limit += 4096 / 4) {
        struct fv_store_writer *w;
        run_on_a_small_disk(limit);
        const uint64_t last = told->last, before = told->before;
        const uint64_t kept = go_on(&w);
        assert_true(kept == last || kept == before);
        assert_int_equal(put_images(w, (uint32_t)kept, ALL), FV_OK);
        assert_int_equal(fv_store_finish(&w), FV_OK);
        check_bytes();
    }
    signal(SIGXFSZ, SIG_DFL);
}

/* --- what is left --------------------------------------------------------------------------------- */

static void leave_part(uint32_t images)
{
    struct fv_store_writer *w;

    assert_int_equal(begin(&w), FV_OK);
    assert_int_equal(put_images(w, 0, images), FV_OK);
    fv_store_abort(&w);
    assert_int_equal(access(part, F_OK), 0);
}

static void check_resume(const struct fv_store_settings *s, int code, const char *sentence)
{
    struct fv_store_writer *w;
    uint64_t kept;

    const int rc = fv_store_resume(&w, path, s, 1, &kept);
    if (rc != code || !strstr(fv_err_text(), sentence))
        print_error("%d: %s\n", rc, fv_err_text());
    assert_int_equal(rc, code);
    assert_non_null(strstr(fv_err_text(), sentence));
    assert_null(w);
}

static void other_settings_are_not_gone_on_with(void **state)
{
    struct fv_store_settings other = settings;

    (void)state;
    check_resume(&settings, FV_ENOTFOUND, "nothing to go on with");
    leave_part(ALL);
    other.packed_with = "size = 17\n";
    check_resume(&other, FV_ENOTFOUND, "begun with other settings");
    other = settings;
    struct fv_dict *small = demo_dict(SIDE, 1024, 3);
    other.dict = small;
    check_resume(&other, FV_ENOTFOUND, "begun with other settings");
    fv_dict_close(&small);
    other = settings;
    other.width = 8;
    check_resume(&other, FV_ENOTFOUND, "begun with other settings");
    go_on_to_the_end(); /* all of these left it as it was */
}

static void the_dictionary_of_the_earlier_run_is_taken(void **state)
{
    struct fv_store_writer *w;
    size_t n;
    uint64_t kept;

    (void)state;
    leave_part(ALL);
    settings.dict = NULL;
    assert_int_equal(fv_store_resume(&w, path, &settings, 0, &kept), FV_OK);
    settings.dict = dict;
    const void *bytes = fv_store_writer_dict(w, &n);
    assert_non_null(bytes);
    assert_int_equal(n, fv__dict_bytes(dict).n);
    assert_memory_equal(bytes, fv__dict_bytes(dict).p, n);
    assert_int_equal(fv_store_set_dict(w, dict), FV_EINVAL);
    fv_store_abort(&w);
    go_on_to_the_end();
}

static void a_run_killed_before_the_renaming_is_renamed(void **state)
{
    struct fv_store_writer *w;
    uint64_t kept;

    (void)state;
    assert_int_equal(fv_file_write(part, want, want_bytes), FV_OK);
    assert_int_equal(fv_store_resume(&w, path, &settings, 0, &kept), FV_OK);
    assert_int_equal(kept, ALL);
    assert_int_equal(fv_store_put_label(w, "other", 0), FV_OK);
    for (int i = 0; i < ALL; i++) {
        char name[16];
        snprintf(name, sizeof name, "%03d", i);
        assert_int_equal(fv_store_put(w, NULL, 0, name, FV_SPLIT_TRAIN), FV_OK);
    }
    assert_int_equal(fv_store_put(w, record[0], record_bytes[0], "more", FV_SPLIT_TRAIN),
                     FV_EINVAL);
    assert_int_equal(fv_store_finish(&w), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "with other identities, names or splits"));
    go_on_to_the_end();
}

static void kept_images_are_put_without_records(void **state)
{
    struct fv_store_writer *w;
    uint64_t kept;

    (void)state;
    leave_part(ALL);
    assert_int_equal(fv_store_resume(&w, path, &settings, 0, &kept), FV_OK);
    assert_true(kept > 0 && kept < ALL);
    assert_int_equal(fv_store_put_label(w, "a", 0), FV_OK);
    assert_int_equal(fv_store_put(w, record[0], record_bytes[0], "a/0", FV_SPLIT_TRAIN), FV_EINVAL);
    assert_int_equal(fv_store_put(w, NULL, 0, "a/0", FV_SPLIT_TRAIN), FV_OK);
    assert_int_equal(fv_store_put(w, NULL, 0, "a/0", FV_SPLIT_TRAIN), FV_EEXIST);
    assert_int_equal(fv_store_set_split(w, 1, FV_SPLIT_VAL), FV_EINVAL);
    assert_int_equal(fv_store_finish(&w), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "only 1 of the"));
    assert_int_equal(fv_store_resume(&w, path, &settings, 0, &kept), FV_OK);
    assert_int_equal(put_images(w, (uint32_t)kept, (uint32_t)kept), FV_OK);
    assert_int_equal(fv_store_put(w, NULL, 0, "zzz", FV_SPLIT_TRAIN), FV_EINVAL);
    fv_store_discard(&w);
    assert_int_equal(access(part, F_OK), -1);
}

static void nothing_is_left_when_nothing_was_committed(void **state)
{
    struct fv_store_writer *w;

    (void)state;
    assert_int_equal(begin(&w), FV_OK);
    assert_int_equal(put_images(w, 0, 3), FV_OK);
    fv_store_abort(&w);
    assert_int_equal(access(part, F_OK), -1);
}

/* Whatever byte of the partial file is damaged: it is told, or does not matter. */
static void a_damaged_partial_file_is_told(void **state)
{
    struct fv_store_writer *w;
    struct fv_store *s;
    char *bytes;
    size_t n;
    int told_bad = 0, fine = 0;

    (void)state;
    leave_part(ALL);
    assert_int_equal(fv_file_read(part, 1 << 30, &bytes, &n), FV_OK);
    for (size_t at = 0; at < n; at += 389) {
        uint64_t kept, bad;
        bytes[at] ^= 0x24;
        assert_int_equal(fv_file_write(part, bytes, n), FV_OK);
        bytes[at] ^= 0x24;
        const int rc = fv_store_resume(&w, path, &settings, 1, &kept);
        if (rc < 0) {
            told_bad++;
            assert_true(rc == FV_ECORRUPT || rc == FV_ENOTFOUND || rc == FV_EVERSION);
            assert_non_null(strstr(fv_err_text(), part));
            continue;
        }
        fine++;
        assert_int_equal(put_images(w, (uint32_t)kept, ALL), FV_OK);
        assert_int_equal(fv_store_finish(&w), FV_OK);
        assert_int_equal(fv_store_open(&s, path), FV_OK);
        assert_int_equal(fv_store_verify(s, 1, NULL, &bad), FV_OK);
        fv_store_close(&s);
    }
    assert_true(told_bad > 100 && fine > 0);
    free(bytes);
    unlink(part);
    unlink(path);
}

/* --- large records -------------------------------------------------------------------------------- */

enum { LARGE = 12, MIB = 1 << 20 };

/* Records of 5 MiB, and one that the map of an ordinary transaction has no room for. */
static int put_large(struct fv_store_writer *w, uint8_t *bytes, int kept, int stop)
{
    char name[16];

    FV_TRY(fv_store_put_label(w, "a", 0));
    for (int i = 0; i < stop; i++) {
        struct fv_record r = {.content = (uint64_t)i,
                              .width = SIDE,
                              .height = SIDE,
                              .codec = 1,
                              .payload_bytes = (i == 8 ? 70 : 5) * MIB};
        snprintf(name, sizeof name, "a/%02d", i);
        if (i >= kept)
            fv__record_seal(bytes, &r);
        FV_TRY(fv_store_put(w, i < kept ? NULL : bytes, FV_RECORD_HEADER + r.payload_bytes, name,
                            FV_SPLIT_TRAIN));
    }
    return FV_OK;
}

static void large_records_in_transactions_of_the_usual_size(void **state)
{
    uint8_t *bytes = calloc(1, FV_RECORD_HEADER + 70 * MIB);
    struct fv_store_writer *w;
    char *first, *second;
    size_t n[2];
    uint64_t kept;

    (void)state;
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    assert_int_equal(put_large(w, bytes, 0, LARGE), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    assert_int_equal(fv_file_read(path, 1 << 30, &first, &n[0]), FV_OK);
    assert_int_equal(fv_store_create(&w, path, &settings, 1), FV_OK);
    assert_int_equal(put_large(w, bytes, 0, 6), FV_OK);
    fv_store_abort(&w);
    for (int stop = 9; stop < LARGE; stop++) {
        assert_int_equal(fv_store_resume(&w, path, &settings, 1, &kept), FV_OK);
        assert_int_equal(put_large(w, bytes, (int)kept, stop), FV_OK);
        fv_store_abort(&w);
    }
    assert_int_equal(fv_store_resume(&w, path, &settings, 1, &kept), FV_OK);
    assert_int_equal(put_large(w, bytes, (int)kept, LARGE), FV_OK);
    assert_int_equal(fv_store_finish(&w), FV_OK);
    assert_int_equal(fv_file_read(path, 1 << 30, &second, &n[1]), FV_OK);
    assert_int_equal(n[0], n[1]);
    assert_int_equal(memcmp(first, second, n[0]), 0);
    free(first);
    free(second);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_after_any_image),
        cmocka_unit_test(killed_before_any_commit),
        cmocka_unit_test(stopped_again_and_again),
        cmocka_unit_test(a_full_disk_at_any_size),
        cmocka_unit_test(other_settings_are_not_gone_on_with),
        cmocka_unit_test(the_dictionary_of_the_earlier_run_is_taken),
        cmocka_unit_test(a_run_killed_before_the_renaming_is_renamed),
        cmocka_unit_test(kept_images_are_put_without_records),
        cmocka_unit_test(nothing_is_left_when_nothing_was_committed),
        cmocka_unit_test(a_damaged_partial_file_is_told),
        cmocka_unit_test(large_records_in_transactions_of_the_usual_size),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
