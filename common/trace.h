/* SPDX-License-Identifier: MIT */
/* Trace spans: where did the time go, as a picture.
 *
 *     uint64_t t = fv_trace_begin("decode");
 *     ... work ...
 *     fv_trace_end("decode", t);
 *
 * While no trace is open both calls are one relaxed load and a predicted branch. While one is, each
 * thread writes to a buffer of its own (the newest 131072 events win when it wraps), and fv_trace_stop
 * writes Chrome trace JSON, which Perfetto opens: one lane a thread, counters as graphs. Spans of a
 * thread must nest: what was begun last ends first. Names must be string literals: only the pointer
 * is kept.
 */
#ifndef FV_COMMON_TRACE_H
#define FV_COMMON_TRACE_H

#include <stdatomic.h>
#include <stdint.h>

extern _Atomic int fv_trace_on_;
uint64_t fv_trace_begin_(const char *name);
void fv_trace_end_(const char *name, uint64_t begin_ns);
void fv_trace_counter_(const char *name, int which, double value); /* nothing unless finite */

static inline uint64_t fv_trace_begin(const char *name)
{
    return atomic_load_explicit(&fv_trace_on_, memory_order_relaxed) ? fv_trace_begin_(name) : 0;
}
static inline void fv_trace_end(const char *name, uint64_t begin_ns)
{
    if (begin_ns)
        fv_trace_end_(name, begin_ns);
}
/* which: of several that have one name and are graphs of their own, from 0. */
static inline void fv_trace_counter_of(const char *name, int which, double value)
{
    if (atomic_load_explicit(&fv_trace_on_, memory_order_relaxed))
        fv_trace_counter_(name, which, value);
}
static inline void fv_trace_counter(const char *name, double value)
{
    fv_trace_counter_of(name, 0, value);
}

int fv_trace_start(const char *path); /* FV_EEXIST when one is already open */
int fv_trace_stop(void);              /* writes the file; 0 when none is open */
/* Until the process ends, spans are NVTX ranges too, for Nsight Systems. To be called before threads are
 * started. FV_EUNSUPPORTED when neither a tool nor libnvToolsExt is there. */
int fv_trace_nvtx(void);
/* Names the calling thread's lane ("worker 3"; a copy is kept). */
void fv_trace_thread(const char *name);

#endif
