/* SPDX-License-Identifier: MIT */
/* What the pickle of a torch.save file says: tensors by name, and a great deal else that is left alone. */
#ifndef FV_TRAINER_PICKLE_TORCH_H
#define FV_TRAINER_PICKLE_TORCH_H

#include "common/pickle.h"

/* Kinds of calls that are kept: struct fv_pickle_value.type. */
enum { FV_TORCH_TENSOR = 1, FV_TORCH_PARAMETER };
extern const struct fv_pickle_rules fv__pickle_torch;

/* Of a storage's class, as a global's number: safetensors' name of its elements' type and their bytes; 0 if it is no
 * class of storages. */
size_t fv__torch_storage(int64_t id, const char **dtype);

#endif
