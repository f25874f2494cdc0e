/* SPDX-License-Identifier: MIT */
/* What the option table says of itself: --help, the banner, the saved text. */
#include "common/opt.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* The shortest text that reads back as the same double; of equally short ones that without an exponent: 300 and not
 * 3e+02. */
static const char *format_real(double v, char *buf, size_t n)
{
    char text[40];
    *buf = '\0';
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v && (!*buf || strlen(text) <= strlen(buf)))
            snprintf(buf, n, "%s", text);
    }
    return buf;
}

const char *fv_opt_format(const struct fv_opt *o, const void *settings, char *buf, size_t n)
{
    const void *p = (const char *)settings + o->offset;

    switch (o->type) {
    case FV_OPT_FLAG:
        snprintf(buf, n, "%s", *(const int *)p ? "yes" : "no");
        break;
    case FV_OPT_INT:
        snprintf(buf, n, "%" PRId64, *(const int64_t *)p);
        break;
    case FV_OPT_REAL:
    case FV_OPT_SHARE:
        format_real(*(const double *)p, buf, n);
        break;
    default:
        snprintf(buf, n, "%s", *(const char *const *)p ? *(const char *const *)p : "");
        break;
    }
    return buf;
}

static int is_unset(const struct fv_opt *o, const void *settings)
{
    return (o->type == FV_OPT_STRING || o->type == FV_OPT_CHOICE) &&
           !*(const char *const *)((const char *)settings + o->offset);
}

/* As fv_opt_format, but text of any length. */
static const char *whole_value(const struct fv_opt *o, const void *settings, char *buf, size_t n)
{
    if (o->type == FV_OPT_STRING || o->type == FV_OPT_CHOICE)
        return *(const char *const *)((const char *)settings + o->offset);
    return fv_opt_format(o, settings, buf, n);
}

char *fv_opt_write_text(const struct fv_opt_group *groups, int ngroups)
{
    char *text = NULL, value[64];
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (int i = 0; i < ngroups; i++)
        for (const struct fv_opt *o = groups[i].opts; o->name; o++)
            if (!(o->flags & FV_OPT_TRANSIENT) && !is_unset(o, groups[i].settings))
                fprintf(f, "%s = %s\n", o->name,
                        whole_value(o, groups[i].settings, value, sizeof value));
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Words of `text` from column `indent`, wrapped at 100; the cursor stands at column `at`. */
static void wrap(FILE *to, const char *text, int indent, int at)
{
    enum { WIDTH = 100 };

    while (*text) {
        const int n = (int)strcspn(text, " ");
        if (at > indent && at + 1 + n > WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', to);
            at++;
        }
        fprintf(to, "%.*s", n, text);
        at += n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void help_option(const struct fv_opt *o, const void *settings, FILE *to)
{
    enum { COLUMN = 30 };
    char head[96], value[256], text[1024];
    const int n = o->letter ? snprintf(head, sizeof head, "  -%c, --%s", o->letter, o->name)
                            : snprintf(head, sizeof head, "      --%s", o->name);

    if (o->type != FV_OPT_FLAG)
        snprintf(head + n, sizeof head - (size_t)n, " %s", o->metavar ? o->metavar : "VALUE");
    fprintf(to, "%-*s", COLUMN, head);
    if (strlen(head) >= COLUMN)
        fprintf(to, "\n%*s", COLUMN, "");
    int t = snprintf(text, sizeof text, "%s", o->help);
    if (o->type == FV_OPT_CHOICE) {
        t += snprintf(text + t, sizeof text - (size_t)t, " (");
        for (const char *const *c = o->choices; *c && t < 900; c++)
            t += snprintf(text + t, sizeof text - (size_t)t, "%s%s", c == o->choices ? "" : ", ",
                          *c);
        t += snprintf(text + t, sizeof text - (size_t)t, ")");
    }
    if (o->flags & FV_OPT_REQUIRED)
        snprintf(text + t, sizeof text - (size_t)t, " [required]");
    else if (!is_unset(o, settings) && o->type != FV_OPT_FLAG)
        snprintf(text + t, sizeof text - (size_t)t, " [%s]",
                 fv_opt_format(o, settings, value, sizeof value));
    else if (o->type == FV_OPT_FLAG && *(const int *)((const char *)settings + o->offset))
        snprintf(text + t, sizeof text - (size_t)t, " [yes; --no-%s turns it off]", o->name);
    wrap(to, text, COLUMN, COLUMN);
}

void fv_opt_help(const struct fv_command *cmd, const struct fv_opt_group *groups, int ngroups,
                 FILE *to)
{
    fprintf(to, "usage: %s %s\n\n%s\n", cmd->name, cmd->usage, cmd->summary);
    for (int i = 0; i < ngroups; i++) {
        fprintf(to, "\n%s:\n", groups[i].title);
        for (const struct fv_opt *o = groups[i].opts; o->name; o++)
            help_option(o, groups[i].settings, to);
    }
    if (cmd->write_notes) {
        fputc('\n', to);
        cmd->write_notes(to);
    }
    if (cmd->notes)
        fprintf(to, "\n%s\n", cmd->notes);
}

/* Of the terminal, but no more than are easily read; of a file as many. */
static int line_columns(FILE *to)
{
    enum { MOST = 100, LEAST = 40 };
    struct winsize size;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col >= LEAST && size.ws_col < MOST)
        return size.ws_col;
    return MOST;
}

void fv_opt_banner(const struct fv_opt_group *groups, int ngroups, void *const *defaults, FILE *to)
{
    enum { NAME = 16, CELL = 33 };
    const int columns = line_columns(to);
    char value[512], standard[512];

    for (int i = 0; i < ngroups; i++) {
        int at = 0, owed = 0; /* blanks before the next cell */
        fprintf(to, "%s\n", groups[i].title);
        for (const struct fv_opt *o = groups[i].opts; o->name; o++) {
            if (is_unset(o, groups[i].settings))
                continue;
            fv_opt_format(o, groups[i].settings, value, sizeof value);
            int changed = 0;
            if (defaults && defaults[i])
                changed =
                    strcmp(value, fv_opt_format(o, defaults[i], standard, sizeof standard)) != 0;
            const int width = 2 + NAME + 1 + (int)strlen(value) + 1;
            if (at && at + width > columns) {
                fputc('\n', to);
                at = owed = 0;
            }
            fprintf(to, "%*s", owed, "");
            const int n = fprintf(to, "  %-*s %s%s", NAME, o->name, value, changed ? "*" : "");
            owed = (n + CELL - 1) / CELL * CELL - n;
            at += n + owed;
        }
        fputc('\n', to);
    }
}
