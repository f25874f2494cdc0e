/* SPDX-License-Identifier: MIT */
/* The ring between the decoders and the writer.
 *
 * Photo t lives in slot t mod SLOTS from the moment a thread takes it until its record is written; the threads
 * take photos in order and finish them in any order, the writer waits for the next one. Two cursors say how
 * far both are: written <= taken <= written + SLOTS. One lock guards them: it is taken three times a photo,
 * and a photo takes a millisecond. The result does not depend on the number of threads, and memory is
 * bounded by the slots, however slow one photo is.
 */
#include "prep/pack/pack_pipe.h"

#include "common/arena.h"
#include "common/err.h"
#include "common/trace.h"
#include "prep/import/importer.h"
#include "prep/photo/photo.h"
#include "prep/photo/photo_bytes.h"
#include "prep/prep.h"

#include <pthread.h>
#include <stdlib.h>

enum { SLOTS_PER_THREAD = 8 };

struct slot {
    struct fv_pipe_item item;
    uint8_t *record;
    int done;
};

struct run {
    const struct fv_pipe *p;
    struct fv_arena arena;
    struct slot *slot;
    size_t slots;
    pthread_t *thread;
    pthread_mutex_t lock;
    pthread_cond_t room, ready; /* for the threads; for the writer */
    size_t taken, written;
    int rc; /* the first failure, with its sentence: everybody stops */
    char text[FV_ERR_TEXT_MAX];
};

/* One thread's tools. */
struct hand {
    struct fv_photo *photo;
    struct fv_encoder *encoder;
    struct fv_photo_bytes bytes;
    uint8_t *rgb;
};

static struct slot *slot_of(struct run *r, size_t at)
{
    return &r->slot[at % r->slots];
}

/* Called with the lock held, after the failing function has left its sentence in this thread. */
static void fail(struct run *r, int rc)
{
    if (r->rc == 0) {
        r->rc = rc;
        fv_err_save(r->text);
    }
    pthread_cond_broadcast(&r->room);
    pthread_cond_signal(&r->ready);
}

/* Bytes decide what a photo is; a name that says otherwise is worth a remark. */
static const struct fv_format *unlike_its_name(const struct fv_listed_photo *photo,
                                               const uint8_t *bytes, size_t n)
{
    const char *name = photo->path ? photo->path : photo->name;
    const struct fv_format *named = fv__format_of_name(name), *is = fv__format_of_bytes(bytes, n);
    return named && named != is ? is : NULL;
}

static int decode_one(struct run *r, struct hand *h, size_t at)
{
    struct slot *s = slot_of(r, at);
    uint64_t t = fv_trace_begin();
    int rc = fv__photo_bytes_read(&h->bytes, r->p->listing, r->p->photo[at], &s->item.why);
    fv_trace_end("read", t);
    t = fv_trace_begin();
    if (rc == 0)
        rc = fv__photo_decode(h->photo, h->bytes.p, h->bytes.n,
                              fv__listing_face(r->p->listing, r->p->photo[at]), h->rgb,
                              &s->item.why);
    fv_trace_end("decode", t);
    s->item.unlike = rc == 0 ? unlike_its_name(r->p->photo[at], h->bytes.p, h->bytes.n) : NULL;
    s->item.refused = rc == 1;
    return rc < 0 ? rc : 0;
}

/* A file that already is what would be stored keeps its pixels to the bit: encoding it again would not. */
static int encode_one(struct run *r, struct hand *h, size_t at)
{
    struct slot *s = slot_of(r, at);
    uint64_t t = fv_trace_begin();
    int rc = 1;
    if (fv_encoder_adopts(h->encoder) && fv__photo_is_finished_jpeg(h->photo))
        rc = fv_encoder_adopt(h->encoder, h->bytes.p, h->bytes.n, s->record, &s->item.n);
    s->item.kept = rc == 0;
    if (rc == 1)
        rc = fv_encoder_write(h->encoder, h->rgb, s->record, &s->item.n);
    fv_trace_end("encode", t);
    return rc;
}

