/* SPDX-License-Identifier: MIT */
#include "prep/photo/turns.h"

#include "prep/photo/photo.h"
#include "prep/photo/photo_file.h"

#include <pthread.h>

static struct {
    uint64_t most, bytes;
    pthread_cond_t freed;
} kinds[FV_TURN_KINDS] = {
    [FV_TURN_FILE] = {FV_PHOTO_MAX_BYTES, 0, PTHREAD_COND_INITIALIZER},
    [FV_TURN_PICTURE] = {FV_PHOTO_MAX_WHOLE_BYTES, 0, PTHREAD_COND_INITIALIZER},
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fv__turn_take(struct fv_turn *t, enum fv_turn_kind kind, uint64_t bytes)
{
    pthread_mutex_lock(&lock);
    while (kinds[kind].bytes + bytes > kinds[kind].most)
        pthread_cond_wait(&kinds[kind].freed, &lock);
    kinds[kind].bytes += bytes;
    pthread_mutex_unlock(&lock);
    t->bytes = bytes;
}

void fv__turn_give_back(struct fv_turn *t, enum fv_turn_kind kind)
{
    if (t->bytes == 0)
        return;
    pthread_mutex_lock(&lock);
    kinds[kind].bytes -= t->bytes;
    pthread_cond_broadcast(&kinds[kind].freed);
    pthread_mutex_unlock(&lock);
    t->bytes = 0;
}
