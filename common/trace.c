/* SPDX-License-Identifier: MIT */
/* Each thread owns a buffer and is the only one to write it; the list of buffers grows under a lock
 * that only a thread's first event takes. fv_trace_stop reads the buffers after it has turned tracing
 * off. An event that is under way at that moment still goes where the oldest event of a full buffer
 * is, so that one is not read. Buffers live as long as the process: a late writer never meets freed
 * memory. */
#include "common/trace.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/trace_nvtx.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Atomic int fv_trace_on_;
enum { TO_FILE = 1, TO_NVTX = 2 }; /* its bits */

enum { EVENTS = 1 << 17 };
#define COUNTER (UINT64_C(1) << 63) /* nothing takes 292 years */

struct event {
    const char *name;
    uint64_t at_ns, for_ns; /* for_ns: from COUNTER on, which counter of the name */
    double value;
};

struct lane {
    struct lane *next;
    char name[32];
    int id, vacant; /* its thread has ended; guarded by the lock */
    _Atomic uint64_t n;
    struct event event[EVENTS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lane *lanes;
static int lane_count;
static struct fv_file file;
static uint64_t started_ns;
static struct fv_nvtx nvtx;
static _Thread_local struct lane *mine;
static _Thread_local char my_name[32];

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t lane_key; /* for what it calls when a thread ends */

static void vacate(void *lane)
{
    pthread_mutex_lock(&lock);
    ((struct lane *)lane)->vacant = 1;
    pthread_mutex_unlock(&lock);
}

static void make_key(void)
{
    pthread_key_create(&lane_key, vacate);
}

/* That of an ended thread of the same name, so that loaders opened one after another are one lane each thread. */
static struct lane *vacant_lane(void)
{
    struct lane *l = lanes;

    while (l && !(l->vacant && strcmp(l->name, my_name) == 0))
        l = l->next;
    return l;
}

static struct lane *new_lane(void)
{
    struct lane *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    memcpy(l->name, my_name, sizeof l->name);
    l->id = ++lane_count;
    l->next = lanes;
    lanes = l;
    return l;
}

static struct lane *my_lane(void)
{
    if (mine)
        return mine;
    pthread_once(&key_once, make_key);
    pthread_mutex_lock(&lock);
    mine = vacant_lane();
    if (!mine)
        mine = new_lane();
    if (mine)
        mine->vacant = 0;
    pthread_mutex_unlock(&lock);
    if (mine)
        pthread_setspecific(lane_key, mine);
    return mine;
}

static void put(const struct event *e)
{
    struct lane *l = my_lane();

    if (!l)
        return;
    const uint64_t n = atomic_load_explicit(&l->n, memory_order_relaxed);
    l->event[n % EVENTS] = *e;
    /* Pairs with the acquire in write_lane: what is counted has been written. */
    atomic_store_explicit(&l->n, n + 1, memory_order_release);
}

uint64_t fv_trace_begin_(const char *name)
{
    if (atomic_load_explicit(&fv_trace_on_, memory_order_acquire) & TO_NVTX)
        nvtx.push(name);
    return fv_now_ns();
}

void fv_trace_end_(const char *name, uint64_t begin_ns)
{
    const int on = atomic_load_explicit(&fv_trace_on_, memory_order_acquire);

    if (on & TO_FILE)
        put(&(struct event){.name = name, .at_ns = begin_ns, .for_ns = fv_now_ns() - begin_ns});
    if (on & TO_NVTX)
        nvtx.pop();
}

void fv_trace_counter_(const char *name, int which, double value)
{
    const int on = atomic_load_explicit(&fv_trace_on_, memory_order_acquire);

    /* JSON has neither infinities nor what is no number: a loss may be either. */
    if (isfinite(value) && (on & TO_FILE))
        put(&(struct event){.name = name,
                            .at_ns = fv_now_ns(),
                            .for_ns = COUNTER + (uint64_t)which,
                            .value = value});
}

static void name_for_nvtx(void)
{
    if (nvtx.name_thread && my_name[0])
        nvtx.name_thread((uint32_t)syscall(SYS_gettid), my_name);
}

void fv_trace_thread(const char *name)
{
    strncpy(my_name, name, sizeof my_name - 1);
    if (mine)
        memcpy(mine->name, my_name, sizeof mine->name);
    if (atomic_load_explicit(&fv_trace_on_, memory_order_acquire) & TO_NVTX)
        name_for_nvtx();
}

/* Whoever turns tracing on is the program's own thread, unless it has a name already. */
static void name_main(void)
{
    if (!my_name[0])
        fv_trace_thread("main");
}

int fv_trace_nvtx(void)
{
    if (atomic_load(&fv_trace_on_) & TO_NVTX)
        return FV_OK;
    FV_TRY(fv__nvtx_open(&nvtx));
    name_main();
    name_for_nvtx();
    atomic_fetch_or_explicit(&fv_trace_on_, TO_NVTX, memory_order_release);
    return FV_OK;
}

int fv_trace_start(const char *path)
{
    if (atomic_load(&fv_trace_on_) & TO_FILE)
        return fv_err(FV_EEXIST, "%s: a trace is being written already", path);
    FV_TRY(fv_file_create(&file, path));
    pthread_mutex_lock(&lock);
    for (struct lane *l = lanes; l; l = l->next)
        atomic_store_explicit(&l->n, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    name_main();
    started_ns = fv_now_ns();
    atomic_fetch_or_explicit(&fv_trace_on_, TO_FILE, memory_order_release);
    return FV_OK;
}

static void write_event(FILE *f, const struct event *e, long pid, int tid)
{
    const double us = (double)(e->at_ns - started_ns) / 1e3;

    fprintf(f, ",\n{\"ph\":\"%c\",\"pid\":%ld,\"tid\":%d,\"name\":\"%s\",\"ts\":%.3f,",
            e->for_ns < COUNTER ? 'X' : 'C', pid, tid, e->name, us);
    if (e->for_ns < COUNTER)
        fprintf(f, "\"dur\":%.3f}", (double)e->for_ns / 1e3);
    else if (e->for_ns == COUNTER)
        fprintf(f, "\"args\":{\"value\":%g}}", e->value);
    else
        fprintf(f, "\"id\":\"%d\",\"args\":{\"value\":%g}}", (int)(e->for_ns - COUNTER) + 1,
                e->value);
}

/* Returns how many events had to make way for newer ones. A thread that has none since the start has no lane.
 *
 * The newest come first. Viewers sort by time and keep the order of what begins at once, where the outer span has to
 * stand before the one in it, which ended earlier: clocks of 25 ns and more are not rare. */
static uint64_t write_lane(FILE *f, const struct lane *l)
{
    const uint64_t n = atomic_load_explicit(&l->n, memory_order_acquire);
    const uint64_t first = n >= EVENTS ? n - EVENTS + 1 : 0;
    const long pid = (long)getpid();

    if (n == 0)
        return 0;
    fprintf(f,
            ",\n{\"ph\":\"M\",\"pid\":%ld,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":"
            "\"%s\"}}",
            pid, l->id, l->name[0] ? l->name : "thread");
    for (uint64_t i = n; i > first; i--) {
        const struct event *e = &l->event[(i - 1) % EVENTS];
        if (e->at_ns < started_ns)
            continue;
        write_event(f, e, pid, l->id);
    }
    return first;
}

int fv_trace_stop(void)
{
    uint64_t lost = 0;

    if (!(atomic_fetch_and(&fv_trace_on_, ~TO_FILE) & TO_FILE))
        return FV_OK;
    fprintf(file.f,
            "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
            "{\"ph\":\"M\",\"pid\":%ld,\"name\":\"process_name\",\"args\":{\"name\":\"fv\"}}",
            (long)getpid());
    pthread_mutex_lock(&lock);
    for (const struct lane *l = lanes; l; l = l->next)
        lost += write_lane(file.f, l);
    pthread_mutex_unlock(&lock);
    fprintf(file.f, "\n],\"otherData\":{\"older_events_lost\":%" PRIu64 "}}\n", lost);
    return fv_file_commit(&file);
}
