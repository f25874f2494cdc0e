/* SPDX-License-Identifier: MIT */
/* What fvtrain is asked for: the command line, and below it a recipe or the settings of the run to resume. */
#ifndef FV_TOOLS_TRAIN_SETTINGS_H
#define FV_TOOLS_TRAIN_SETTINGS_H

#include "tools/command.h"

#include "augment/augment.h"
#include "trainer/trainer.h"

struct train_run_options {
    const char *db, *pairs, *out, *resume, *recipe;
    int64_t max_pairs;
    int report, quiet;
};

struct train_settings {
    struct train_run_options run;
    struct fv_loader_settings loader;
    struct fv_train_settings train;
    struct fv_comm_settings comm;
    struct tool_trace trace;
};

/* Everything that the settings and the run own. */
struct train_owned {
    struct fv_comm *comm;
    char *kept;          /* the text that settings of a resumed run or of a recipe point to */
    char *db, *original; /* where the data set is, and where it was when the run began */
    char *pairs, *policy, *init;
};
void train_owned_free(struct train_owned *own); /* all but comm */

/* Meets the other processes, if there are any. Asked for --help or a list, it reads no run and meets nobody. */
int train_settings_read(struct train_settings *s, int argc, char **argv, struct fv_args *args,
                        struct train_owned *own);
/* Whether --aug, --arch, --loss or --recipe says `list`; prints that list, or the help. */
int train_settings_wants_list(const struct train_settings *s);
int train_settings_print_list(const struct train_settings *s);
void train_settings_print_help(struct train_settings *s);
/* Every setting as it holds, with a mark on those that are not the default, on stderr. */
void train_settings_print_banner(struct train_settings *s);

/* Policies and paths as a run keeps them: expanded, absolute. */
int train_settings_complete(struct train_settings *s, struct train_owned *own);
/* The settings as the run keeps them, to free; NULL when out of memory. A data set may have moved: where it is now
 * belongs to this call only, and that it is the same is checked by its digest. */
char *train_settings_text(struct train_settings *s, const char *original_db);
/* Likewise, of the defaults: what a run that does not name an option is taken to have of it. */
char *train_settings_defaults_text(void);

#endif
