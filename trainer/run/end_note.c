/* SPDX-License-Identifier: MIT */
#include "trainer/run/end_note.h"

#include "common/err.h"
#include "common/fs.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 4096 }; /* bytes: a sentence of FV_ERR_TEXT_MAX, all of it escaped, and more */

/* One line, blanks behind it up to `room`. To free; NULL when out of memory. */
static char *make_text(const char *state, const char *why, int room)
{
    json_t *o = json_object();
    json_object_set_new(o, "state", json_string(state));
    if (why) /* a sentence that names a file may be no UTF-8 */
        json_object_set_new(o, "why", json_string(why));
    char *json = json_dumps(o, 0);
    char *text = json ? fv_format("%-*s\n", room > 0 ? room - 1 : 0, json) : NULL;
    json_decref(o);
    free(json);
    return text;
}

/* Over the bytes that are there: no disk is too full for that. */
static void write_over(const char *path, const char *state, const char *why)
{
    char *text = make_text(state, why, ROOM);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (text && fd >= 0 && pwrite(fd, text, ROOM, 0) == ROOM)
        (void)fsync(fd);
    if (fd >= 0)
        close(fd);
    free(text);
}

int fv__end_note_begin(const char *folder)
{
    char *path = fv_format("%s/end.json", folder), *text = make_text("running", NULL, ROOM);
    const int rc =
        path && text ? fv_file_write(path, text, strlen(text)) : fv_err(FV_ENOMEM, "out of memory");
    free(path);
    free(text);
    return rc;
}

void fv__end_note_write(const char *folder, int rc)
{
    char sentence[FV_ERR_TEXT_MAX];
    fv_err_save(sentence);
    const char *state = rc == FV_EINTR ? "stopped" : rc < 0 ? "failed" : "done";
    const char *why = rc < 0 && rc != FV_EINTR ? sentence : NULL;
    char *text = make_text(state, why, 0), *path = fv_format("%s/end.json", folder);
    if (text && path && fv_file_write(path, text, strlen(text)) < 0)
        write_over(path, state, why);
    free(text);
    free(path);
    fv_err_restore(rc, sentence);
}
