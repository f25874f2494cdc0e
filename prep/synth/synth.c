/* SPDX-License-Identifier: MIT */
/* Demo faces as files: which are to be made, by how many threads, and what may be overwritten.
 *
 * A picture depends on (seed, identity, image, size) only. So a folder is a growing set: its hidden
 * file .synth records seed, size and counts, and a later run with the same seed and size adds what is
 * missing and leaves what is there. Anything else in the way is an error: nothing is ever deleted or
 * replaced.
 *
 * A picture appears under its name when it is whole (written beside, then renamed). It is not flushed to
 * the disk, which would take longer than drawing it: an empty file, as a power cut can leave, counts as
 * missing.
 */
#include "prep/synth/synth.h"

#include "common/cpu.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/trace.h"
#include "prep/prep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 256, MAX_COUNT = 9999 };

/* Raised whenever a picture of the same settings would change. */
#define MARK_FORMAT                                                                                \
    "fvprep synth 1\nseed %" PRId64 "\nsize %" PRId64 "\nidentities %" PRId64 "\nimages %" PRId64  \
    "\n"
#define MARK_SCAN                                                                                  \
    "fvprep synth 1 seed %" SCNd64 " size %" SCNd64 " identities %" SCNd64 " images %" SCNd64

#define FIELD(f) offsetof(struct fv_synth_settings, f)

const struct fv_opt fv_synth_opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = FV_OPT_STRING,
     .flags = FV_OPT_REQUIRED | FV_OPT_TRANSIENT,
     .offset = FIELD(output),
     .metavar = "FOLDER",
     .help =
         "where to write FOLDER/id0001/0001.jpg and so on: new, empty, or made by an earlier run"},
    {.name = "identities",
     .letter = 'n',
     .type = FV_OPT_INT,
     .offset = FIELD(identities),
     .metavar = "N",
     .help = "how many people",
     .min = 1,
     .max = MAX_COUNT},
    {.name = "images",
     .letter = 'i',
     .type = FV_OPT_INT,
     .offset = FIELD(images),
     .metavar = "N",
     .help = "how many pictures of each",
     .min = 1,
     .max = MAX_COUNT},
    {.name = "size",
     .letter = 's',
     .type = FV_OPT_INT,
     .offset = FIELD(size),
     .metavar = "PX",
     .help = "pixels a side",
     .min = 16,
     .max = 1024},
    {.name = "seed",
     .type = FV_OPT_INT,
     .offset = FIELD(seed),
     .metavar = "N",
     .help = "chooses the people and their pictures"},
    {.name = "threads",
     .letter = 'j',
     .type = FV_OPT_INT,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(threads),
     .metavar = "N",
     .help = "threads that draw, 0 for one a processor; the pictures do not depend on it",
     .min = 0,
     .max = MAX_THREADS},
    {0},
};

void fv_synth_defaults(struct fv_synth_settings *s)
{
    *s = (struct fv_synth_settings){.identities = 120, .images = 24, .size = 128, .seed = 1};
}

/* --- the folder -------------------------------------------------------------------------------------- */

static int is_empty(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d)
        return fv_err_errno(FV_EIO, "%s: cannot read the folder", folder);
    int entries = 0;
    for (struct dirent *e; entries == 0 && (e = readdir(d));)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return entries == 0;
}

/* 1 when the folder is new, 0 when it holds a set that this one continues. */
static int check_mark(const struct fv_synth_settings *s, const char *mark)
{
    struct fv_synth_settings old;
    char *text;
    size_t n;
    if (access(mark, F_OK) != 0) {
        int empty = is_empty(s->output);
        if (empty == 0)
            return fv_err(FV_EEXIST,
                          "%s holds files that are no demo faces: give a new or empty folder",
                          s->output);
        return empty;
    }
    FV_TRY(fv_file_read(mark, 4096, &text, &n));
    int fields = sscanf(text, MARK_SCAN, &old.seed, &old.size, &old.identities, &old.images);
    free(text);
    if (fields != 4)
        return fv_err(
            FV_EVERSION,
            "%s was made by another version of fvprep synth: remove it or give another folder",
            s->output);
    if (old.seed != s->seed || old.size != s->size)
        return fv_err(FV_EEXIST,
                      "%s holds demo faces of --seed %" PRId64 " --size %" PRId64
                      ": remove it or give another folder",
                      s->output, old.seed, old.size);
    if (old.identities > s->identities || old.images > s->images)
        return fv_err(FV_EEXIST,
                      "%s holds %" PRId64 " identities of %" PRId64
                      " images, more than asked for: remove it or give another folder",
                      s->output, old.identities, old.images);
    return 0;
}

