/* SPDX-License-Identifier: MIT */
/* Runs that end in any way, and what the same command makes of what they left: the file, the list of refused files and
 * the list of duplicates must be those of a run that nothing stopped, to the byte. Every run is a process of its own,
 * so that it can be killed; this one never packs.
 */
#include "prep/prep.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { IDENTITIES = 8, PHOTOS = 40, ALL = IDENTITIES * PHOTOS, SIDE = 24 };

static struct fv_pack_settings settings;

/* How a run is ended, and what it says. */
enum end { NOTHING, KILL, STOP };
struct plan {
    enum end end;
    uint64_t at; /* photos */
    FILE *said;
};

static void noise(const char *name, uint32_t seed)
{
    char file[SIDE * SIDE + 64];
    int n = snprintf(file, 64, "P5\n%d %d\n255\n", SIDE, SIDE);
    for (int i = 0; i < SIDE * SIDE; i++) {
        seed = seed * 1664525u + 1013904223u;
        file[n + i] = (char)(seed >> 24);
    }
    scratch_write(name, file, (size_t)n + SIDE * SIDE);
}

static void make_photos(const char *folder)
{
    for (int i = 0; i < ALL; i++) {
        char name[64];
        const char *suffix = i % 50 == 7 ? "png" : "pgm"; /* wrong */
        snprintf(name, sizeof name, "%s/p%d/%03d.%s", folder, i / PHOTOS, i % PHOTOS, suffix);
        if (i % 23 == 3)
            scratch_write(name, "P5\n24 24\n255\ncut", 16);
        else if (i % 31 == 5)
            scratch_write(name, "text\twith a tab", 15);
        else
            noise(name, (uint32_t)(i % 37 == 9 ? i - 1 : i % 61 == 60 ? i - 60 : i)); /* copies */
    }
    scratch_write("photos/p3/zero.jpg", "", 0);
    scratch_write("photos/p9/nobody.jpg", "x", 1);
}

static int setup(void **state)
{
    (void)state;
    scratch_open();
    make_photos("photos");
    assert_int_equal(mkdir(scratch_path("out"), 0700), 0);
    assert_int_equal(mkdir(scratch_path("whole"), 0700), 0);
    fv_pack_defaults(&settings);
    settings.size = SIDE;
    settings.commit_bytes = 16 << 10;
    settings.level = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_close();
    return 0;
}

static void end_here(void *ctx, const struct fv_progress *p)
{
    const struct plan *plan = ctx;
    if (p->done < plan->at)
        return;
    if (plan->end == KILL)
        raise(SIGKILL);
    if (plan->end == STOP)
        fv_prep_stop = 1;
}

static void hear(void *ctx, enum fv_level level, const char *text)
{
    (void)level;
    fprintf(((const struct plan *)ctx)->said, "%s\n", text);
}

static pid_t start(const char *output, const char *photos, enum end end, uint64_t at)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    struct plan plan = {end, at, fopen(scratch_path("said"), "w")};
    struct fv_report report = {&plan, hear, end_here};
    struct fv_pack_result result;
    settings.output = scratch_path("%s/faces.lmdb", output);
    int rc = fv_pack_run(&settings, scratch_path("%s", photos), &report, &result);
    fprintf(plan.said, "%s\n", rc < 0 ? fv_err_text() : "done");
    fprintf(plan.said, "resumed %d, kept files %d, misnamed %d, duplicates %d, refused %d\n",
            (int)result.resumed, (int)result.kept, (int)result.misnamed, (int)result.duplicates,
            (int)result.rejected);
    fclose(plan.said);
    _exit(rc == 0 ? 0 : rc == FV_EINTR ? 130 : 1);
}

static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(const char *output, const char *photos, enum end end, uint64_t at)
{
    return wait_for(start(output, photos, end, at));
}

static int said(const char *text)
{
    size_t n;
    char *all = scratch_read("said", &n);
    int found = strstr(all, text) != NULL;
    free(all);
    return found;
}

