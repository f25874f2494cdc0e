/* SPDX-License-Identifier: MIT */
/* The names that carry tensors are known; any other becomes an inert value, because checkpoints of training hold
 * settings, optimisers and classes of all kinds beside the weights, and none of them is needed, made or called.
 */
#include "trainer/files/pickle_torch.h"

enum { REBUILD_TENSOR, REBUILD_PARAMETER, ORDERED_DICT, STORAGES };

/* In the order of the storages' names below, from STORAGES on. */
static const struct {
    const char *dtype;
    size_t bytes;
} storages[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8},
                {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U8", 1},  {"BOOL", 1}};

static const struct fv_pickle_name names[] = {
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER},
    {"collections", "OrderedDict", ORDERED_DICT},
    {"torch", "FloatStorage", STORAGES},
    {"torch", "HalfStorage", STORAGES + 1},
    {"torch", "BFloat16Storage", STORAGES + 2},
    {"torch", "DoubleStorage", STORAGES + 3},
    {"torch", "LongStorage", STORAGES + 4},
    {"torch", "IntStorage", STORAGES + 5},
    {"torch", "ShortStorage", STORAGES + 6},
    {"torch", "CharStorage", STORAGES + 7},
    {"torch", "ByteStorage", STORAGES + 8},
    {"torch", "BoolStorage", STORAGES + 9},
    {NULL, NULL, 0},
};

size_t fv__torch_storage(int64_t id, const char **dtype)
{
    const int64_t i = id - STORAGES;
    if (i < 0 || i >= (int64_t)(sizeof storages / sizeof *storages))
        return 0;
    *dtype = storages[i].dtype;
    return storages[i].bytes;
}

static int call(struct fv_pickle_machine *m, int id, const struct fv_pickle_value *args)
{
    struct fv_pickle_value v = {.kind = FV_PICKLE_CALL, .sequence = args->sequence};
    switch (id) {
    case REBUILD_TENSOR:
        v.type = FV_TORCH_TENSOR;
        return fv_pickle_push(m, v);
    case REBUILD_PARAMETER:
        v.type = FV_TORCH_PARAMETER;
        return fv_pickle_push(m, v);
    case ORDERED_DICT:
        if (!fv_pickle_argument(m, args, 0))
            return fv_pickle_push_dict(m);
        break;
    default:
        break;
    }
    return fv_pickle_push(m, (struct fv_pickle_value){.kind = FV_PICKLE_OBJECT});
}

/* Attributes of a tensor change nothing of its numbers. */
static int build(struct fv_pickle_machine *m, struct fv_pickle_value *object,
                 const struct fv_pickle_value *state)
{
    (void)state;
    return object->kind == FV_PICKLE_CALL ? 0 : fv_pickle_broken(m, "a state for what has none");
}

const struct fv_pickle_rules fv__pickle_torch = {
    .what = "file of weights", .names = names, .objects = 1, .call = call, .build = build};
