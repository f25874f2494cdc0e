/* SPDX-License-Identifier: MIT */
/* Python's pickles, read without executing anything.
 *
 * A pickle is a program for a stack machine that can call anything. This reader calls nothing: it knows the opcodes
 * that build tuples, lists, dictionaries, strings and numbers, and leaves it to the rules of whoever reads what the few
 * names that they know stand for. With rules without objects every other opcode or name is an error that names it; with
 * objects what is unknown becomes an inert value of the kind FV_PICKLE_OBJECT. Protocols 2 to 5. Strings stay where
 * they are in the file: a value holds their place.
 */
#ifndef FV_COMMON_PICKLE_H
#define FV_COMMON_PICKLE_H

#include <stddef.h>
#include <stdint.h>

enum fv_pickle_kind {
    FV_PICKLE_NONE,
    FV_PICKLE_BOOL,       /* number */
    FV_PICKLE_INT,        /* number */
    FV_PICKLE_BYTES,      /* at, n */
    FV_PICKLE_TEXT,       /* at, n */
    FV_PICKLE_SEQUENCE,   /* a list or tuple: fv_pickle_item */
    FV_PICKLE_ARRAY,      /* at, n: the data of a numpy array; type: its elements */
    FV_PICKLE_TYPE,       /* a dtype */
    FV_PICKLE_GLOBAL,     /* number: its id among the rules' names, or FV_PICKLE_FOREIGN */
    FV_PICKLE_DICT,       /* keys and values in turns: fv_pickle_item */
    FV_PICKLE_CALL,       /* for the rules: type, and fv_pickle_item for the arguments */
    FV_PICKLE_PERSISTENT, /* its id, a tuple: fv_pickle_item */
    FV_PICKLE_OBJECT,     /* anything else */
};

enum { FV_PICKLE_FOREIGN = -1 };

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

/* What a pickle may say. */
struct fv_pickle_machine;
struct fv_pickle_name {
    const char *module, *name;
    int id; /* 0 or above */
};
struct fv_pickle_rules {
    const char *what;                   /* "pair list", for sentences */
    const struct fv_pickle_name *names; /* ends with name == NULL */
    int objects; /* dictionaries, persistent ids and what is unknown are allowed */
    /* A known name is called: pushes what comes of it. */
    int (*call)(struct fv_pickle_machine *m, int id, const struct fv_pickle_value *args);
    /* A value that is neither dictionary nor object is given a state; may change the value. */
    int (*build)(struct fv_pickle_machine *m, struct fv_pickle_value *object,
                 const struct fv_pickle_value *state);
};
/* For the rules. Pushing may move all values. */
int fv_pickle_push(struct fv_pickle_machine *m, struct fv_pickle_value v);
int fv_pickle_push_dict(struct fv_pickle_machine *m);                      /* an empty one */
int fv_pickle_broken(const struct fv_pickle_machine *m, const char *what); /* FV_ECORRUPT */
const uint8_t *fv_pickle_bytes(const struct fv_pickle_machine *m);
/* NULL if there are not so many. */
const struct fv_pickle_value *fv_pickle_argument(const struct fv_pickle_machine *m,
                                                 const struct fv_pickle_value *args, uint32_t i);

/* FV_ECORRUPT names the file, the byte and what is wrong there; FV_ENOMEM. */
int fv_pickle_read(struct fv_pickle *out, const struct fv_pickle_rules *rules, const uint8_t *bytes,
                   size_t n, const char *name);
void fv_pickle_free(struct fv_pickle *p); /* accepts a zeroed one */

const struct fv_pickle_value *fv_pickle_top(const struct fv_pickle *p);
/* Number of items, of a dictionary keys and values together; 0 for what has none. */
uint32_t fv_pickle_count(const struct fv_pickle *p, const struct fv_pickle_value *v);
const struct fv_pickle_value *fv_pickle_item(const struct fv_pickle *p,
                                             const struct fv_pickle_value *v, uint32_t i);

#endif
