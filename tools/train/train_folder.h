/* SPDX-License-Identifier: MIT */
/* The run folder as a name: which one a new run gets, what an old one says of itself, and what it came to. */
#ifndef FV_TOOLS_TRAIN_FOLDER_H
#define FV_TOOLS_TRAIN_FOLDER_H

#include "trainer/trainer.h"

/* The settings text of a run to resume, as rank 0 reads it, with what it lacks of the options of today
 * (fv_train_settings_complete); free it. */
int train_folder_settings(const char *run, struct fv_comm *comm, char **text);
/* The value of "db = ..." in such a text, to free; NULL if there is none. */
char *train_folder_db(const char *text);
/* The folder to train in, to free: the one to resume; else `out`, which must hold nothing yet; else, where both are
 * NULL, runs/<name of the data set>-<first free number>, made at once. NULL after an error. Only rank 0 has one. */
char *train_folder_name(const char *resume, const char *out, const char *db,
                        const struct fv_comm *comm);
/* What the run came to, and the files of it, on stdout. */
int train_folder_print_result(const char *folder, const struct fv_train_result *r);

#endif
