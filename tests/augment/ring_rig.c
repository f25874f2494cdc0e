/* SPDX-License-Identifier: MIT */
#include "tests/augment/ring_rig.h"
#include "common/err.h"
#include "tests/cmocka_all.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t value(uint64_t ticket, uint32_t item)
{
    return (ticket + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)item << 17;
}

static int make_item(struct rig *g, const struct fv_ring_claim *c)
{
    unsigned (*item_us)(uint64_t, uint32_t) = atomic_load(&g->item_us);
    const unsigned us = item_us ? item_us(c->ticket, c->item) : 0;

    if (us)
        usleep(us);
    g->slot[c->slot].item[c->item] = value(c->ticket, c->item);
    if (g->fails && g->fails(c->ticket, c->item))
        return fv_err(FV_ECORRUPT, "item %u is bad", c->item);
    return FV_OK;
}

static void *produce(void *arg)
{
    struct rig *g = arg;
    struct fv_ring_claim c;

    if (fv_ring_attach(g->ring) != FV_OK)
        return NULL;
    while (fv_ring_claim(g->ring, &c))
        if (fv_ring_complete(g->ring, &c, make_item(g, &c))) {
            uint64_t sum = 0;
            for (uint32_t i = 0; i < fv_ring_items(g->ring, c.ticket); i++)
                sum += g->slot[c.slot].item[i];
            g->slot[c.slot].sum = sum;
            fv_ring_publish(g->ring, &c);
        }
    return NULL;
}

struct rig *rig_open_to(int producers, uint32_t slots, uint32_t items, uint64_t end,
                        uint32_t last_items)
{
    struct rig *g = calloc(1, sizeof *g);

    assert_non_null(g);
    assert_true(producers <= RIG_PRODUCERS && slots <= RIG_SLOTS && items <= RIG_ITEMS);
    g->shape = (struct fv_ring_shape){
        .slots = slots, .items = items, .end = end, .last_items = last_items};
    assert_int_equal(fv_ring_open(&g->ring, &g->shape), FV_OK);
    g->producers = producers;
    return g;
}

struct rig *rig_open(int producers, uint32_t slots, uint32_t items)
{
    return rig_open_to(producers, slots, items, FV_RING_TICKETS, items);
}

void rig_start(struct rig *g)
{
    for (int i = 0; i < g->producers; i++)
        assert_int_equal(pthread_create(&g->thread[i], NULL, produce, g), 0);
}

void rig_close(struct rig *g)
{
    fv_ring_stop(g->ring);
    for (int i = 0; i < g->producers; i++)
        pthread_join(g->thread[i], NULL);
    fv_ring_close(&g->ring);
    assert_null(g->ring);
    fv_ring_close(&g->ring);
    free(g);
}

int rig_batch_is(const struct rig *g, const struct fv_ring_view *v, uint64_t ticket)
{
    uint64_t sum = 0;
    int good = v->ticket == ticket && v->slot == ticket % g->shape.slots &&
               v->items == (ticket + 1 == g->shape.end ? g->shape.last_items : g->shape.items);

    for (uint32_t i = 0; good && i < v->items; i++) {
        good = g->slot[v->slot].item[i] == value(ticket, i);
        sum += g->slot[v->slot].item[i];
    }
    return good && g->slot[v->slot].sum == sum;
}

void rig_expect(struct rig *g, uint64_t from, uint64_t to)
{
    struct fv_ring_view v;

    for (uint64_t t = from; t < to; t++) {
        assert_int_equal(fv_ring_take(g->ring, &v), 1);
        assert_true(rig_batch_is(g, &v, t));
        fv_ring_release(g->ring);
    }
}

double rig_cpu_ms(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

uint32_t rig_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}
