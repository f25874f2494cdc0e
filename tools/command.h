/* SPDX-License-Identifier: MIT */
/* What the programs do alike: finding a subcommand, --help and --version, and how a program ends. */
#ifndef FV_TOOLS_COMMAND_H
#define FV_TOOLS_COMMAND_H

#include "common/opt.h"

struct tool_command {
    const struct fv_command *cmd; /* its name is "<program> <command>" */
    int (*run)(int argc, char **argv);
};

/* The main of a program with subcommands: runs the one that argv[1] names, returns the exit status. */
int tool_main(const char *program, const char *summary, const struct tool_command *command,
              int commands, int argc, char **argv);

/* For a program that also does something without a subcommand: runs the one that argv[1] names, if it names one, and
 * says so. */
int tool_command_runs(const char *program, const struct tool_command *command, int commands,
                      int argc, char **argv, int *status);

/* Parses the command line of a command. 1 when --help was asked for and is printed: then there is no more to do. */
int tool_parse(const struct fv_command *cmd, const struct fv_opt_group *groups, int n, int argc,
               char **argv, struct fv_args *args);
/* The same, and where there is more to do, tool_trace_start if tool_trace_opts is among the groups. */
int tool_begin(const struct fv_command *cmd, const struct fv_opt_group *groups, int n, int argc,
               char **argv, struct fv_args *args);

/* Prints "<program> <version>" and returns 1 if argv[1] asks for it. */
int tool_version(const char *program, int argc, char **argv);

/* --trace and --nvtx, which every program has that works for long: a group of options, to be started once they are
 * parsed and before there are threads. */
struct tool_trace {
    const char *file;
    int nvtx;
};
extern const struct fv_opt tool_trace_opts[];
int tool_trace_start(const struct tool_trace *t); /* tool_exit writes the file */

/* Ends the trace, also of a run that failed; then from a return code to the exit status: 0 done, 1 failed, 2 bad
 * usage, 130 interrupted. Says the sentence of an error. Results that stdout would not take (a full disk) are a
 * failure. */
int tool_exit(const char *name, int rc);

#endif
