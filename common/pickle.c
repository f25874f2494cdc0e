/* SPDX-License-Identifier: MIT */
/* The stack machine. Values are made once and referred to by number, so an object that the pickle takes from
 * its memo is not copied, and nothing here is recursive. Every opcode makes at most one value, and their
 * number is bounded: memory stays within a small multiple of what an honest file needs.
 */
#include "common/pickle.h"

#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK UINT32_MAX                /* on the stack, in place of a value */
#define MAX_VALUES ((uint32_t)2 << 20) /* a list of 100,000 pairs of faces has 1.5 million */
enum { MAX_PROTOCOL = 5 };

struct fv_pickle_machine {
    struct fv_pickle *out;
    const struct fv_pickle_rules *rules;
    const char *name;
    const uint8_t *p;
    size_t n, at, op; /* where the next byte is; where the current opcode began */
    uint32_t *stack, *memo;
    uint32_t depth, stack_room, memo_room, memoized;
};

int fv_pickle_broken(const struct fv_pickle_machine *m, const char *what)
{
    return fv_err(FV_ECORRUPT, "%s: byte %zu: %s", m->name, m->op, what);
}

static int too_much(const struct fv_pickle_machine *m, const char *verb)
{
    return fv_err(FV_ECORRUPT, "%s: byte %zu: %s more than a %s does", m->name, m->op, verb,
                  m->rules->what);
}

/* --- memory --------------------------------------------------------------------------------------- */

static int grow(void *array, uint32_t need, uint32_t *room, size_t each)
{
    void **a = array;
    if (need <= *room)
        return 0;
    uint32_t more = *room ? *room : 4;
    while (more < need)
        more *= 2; /* need is at most MAX_VALUES */
    void *p = realloc(*a, more * each);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for a pickle");
    memset((char *)p + *room * each, 0, (more - *room) * each);
    *a = p;
    *room = more;
    return 0;
}

static int push(struct fv_pickle_machine *m, uint32_t v)
{
    if (m->depth == MAX_VALUES)
        return too_much(m, "holds");
    FV_TRY(grow(&m->stack, m->depth + 1, &m->stack_room, sizeof *m->stack));
    m->stack[m->depth++] = v;
    return 0;
}

int fv_pickle_push(struct fv_pickle_machine *m, struct fv_pickle_value v)
{
    struct fv_pickle *o = m->out;
    if (o->values == MAX_VALUES)
        return too_much(m, "holds");
    FV_TRY(grow(&o->value, o->values + 1, &o->value_room, sizeof *o->value));
    o->value[o->values] = v;
    return push(m, o->values++);
}

/* The topmost value without taking it; NULL when there is none. */
static struct fv_pickle_value *peek(const struct fv_pickle_machine *m)
{
    return m->depth && m->stack[m->depth - 1] != MARK ? &m->out->value[m->stack[m->depth - 1]]
                                                      : NULL;
}

static int read_number(struct fv_pickle_machine *m, int bytes, uint64_t *v)
{
    if (m->n - m->at < (size_t)bytes)
        return fv_pickle_broken(m, "the file ends within an opcode");
    *v = 0;
    for (int i = 0; i < bytes; i++)
        *v |= (uint64_t)m->p[m->at++] << (8 * i);
    return 0;
}

/* --- sequences ------------------------------------------------------------------------------------ */

/* The n topmost values go to the end of a sequence. They stay on the stack. */
static int extend(struct fv_pickle_machine *m, uint32_t sequence, uint32_t n)
{
    struct fv_pickle_sequence *s = &m->out->sequence[sequence];
    if (n > MAX_VALUES - s->n)
        return too_much(m, "holds");
    FV_TRY(grow(&s->item, s->n + n, &s->room, sizeof *s->item));
    if (n)
        memcpy(s->item + s->n, m->stack + m->depth - n, n * sizeof *s->item);
    s->n += n;
    return 0;
}

/* Replaces the n topmost values (and the mark below them, when there is one) by one that holds them. */
static int gather_as(struct fv_pickle_machine *m, enum fv_pickle_kind kind, uint32_t n,
                     uint32_t marks)
{
    struct fv_pickle *o = m->out;
    if (o->sequences == MAX_VALUES)
        return too_much(m, "holds");
    FV_TRY(grow(&o->sequence, o->sequences + 1, &o->sequence_room, sizeof *o->sequence));
    o->sequence[o->sequences] = (struct fv_pickle_sequence){0};
    uint32_t s = o->sequences++;
    FV_TRY(extend(m, s, n));
    m->depth -= n + marks;
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = (uint8_t)kind, .sequence = s});
}

