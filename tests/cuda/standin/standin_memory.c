/* SPDX-License-Identifier: MIT */
/* Memory of the device and pinned memory of the host. Both lie in ranges of addresses that are never used twice, each
 * block behind a page that nobody may touch and ending where another such page begins, so that a use too far or too
 * late is a fault; the handler turns it into a sentence. The device's is closed to everybody but while work is done.
 * Of a large block what is touched is opened, piece by piece: most of a workspace never is. */
#include "tests/cuda/standin/standin_inside.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGN = 256, LARGE = 1 << 20, PIECE = 256 << 10 };
static const size_t range_bytes = (size_t)1 << 40;

struct block {
    char *at, *pages;
    size_t bytes, paged;
    int freed;
    int from, to; /* pieces of a large block that are open */
    char *filled; /* a large block's pieces that have been; NULL: not large */
};
struct range {
    char *begin, *next;
    struct block *block;
    int count, room, open;
    size_t used;
};
static struct range device_range, pinned_range;
static size_t page;

/* Faults */

static const struct block *find(const struct range *r, const void *p)
{
    int low = 0, high = r->count;
    while (low < high) {
        const int middle = (low + high) / 2;
        if ((const char *)p < r->block[middle].pages + r->block[middle].paged)
            high = middle;
        else
            low = middle + 1;
    }
    return low < r->count ? &r->block[low] : NULL;
}

static void explain(const struct range *r, const char *kind, const char *p)
{
    const char *who = standin__doing() ? standin__doing() : "the host";
    const struct block *b = find(r, p);
    if (b && b->freed && p >= b->pages)
        standin_fail("%s uses %s memory that was freed: byte %td of %zu", who, kind, p - b->at,
                     b->bytes);
    if (b && p >= b->at && p < b->at + b->bytes)
        standin_fail("%s touches %s memory itself: byte %td of %zu", who, kind, p - b->at,
                     b->bytes);
    if (b > r->block && (!b || p < b->pages))
        b--;
    else if (!b && r->count)
        b = &r->block[r->count - 1];
    standin_fail("%s leaves %s memory: %td bytes behind the end of %zu", who, kind,
                 b ? p - (b->at + b->bytes) : 0, b ? b->bytes : 0);
}

static int open_piece(const char *p);

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    const char *p = info->si_addr;
    (void)context;
    if (open_piece(p))
        return;
    if (device_range.begin && p >= device_range.begin && p < device_range.begin + range_bytes)
        explain(&device_range, "the device's", p);
    if (pinned_range.begin && p >= pinned_range.begin && p < pinned_range.begin + range_bytes)
        explain(&pinned_range, "pinned", p);
    if (standin__doing())
        fprintf(stderr, "stand-in: %s uses the address %p\n", standin__doing(), info->si_addr);
    signal(signal_number, SIG_DFL);
}

/* Ranges */

/* Again and again: a test's framework puts its own in the place. */
static void handle_faults(void)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
}

