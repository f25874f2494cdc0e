/* SPDX-License-Identifier: MIT */
/* The console behind struct fv_report. One process has one terminal, so the state is static. */
#include "common/clock.h"
#include "common/report.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct fv_console {
    const char *program;
    int verbosity, tty;
    int live; /* an unfinished line stands on the terminal */
    char what[64];
    uint64_t first_ns, first_done, drawn_ns;
} con;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fv_say(const struct fv_report *r, enum fv_level level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    if (!r || !r->message)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->message(r->ctx, level, text);
}

void fv_progress(const struct fv_report *r, const struct fv_progress *p)
{
    if (r && r->progress)
        r->progress(r->ctx, p);
}

void fv_progress_clear(const struct fv_report *r)
{
    const struct fv_progress nothing = {"", "", 0, 0, NULL};
    fv_progress(r, &nothing);
}

static void clear_line(void)
{
    if (con.live)
        fputs("\r\033[K", stderr);
    con.live = 0;
    con.what[0] = '\0';
}

static void end_line(void)
{
    if (con.live)
        fputc('\n', stderr);
    con.live = 0;
}

void fv_console_endline(void)
{
    pthread_mutex_lock(&lock);
    end_line();
    pthread_mutex_unlock(&lock);
}

static void message(void *ctx, enum fv_level level, const char *text)
{
    static const char *const prefix[] = {"error: ", "warning: ", ""};

    (void)ctx;
    if ((int)level > con.verbosity)
        return;
    pthread_mutex_lock(&lock);
    end_line();
    fprintf(stderr, "%s: %s%s\n", con.program, prefix[level], text);
    pthread_mutex_unlock(&lock);
}

static void format_eta(char *buf, size_t n, double seconds)
{
    const unsigned s = seconds < 359999 ? (unsigned)(seconds + 0.5) : 359999;

    if (s >= 3600)
        snprintf(buf, n, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, n, "%u:%02u", s / 60, s % 60);
}

/* Columns of the terminal less one, which some need for themselves. */
static int line_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

/* What does not fit a terminal's line cannot be redrawn: fields at its end, two blanks before each, are left out. */
static void cut_to_fit(char *line, int columns)
{
    if ((int)strlen(line) <= columns)
        return;
    line[columns] = '\0';
    for (char *c = line + columns; c > line + 1; c--)
        if (c[-1] == ' ' && c[-2] == ' ') {
            c[-2] = '\0';
            return;
        }
}

static void draw(const struct fv_progress *p, uint64_t now, int last)
{
    const double elapsed = (double)(now - con.first_ns) * 1e-9;
    const double rate = elapsed > 0 ? (double)(p->done - con.first_done) / elapsed : 0;
    char eta[32] = "", line[512], of[32] = "", speed[80] = "";

    if (p->total)
        snprintf(of, sizeof of, "/%" PRIu64, p->total);
    if (rate > 0 && p->total && !last) {
        char time[24];
        format_eta(time, sizeof time, (double)(p->total - p->done) / rate);
        snprintf(eta, sizeof eta, "  ETA %s", time);
    }
    if (rate > 0)
        snprintf(speed, sizeof speed, "  %.*f %s/s%s", rate < 10 ? 1 : 0, rate, p->unit, eta);
    snprintf(line, sizeof line, "%s %" PRIu64 "%s %s%s%s%s", p->what, p->done, of, p->unit, speed,
             p->extra && p->extra[0] ? "  " : "", p->extra ? p->extra : "");
    if (con.tty)
        cut_to_fit(line, line_columns());
    fprintf(stderr, "%s%s%s", con.tty ? "\r\033[K" : "", line, !con.tty || last ? "\n" : "");
    con.live = con.tty && !last;
    con.drawn_ns = now;
}

static void progress(void *ctx, const struct fv_progress *p)
{
    const uint64_t tick_ns = con.tty ? 100000000u : 10000000000u;
    const uint64_t now = fv_now_ns();

    (void)ctx;
    if (con.verbosity < FV_LEVEL_INFO)
        return;
    pthread_mutex_lock(&lock);
    if (p->done == 0 && p->total == 0) {
        clear_line();
        pthread_mutex_unlock(&lock);
        return;
    }
    if (strncmp(con.what, p->what, sizeof con.what - 1) != 0 || p->done < con.first_done) {
        snprintf(con.what, sizeof con.what, "%s", p->what);
        con.first_ns = con.drawn_ns = now;
        con.first_done = p->done;
    }
    const int last = p->total && p->done >= p->total;
    if (last || now - con.drawn_ns >= tick_ns)
        draw(p, now, last);
    if (last)
        con.what[0] = '\0';
    pthread_mutex_unlock(&lock);
}

const struct fv_report *fv_console_report(const char *program, int verbosity)
{
    static const struct fv_report report = {NULL, message, progress};

    con.program = program;
    con.verbosity = verbosity;
    con.tty = isatty(STDERR_FILENO);
    return &report;
}