static int gather(struct fv_pickle_machine *m, uint32_t n, uint32_t marks)
{
    return gather_as(m, FV_PICKLE_SEQUENCE, n, marks);
}

/* How many values lie above the last mark; negative when there is none. */
static int above_mark(const struct fv_pickle_machine *m, uint32_t *n)
{
    for (*n = 0; *n < m->depth; ++*n)
        if (m->stack[m->depth - 1 - *n] == MARK)
            return 0;
    return fv_pickle_broken(m, "a mark is missing");
}

static int gather_marked(struct fv_pickle_machine *m)
{
    uint32_t n;
    FV_TRY(above_mark(m, &n));
    return gather(m, n, 1);
}

static int gather_few(struct fv_pickle_machine *m, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (i >= m->depth || m->stack[m->depth - 1 - i] == MARK)
            return fv_pickle_broken(m, "a value is missing");
    return gather(m, n, 0);
}

/* Moves the n topmost values to the end of the list or dictionary below them (and below the mark). What an object of
 * unknown kind is given is left out. */
static int append(struct fv_pickle_machine *m, enum fv_pickle_kind kind, uint32_t n, uint32_t marks)
{
    const char *missing =
        kind == FV_PICKLE_SEQUENCE ? "a list is missing" : "a dictionary is missing";
    if (m->depth < n + marks + 1)
        return fv_pickle_broken(m, missing);
    uint32_t below = m->stack[m->depth - n - marks - 1];
    if (below == MARK ||
        (m->out->value[below].kind != kind && m->out->value[below].kind != FV_PICKLE_OBJECT))
        return fv_pickle_broken(m, missing);
    for (uint32_t i = 0; i < n; i++)
        if (m->stack[m->depth - 1 - i] == MARK)
            return fv_pickle_broken(m, "a value is missing");
    if (m->out->value[below].kind == kind)
        FV_TRY(extend(m, m->out->value[below].sequence, n));
    m->depth -= n + marks;
    return 0;
}

static int append_marked(struct fv_pickle_machine *m)
{
    uint32_t n = 0;
    FV_TRY(above_mark(m, &n));
    return append(m, FV_PICKLE_SEQUENCE, n, 1);
}

/* --- dictionaries: keys and values in turns -------------------------------------------------------- */

int fv_pickle_push_dict(struct fv_pickle_machine *m)
{
    return gather_as(m, FV_PICKLE_DICT, 0, 0);
}

static int dict_marked(struct fv_pickle_machine *m)
{
    uint32_t n = 0;
    FV_TRY(above_mark(m, &n));
    return n % 2 ? fv_pickle_broken(m, "a key without a value")
                 : gather_as(m, FV_PICKLE_DICT, n, 1);
}

static int set_items(struct fv_pickle_machine *m)
{
    uint32_t n = 0;
    FV_TRY(above_mark(m, &n));
    return n % 2 ? fv_pickle_broken(m, "a key without a value") : append(m, FV_PICKLE_DICT, n, 1);
}

/* --- calls ---------------------------------------------------------------------------------------- */

const struct fv_pickle_value *fv_pickle_argument(const struct fv_pickle_machine *m,
                                                 const struct fv_pickle_value *args, uint32_t i)
{
    return i < fv_pickle_count(m->out, args) ? fv_pickle_item(m->out, args, i) : NULL;
}

const uint8_t *fv_pickle_bytes(const struct fv_pickle_machine *m)
{
    return m->p;
}

/* A class and its arguments become an object; a persistent id a value that holds it. */
static int new_object(struct fv_pickle_machine *m)
{
    if (m->depth < 2 || m->stack[m->depth - 1] == MARK || m->stack[m->depth - 2] == MARK)
        return fv_pickle_broken(m, "an object without its parts");
    m->depth -= 2;
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_OBJECT});
}

static int push_persistent(struct fv_pickle_machine *m)
{
    const struct fv_pickle_value *id = peek(m);
    if (!id || id->kind != FV_PICKLE_SEQUENCE)
        return fv_pickle_broken(m, "a persistent id that is no tuple");
    struct fv_pickle_value v = *id;
    v.kind = FV_PICKLE_PERSISTENT;
    m->depth--;
    return fv_pickle_push(m, v);
}

