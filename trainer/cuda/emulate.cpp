/* SPDX-License-Identifier: MIT */
/* The scheduler: a block's threads as fibers, in an order drawn from the seed.
 *
 * A thread runs until it ends or waits; then any other that can run goes on. A fiber's stack is taken when its thread
 * first runs and given back when it ends, so that a kernel without barriers uses one. Nothing here needs the C++
 * library. On x86-64 a switch is eleven instructions of ours; elsewhere swapcontext does it.
 */
extern "C" {
#include "common/err.h"
}
#include "trainer/cuda/emulate.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace
{

enum { THREADS_MAX = 1024, WARP = 32, STACK_BYTES = 256 * 1024 };
enum state { READY, AT_BARRIER, AT_WARP, DONE };

#ifdef __x86_64__
typedef void *context;
#else
typedef ucontext_t context;
#endif

struct fiber {
    context at;
    char *stack;
};

struct emulator {
    uint64_t seed, random;
    /* the launch */
    const char *what;
    void (*thread)(void *);
    void *argument;
    char fault[FV_ERR_TEXT_MAX];
    /* the block */
    uint64_t block;
    uint32_t epoch;
    int threads, ready_count, waiting, alive;
    int ready[THREADS_MAX];
    enum state state[THREADS_MAX];
    fiber *of[THREADS_MAX]; /* NULL: not begun */
    int warp_waiting[THREADS_MAX / WARP];
    unsigned exchanges[THREADS_MAX]; /* that the thread has made; their parity chooses the slot */
    uint64_t slot[2][THREADS_MAX];
    int current;
    /* fibers */
    context scheduler;
    fiber fibers[THREADS_MAX], *idle[THREADS_MAX];
    int fibers_made, idle_count;
    uint64_t launches, threads_run;
} e = {};

uint64_t draw(void)
{
    uint64_t z = e.random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t below(size_t n)
{
    return static_cast<size_t>(draw() % n);
}

#ifdef __x86_64__
asm(R"(
.text
.type fv__emulate_switch, @function
fv__emulate_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size fv__emulate_switch, . - fv__emulate_switch
)");
extern "C" void fv__emulate_switch(void **save, void *load);
#endif

void switch_to(context *from, context *to, const void *stack, size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
    void *fake;
    __sanitizer_start_switch_fiber(&fake, stack, bytes);
#else
    (void)stack;
    (void)bytes;
#endif
#ifdef __x86_64__
    fv__emulate_switch(from, *to);
#else
    swapcontext(from, to);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

const void *scheduler_stack; /* as the sanitizer knows it */
size_t scheduler_bytes;

void back_to_scheduler(void)
{
    switch_to(&e.of[e.current]->at, &e.scheduler, scheduler_stack, scheduler_bytes);
}

/* What every fiber runs, thread after thread. */
void run_threads(void)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_bytes);
#endif
    for (;;) {
        e.thread(e.argument);
        e.state[e.current] = DONE;
        back_to_scheduler();
    }
}

int make_fiber(fiber *f)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return fv_err(FV_ENOMEM, "the emulator: no memory for the stacks of %d threads",
                      e.fibers_made + 1);
    f->stack = static_cast<char *>(stack);
#ifdef __x86_64__
    /* six registers, the address that `ret` takes, and one word so that the stack is aligned as at a call */
    void **top = reinterpret_cast<void **>(f->stack + STACK_BYTES) - 2;
    *top = reinterpret_cast<void *>(run_threads);
    f->at = top - 6;
#else
    getcontext(&f->at);
    f->at.uc_stack.ss_sp = f->stack;
    f->at.uc_stack.ss_size = STACK_BYTES;
    f->at.uc_link = NULL;
    makecontext(&f->at, run_threads, 0);
#endif
    return 0;
}

int take_fiber(int thread)
{
    if (e.idle_count == 0) {
        FV_TRY(make_fiber(&e.fibers[e.fibers_made]));
        e.idle[e.idle_count++] = &e.fibers[e.fibers_made++];
    }
    e.of[thread] = e.idle[--e.idle_count];
    return 0;
}

void make_ready(int thread)
{
    e.state[thread] = READY;
    e.ready[e.ready_count++] = thread;
}

void release_warp(int warp)
{
    e.warp_waiting[warp] = 0;
    for (int t = warp * WARP; t < e.threads && t < (warp + 1) * WARP; t++)
        if (e.state[t] == AT_WARP)
            make_ready(t);
}

void release_block(void)
{
    if (e.alive < e.threads)
        fv__emulate_fault("a block", "has threads that end before others' barrier number", e.epoch,
                          -1);
    e.waiting = 0;
    e.epoch++;
    for (int t = 0; t < e.threads; t++)
        if (e.state[t] == AT_BARRIER)
            make_ready(t);
}

/* Somebody ended or waits: does that free others? */
void settle(int thread)
{
    const int warp = thread / WARP;
    if (e.state[thread] == DONE) {
        e.alive--;
        e.idle[e.idle_count++] = e.of[thread];
    } else if (e.state[thread] == AT_WARP) {
        if (++e.warp_waiting[warp] == WARP)
            release_warp(warp);
    } else {
        e.waiting++;
    }
    if (e.waiting > 0 && e.waiting == e.alive)
        release_block();
}

int run_one(void)
{
    const size_t pick = below(static_cast<size_t>(e.ready_count));
    e.current = e.ready[pick];
    e.ready[pick] = e.ready[--e.ready_count];
    if (!e.of[e.current])
        FV_TRY(take_fiber(e.current));
    threadIdx = dim3(static_cast<unsigned>(e.current), 0, 0);
    switch_to(&e.scheduler, &e.of[e.current]->at, e.of[e.current]->stack, STACK_BYTES);
    settle(e.current);
    return 0;
}

