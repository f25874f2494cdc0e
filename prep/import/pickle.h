/* SPDX-License-Identifier: MIT */
/* Python's pickles, as far as lists of byte strings and numpy arrays need them.
 *
 * A pickle is a program for a stack machine that can call anything. This reader calls nothing: it knows the
 * opcodes that build tuples, lists, strings and numbers, and the six names by which numpy and Python 2 write
 * bytes; any other opcode or name is an error that names it. Protocols 2 to 5. Strings stay where they are
 * in the file: a value holds their place.
 */
#ifndef FV_PREP_PICKLE_H
#define FV_PREP_PICKLE_H

#include <stddef.h>
#include <stdint.h>

enum fv_pickle_kind {
    FV_PICKLE_NONE,
    FV_PICKLE_BOOL,     /* number */
    FV_PICKLE_INT,      /* number */
    FV_PICKLE_BYTES,    /* at, n */
    FV_PICKLE_TEXT,     /* at, n */
    FV_PICKLE_SEQUENCE, /* a list or tuple: fv__pickle_item */
    FV_PICKLE_ARRAY,    /* at, n: the data of a numpy array; type: its elements */
    FV_PICKLE_TYPE,     /* a dtype */
    FV_PICKLE_GLOBAL,
};

enum fv_pickle_type { FV_PICKLE_OTHER, FV_PICKLE_U1, FV_PICKLE_B1 };

struct fv_pickle_value {
    uint8_t kind, type;
    uint8_t latin1; /* the bytes are Latin-1 text written as UTF-8: protocol 2 of Python 3 */
    uint32_t sequence;
    union {
        int64_t number;
        uint64_t at; /* in the file */
    };
    uint64_t n;
};

struct fv_pickle_sequence {
    uint32_t *item; /* values */
    uint32_t n, room;
};

struct fv_pickle {
    struct fv_pickle_value *value;
    struct fv_pickle_sequence *sequence;
    uint32_t values, value_room, sequences, sequence_room;
    uint32_t top; /* the value that the pickle is */
};

/* FV_ECORRUPT names the file, the byte and what is wrong there; FV_ENOMEM. */
int fv__pickle_read(struct fv_pickle *out, const uint8_t *bytes, size_t n, const char *name);
void fv__pickle_free(struct fv_pickle *p); /* accepts a zeroed one */

const struct fv_pickle_value *fv__pickle_top(const struct fv_pickle *p);
/* Number of items; 0 for what is no sequence. */
uint32_t fv__pickle_count(const struct fv_pickle *p, const struct fv_pickle_value *v);
const struct fv_pickle_value *fv__pickle_item(const struct fv_pickle *p,
                                              const struct fv_pickle_value *v, uint32_t i);

#endif