static int skip_real(struct fv_pickle_machine *m)
{
    uint64_t bits = 0;
    FV_TRY(read_number(m, 8, &bits));
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_OBJECT});
}

static int reduce(struct fv_pickle_machine *m)
{
    if (m->depth < 2 || m->stack[m->depth - 1] == MARK || m->stack[m->depth - 2] == MARK)
        return fv_pickle_broken(m, "a call without its parts");
    /* Copies: making a value may move them all. */
    const struct fv_pickle_value args = m->out->value[m->stack[m->depth - 1]];
    const struct fv_pickle_value what = m->out->value[m->stack[m->depth - 2]];
    const int inert = what.kind == FV_PICKLE_OBJECT ||
                      (what.kind == FV_PICKLE_GLOBAL && what.number == FV_PICKLE_FOREIGN);
    if ((what.kind != FV_PICKLE_GLOBAL && !inert) || args.kind != FV_PICKLE_SEQUENCE)
        return fv_pickle_broken(m, "a call of what is no known name");
    m->depth -= 2;
    if (inert)
        return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_OBJECT});
    return m->rules->call(m, (int)what.number, &args);
}

static int build(struct fv_pickle_machine *m)
{
    if (m->depth < 2 || m->stack[m->depth - 1] == MARK || m->stack[m->depth - 2] == MARK)
        return fv_pickle_broken(m, "a state without its object");
    struct fv_pickle_value *object = &m->out->value[m->stack[m->depth - 2]];
    if (object->kind != FV_PICKLE_OBJECT && object->kind != FV_PICKLE_DICT)
        FV_TRY(m->rules->build(m, object, &m->out->value[m->stack[m->depth - 1]]));
    m->depth--;
    return 0;
}

static int push_global(struct fv_pickle_machine *m, const uint8_t *module, size_t module_n,
                       const uint8_t *name, size_t name_n)
{
    const struct fv_pickle_name *known = m->rules->names;
    for (; known->name; known++)
        if (strlen(known->module) == module_n && strlen(known->name) == name_n &&
            memcmp(known->module, module, module_n) == 0 && memcmp(known->name, name, name_n) == 0)
            return fv_pickle_push(
                m, (struct fv_pickle_value){.kind = FV_PICKLE_GLOBAL, .number = known->id});
    if (m->rules->objects)
        return fv_pickle_push(
            m, (struct fv_pickle_value){.kind = FV_PICKLE_GLOBAL, .number = FV_PICKLE_FOREIGN});
    enum { SHOWN = 60 };
    char text[2 * SHOWN + 2];
    int k =
        snprintf(text, sizeof text, "%.*s.%.*s", (int)(module_n < SHOWN ? module_n : SHOWN),
                 (const char *)module, (int)(name_n < SHOWN ? name_n : SHOWN), (const char *)name);
    for (int i = 0; i < k; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    return fv_err(FV_ECORRUPT,
                  "%s: byte %zu: refers to '%s', which no %s needs: nothing was executed", m->name,
                  m->op, text, m->rules->what);
}

static int stack_global(struct fv_pickle_machine *m)
{
    if (m->depth < 2 || m->stack[m->depth - 1] == MARK || m->stack[m->depth - 2] == MARK)
        return fv_pickle_broken(m, "a name without its parts");
    const struct fv_pickle_value name = m->out->value[m->stack[m->depth - 1]];
    const struct fv_pickle_value module = m->out->value[m->stack[m->depth - 2]];
    if (name.kind != FV_PICKLE_TEXT || module.kind != FV_PICKLE_TEXT)
        return fv_pickle_broken(m, "a name without its parts");
    m->depth -= 2;
    return push_global(m, m->p + module.at, (size_t)module.n, m->p + name.at, (size_t)name.n);
}

/* --- opcodes and what follows them ---------------------------------------------------------------- */

/* A string: its length in `bytes` bytes, then itself. */
static int push_string(struct fv_pickle_machine *m, enum fv_pickle_kind kind, int bytes)
{
    uint64_t n = 0;
    FV_TRY(read_number(m, bytes, &n));
    if (n > m->n - m->at)
        return fv_pickle_broken(m, "a string is longer than the file");
    size_t at = m->at;
    m->at += (size_t)n;
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = (uint8_t)kind, .at = at, .n = n});
}

