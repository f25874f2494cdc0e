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

/* Prints "<program> <version>" and returns 1 if argv[1] asks for it. */
int tool_version(const char *program, int argc, char **argv);

/* From a return code to the exit status: 0 done, 1 failed, 2 bad usage, 130 interrupted. Says the sentence of
 * an error. Results that stdout would not take (a full disk) are a failure. */
int tool_exit(const char *name, int rc);

#endif
