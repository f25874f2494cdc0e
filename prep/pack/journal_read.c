/* SPDX-License-Identifier: MIT */
/* Reading back what an earlier run wrote: whole into memory, its lines cut in place. */
#include "common/err.h"
#include "common/fs.h"
#include "prep/pack/journal.h"
#include "prep/pack/journal_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { JOURNAL_MAX = 1 << 30, FIELDS_MAX = 5 };

enum word { LINE_REFUSED, LINE_MISNAMED, LINE_OWN, LINE_IMAGES, LINE_WORDS };

struct fv_journal_line {
    enum word word;
    uint64_t number; /* of the photo; of images */
    const char *a, *b;
};

/* Cuts the line at p into fields and returns how many; 0 for a line without an end or with too many. *next is the line
 * behind it. */
static int cut(char *p, char **field, char **next)
{
    char *end = strchr(p, '\n');
    int n = 0;
    *next = end ? end + 1 : p;
    if (!end)
        return 0;
    *end = 0;
    for (char *tab = p; p; p = tab ? tab + 1 : NULL) {
        if (n == FIELDS_MAX)
            return 0;
        field[n++] = p;
        if ((tab = strchr(p, '\t')))
            *tab = 0;
    }
    return n;
}

static int number_of(const char *text, int base, uint64_t *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strspn(text, base == 10 ? "0123456789" : digits);
    *out = strtoull(text, NULL, base);
    return n > 0 && n < 20 && text[n] == 0;
}

/* --- the head ------------------------------------------------------------------------------------- */

static int add_setting(struct fv_earlier *e, const char *text)
{
    const char **grown = realloc(e->setting, (e->settings + 1) * sizeof *grown);
    if (!grown)
        return fv_err(FV_ENOMEM, "out of memory for a journal");
    e->setting = grown;
    e->setting[e->settings++] = text;
    return 1;
}

static int add_held(struct fv_earlier *e, uint64_t identity)
{
    if ((e->helds & (e->helds - 1)) == 0) { /* full at each power of two */
        uint64_t *grown = realloc(e->held, (e->helds ? 2 * e->helds : 1) * sizeof *grown);
        if (!grown)
            return fv_err(FV_ENOMEM, "out of memory for a journal");
        e->held = grown;
    }
    e->held[e->helds++] = identity;
    return 1;
}

static int take_photos(struct fv_earlier *e, char **field)
{
    return number_of(field[1], 10, &e->photos) && number_of(field[2], 10, &e->identities) &&
           number_of(field[3], 16, &e->names) && number_of(field[4], 16, &e->stamps);
}

/* 1, 0 for a line that makes no sense, or a negative code. */
static int take_head_line(struct fv_earlier *e, char **field, int n)
{
    uint64_t identity;
    if (n == 2 && strcmp(field[0], SETTING) == 0)
        return add_setting(e, field[1]);
    if (n == 5 && strcmp(field[0], PHOTOS) == 0)
        return take_photos(e, field);
    if (n == 2 && strcmp(field[0], HELD) == 0 && number_of(field[1], 10, &identity))
        return add_held(e, identity);
    return 0;
}

/* *p goes to the line behind the head. */
static int take_head(struct fv_earlier *e, char **p)
{
    char *field[FIELDS_MAX];
    int n = cut(*p, field, p), rc = n == 1 && strcmp(field[0], MAGIC) == 0;
    while (rc == 1) {
        n = cut(*p, field, p);
        if (n == 1 && strcmp(field[0], BEGIN) == 0)
            return 1;
        rc = n ? take_head_line(e, field, n) : 0;
    }
    return rc;
}

/* --- what became of the photos -------------------------------------------------------------------- */

static int take_line(struct fv_journal_line *to, char **field, int n, uint64_t photos)
{
    static const struct {
        const char *text;
        int fields;
    } words[] = {[LINE_REFUSED] = {REFUSED, 4},
                 [LINE_MISNAMED] = {MISNAMED, 3},
                 [LINE_OWN] = {OWN, 3},
                 [LINE_IMAGES] = {IMAGES, 2}};
    for (int i = 0; i < LINE_WORDS; i++) {
        if (n != words[i].fields || strcmp(field[0], words[i].text) != 0)
            continue;
        *to = (struct fv_journal_line){
            .word = (enum word)i, .a = n > 2 ? field[2] : "", .b = n > 3 ? field[3] : ""};
        return number_of(field[1], 10, &to->number) && to->number <= photos &&
               (i != LINE_REFUSED || fv__reject_of_code(to->a) != FV_REJECT_NONE) &&
               (i != LINE_MISNAMED || fv__format_called(to->a) != NULL);
    }
    return 0;
}