static void assert_said(const char *text)
{
    size_t n;
    if (said(text))
        return;
    char *all = scratch_read("said", &n);
    print_error("%s\n", all);
    free(all);
    fail_msg("not said: %s", text);
}

static int resumed(void)
{
    size_t n;
    char *all = scratch_read("said", &n);
    const char *at = strstr(all, "\nresumed ");
    int images = at ? atoi(at + 9) : -1;
    free(all);
    return images;
}

static void assert_same(const char *name)
{
    char path[64];
    size_t na, nb;
    snprintf(path, sizeof path, "whole/%s", name);
    char *a = scratch_read(path, &na);
    snprintf(path, sizeof path, "out/%s", name);
    char *b = scratch_read(path, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    free(a);
    free(b);
}

/* The output is that of an uninterrupted run, and nothing else is left. */
static void assert_whole(void)
{
    assert_same("faces.lmdb");
    assert_same("faces.rejects.tsv");
    assert_same("faces.duplicates.tsv");
    assert_int_equal(scratch_count("out"), 3);
}

static void remove_output(const char *folder)
{
    static const char *const names[] = {"faces.lmdb",
                                        "faces.lmdb.part",
                                        "faces.lmdb.part.journal",
                                        "faces.rejects.tsv",
                                        "faces.duplicates.tsv",
                                        "faces.rejects.tsv.part",
                                        "faces.duplicates.tsv.part",
                                        "faces.lmdb.part.journal.new"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(scratch_path("%s/%s", folder, names[i]));
    assert_int_equal(scratch_count(folder), 0);
}

static void make_whole(void)
{
    remove_output("whole");
    assert_int_equal(run("whole", "photos", NOTHING, 0), 0);
    assert_int_equal(resumed(), 0);
}

/* --- any end, any point --------------------------------------------------------------------------- */

static void end_at_each(enum end end, int step)
{
    int status = end == KILL ? 128 + SIGKILL : 130, taken = 0;
    make_whole();
    for (int at = 1; at <= ALL; at += step) {
        settings.threads = 1 + at % 7;
        assert_int_equal(run("out", "photos", end, (uint64_t)at), status);
        assert_false(scratch_has("out/faces.lmdb"));
        settings.threads = 1 + (at / 2) % 3;
        assert_int_equal(run("out", "photos", NOTHING, 0), 0);
        assert_true(resumed() >= taken); /* the later it ended, the more is taken over */
        taken = resumed();
        assert_whole();
        remove_output("out");
    }
    assert_true(taken > ALL / 2);
}

static void a_killed_run_is_gone_on_with(void **state)
{
    (void)state;
    settings.val = 0.3;
    end_at_each(KILL, 45);
}

static void a_stopped_run_is_gone_on_with(void **state)
{
    (void)state;
    settings.holdout_ids = 0.4;
    end_at_each(STOP, 79);
}

static void the_jpeg_codec_goes_on_with_its_dictionary(void **state)
{
    (void)state;
    settings.codec = "jpeg";
    settings.dict = "yes";
    settings.commit_bytes = 8 << 10;
    end_at_each(KILL, 105);
}

static void a_shard_is_gone_on_with(void **state)
{
    (void)state;
    settings.shard = "2/2";
    settings.commit_bytes = 8 << 10;
    settings.holdout_ids = 0.3;
    make_whole();
    assert_int_equal(run("out", "photos", KILL, 120), 128 + SIGKILL);
    assert_int_equal(run("out", "photos", NOTHING, 0), 0);
    assert_true(resumed() > 0);
    assert_whole();
}

/* Twenty times the same command, each killed at a moment nobody chose, then once to its end. */
static void twenty_kills_at_any_moment(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    struct timespec from, to;
    int gone_on = 0;
    settings.holdout_ids = 0.25;
    settings.val = 0.1;
    clock_gettime(CLOCK_MONOTONIC, &from);
    make_whole();
    clock_gettime(CLOCK_MONOTONIC, &to);
    uint64_t whole_ns = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)to.tv_nsec -
                        (uint64_t)from.tv_nsec;
    for (int i = 0; i < 20; i++) {
        static const int threads[] = {1, 2, 7};
        seed = seed * 1664525u + 1013904223u;
        settings.threads = threads[i % 3];
        pid_t pid = start("out", "photos", NOTHING, 0);
        uint64_t ns = (uint64_t)((double)whole_ns * (seed >> 8) / (1 << 24));
        nanosleep(&(struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}, NULL);
        kill(pid, SIGKILL);
        int status = wait_for(pid);
        if (status == 0) { /* it was faster: from the beginning */
            gone_on += resumed() > 0;
            assert_whole();
            remove_output("out");
        } else {
            assert_int_equal(status, 128 + SIGKILL);
        }
        /* killed between the last rename and the end */
        if (scratch_has("out/faces.lmdb") && !scratch_has("out/faces.lmdb.part"))
            remove_output("out");
    }
    assert_int_equal(run("out", "photos", NOTHING, 0), 0);
    gone_on += resumed() > 0;
    assert_whole();
    assert_true(gone_on > 0);
}

/* --- what it does, and says ----------------------------------------------------------------------- */

static void nothing_kept_is_decoded_again(void **state)
{
    (void)state;
    make_whole();
    assert_int_equal(run("out", "photos", KILL, 200), 128 + SIGKILL);
    /* the first photos become useless, but keep their size and time */
    for (int i = 0; i < PHOTOS; i++) {
        struct stat st;
        const char *path = scratch_path("photos/p0/%03d.pgm", i);
        if (stat(path, &st) != 0)
            continue;
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, "garbage", 7, 0), 7);
        const struct timespec times[2] = {st.st_atim, st.st_mtim};
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
    }
    assert_int_equal(run("out", "photos", NOTHING, 0), 0);
    assert_true(resumed() > PHOTOS);
    assert_whole();
}

