/* SPDX-License-Identifier: MIT */
/* What a pickled list of pairs may say: the six names by which numpy and Python 2 write bytes, and nothing else. */
#ifndef FV_PREP_PICKLE_NUMPY_H
#define FV_PREP_PICKLE_NUMPY_H

#include "common/pickle.h"

extern const struct fv_pickle_rules fv__pickle_numpy;

#endif
