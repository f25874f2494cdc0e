/* SPDX-License-Identifier: MIT */
/* Large things take turns: what all threads hold of one kind at a time is bounded, however many threads there are, so a
 * data set full of the largest photos takes no more memory than one of them. A thread takes turns in the order of the
 * kinds, and holds none while it waits for anything else.
 */
#ifndef FV_PREP_TURNS_H
#define FV_PREP_TURNS_H

#include <stdint.h>

enum fv_turn_kind {
    FV_TURN_FILE,    /* as it is stored: at most FV_PHOTO_MAX_BYTES */
    FV_TURN_PICTURE, /* that is unpacked whole: at most FV_PHOTO_MAX_WHOLE_BYTES */
    FV_TURN_KINDS
};

struct fv_turn {
    uint64_t bytes; /* 0: none is held */
};

/* Waits until so many bytes are free; they are at most what the kind allows. */
void fv__turn_take(struct fv_turn *t, enum fv_turn_kind kind, uint64_t bytes);
void fv__turn_give_back(struct fv_turn *t, enum fv_turn_kind kind);

#endif