static void says_how_to_go_on(void **state)
{
    (void)state;
    assert_int_equal(run("out", "photos", STOP, 250), 130);
    assert_said("interrupted; ");
    assert_said(" images are kept: the same command goes on from there");
    assert_true(scratch_has("out/faces.lmdb.part"));
    assert_true(scratch_has("out/faces.lmdb.part.journal"));
    assert_int_equal(scratch_count("out"), 2);
    assert_int_equal(run("out", "photos", NOTHING, 0), 0);
    assert_said("going on at photo ");
    assert_said(" of 321: ");
}

static void an_interruption_before_the_first_commit_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(run("out", "photos", STOP, 2), 130);
    assert_false(said("images are kept"));
    assert_int_equal(scratch_count("out"), 0);
}

/* --- what does not fit is begun anew, and said ---------------------------------------------------- */

static void assert_begun_anew(const char *why)
{
    assert_int_equal(run("out", "photos", NOTHING, 0), 0);
    assert_said("what an interrupted run left is begun anew: ");
    assert_said(why);
    assert_int_equal(resumed(), 0);
    make_whole();
    assert_whole();
    remove_output("out");
}

static void interrupt(void)
{
    assert_int_equal(run("out", "photos", KILL, 250), 128 + SIGKILL);
}

static void other_settings_begin_anew(void **state)
{
    (void)state;
    interrupt();
    settings.size = 16;
    assert_begun_anew("it was begun with 'size = 24', not 'size = 16'");
    interrupt();
    settings.val = 0.5;
    assert_begun_anew("it was begun with 'val = 0', not 'val = 0.5'");
    interrupt();
    settings.threads = 2; /* no property of the data set */
    settings.min_images = 3;
    assert_int_equal(run("out", "photos", NOTHING, 0), 0);
    assert_true(resumed() > 0);
    make_whole();
    assert_whole();
}

