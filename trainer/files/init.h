/* SPDX-License-Identifier: MIT */
/* A net's first numbers from a file of weights (weights.h): which tensor goes where, and what is told of it.
 *
 * A tensor belongs to the net's tensor of its name, or of its name without the prefixes that wrappers put before it:
 * module., model., backbone., net., encoder., any number of them. The shape must be the net's. What the file does not
 * have or has in another shape, such as a head for other people, keeps its fresh values; what the net does not have is
 * left over. All three are told.
 */
#ifndef FV_TRAINER_INIT_H
#define FV_TRAINER_INIT_H

#include "common/report.h"
#include "trainer/net/net.h"

struct fv_init_result {
    int taken, fresh, left; /* tensors */
    size_t params, of;      /* trainable numbers that came from the file, of all */
};

/* Changes what of arena (params + buffers) the file has; `bgr`: the file's net sees blue first, so the input channels
 * of the convolutions over the image change places. FV_EINVAL if nothing fits, if two tensors fit one place, or a
 * number is not finite; then the arena is partly changed. `r` may be NULL, likewise `out`. */
int fv_init_load(const char *path, const struct fv_net *net, int bgr, float *arena,
                 const struct fv_report *r, struct fv_init_result *out);

#endif