/* A number of `bytes` bytes, in two's complement when `is_signed`. */
static int push_number(struct fv_pickle_machine *m, int bytes, int is_signed)
{
    uint64_t v = 0;
    FV_TRY(read_number(m, bytes, &v));
    if (is_signed && bytes && bytes < 8 && v >> (8 * bytes - 1))
        v |= UINT64_MAX << (8 * bytes);
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_INT, .number = (int64_t)v});
}

static int push_long(struct fv_pickle_machine *m)
{
    uint64_t n = 0;
    FV_TRY(read_number(m, 1, &n));
    return n <= 8 ? push_number(m, (int)n, 1)
                  : fv_pickle_broken(m, "a number of more than 64 bits");
}

/* A line of text: its place and length without the line break. */
static int read_line(struct fv_pickle_machine *m, const uint8_t **line, size_t *n)
{
    const uint8_t *end = memchr(m->p + m->at, '\n', m->n - m->at);
    if (!end)
        return fv_pickle_broken(m, "the file ends within an opcode");
    *line = m->p + m->at;
    *n = (size_t)(end - *line);
    m->at += *n + 1;
    return 0;
}

static int push_global_lines(struct fv_pickle_machine *m)
{
    const uint8_t *module = NULL, *name = NULL;
    size_t module_n = 0, name_n = 0;
    FV_TRY(read_line(m, &module, &module_n));
    FV_TRY(read_line(m, &name, &name_n));
    return push_global(m, module, module_n, name, name_n);
}

/* I01 and I00 are the truth values of protocol 1. */
static int push_int_line(struct fv_pickle_machine *m)
{
    const uint8_t *line = NULL;
    size_t n = 0;
    FV_TRY(read_line(m, &line, &n));
    if (n != 2 || line[0] != '0' || (line[1] != '0' && line[1] != '1'))
        return fv_pickle_broken(m, "a decimal number where a truth value is due");
    return fv_pickle_push(
        m, (struct fv_pickle_value){.kind = FV_PICKLE_BOOL, .number = line[1] == '1'});
}

static int memoize(struct fv_pickle_machine *m, uint64_t i)
{
    if (!peek(m))
        return fv_pickle_broken(m, "nothing to remember");
    if (i >= MAX_VALUES)
        return too_much(m, "remembers");
    FV_TRY(grow(&m->memo, (uint32_t)i + 1, &m->memo_room, sizeof *m->memo));
    m->memoized += m->memo[i] == 0;
    m->memo[i] = m->stack[m->depth - 1] + 1; /* 0 is free */
    return 0;
}

static int memo_put(struct fv_pickle_machine *m, int bytes)
{
    uint64_t i = 0;
    FV_TRY(read_number(m, bytes, &i));
    return memoize(m, i);
}

static int memo_get(struct fv_pickle_machine *m, int bytes)
{
    uint64_t i = 0;
    FV_TRY(read_number(m, bytes, &i));
    if (i >= m->memo_room || m->memo[i] == 0)
        return fv_pickle_broken(m, "recalls what it does not remember");
    return push(m, m->memo[i] - 1);
}

static int skip_protocol(struct fv_pickle_machine *m)
{
    uint64_t version = 0;
    FV_TRY(read_number(m, 1, &version));
    return version <= MAX_PROTOCOL ? 0 : fv_pickle_broken(m, "a protocol that is not known");
}

static int skip_frame(struct fv_pickle_machine *m)
{
    uint64_t n = 0;
    FV_TRY(read_number(m, 8, &n));
    return n <= m->n - m->at ? 0 : fv_pickle_broken(m, "a frame is longer than the file");
}

static int push_bool(struct fv_pickle_machine *m, int value)
{
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_BOOL, .number = value});
}

static int unknown(const struct fv_pickle_machine *m, uint8_t op)
{
    return fv_err(FV_ECORRUPT,
                  "%s: byte %zu: pickle opcode 0x%02x is none that a %s needs: write it with "
                  "protocol 2 or later",
                  m->name, m->op, op, m->rules->what);
}

