/* SPDX-License-Identifier: MIT */
#include "tools/prep/fvprep_talk.h"

#include "common/err.h"
#include "prep/prep.h"

#include <signal.h>

#define FIELD(f) offsetof(struct talk, f)
/* clang-format off */
const struct fv_opt talk_opts[] = {
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print the result as JSON", 0, 0, NULL},
    {"quiet", 'q', FV_OPT_FLAG, 0, FIELD(quiet), NULL, "only the result, warnings and errors", 0, 0, NULL},
    {.name = NULL},
};
const struct fv_opt talk_brief_opts[] = {
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print the result as JSON", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */

int talk_parse(const struct fv_command *cmd, const struct fv_opt *opts, void *settings,
               const struct fv_opt *output, struct talk *talk, int argc, char **argv,
               struct fv_args *args)
{
    struct fv_opt_group groups[] = {{"options", opts, settings},
                                    {"output", output, talk},
                                    {"tracing", tool_trace_opts, &talk->trace}};
    const int n = output == talk_opts ? 3 : 2; /* what is over at once is not traced */
    *talk = (struct talk){0};
    return tool_begin(cmd, opts ? groups : groups + 1, opts ? n : n - 1, argc, argv, args);
}

const struct fv_report *talk_console(const struct fv_command *cmd, const struct talk *talk)
{
    return fv_console_report(cmd->name, talk->quiet ? 1 : 2);
}

static void on_signal(int number)
{
    (void)number;
    fv_prep_stop = 1;
}

void talk_stop_on_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_RESETHAND};
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}