static void other_photos_begin_anew(void **state)
{
    (void)state;
    interrupt();
    noise("photos/p0/new.pgm", 99);
    assert_begun_anew(
        "there were 321 photos of 9 identities when it was begun, now there are 322 of 9");
    interrupt();
    assert_int_equal(rename(scratch_path("photos/p0/new.pgm"), scratch_path("photos/p0/newer.pgm")),
                     0);
    assert_begun_anew("photos have other names");
    interrupt();
    noise("photos/p0/newer.pgm", 100); /* the same size, another time */
    assert_begun_anew("photos were changed since it was begun");
}

static void a_damaged_part_begins_anew(void **state)
{
    (void)state;
    size_t n;
    interrupt();
    char *part = scratch_read("out/faces.lmdb.part", &n);
    char *frame = memmem(part + n / 2, n / 2, "\x28\xb5\x2f\xfd", 4); /* of a record */
    assert_non_null(frame);
    frame[20] ^= 1;
    scratch_write("out/faces.lmdb.part", part, n);
    free(part);
    assert_begun_anew("is damaged");
}

static void a_lost_or_damaged_journal_begins_anew(void **state)
{
    (void)state;
    size_t n;
    interrupt();
    unlink(scratch_path("out/faces.lmdb.part.journal"));
    assert_begun_anew("it has no journal");
    interrupt();
    scratch_write("out/faces.lmdb.part.journal", "\0\xff\n", 3);
    assert_begun_anew("its journal is damaged");
    interrupt();
    char *journal = scratch_read("out/faces.lmdb.part.journal", &n);
    *(strstr(journal, "\nimages\t") + 1) = 'x';
    scratch_write("out/faces.lmdb.part.journal", journal, n);
    free(journal);
    assert_begun_anew("does not fit what was packed");
}

static void a_part_in_the_works_is_left_alone(void **state)
{
    (void)state;
    make_whole();
    pid_t pid = start("out", "photos", NOTHING, 0);
    /* the journal comes once the part is locked */
    for (int i = 0; i < 1000 && !scratch_has("out/faces.lmdb.part.journal"); i++)
        nanosleep(&(struct timespec){0, 200000}, NULL);
    kill(pid, SIGSTOP);
    const int in_the_works = scratch_has("out/faces.lmdb.part.journal");
    const int rc = in_the_works ? run("out", "photos", NOTHING, 0) : 0;
    const int refused = in_the_works && said("another program is writing it");
    kill(pid, SIGCONT); /* before a failure: a stopped process would outlive the test */
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(rc, in_the_works);
    assert_int_equal(refused, in_the_works);
    assert_whole();
}

static void a_run_that_strict_fails_leaves_no_part(void **state)
{
    (void)state;
    interrupt();
    settings.strict = 1;
    assert_int_equal(run("out", "photos", NOTHING, 0), 1);
    assert_said("--strict packs nothing");
    assert_false(scratch_has("out/faces.lmdb.part"));
    assert_false(scratch_has("out/faces.lmdb.part.journal"));
    settings.strict = 0;
    make_whole();
    assert_same("faces.rejects.tsv");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_run_is_gone_on_with),
        TEST(a_stopped_run_is_gone_on_with),
        TEST(the_jpeg_codec_goes_on_with_its_dictionary),
        TEST(a_shard_is_gone_on_with),
        TEST(twenty_kills_at_any_moment),
        TEST(nothing_kept_is_decoded_again),
        TEST(says_how_to_go_on),
        TEST(an_interruption_before_the_first_commit_leaves_nothing),
        TEST(other_settings_begin_anew),
        TEST(other_photos_begin_anew),
        TEST(a_damaged_part_begins_anew),
        TEST(a_lost_or_damaged_journal_begins_anew),
        TEST(a_part_in_the_works_is_left_alone),
        TEST(a_run_that_strict_fails_leaves_no_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
