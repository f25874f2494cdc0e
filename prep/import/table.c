/* SPDX-License-Identifier: MIT */
/* Text from strangers: a line has an end in sight or is refused, a zero byte means that it is no text, and
 * whatever is wrong is told with its line.
 */
#include "prep/import/table.h"

#include "common/err.h"
#include "prep/import/lfs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_stream(struct fv_table *t, const char *name, FILE *f)
{
    *t = (struct fv_table){.path = strdup(name), .f = f, .text = malloc(FV_TABLE_LINE)};
    if (t->path && t->text)
        return 0;
    fv__table_close(t);
    return fv_err(FV_ENOMEM, "out of memory for reading '%s'", name);
}

int fv__table_open(struct fv_table *t, const char *path)
{
    struct stat st;
    *t = (struct fv_table){0};
    /* O_NONBLOCK: a pipe must not make us wait. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fv_err_errno(errno == ENOENT ? FV_ENOTFOUND : FV_EIO, "%s: cannot open", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return fv_err(FV_EIO, "%s: is not a file", path);
    }
    if (fv__lfs_is_pointer_file(fd)) {
        close(fd);
        return fv_err(FV_ECORRUPT, "%s: %s", path, FV_LFS_SENTENCE);
    }
    FILE *f = fdopen(fd, "r");
    if (f)
        return open_stream(t, path, f);
    close(fd);
    return fv_err(FV_ENOMEM, "out of memory for reading '%s'", path);
}

int fv__table_open_bytes(struct fv_table *t, const char *name, const void *bytes, size_t n)
{
    *t = (struct fv_table){0};
    /* fmemopen takes no empty buffer, and never writes to one opened for reading */
    FILE *f = n ? fmemopen((void *)(uintptr_t)bytes, n, "r") : fopen("/dev/null", "r");
    return f ? open_stream(t, name, f) : fv_err(FV_ENOMEM, "out of memory for reading '%s'", name);
}

void fv__table_close(struct fv_table *t)
{
    if (t->f)
        fclose(t->f);
    free(t->path);
    free(t->text);
    *t = (struct fv_table){0};
}

int fv__table_rewind(struct fv_table *t)
{
    if (fseek(t->f, 0, SEEK_SET) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot read it again", t->path);
    t->line = 0;
    return 0;
}

int fv__table_err(const struct fv_table *t, const char *fmt, ...)
{
    char text[FV_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return fv_err(FV_ECORRUPT, "%s:%llu: %s", t->path, (unsigned long long)t->line, text);
}

/* One line without its end into t->text: 1, or 0 at the end of the file. */
static int read_line(struct fv_table *t)
{
    size_t n = 0;
    int c = getc_unlocked(t->f);
    if (c == EOF)
        return ferror(t->f) ? fv_err_errno(FV_EIO, "%s: cannot read", t->path) : 0;
    t->line++;
    for (; c != EOF && c != '\n'; c = getc_unlocked(t->f)) {
        if (c == 0)
            return fv__table_err(t, "holds a zero byte: this is no text");
        if (n + 1 == FV_TABLE_LINE)
            return fv__table_err(t, "has more than %d bytes: this is no list", FV_TABLE_LINE - 1);
        t->text[n++] = (char)c;
    }
    while (n && t->text[n - 1] == '\r')
        n--;
    t->text[n] = 0;
    return 1;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The separator of a row: outside of quotes, the strongest one that occurs. */
static char find_separator(const char *s)
{
    int comma = 0, semicolon = 0, quoted = 0;
    for (; *s; s++) {
        if (*s == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        if (*s == '\t')
            return '\t';
        comma |= *s == ',';
        semicolon |= *s == ';';
    }
    return comma ? ',' : semicolon ? ';' : ' ';
}

/* Takes the quotes off the field at s, in place; *end becomes the place after the closing one. */
static int unquote(const struct fv_table *t, char *s, char **end)
{
    char *from = s + 1, *to = s;
    for (;; from++) {
        if (*from == 0)
            return fv__table_err(t, "a quote is not closed");
        if (*from == '"' && *++from != '"')
            break;
        *to++ = *from;
    }
    /* *from is at or after to + 1, so nothing of the rest is overwritten */
    *end = from;
    *to = 0;
    return 0;
}

static int ends_field(const struct fv_table *t, char c)
{
    return c == 0 || c == t->separator || (t->separator == ' ' && c == '\t');
}

/* The field at s; *rest becomes the start of what follows its separator, or NULL after the last one. */
static int take_field(struct fv_table *t, char *s, char **rest)
{
    char *end = s, *closed = NULL;
    t->field[t->fields++] = s;
    if (*s == '"') {
        FV_TRY(unquote(t, s, &closed));
        for (end = closed; is_blank(*end) && !ends_field(t, *end);)
            end++;
        if (!ends_field(t, *end))
            return fv__table_err(t, "text follows a closing quote");
    } else {
        while (!ends_field(t, *end))
            end++;
    }
    *rest = *end ? end + 1 : NULL;
    if (!closed) {
        *end = 0;
        while (end > s && is_blank(end[-1]))
            *--end = 0;
    }
    return 0;
}

static char *skip_blanks(const struct fv_table *t, char *s)
{
    while (*s == ' ' || (*s == '\t' && t->separator != '\t'))
        s++;
    return s;
}

static int split_row(struct fv_table *t, char *s)
{
    t->fields = 0;
    for (char *rest = s; rest;) {
        s = skip_blanks(t, rest);
        if (t->separator == ' ' && *s == 0)
            break; /* blanks at the end are no field */
        if (t->fields == FV_TABLE_FIELDS)
            return fv__table_err(t, "has more than %d fields", FV_TABLE_FIELDS);
        FV_TRY(take_field(t, s, &rest));
    }
    return 1;
}

int fv__table_next(struct fv_table *t)
{
    for (;;) {
        int rc = read_line(t);
        if (rc <= 0)
            return rc;
        char *s = t->text;
        if (t->line == 1 && strncmp(s, "\xef\xbb\xbf", 3) == 0)
            s += 3;
        if (s[strspn(s, " \t")] == 0)
            continue;
        if (!t->separator)
            t->separator = find_separator(s);
        return split_row(t, s);
    }
}

/* --- numbers -------------------------------------------------------------------------------------- */

int fv__parse_u64(const char *s, uint64_t *value)
{
    uint64_t v = 0;
    if (!*s)
        return 0;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || v > (UINT64_MAX - 9) / 10)
            return 0;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    *value = v;
    return 1;
}

/* strtod would follow the locale, and take "inf", "nan" and hexadecimal. */
int fv__parse_real(const char *s, double *value)
{
    double v = 0;
    int minus = *s == '-', digits = 0, point = 0, power = 0, shift = 0;
    s += *s == '-' || *s == '+';
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = 1;
            continue;
        }
        v = v * 10 + (*s - '0');
        shift += point;
        if (++digits > 300)
            return 0;
    }
    if (digits && (*s == 'e' || *s == 'E')) {
        int negative = s[1] == '-', any = 0;
        s += 1 + (s[1] == '-' || s[1] == '+');
        for (; *s >= '0' && *s <= '9' && power < 1000; s++, any = 1)
            power = power * 10 + (*s - '0');
        if (!any)
            return 0;
        power = negative ? -power : power;
    }
    if (!digits || *s)
        return 0;
    power -= shift;
    v = power < 0 ? v / pow(10, -power) : v * pow(10, power);
    *value = minus ? -v : v;
    return isfinite(v) != 0;
}
