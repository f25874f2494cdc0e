/* SPDX-License-Identifier: MIT */
#include "tools/report/gnuplot.h"

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

enum { WORDS = 160 };

/* Starts gnuplot without a shell; *script is its input, `picture` its output, and what it says goes into `words`. */
static int start_gnuplot(int picture, int words, const char *option, FILE **script, pid_t *pid)
{
    char *const argv[] = {"gnuplot", NULL};
    posix_spawn_file_actions_t files;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fv_err_errno(FV_EIO, "cannot make a pipe to gnuplot");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, picture, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, words, STDERR_FILENO);
    const int failed = posix_spawnp(pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[0]);
    *script = failed ? NULL : fdopen(ends[1], "w");
    if (!*script)
        close(ends[1]);
    if (failed == ENOENT)
        return fv_err(FV_EUNSUPPORTED, "%s is drawn by gnuplot: install the package gnuplot-nox",
                      option);
    return failed ? fv_err(FV_EIO, "cannot start gnuplot: %s", strerror(failed)) : FV_OK;
}

/* The last line of it that is no warning: "line 132: Can't plot with an empty x range!" */
static void read_words(FILE *words, char last[WORDS])
{
    char line[WORDS];
    *last = '\0';
    rewind(words);
    while (fgets(line, sizeof line, words)) {
        const char *text = line + strspn(line, " \t");
        line[strcspn(line, "\n")] = '\0';
        if (*text && *text != '^' && strncmp(text, "Warning", 7) != 0)
            snprintf(last, WORDS, "%s", text);
    }
}

static int draw(FILE *picture, FILE *words, void (*script)(FILE *f, const void *ctx),
                const void *ctx, const char *option, const char *terminal)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    FILE *to;
    pid_t pid;
    int status = 0;

    FV_TRY(start_gnuplot(fileno(picture), fileno(words), option, &to, &pid));
    sigaction(SIGPIPE, &ignore, &before); /* gnuplot may end before it has read all */
    if (to) {
        script(to, ctx);
        fclose(to);
    }
    sigaction(SIGPIPE, &before, NULL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!to)
        return fv_err(FV_ENOMEM, "out of memory for the pipe to gnuplot");
    if (status == 0 && lseek(fileno(picture), 0, SEEK_END) > 0)
        return FV_OK;
    char why[WORDS];
    read_words(words, why);
    return fv_err(FV_EUNSUPPORTED,
                  "gnuplot drew nothing%s%s: it must have the terminal %s, as that of the package "
                  "gnuplot-nox has",
                  *why ? ", for: " : "", why, terminal);
}

int gnuplot_draw(FILE *picture, void (*script)(FILE *f, const void *ctx), const void *ctx,
                 const char *option, const char *terminal)
{
    FILE *words = tmpfile();
    if (!words)
        return fv_err_errno(FV_EIO, "cannot make a temporary file for gnuplot");
    const int rc = draw(picture, words, script, ctx, option, terminal);
    fclose(words);
    return rc;
}

int gnuplot_write_png(const char *png, void (*script)(FILE *f, const void *ctx), const void *ctx,
                      const char *option)
{
    struct fv_file file;

    FV_TRY(fv_file_create(&file, png));
    return fv_file_end(&file, gnuplot_draw(file.f, script, ctx, option, "pngcairo"));
}