static int prepare_folder(const struct fv_synth_settings *s)
{
    char text[200];
    struct stat st;
    if (stat(s->output, &st) == 0 && !S_ISDIR(st.st_mode))
        return fv_err(FV_EEXIST, "%s is no folder: give a new or empty one", s->output);
    FV_TRY(fv_mkdirs(s->output));
    char *mark = fv_format("%s/.synth", s->output);
    if (!mark)
        return fv_err(FV_ENOMEM, "out of memory");
    int rc = check_mark(s, mark);
    snprintf(text, sizeof text, MARK_FORMAT, s->seed, s->size, s->identities, s->images);
    if (rc >= 0)
        rc = fv_file_write(mark, text, strlen(text));
    free(mark);
    for (int64_t i = 0; rc >= 0 && i < s->identities; i++) {
        char *folder = fv_format("%s/id%04" PRId64, s->output, i + 1);
        rc = folder ? fv_mkdirs(folder) : fv_err(FV_ENOMEM, "out of memory");
        free(folder);
    }
    return rc < 0 ? rc : 0;
}

/* --- the work ---------------------------------------------------------------------------------------- */

struct job {
    const struct fv_synth_settings *s;
    locale_t numbers; /* decimal points in the drawings, whatever the user's language */
    uint64_t total;
    _Atomic uint64_t next, done;
    _Atomic int stop;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t idle;
    int working, rc;
    char error[FV_ERR_TEXT_MAX];
};

struct worker {
    struct job *job;
    int number;
    pthread_t thread;
    struct fv__camera *camera;
    char *path, *tmp; /* of the current picture */
    size_t room;
};