static int take_lines(struct fv_earlier *e, char *p)
{
    char *field[FIELDS_MAX];
    size_t room = 0;
    uint64_t least[LINE_WORDS] = {0}, photo = 0; /* nothing is told twice, or late */
    for (int n; (n = cut(p, field, &p)) > 0;) {
        struct fv_journal_line line;
        if (!take_line(&line, field, n, e->photos) || line.number < least[line.word] ||
            (line.word != LINE_IMAGES && line.number < photo))
            return 0;
        least[line.word] = line.number + (line.word != LINE_IMAGES);
        if (line.word != LINE_IMAGES)
            photo = line.number;
        if (e->lines == room) {
            room = room ? 2 * room : 64;
            struct fv_journal_line *grown = realloc(e->line, room * sizeof *grown);
            if (!grown)
                return fv_err(FV_ENOMEM, "out of memory for a journal");
            e->line = grown;
        }
        e->line[e->lines++] = line;
    }
    return 0;
}

int fv__earlier_read(struct fv_earlier *e, const char *path)
{
    size_t n;
    *e = (struct fv_earlier){0};
    FV_TRY(fv_file_read(path, JOURNAL_MAX, &e->text, &n));
    char *p = e->text;
    int rc = take_head(e, &p);
    if (rc == 1)
        rc = take_lines(e, p);
    else if (rc == 0)
        rc = fv_err(FV_ENOTFOUND, "%s: its journal is damaged, or of another version", path);
    if (rc < 0)
        fv__earlier_free(e);
    return rc;
}

void fv__earlier_free(struct fv_earlier *e)
{
    free(e->text);
    free(e->setting);
    free(e->held);
    free(e->line);
    *e = (struct fv_earlier){0};
}

/* --- comparing ------------------------------------------------------------------------------------ */

/* Whether `lines` has this one; NULL, or the line that begins alike up to its " = ". */
static int has_line(const char *lines, const char *line, const char **like)
{
    size_t n = strlen(line), name = strcspn(line, "=");
    *like = NULL;
    for (const char *p = lines; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t here = strcspn(p, "\n");
        if (here == n && memcmp(p, line, n) == 0)
            return 1;
        if (here > name && memcmp(p, line, name + 1) == 0)
            *like = p;
    }
    return 0;
}

int fv__earlier_has_settings(const struct fv_earlier *e, const char *settings)
{
    size_t lines = 0;
    char *all = fv_format(PROGRAM "\n%s", settings);
    const char *like = NULL;
    int same = all != NULL;
    if (!all)
        fv_err(FV_ENOMEM, "out of memory for the settings");
    for (size_t i = 0; same && i < e->settings; i++) {
        if (has_line(all, e->setting[i], &like))
            continue;
        same = 0;
        if (like)
            fv_err(FV_ENOTFOUND, "it was begun with '%s', not '%.*s'", e->setting[i],
                   (int)strcspn(like, "\n"), like);
        else
            fv_err(FV_ENOTFOUND, "it was begun with '%s'", e->setting[i]);
    }
    for (const char *p = all; same && *p; p++)
        lines += *p == '\n';
    if (same && lines != e->settings) {
        same = 0;
        fv_err(FV_ENOTFOUND, "it was begun with fewer settings");
    }
    free(all);
    return same;
}

int fv__earlier_has_photos(const struct fv_earlier *e, const struct fv_journal_head *now)
{
    if (e->photos != now->photos || e->identities != now->identities)
        fv_err(FV_ENOTFOUND,
               "there were %" PRIu64 " photos of %" PRIu64
               " identities when it was begun, now there are %" PRIu64 " of %" PRIu64,
               e->photos, e->identities, now->photos, now->identities);
    else if (e->names != now->names)
        fv_err(FV_ENOTFOUND, "photos have other names, labels or faces than when it was begun");
    else if (e->stamps != now->stamps)
        fv_err(FV_ENOTFOUND, "photos were changed since it was begun");
    else
        return 1;
    return 0;
}

void fv__earlier_held(const struct fv_earlier *e, uint8_t *held, size_t n)
{
    memset(held, 0, n);
    for (size_t i = 0; i < e->helds; i++)
        if (e->held[i] < n)
            held[e->held[i]] = 1;
}

uint64_t fv__earlier_photos_of(const struct fv_earlier *e, uint64_t images)
{
    uint64_t photos = images;
    for (size_t i = 0; i < e->lines; i++) {
        const struct fv_journal_line *l = &e->line[i];
        if (l->word == LINE_IMAGES && l->number == images)
            return photos <= e->photos ? photos : 0;
        if (l->word == LINE_REFUSED && l->number < photos)
            photos++;
    }
    return 0;
}

/* --- going through -------------------------------------------------------------------------------- */

void fv__earlier_fate(struct fv_earlier *e, size_t photo, struct fv_pipe_item *item)
{
    *item = (struct fv_pipe_item){0};
    for (; e->next < e->lines; e->next++) {
        const struct fv_journal_line *l = &e->line[e->next];
        if (l->word == LINE_IMAGES)
            continue;
        if (l->number > photo)
            break;
        if (l->word == LINE_OWN)
            e->own = l->a[0] == '1';
        else if (l->word == LINE_REFUSED)
            item->refused = fv__refuse(&item->why, fv__reject_of_code(l->a), "%s", l->b);
        else
            item->unlike = fv__format_called(l->a);
    }
    item->kept = !item->refused && e->own;
}
