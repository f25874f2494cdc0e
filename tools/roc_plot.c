/* SPDX-License-Identifier: MIT */
#include "tools/roc_plot.h"
#include "common/err.h"
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The picture goes to gnuplot's standard output. */
static void write_script(FILE *f, const struct roc_curve *curve, int n)
{
    /* A logarithmic axis has no zero: no false match is drawn at its left end. */
    const double left = fmin(1.0 / (double)curve[0].roc.impostor, 0.1);

    fprintf(f,
            "set terminal pngcairo size 960,720 font 'sans,13'\n"
            "set title 'Verification ROC: %" PRIu64 " genuine, %" PRIu64 " impostor pairs'\n"
            "set xlabel 'FMR (impostors accepted)'\nset ylabel 'TPR (genuine accepted)'\n"
            "set logscale x\nset format x '%%g'\nset xrange [%g:1]\nset yrange [0:1]\n"
            "set grid lc rgb '#dddddd'\nset key top left box opaque\nplot ",
            curve[0].roc.genuine, curve[0].roc.impostor, left);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s'-' using 1:2 with steps lw 2 title '%s, AUC %.4f'", i ? ", " : "",
                curve[i].name, fv_roc_auc(&curve[i].roc));
    fputc('\n', f);
    for (int i = 0; i < n; i++) {
        const struct fv_roc *r = &curve[i].roc;
        for (size_t k = 0; k < r->n; k++) {
            const double fmr = (double)r->point[k].fp / (double)r->impostor;
            fprintf(f, "%.9g %.9g\n", fmr > 0 ? fmr : left,
                    (double)r->point[k].tp / (double)r->genuine);
        }
        fputs("e\n", f);
    }
}

/* Starts gnuplot without a shell; *script is its input, `picture` its output. */
static int start_gnuplot(int picture, FILE **script, pid_t *pid)
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
        return fv_err(FV_EUNSUPPORTED,
                      "--roc is drawn by gnuplot: install the package gnuplot-nox");
    return failed ? fv_err(FV_EIO, "cannot start gnuplot: %s", strerror(failed)) : FV_OK;
}

static int draw(FILE *picture, const struct roc_curve *curve, int n)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    FILE *script;
    pid_t pid;
    int status = 0;

    FV_TRY(start_gnuplot(fileno(picture), &script, &pid));
    sigaction(SIGPIPE, &ignore, &before); /* gnuplot may end before it has read all */
    if (script) {
        write_script(script, curve, n);
        fclose(script);
    }
    sigaction(SIGPIPE, &before, NULL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!script)
        return fv_err(FV_ENOMEM, "out of memory for the pipe to gnuplot");
    if (status != 0 || lseek(fileno(picture), 0, SEEK_END) <= 0)
        return fv_err(FV_EUNSUPPORTED, "gnuplot drew nothing: it must have the terminal pngcairo, "
                                       "as that of the package gnuplot-nox has");
    return FV_OK;
}

int roc_plot(const char *png, const struct roc_curve *curve, int n)
{
    struct fv_file file;

    FV_TRY(fv_file_create(&file, png));
    const int rc = draw(file.f, curve, n);
    if (rc < 0) {
        fv_file_discard(&file);
        return rc;
    }
    return fv_file_commit(&file);
}