static int write_picture(const struct worker *w, const void *jpeg, size_t n)
{
    int fd = open(w->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return fv_err_errno(FV_EIO, "%s: cannot create", w->tmp);
    ssize_t wrote = write(fd, jpeg, n);
    int rc = 0;
    if (wrote != (ssize_t)n) {
        errno = wrote >= 0 ? ENOSPC : errno;
        rc = fv_err_errno(FV_EIO, "%s: cannot write", w->path);
    }
    close(fd);
    if (rc == 0 && rename(w->tmp, w->path) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot create", w->path);
    if (rc < 0)
        unlink(w->tmp);
    return rc;
}

static int make_picture(struct worker *w, uint64_t at)
{
    const struct fv_synth_settings *s = w->job->s;
    uint32_t identity = (uint32_t)(at / (uint64_t)s->images),
             image = (uint32_t)(at % (uint64_t)s->images);
    struct fv__person person;
    struct fv__shot shot;
    struct stat st;
    const void *jpeg;
    size_t n;
    snprintf(w->path, w->room, "%s/id%04u/%04u.jpg", s->output, identity + 1, image + 1);
    if (stat(w->path, &st) == 0 && st.st_size > 0)
        return 0;
    uint64_t t = fv_trace_begin("draw");
    fv__person_draw(&person, (uint64_t)s->seed, identity);
    fv__shot_draw(&shot, (uint64_t)s->seed, identity, image);
    FV_TRY(fv__camera_take(w->camera, &person, &shot, &jpeg, &n));
    fv_trace_end("draw", t);
    return write_picture(w, jpeg, n);
}

static int open_worker(struct worker *w)
{
    const struct fv_synth_settings *s = w->job->s;
    w->room = strlen(s->output) + 64;
    w->path = malloc(w->room);
    w->tmp = malloc(w->room);
    if (!w->path || !w->tmp)
        return fv_err(FV_ENOMEM, "out of memory");
    snprintf(w->tmp, w->room, "%s/.tmp-%ld-%d", s->output, (long)getpid(), w->number);
    return fv__camera_open(&w->camera, (int)s->size);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct job *job = w->job;
    locale_t before = uselocale(job->numbers);
    int rc = open_worker(w);
    while (rc == 0 && !atomic_load(&job->stop)) {
        uint64_t at = atomic_fetch_add(&job->next, 1);
        if (at >= job->total)
            break;
        rc = make_picture(w, at);
        if (rc == 0)
            atomic_fetch_add(&job->done, 1);
    }
    fv__camera_close(&w->camera);
    free(w->path);
    free(w->tmp);
    uselocale(before);
    pthread_mutex_lock(&job->lock);
    if (rc < 0 && job->rc == 0) {
        job->rc = rc;
        fv_err_save(job->error);
        atomic_store(&job->stop, 1);
    }
    job->working--;
    pthread_cond_signal(&job->idle);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

/* Until the last worker has gone: passes on progress, and the wish to stop. */
static void watch(struct job *job, const struct fv_report *r)
{
    struct fv_progress p = {.what = "synth", .unit = "img", .total = job->total};
    pthread_mutex_lock(&job->lock);
    while (job->working > 0) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 100 * 1000 * 1000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&job->idle, &job->lock, &soon);
        if (fv_prep_stop)
            atomic_store(&job->stop, 1);
        pthread_mutex_unlock(&job->lock);
        p.done = atomic_load(&job->done);
        fv_progress(r, &p);
        pthread_mutex_lock(&job->lock);
    }
    pthread_mutex_unlock(&job->lock);
}

static int run_workers(struct job *job, int threads, const struct fv_report *r)
{
    struct worker *w = calloc((size_t)threads, sizeof *w);
    int started = 0;
    if (!w)
        return fv_err(FV_ENOMEM, "out of memory for %d threads", threads);
    job->working = threads;
    for (; started < threads; started++) {
        w[started] = (struct worker){.job = job, .number = started};
        if (pthread_create(&w[started].thread, NULL, work, &w[started]) != 0)
            break;
    }
    if (started < threads) {
        pthread_mutex_lock(&job->lock);
        job->working -= threads - started;
        atomic_store(&job->stop, started == 0);
        pthread_mutex_unlock(&job->lock);
    }
    watch(job, r);
    for (int i = 0; i < started; i++)
        pthread_join(w[i].thread, NULL);
    free(w);
    if (started == 0)
        return fv_err(FV_ENOMEM, "no thread could be started");
    return job->rc < 0 ? fv_err_restore(job->rc, job->error) : 0;
}

int fv_synth_run(const struct fv_synth_settings *s, const struct fv_report *r)
{
    if (s->identities < 1 || s->identities > MAX_COUNT || s->images < 1 || s->images > MAX_COUNT ||
        s->size < 16 || s->size > 1024 || s->threads < 0 || s->threads > MAX_THREADS || !s->output)
        return fv_err(FV_EINVAL, "a setting of the demo faces is out of range");
    struct job job = {.s = s, .total = (uint64_t)(s->identities * s->images)};
    int threads = s->threads ? (int)s->threads : fv_cpu_count();
    if ((uint64_t)threads > job.total)
        threads = (int)job.total;
    FV_TRY(fv__camera_setup());
    int rc = prepare_folder(s);
    job.numbers = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (rc == 0 && !job.numbers)
        rc = fv_err(FV_ENOMEM, "out of memory");
    pthread_mutex_init(&job.lock, NULL);
    pthread_cond_init(&job.idle, NULL);
    if (rc == 0)
        rc = run_workers(&job, threads < MAX_THREADS ? threads : MAX_THREADS, r);
    pthread_cond_destroy(&job.idle);
    pthread_mutex_destroy(&job.lock);
    if (job.numbers)
        freelocale(job.numbers);
    fv__camera_teardown();
    if (rc == 0 && fv_prep_stop && atomic_load(&job.done) < job.total)
        return fv_err(FV_EINTR,
                      "stopped after %" PRIu64 " of %" PRIu64
                      " pictures; the same command goes on from there",
                      atomic_load(&job.done), job.total);
    return rc;
}