/* Opcodes that only rules with objects know. */
/* clang-format off */
static int step_object(struct fv_pickle_machine *m, uint8_t op)
{
    switch (m->rules->objects ? op : 0) {
    case '}':  return fv_pickle_push_dict(m);
    case 'd':  return dict_marked(m);
    case 's':  return append(m, FV_PICKLE_DICT, 2, 0);
    case 'u':  return set_items(m);
    case 'Q':  return push_persistent(m);
    case 'G':  return skip_real(m);
    case 0x81: return new_object(m);
    default:   return unknown(m, op);
    }
}
/* clang-format on */

/* All others but STOP. */
/* clang-format off */
static int step(struct fv_pickle_machine *m, uint8_t op)
{
    switch (op) {
    case 0x80: return skip_protocol(m);
    case 0x95: return skip_frame(m);
    case '(':  return push(m, MARK);
    case ')':
    case ']':  return gather(m, 0, 0);
    case 't':
    case 'l':  return gather_marked(m);
    case 0x85: return gather_few(m, 1);
    case 0x86: return gather_few(m, 2);
    case 0x87: return gather_few(m, 3);
    case 'a':  return append(m, FV_PICKLE_SEQUENCE, 1, 0);
    case 'e':  return append_marked(m);
    case 'U':
    case 'C':  return push_string(m, FV_PICKLE_BYTES, 1);
    case 'T':
    case 'B':  return push_string(m, FV_PICKLE_BYTES, 4);
    case 0x8e:
    case 0x96: return push_string(m, FV_PICKLE_BYTES, 8);
    case 0x8c: return push_string(m, FV_PICKLE_TEXT, 1);
    case 'X':  return push_string(m, FV_PICKLE_TEXT, 4);
    case 0x8d: return push_string(m, FV_PICKLE_TEXT, 8);
    case 'K':  return push_number(m, 1, 0);
    case 'M':  return push_number(m, 2, 0);
    case 'J':  return push_number(m, 4, 1);
    case 0x8a: return push_long(m);
    case 'I':  return push_int_line(m);
    case 0x88: return push_bool(m, 1);
    case 0x89: return push_bool(m, 0);
    case 'N':  return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_NONE});
    case 'q':  return memo_put(m, 1);
    case 'r':  return memo_put(m, 4);
    case 0x94: return memoize(m, m->memoized);
    case 'h':  return memo_get(m, 1);
    case 'j':  return memo_get(m, 4);
    case 'c':  return push_global_lines(m);
    case 0x93: return stack_global(m);
    case 'R':  return reduce(m);
    case 'b':  return build(m);
    default:   return step_object(m, op);
    }
}
/* clang-format on */

static int run(struct fv_pickle_machine *m)
{
    while (m->at < m->n) {
        m->op = m->at;
        uint8_t op = m->p[m->at++];
        if (op != '.') {
            FV_TRY(step(m, op));
            continue;
        }
        if (m->depth != 1 || !peek(m))
            return fv_pickle_broken(m, "the pickle ends with more or less than one value");
        m->out->top = m->stack[0];
        return 0;
    }
    m->op = m->n;
    return fv_pickle_broken(m, "the file ends before its pickle does");
}

int fv_pickle_read(struct fv_pickle *out, const struct fv_pickle_rules *rules, const uint8_t *bytes,
                   size_t n, const char *name)
{
    struct fv_pickle_machine m = {.out = out, .rules = rules, .name = name, .p = bytes, .n = n};
    *out = (struct fv_pickle){0};
    int rc = run(&m);
    free(m.stack);
    free(m.memo);
    if (rc < 0)
        fv_pickle_free(out);
    return rc;
}

void fv_pickle_free(struct fv_pickle *p)
{
    for (uint32_t i = 0; i < p->sequences; i++)
        free(p->sequence[i].item);
    free(p->sequence);
    free(p->value);
    *p = (struct fv_pickle){0};
}

const struct fv_pickle_value *fv_pickle_top(const struct fv_pickle *p)
{
    return &p->value[p->top];
}

uint32_t fv_pickle_count(const struct fv_pickle *p, const struct fv_pickle_value *v)
{
    const int holds = v->kind == FV_PICKLE_SEQUENCE || v->kind == FV_PICKLE_DICT ||
                      v->kind == FV_PICKLE_CALL || v->kind == FV_PICKLE_PERSISTENT;
    return holds ? p->sequence[v->sequence].n : 0;
}

const struct fv_pickle_value *fv_pickle_item(const struct fv_pickle *p,
                                             const struct fv_pickle_value *v, uint32_t i)
{
    return &p->value[p->sequence[v->sequence].item[i]];
}