/* The next photo, from its bytes to its record. Lock held on entry and return. */
static int do_next(struct run *r, struct hand *h)
{
    if (r->taken == r->written + r->slots) {
        pthread_cond_wait(&r->room, &r->lock);
        return 0;
    }
    size_t at = r->taken++;
    if (r->taken == r->p->photos)
        pthread_cond_broadcast(&r->room); /* nobody waits for another */
    pthread_mutex_unlock(&r->lock);
    int rc = decode_one(r, h, at);
    if (rc == 0 && !slot_of(r, at)->item.refused)
        rc = encode_one(r, h, at);
    fv__photo_bytes_done(&h->bytes);
    pthread_mutex_lock(&r->lock);
    slot_of(r, at)->done = 1;
    pthread_cond_signal(&r->ready);
    return rc;
}

static int open_hand(struct hand *h, const struct fv_pipe *p)
{
    size_t pixels = (size_t)p->store->width * (size_t)p->store->height * 3;
    if (!(h->rgb = malloc(pixels)))
        return fv_err(FV_ENOMEM, "out of memory for a photo");
    FV_TRY(fv__photo_open(&h->photo, p->framing));
    return fv_encoder_open(&h->encoder, p->store);
}

static void close_hand(struct hand *h)
{
    fv_encoder_close(&h->encoder);
    fv__photo_close(&h->photo);
    fv__photo_bytes_free(&h->bytes);
    free(h->rgb);
}

static void *worker(void *arg)
{
    struct run *r = arg;
    struct hand h = {0};
    int rc = open_hand(&h, r->p);
    pthread_mutex_lock(&r->lock);
    while (rc == 0 && r->rc == 0 && r->taken < r->p->photos) {
        if (fv_prep_stop)
            rc = fv_err(FV_EINTR, "interrupted");
        else
            rc = do_next(r, &h);
    }
    if (rc < 0)
        fail(r, rc);
    pthread_mutex_unlock(&r->lock);
    close_hand(&h);
    return NULL;
}

/* The writer: this thread. Lock held on entry and return. */
static void write_in_order(struct run *r)
{
    while (r->rc == 0 && r->written < r->p->photos) {
        struct slot *s = slot_of(r, r->written);
        if (!s->done) {
            pthread_cond_wait(&r->ready, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        int rc = fv_prep_stop ? fv_err(FV_EINTR, "interrupted")
                              : r->p->sink(r->p->ctx, r->written, &s->item);
        pthread_mutex_lock(&r->lock);
        if (rc < 0) {
            fail(r, rc);
            return;
        }
        s->done = 0;
        r->written++;
        pthread_cond_signal(&r->room);
    }
}

static int prepare(struct run *r, size_t record_bytes)
{
    for (int pass = 0; pass < 2; pass++) {
        r->slot = fv_arena_take(&r->arena, r->slots * sizeof *r->slot, 64);
        r->thread = fv_arena_take(&r->arena, (size_t)r->p->threads * sizeof *r->thread, 64);
        uint8_t *record = fv_arena_take(&r->arena, r->slots * record_bytes, 64);
        if (pass == 0)
            FV_TRY(fv_arena_commit(&r->arena));
        for (size_t i = 0; pass == 1 && i < r->slots; i++)
            r->slot[i].item.record = r->slot[i].record = record + i * record_bytes;
    }
    return 0;
}

static int run_threads(struct run *r)
{
    int started = 0;
    pthread_mutex_lock(&r->lock);
    while (started < r->p->threads && pthread_create(&r->thread[started], NULL, worker, r) == 0)
        started++;
    if (started)
        write_in_order(r);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < started; i++)
        pthread_join(r->thread[i], NULL);
    if (!started)
        return fv_err(FV_EIO, "the system starts no thread for packing");
    return r->rc < 0 ? fv_err_restore(r->rc, r->text) : 0;
}

int fv__pipe_run(const struct fv_pipe *p)
{
    struct fv_encoder *probe;
    FV_TRY(fv_encoder_open(&probe, p->store));
    size_t record_bytes = fv_encoder_bound(probe);
    fv_encoder_close(&probe);
    struct run r = {.p = p,
                    .slots = (size_t)p->threads * SLOTS_PER_THREAD,
                    .taken = p->first,
                    .written = p->first};
    int rc = prepare(&r, record_bytes);
    if (rc == 0) {
        pthread_mutex_init(&r.lock, NULL);
        pthread_cond_init(&r.room, NULL);
        pthread_cond_init(&r.ready, NULL);
        rc = run_threads(&r);
        pthread_cond_destroy(&r.ready);
        pthread_cond_destroy(&r.room);
        pthread_mutex_destroy(&r.lock);
    }
    fv_arena_free(&r.arena);
    return rc;
}
