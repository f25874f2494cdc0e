/* SPDX-License-Identifier: MIT */
/* A trained net as a file for other programs. A format is one file and one row in meson.build. */
#ifndef FV_TRAINER_MODEL_EXPORT_H
#define FV_TRAINER_MODEL_EXPORT_H

#include "trainer/net/net.h"

/* What there is to write. */
struct fv_export {
    const struct fv_net *net;
    const float *arena; /* params + buffers; the average where the checkpoint holds one */
    int64_t batches;    /* that training has seen, as torch's num_batches_tracked counts */
    /* ONNX: the input is u8-valued colours, 0 .. 255, and the graph normalises them; else it is normalised already */
    int normalise;
    const char *outputs; /* ONNX: "both" | "embedding" | "logits" */
};

struct fv_export_kind {
    const char *name, *help;
    /* One of the two: into a file, or as text. */
    int (*write)(const struct fv_export *e, const char *path);
    int (*print)(const struct fv_export *e, FILE *to);
};
extern const struct fv_export_kind *const fv_export_kinds[]; /* NULL-terminated */
extern const char *const fv_export_outputs[];                /* NULL-terminated */

struct fv_export_settings {
    const char *to, *outputs; /* a kind; NULL: "both" */
    int normalise;
};
/* A checkpoint of fvtrain, or the last of a run folder, becomes `path`, replaced whole or not at all. A NULL path is
 * stdout's: the text goes to `text`. FV_EUSAGE where one is needed. */
int fv_model_export(const char *checkpoint, const struct fv_export_settings *s, const char *path,
                    FILE *text);
/* The same of a net and its numbers in memory. */
int fv__model_write(const struct fv_export_kind *kind, const struct fv_export *e, const char *path);
/* FV_ENOTFOUND lists the valid names. */
int fv__model_find(const struct fv_export_kind **kind, const char *name);

#endif
