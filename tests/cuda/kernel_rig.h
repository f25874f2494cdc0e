/* SPDX-License-Identifier: MIT */
/* What the tests of the kernels share: memory where the kernels run, values in a storage type, comparison.
 *
 * The same tests run against the emulator (place_emulator.c) and against a GPU (place_cuda.c). Buffers stand between
 * guards of 0xff, which are NaNs to whoever reads too far, and are NaNs themselves until written.
 */
#ifndef FV_TESTS_CUDA_KERNEL_RIG_H
#define FV_TESTS_CUDA_KERNEL_RIG_H

#include "trainer/cuda/kernels.h"

/* The place: each of these fails the test if it cannot. */
void place_open(void); /* exits with 77 and the reason where there is no device */
void *place_take(size_t bytes);
void place_give(void *p);
void place_put(void *to, const void *from, size_t bytes);
void place_get(void *to, const void *from, size_t bytes); /* waits for the launches */
extern const int place_shuffles; /* the order of threads follows rig_seed */
void place_seed(uint64_t seed);

/* A seed for orders and values of what follows. Gives back all buffers, checking their guards. */
void rig_begin(uint64_t seed);
/* Uniform in (low, high), and below n. */
double rig_draw(double low, double high);
unsigned rig_below(unsigned n);

/* The value as the type holds it, rounded to nearest even by arithmetic on doubles. */
double rig_round(enum fv_k_type type, double v);

/* A buffer of count values of a type, unwritten; or drawn from (low, high), *host being the values (freed by
 * rig_begin); or given. */
void *rig_new(enum fv_k_type type, size_t count);
void *rig_drawn(enum fv_k_type type, size_t count, double low, double high, double **host);
void *rig_given(enum fv_k_type type, size_t count, const double *values);
void *rig_bytes(size_t bytes, const void *values);
/* Host memory of count doubles, zero; freed by rig_begin. */
double *rig_doubles(size_t count);
/* What a buffer holds now. */
double *rig_values(enum fv_k_type type, const void *buffer, size_t count);

/* Fails unless each value is within one rounding of the type (units of half a place) plus `slack` of what is wanted.
 * slack is absolute. */
void rig_check(const char *what, enum fv_k_type type, const void *buffer, size_t count,
               const double *want, double units, double slack);
/* With a slack for each: value i has slack[i % slacks]. */
void rig_check_each(const char *what, enum fv_k_type type, const void *buffer, size_t count,
                    const double *want, double units, const double *slack, size_t slacks);
/* The launch succeeds. */
#define rig_run(call) rig_ran((call), #call)
void rig_ran(int rc, const char *call);
/* A checksum of a buffer's bits. */
uint64_t rig_bits(const void *buffer, size_t bytes);
/* Launches again in other orders of blocks and threads: the same bits every time. */
#define rig_orders(buffer, bytes, call)                                                            \
    do {                                                                                           \
        const uint64_t rig_first_ = rig_bits(buffer, bytes);                                       \
        for (uint64_t rig_seed_ = 100; rig_seed_ < 103; rig_seed_++) {                             \
            place_seed(rig_seed_);                                                                 \
            rig_run(call);                                                                         \
            if (rig_bits(buffer, bytes) != rig_first_)                                             \
                fail_msg("%s: other bits in another order", #call);                                \
        }                                                                                          \
    } while (0)

extern const enum fv_k_type rig_types[3];
extern const char *const rig_type_names[3];

#endif
