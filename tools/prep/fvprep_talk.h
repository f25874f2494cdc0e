/* SPDX-License-Identifier: MIT */
/* What the subcommands of fvprep share: how they are spoken to, how they speak, how they are stopped. */
#ifndef FV_TOOLS_FVPREP_TALK_H
#define FV_TOOLS_FVPREP_TALK_H

#include "common/opt.h"
#include "common/report.h"
#include "tools/command.h"

struct talk {
    int quiet, json;
    struct tool_trace trace;
};
extern const struct fv_opt talk_opts[],
    talk_brief_opts[]; /* the latter: of commands without progress */

/* Parses the options of a command (opts, into settings; NULL: it has none) and those of `output`. 1 when --help
 * was asked for and printed. */
int talk_parse(const struct fv_command *cmd, const struct fv_opt *opts, void *settings,
               const struct fv_opt *output, struct talk *talk, int argc, char **argv,
               struct fv_args *args);
const struct fv_report *talk_console(const struct fv_command *cmd, const struct talk *talk);
/* The first Ctrl-C asks to stop and clean up; the second one kills. */
void talk_stop_on_signals(void);

#endif
