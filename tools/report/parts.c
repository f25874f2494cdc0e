/* SPDX-License-Identifier: MIT */
#include "tools/report/parts.h"

#include "tools/report/html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *report_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

char *report_rows(const struct results *r)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    int rows = 0;

    if (!f)
        return NULL;
    for (int i = 0; i < r->n; i++) {
        const char *key = r->row[i].key;
        if (r->row[i].silent)
            continue;
        if (rows > 0 && !*key) { /* goes on with the row above */
            fputs("<br>", f);
        } else {
            fputs(rows++ ? "</td></tr>\n<tr><th scope=\"row\">" : "<tr><th scope=\"row\">", f);
            for (; *key; key++)
                html_text_n(f, *key == '_' ? " " : key, 1);
            fputs("</th><td>", f);
        }
        html_text(f, r->row[i].text ? r->row[i].text : "");
    }
    fputs(rows ? "</td></tr>\n" : "", f);
    return fclose(f) == 0 ? text : NULL;
}

void report_count(FILE *f, uint64_t n)
{
    if (n >= 1000) {
        report_count(f, n / 1000);
        fprintf(f, ",%03d", (int)(n % 1000));
    } else {
        fprintf(f, "%d", (int)n);
    }
}

/* --- how it was made ------------------------------------------------------------------------------ */

static void put_row(FILE *f, const char *name, size_t n, const char *value, size_t value_n)
{
    fputs("<tr><th scope=\"row\">", f);
    html_text_n(f, name, n);
    fputs("</th><td>", f);
    html_text_n(f, value, value_n);
    fputs("</td></tr>\n", f);
}

static void put_lines(FILE *f, const char *lines)
{
    while (*lines) {
        const size_t length = strcspn(lines, "\n");
        const char *equals = memmem(lines, length, " = ", 3);
        if (equals)
            put_row(f, lines, (size_t)(equals - lines), equals + 3,
                    (size_t)(lines + length - equals) - 3);
        lines += length + (lines[length] == '\n');
    }
}

static void put_text_row(FILE *f, const char *name, const char *value)
{
    put_row(f, name, strlen(name), value, strlen(value));
}

static void put_table(FILE *f, const char *title)
{
    fprintf(f,
            "<h3>%s</h3>\n<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Value"
            "</th></tr></thead>\n<tbody>\n",
            title);
}

void report_making(FILE *f, const struct report_making *m)
{
    const struct fv_store_info *info = fv_store_info(m->store);
    const time_t now = time(NULL);
    char text[96] = "";
    struct tm tm;

    fputs("<section>\n<h2>How it was made</h2>\n", f);
    put_table(f, "Net and data");
    put_text_row(f, "checkpoint", m->checkpoint);
    put_text_row(f, "net", m->model);
    put_text_row(f, "data set", fv_store_path(m->store));
    snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 " identities, %d x %d px, %s",
             info->images, info->labels, info->width, info->height, info->codec);
    put_text_row(f, "images", text);
    snprintf(text, sizeof text, "%016" PRIx64, info->digest);
    put_text_row(f, "digest of the data", text);
    if (gmtime_r(&now, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm))
        put_text_row(f, "made", text);
    put_text_row(f, "made by", "fv " FV_VERSION);
    fputs("</tbody>\n</table>\n", f);
    put_table(f, "Settings");
    put_lines(f, m->settings);
    fputs("</tbody>\n</table>\n", f);
    put_table(f, "How the data was packed");
    put_lines(f, info->packed_with);
    fputs("</tbody>\n</table>\n</section>\n", f);
}
