/* SPDX-License-Identifier: MIT */
#include "tools/gnuplot.h"

#include "common/err.h"
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Starts gnuplot without a shell; *script is its input, `picture` its output. */
static int start(int picture, const char *what, FILE **script, pid_t *pid)
{
    char *const argv[] = {"gnuplot", NULL};
    posix_spawn_file_actions_t files;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fv_err_errno(FV_EIO, "cannot make a pipe to gnuplot");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, picture, STDOUT_FILENO);
    const int failed = posix_spawnp(pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[0]);
    *script = failed ? NULL : fdopen(ends[1], "w");
    if (!*script)
        close(ends[1]);
    if (failed == ENOENT)
        return fv_err(FV_EUNSUPPORTED, "%s is drawn by gnuplot: install the package gnuplot-nox",
                      what);
    return failed ? fv_err(FV_EIO, "cannot start gnuplot: %s", strerror(failed)) : FV_OK;
}

static int draw(FILE *picture, const char *what, void (*write_script)(FILE *, const void *),
                const void *ctx)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    FILE *script;
    pid_t pid;
    int status = 0;

    FV_TRY(start(fileno(picture), what, &script, &pid));
    sigaction(SIGPIPE, &ignore, &before); /* gnuplot may end before it has read all */
    if (script) {
        write_script(script, ctx);
        fclose(script);
    }
    sigaction(SIGPIPE, &before, NULL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!script)
        return fv_err(FV_ENOMEM, "out of memory for the pipe to gnuplot");
    if (status != 0 || lseek(fileno(picture), 0, SEEK_END) <= 0)
        return fv_err(FV_EUNSUPPORTED,
                      "%s: gnuplot drew nothing: it must have the terminal pngcairo, as that of "
                      "the package gnuplot-nox has",
                      what);
    return FV_OK;
}

int gnuplot_draw(const char *png, const char *what,
                 void (*write_script)(FILE *script, const void *ctx), const void *ctx)
{
    struct fv_file file;

    FV_TRY(fv_file_create(&file, png));
    const int rc = draw(file.f, what, write_script, ctx);
    if (rc < 0) {
        fv_file_discard(&file);
        return rc;
    }
    return fv_file_commit(&file);
}
