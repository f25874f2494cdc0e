/* SPDX-License-Identifier: MIT */
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"
#include "trainer/cuda/emulate.h"

#include <stdlib.h>
#include <string.h>

const int place_shuffles = 1;

void place_open(void)
{
}

void *place_take(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    return p;
}

void place_give(void *p)
{
    free(p);
}

void place_put(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

void place_get(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

void place_seed(uint64_t seed)
{
    fv_emulate_seed(seed);
}
