/* SPDX-License-Identifier: MIT */
/* From a data set to what the trainer asks for: three sources of batches and a list of pairs. */
#ifndef FV_TOOLS_TRAIN_SOURCES_H
#define FV_TOOLS_TRAIN_SOURCES_H

#include "augment/augment.h"
#include "store/store.h"
#include "trainer/trainer.h"

struct train_sources {
    struct fv_store *store;
    struct fv_loader *train, *val, *verify; /* the last two may be NULL */
    struct fv_index_pair *pair;
    unsigned verify_splits; /* bit set of those that verify delivers */
    char *data_id;
    struct fv_train_data data; /* all but settings_text */
};

/* `loader` describes the training batches. Says what the data set holds. pairs_file may be NULL: then up to
 * max_pairs are drawn over the held-out identities, if those give any. On failure everything is closed again. */
int train_sources_open(struct train_sources *s, const char *db,
                       const struct fv_loader_settings *loader, const char *pairs_file,
                       int64_t max_pairs, const struct fv_report *r);
void train_sources_close(struct train_sources *s);

#endif
