/* SPDX-License-Identifier: MIT */
#include "tools/command.h"
#include "common/err.h"
#include "common/report.h"
#include "common/trace.h"

#include <string.h>

enum { MAX_COMMANDS = 16 };

static const char *name_of(const char *program, const struct tool_command *c)
{
    return c->cmd->name + strlen(program) + 1;
}

static void print_help(const char *program, const char *summary, const struct tool_command *command,
                       int commands, FILE *to)
{
    fprintf(to, "usage: %s COMMAND ...\n\n%s\n\ncommands:\n", program, summary);
    for (int i = 0; i < commands; i++)
        fprintf(to, "  %-8s %s\n", name_of(program, &command[i]), command[i].cmd->summary);
    fprintf(to, "\n'%s COMMAND --help' explains one; '%s --version' prints the version.\n", program,
            program);
}

static int unknown_command(const char *program, const struct tool_command *command, int commands,
                           const char *name)
{
    const char *valid[MAX_COMMANDS + 1] = {0};
    for (int i = 0; i < commands && i < MAX_COMMANDS; i++)
        valid[i] = name_of(program, &command[i]);
    const char *near = fv_opt_nearest(name, valid);
    fprintf(stderr, "%s: unknown command '%s': ", program, name);
    if (near)
        fprintf(stderr, "did you mean '%s'?\n", near);
    for (int i = 0; !near && valid[i]; i++)
        fprintf(stderr, "%s%s%s",
                i              ? ", "
                : commands > 1 ? "valid are "
                               : "valid is ",
                valid[i], valid[i + 1] ? "" : "\n");
    return 2;
}

int tool_main(const char *program, const char *summary, const struct tool_command *command,
              int commands, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        print_help(program, summary, command, commands, stderr);
        return 2;
    }
    if (tool_version(program, argc, argv))
        return tool_exit(program, 0);
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help(program, summary, command, commands, stdout);
        return tool_exit(program, 0);
    }
    int status;
    if (tool_command_runs(program, command, commands, argc, argv, &status))
        return status;
    return unknown_command(program, command, commands, name);
}

int tool_command_runs(const char *program, const struct tool_command *command, int commands,
                      int argc, char **argv, int *status)
{
    for (int i = 0; i < commands && argc > 1; i++)
        if (!strcmp(argv[1], name_of(program, &command[i]))) {
            *status = tool_exit(command[i].cmd->name, command[i].run(argc - 1, argv + 1));
            return 1;
        }
    return 0;
}

int tool_version(const char *program, int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--version") != 0)
        return 0;
    printf("%s %s\n", program, FV_VERSION);
    return 1;
}

int tool_parse(const struct fv_command *cmd, const struct fv_opt_group *groups, int n, int argc,
               char **argv, struct fv_args *args)
{
    FV_TRY(fv_opt_parse(cmd, groups, n, argc, argv, args));
    if (args->help)
        fv_opt_help(cmd, groups, n, stdout);
    return args->help;
}

int tool_begin(const struct fv_command *cmd, const struct fv_opt_group *groups, int n, int argc,
               char **argv, struct fv_args *args)
{
    const int rc = tool_parse(cmd, groups, n, argc, argv, args);
    if (rc)
        return rc;
    for (int i = 0; i < n; i++)
        if (groups[i].opts == tool_trace_opts)
            return tool_trace_start(groups[i].settings);
    return FV_OK;
}

#define FIELD(f) offsetof(struct tool_trace, f)
/* clang-format off */
const struct fv_opt tool_trace_opts[] = {
    {"trace", 0, FV_OPT_STRING, FV_OPT_TRANSIENT, FIELD(file), "FILE",
     "write what each thread did when, for ui.perfetto.dev or chrome://tracing", 0, 0, NULL},
    {"nvtx", 0, FV_OPT_FLAG, FV_OPT_TRANSIENT, FIELD(nvtx), NULL,
     "show the same to Nsight Systems, as NVTX ranges", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

int tool_trace_start(const struct tool_trace *t)
{
    if (t->nvtx)
        FV_TRY(fv_trace_nvtx());
    return t->file ? fv_trace_start(t->file) : FV_OK;
}

static int end_trace(int rc)
{
    char why[FV_ERR_TEXT_MAX];

    fv_err_save(why);
    const int stopped = fv_trace_stop();
    return rc < 0 ? fv_err_restore(rc, why) : stopped < 0 ? stopped : rc;
}

int tool_exit(const char *name, int rc)
{
    rc = end_trace(rc);
    if (rc >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = fv_err_errno(FV_EIO, "cannot write to standard output");
    if (rc >= 0)
        return 0;
    fv_console_endline();
    fprintf(stderr, "%s: %s\n", name, fv_err_text());
    if (rc == FV_EUSAGE)
        fprintf(stderr, "try '%s --help'\n", name);
    return rc == FV_EUSAGE ? 2 : rc == FV_EINTR ? 130 : 1;
}