static void begin(struct range *r)
{
    if (r->begin)
        return;
    r->begin =
        mmap(NULL, range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (r->begin == MAP_FAILED)
        standin_fail("no range of addresses for memory");
    page = (size_t)sysconf(_SC_PAGESIZE);
    r->next = r->begin;
    handle_faults();
}

static void protect(const struct block *b, int how)
{
    if (mprotect(b->pages, b->paged, how) != 0)
        standin_fail("mprotect: out of memory");
}

static size_t piece_bytes(const struct block *b, int piece)
{
    const size_t rest = b->paged - (size_t)piece * PIECE;
    return rest < PIECE ? rest : PIECE;
}

/* 1: p is in a large block that work may use now, and so it can. */
static int open_piece(const char *p)
{
    struct range *r = &device_range;
    struct block *b = r->begin && r->open > 0 ? (struct block *)find(r, p) : NULL;
    if (!b || !b->filled || b->freed || p < b->pages)
        return 0;
    const int piece = (int)((p - b->pages) / PIECE);
    char *const at = b->pages + (size_t)piece * PIECE;
    if (mprotect(at, piece_bytes(b, piece), PROT_READ | PROT_WRITE) != 0)
        return 0;
    if (!b->filled[piece])
        memset(at, 0xff, piece_bytes(b, piece));
    b->filled[piece] = 1;
    b->from = b->to == 0 || piece < b->from ? piece : b->from;
    b->to = piece + 1 > b->to ? piece + 1 : b->to;
    return 1;
}

static void close_pieces(struct block *b)
{
    const size_t from = (size_t)b->from * PIECE, to = (size_t)b->to * PIECE;
    if (b->to > 0 && mprotect(b->pages + from, (to < b->paged ? to : b->paged) - from, PROT_NONE))
        standin_fail("mprotect: out of memory");
    b->from = b->to = 0;
}

static void *take(struct range *r, size_t bytes)
{
    begin(r);
    const size_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    struct block b = {.bytes = bytes, .paged = (whole + page - 1) / page * page};
    b.pages = r->next + page;
    b.at = b.pages + b.paged - whole;
    r->next = b.pages + b.paged;
    if ((size_t)(r->next - r->begin) + page > range_bytes)
        standin_fail("a terabyte of memory was asked for in all");
    if (r->count == r->room) {
        r->room = 2 * r->room + 16;
        r->block = realloc(r->block, (size_t)r->room * sizeof *r->block);
    }
    if (r == &device_range && b.paged > LARGE) {
        b.filled = calloc(b.paged / PIECE + 1, 1);
    } else {
        protect(&b, PROT_READ | PROT_WRITE);
        memset(b.pages, 0xff, b.paged);
        if (r == &device_range && !r->open)
            protect(&b, PROT_NONE);
    }
    r->block[r->count++] = b;
    r->used += bytes;
    return b.at;
}

static struct block *owner(const struct range *r, const void *p)
{
    struct block *b = r->begin ? (struct block *)find(r, p) : NULL;
    return b && !b->freed && (const char *)p >= b->at && (const char *)p < b->at + b->bytes ? b
                                                                                            : NULL;
}

static void give(struct range *r, struct block *b)
{
    b->freed = 1;
    free(b->filled);
    b->filled = NULL;
    madvise(b->pages, b->paged, MADV_DONTNEED);
    protect(b, PROT_NONE);
    r->used -= b->bytes;
}

static size_t room(const struct range *r, const void *p)
{
    const struct block *b = owner(r, p);
    return b ? (size_t)(b->at + b->bytes - (const char *)p) : 0;
}

size_t standin_room_at(const void *p)
{
    return room(&device_range, p);
}

size_t standin_pinned_at(const void *p)
{
    return room(&pinned_range, p);
}

void standin__need_room(const void *p, size_t bytes, const char *what)
{
    if (standin_room_at(p) < bytes)
        standin_fail("%s needs %zu bytes of the device's memory at %p, where %zu are", what, bytes,
                     p, standin_room_at(p));
}

static size_t taken(const struct range *r, size_t not_counted)
{
    size_t bytes = 0;
    for (int i = 0; i < r->count; i++)
        bytes += r->block[i].freed || r->block[i].bytes == not_counted ? 0 : r->block[i].bytes;
    return bytes;
}

void standin__memory(size_t *device, size_t *pinned, size_t not_counted)
{
    *device = taken(&device_range, not_counted);
    *pinned = taken(&pinned_range, not_counted);
}

void standin__open_memory(void)
{
    if (device_range.open++ > 0)
        return;
    handle_faults();
    for (int i = 0; i < device_range.count; i++)
        if (!device_range.block[i].freed && !device_range.block[i].filled)
            protect(&device_range.block[i], PROT_READ | PROT_WRITE);
}

void standin__close_memory(void)
{
    if (--device_range.open > 0)
        return;
    for (int i = 0; i < device_range.count; i++) {
        struct block *b = &device_range.block[i];
        if (b->filled)
            close_pieces(b);
        else if (!b->freed)
            protect(b, PROT_NONE);
    }
}

/* CUDA's calls */

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    standin__settle();
    standin__lock();
    standin__may_not_capture("cudaMalloc");
    cudaError_t e = cudaSuccess;
    *out = NULL;
    if (device_range.used + bytes > standin.memory_bytes)
        e = cudaErrorMemoryAllocation;
    else if (bytes > 0)
        *out = take(&device_range, bytes);
    standin__unlock();
    return standin__error(e);
}

/* It may wait for all that is under way, and need not. */
cudaError_t cudaFree(void *p)
{
    if (!p)
        return cudaSuccess;
    standin__settle();
    standin__lock();
    standin__may_not_capture("cudaFree");
    struct block *b = owner(&device_range, p);
    if (!b || b->at != p)
        standin_fail("cudaFree of %p, which cudaMalloc has not given, or which was freed", p);
    if (standin__draw(2))
        standin__reach_all();
    give(&device_range, b);
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    (void)flags;
    standin__settle();
    standin__lock();
    standin__may_not_capture("cudaHostAlloc");
    *out = bytes > 0 ? take(&pinned_range, bytes) : NULL;
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    if (!p)
        return cudaSuccess;
    standin__settle();
    standin__lock();
    standin__may_not_capture("cudaFreeHost");
    struct block *b = owner(&pinned_range, p);
    if (!b || b->at != p)
        standin_fail("cudaFreeHost of %p, which cudaHostAlloc has not given, or which was freed",
                     p);
    if (standin__draw(2))
        standin__reach_all();
    give(&pinned_range, b);
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    standin__settle();
    standin__lock();
    *total = standin.memory_bytes;
    *free_bytes = standin.memory_bytes - device_range.used;
    standin__unlock();
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *a, const void *p)
{
    standin__settle();
    standin__lock();
    const size_t device = standin_room_at(p), pinned = standin_pinned_at(p);
    standin__unlock();
    *a = (struct cudaPointerAttributes){.type = device   ? cudaMemoryTypeDevice
                                                : pinned ? cudaMemoryTypeHost
                                                         : cudaMemoryTypeUnregistered};
    a->devicePointer = device || pinned ? (void *)(uintptr_t)p : NULL;
    a->hostPointer = pinned ? (void *)(uintptr_t)p : NULL;
    return cudaSuccess;
}