/* Threads wait for what will never come: says so, and lets them go on, so that every stack is left. */
void break_deadlock(void)
{
    fv__emulate_fault(
        "a block", "has threads that wait at different barriers, or a warp that is not whole, at",
        0, -1);
    e.waiting = 0;
    for (int t = 0; t < e.threads; t++)
        if (e.state[t] == AT_BARRIER || e.state[t] == AT_WARP)
            make_ready(t);
    memset(e.warp_waiting, 0, sizeof e.warp_waiting);
}

int run_block(void)
{
    e.block++;
    e.epoch = 0;
    e.alive = e.threads;
    e.ready_count = e.waiting = 0;
    memset(e.warp_waiting, 0, sizeof e.warp_waiting);
    memset(e.exchanges, 0, sizeof e.exchanges);
    memset(e.of, 0, sizeof e.of);
    for (int t = 0; t < e.threads; t++)
        make_ready(t);
    while (e.alive > 0) {
        if (e.ready_count == 0)
            break_deadlock();
        FV_TRY(run_one());
    }
    e.threads_run += static_cast<uint64_t>(e.threads);
    return 0;
}

void (*recorder)(void *ctx, void *stream, struct fv_emulated *launch);
void *recorder_context;

} // namespace

struct fv_emulated {
    const char *what;
    dim3 grid;
    int block;
    void (*thread)(void *);
    size_t bytes;
    alignas(16) char context[1];
};

extern "C" {

void fv_emulate_record(void (*take)(void *ctx, void *stream, struct fv_emulated *launch), void *ctx)
{
    recorder = take;
    recorder_context = ctx;
}

int fv_emulate_replay(const struct fv_emulated *l)
{
    return fv__emulate_run(l->what, l->grid, l->block, l->thread, const_cast<char *>(l->context));
}

const char *fv_emulate_name(const struct fv_emulated *l)
{
    return l->what;
}

const void *fv_emulate_arguments(const struct fv_emulated *l, size_t *bytes)
{
    *bytes = l->bytes;
    return l->context;
}

int fv__emulate_begin(const char *what, dim3 grid, int block, void *stream, void (*thread)(void *),
                      void *context, size_t bytes)
{
    if (!recorder)
        return fv__emulate_run(what, grid, block, thread, context);
    void *memory = malloc(sizeof(fv_emulated) + bytes);
    if (!memory)
        return fv_err(FV_ENOMEM, "the emulator: no memory for a recorded launch");
    fv_emulated *l = static_cast<fv_emulated *>(memory);
    l->what = what;
    l->grid = grid;
    l->block = block;
    l->thread = thread;
    l->bytes = bytes;
    memcpy(l->context, context, bytes);
    recorder(recorder_context, stream, l);
    return 0;
}

void fv_emulate_seed(uint64_t seed)
{
    e.seed = seed;
}

void fv_emulate_count(uint64_t *launches, uint64_t *threads)
{
    *launches = e.launches;
    *threads = e.threads_run;
}

int fv__emulate_thread(void)
{
    return e.current;
}

uint32_t fv__emulate_epoch(void)
{
    return e.epoch;
}

uint64_t fv__emulate_block(void)
{
    return e.block;
}

void fv__emulate_fault(const char *array, const char *why, size_t index, int other)
{
    if (e.fault[0])
        return;
    int used = snprintf(e.fault, sizeof e.fault, "%s %s %zu", array, why, index);
    snprintf(e.fault + used, sizeof e.fault - static_cast<size_t>(used),
             other >= 0 ? ", threads %d and %d" : ", thread %d", e.current, other);
}

void fv__emulate_barrier(void)
{
    e.state[e.current] = AT_BARRIER;
    back_to_scheduler();
}

uint64_t fv__emulate_exchange(uint64_t bits, int lane)
{
    const int me = e.current;
    uint64_t *slot = e.slot[e.exchanges[me]++ % 2];
    slot[me] = bits;
    e.state[me] = AT_WARP;
    back_to_scheduler();
    return slot[me / WARP * WARP + lane];
}

int fv__emulate_run(const char *what, dim3 grid, int block, void (*thread)(void *), void *argument)
{
    const size_t blocks = static_cast<size_t>(grid.x) * grid.y * grid.z;
    if (blocks == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || block < 1 ||
        block > THREADS_MAX)
        return fv_err(FV_EBACKEND, "kernel %s: a grid of (%u, %u, %u) blocks of %d threads", what,
                      grid.x, grid.y, grid.z, block);
    size_t *order = static_cast<size_t *>(malloc(blocks * sizeof *order));
    if (!order)
        return fv_err(FV_ENOMEM, "kernel %s: out of memory", what);
    e.random = e.seed ^ ++e.launches * 0xd1342543de82ef95u;
    for (size_t i = 0; i < blocks; i++) {
        const size_t j = below(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    e.what = what;
    e.thread = thread;
    e.argument = argument;
    e.fault[0] = 0;
    e.threads = block;
    gridDim = grid;
    blockDim = dim3(static_cast<unsigned>(block), 1, 1);
    int rc = 0;
    for (size_t i = 0; i < blocks && rc == 0 && e.fault[0] == 0; i++) {
        blockIdx = dim3(static_cast<unsigned>(order[i] % grid.x),
                        static_cast<unsigned>(order[i] / grid.x % grid.y),
                        static_cast<unsigned>(order[i] / grid.x / grid.y));
        rc = run_block();
    }
    free(order);
    if (rc == 0 && e.fault[0])
        rc = fv_err(FV_EBACKEND, "kernel %s: %s", what, e.fault);
    return rc;
}
}
