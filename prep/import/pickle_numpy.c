/* SPDX-License-Identifier: MIT */
#include "prep/import/pickle_numpy.h"

#include "common/err.h"

#include <string.h>

/* The names that are known, under both homes of numpy. */
enum global { RECONSTRUCT, SCALAR, FROMBUFFER, NDARRAY, DTYPE, ENCODE, BYTES };
static const struct fv_pickle_name names[] = {
    {"numpy.core.multiarray", "_reconstruct", RECONSTRUCT},
    {"numpy._core.multiarray", "_reconstruct", RECONSTRUCT},
    {"numpy.core.multiarray", "scalar", SCALAR},
    {"numpy._core.multiarray", "scalar", SCALAR},
    {"numpy.core.numeric", "_frombuffer", FROMBUFFER},
    {"numpy._core.numeric", "_frombuffer", FROMBUFFER},
    {"numpy", "ndarray", NDARRAY},
    {"numpy", "dtype", DTYPE},
    {"_codecs", "encode", ENCODE},
    {"__builtin__", "bytes", BYTES},
    {"builtins", "bytes", BYTES},
    {NULL, NULL, 0},
};

static int is_kind(const struct fv_pickle_value *v, enum fv_pickle_kind kind)
{
    return v && v->kind == kind;
}

/* numpy.dtype('u1', ...): of the types only those of one byte matter. */
static int call_dtype(struct fv_pickle_machine *m, const struct fv_pickle_value *args)
{
    const struct fv_pickle_value *code = fv_pickle_argument(m, args, 0);
    struct fv_pickle_value v = {.kind = FV_PICKLE_TYPE, .type = FV_PICKLE_OTHER};
    if (!is_kind(code, FV_PICKLE_TEXT) && !is_kind(code, FV_PICKLE_BYTES))
        return fv_pickle_broken(m, "a dtype without a name");
    if (code->n == 2 && memcmp(fv_pickle_bytes(m) + code->at, "u1", 2) == 0)
        v.type = FV_PICKLE_U1;
    if (code->n == 2 && memcmp(fv_pickle_bytes(m) + code->at, "b1", 2) == 0)
        v.type = FV_PICKLE_B1;
    return fv_pickle_push(m, v);
}

/* numpy.core.multiarray.scalar(dtype, bytes): a truth value. */
static int call_scalar(struct fv_pickle_machine *m, const struct fv_pickle_value *args)
{
    const struct fv_pickle_value *type = fv_pickle_argument(m, args, 0),
                                 *data = fv_pickle_argument(m, args, 1);
    if (!is_kind(type, FV_PICKLE_TYPE) || type->type == FV_PICKLE_OTHER ||
        !is_kind(data, FV_PICKLE_BYTES) || data->n != 1)
        return fv_pickle_broken(m, "a numpy number that is no truth value");
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_BOOL,
                                                      .number = fv_pickle_bytes(m)[data->at] != 0});
}

/* Bytes as the data of an array. */
static struct fv_pickle_value array_of(const struct fv_pickle_value *data, uint8_t type)
{
    struct fv_pickle_value v = *data;
    v.kind = FV_PICKLE_ARRAY;
    v.type = type;
    return v;
}

/* numpy.core.numeric._frombuffer(bytes, dtype, shape, order) */
static int call_frombuffer(struct fv_pickle_machine *m, const struct fv_pickle_value *args)
{
    const struct fv_pickle_value *data = fv_pickle_argument(m, args, 0),
                                 *type = fv_pickle_argument(m, args, 1);
    if (!is_kind(data, FV_PICKLE_BYTES) || !is_kind(type, FV_PICKLE_TYPE))
        return fv_pickle_broken(m, "an array without its data");
    return fv_pickle_push(m, array_of(data, type->type));
}

/* _codecs.encode(text, 'latin1') */
static int call_encode(struct fv_pickle_machine *m, const struct fv_pickle_value *args)
{
    const struct fv_pickle_value *text = fv_pickle_argument(m, args, 0),
                                 *codec = fv_pickle_argument(m, args, 1);
    if (!is_kind(text, FV_PICKLE_TEXT) || !is_kind(codec, FV_PICKLE_TEXT) || codec->n != 6 ||
        memcmp(fv_pickle_bytes(m) + codec->at, "latin1", 6) != 0)
        return fv_pickle_broken(m, "text in an encoding that is not Latin-1");
    struct fv_pickle_value v = *text;
    v.kind = FV_PICKLE_BYTES;
    v.latin1 = 1;
    return fv_pickle_push(m, v);
}

static int call(struct fv_pickle_machine *m, int id, const struct fv_pickle_value *args)
{
    switch ((enum global)id) {
    case RECONSTRUCT:
        return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_ARRAY});
    case SCALAR:
        return call_scalar(m, args);
    case FROMBUFFER:
        return call_frombuffer(m, args);
    case DTYPE:
        return call_dtype(m, args);
    case ENCODE:
        return call_encode(m, args);
    case BYTES:
        if (!fv_pickle_argument(m, args, 0))
            return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_BYTES});
        return fv_pickle_broken(m, "bytes from something else");
    case NDARRAY:
        break;
    }
    return fv_pickle_broken(m, "a call of a name that is not meant to be called");
}

/* The state of an array is (version, shape, dtype, order, data); that of a dtype says nothing about one
 * byte. */
static int build(struct fv_pickle_machine *m, struct fv_pickle_value *object,
                 const struct fv_pickle_value *state)
{
    if (object->kind == FV_PICKLE_ARRAY) {
        const struct fv_pickle_value *type = fv_pickle_argument(m, state, 2);
        const struct fv_pickle_value *data = fv_pickle_argument(m, state, 4);
        if (!is_kind(type, FV_PICKLE_TYPE) || !is_kind(data, FV_PICKLE_BYTES))
            return fv_pickle_broken(m, "an array without its data");
        *object = array_of(data, type->type);
        return 0;
    }
    return object->kind == FV_PICKLE_TYPE ? 0 : fv_pickle_broken(m, "a state for what has none");
}

const struct fv_pickle_rules fv__pickle_numpy = {
    .what = "pair list", .names = names, .call = call, .build = build};
