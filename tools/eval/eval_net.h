/* SPDX-License-Identifier: MIT */
/* A data set and a net over it, opened and closed as every command of fveval does it, with the options that they all
 * have for that. */
#ifndef FV_TOOLS_EVAL_NET_H
#define FV_TOOLS_EVAL_NET_H

#include "common/report.h"
#include "store/store.h"
#include "tools/eval/eval_images.h"
#include "trainer/trainer.h"

struct eval_net_settings {
    const char *backend;
    int64_t batch, threads;
    int flip, json, quiet;
};
/* clang-format off */
#define EVAL_NET_DEFAULTS {.backend = "auto", .batch = 32}
/* Rows for the table of a struct with these settings as its member net, while FIELD(member) gives the offset. */
#define EVAL_NET_OPTS \
    {"flip", 0, FV_OPT_FLAG, 0, FIELD(net.flip), NULL, "add the embedding of the mirror image", 0, 0, NULL}, \
    {"backend", 0, FV_OPT_STRING, 0, FIELD(net.backend), "NAME", "what computes", 0, 0, NULL}, \
    {"batch", 'b', FV_OPT_INT, 0, FIELD(net.batch), "N", "images in a batch", 1, 4096, NULL}, \
    {"threads", 'j', FV_OPT_INT, 0, FIELD(net.threads), "N", "threads of the backend; 0: one per processor", \
     0, 4096, NULL}
/* The same for a table whose struct has json and quiet in the member net ("net.") or itself (nothing). */
#define EVAL_OUTPUT_OPTS(net_) \
    {"json", 0, FV_OPT_FLAG, 0, FIELD(net_ json), NULL, "print the result as JSON", 0, 0, NULL}, \
    {"quiet", 'q', FV_OPT_FLAG, 0, FIELD(net_ quiet), NULL, "only the result, warnings and errors", 0, 0, NULL}
/* clang-format on */

struct eval_net {
    const struct eval_net_settings *s;
    const struct fv_report *report; /* of progress, as loud as the settings say */
    struct fv_store *store;         /* NULL: none was named */
    struct fv_model *model;
};

/* The data set first, since lists of its images are read, and may be wrong, before a net is worth compiling. s outlives
 * it; db may be NULL. After a failure too, eval_net_close is to be called. */
int eval_net_open(struct eval_net *e, const struct eval_net_settings *s, const char *db);
int eval_net_load(struct eval_net *e, const char *checkpoint);
/* A further one, for the caller to close. */
int eval_net_load_other(const struct eval_net *e, const char *checkpoint, struct fv_model **model);
void eval_net_close(struct eval_net *e);

/* Unit vectors (im->n, embedding) in the order of delivery, for the caller to free; NULL on failure. */
int eval_net_embed(const struct eval_net *e, const struct eval_images *im, float **emb);
/* The same of the splits of a list, as eval_images_want_splits has it. */
int eval_net_embed_splits(const struct eval_net *e, struct eval_images *im, const char *list,
                          float **emb);

#endif
