/* SPDX-License-Identifier: MIT */
#include "trainer/run/end_note.h"

#include "common/err.h"
#include "common/fs.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fv__end_note_remove(const char *folder)
{
    char *path = fv_format("%s/end.json", folder);
    if (!path)
        return fv_err(FV_ENOMEM, "out of memory");
    const int rc =
        unlink(path) < 0 && errno != ENOENT ? fv_err_errno(FV_EIO, "%s: cannot remove", path) : 0;
    free(path);
    return rc;
}

void fv__end_note_write(const char *folder, int rc)
{
    char why[FV_ERR_TEXT_MAX];
    fv_err_save(why);
    json_t *o = json_object();
    json_object_set_new(o, "state",
                        json_string(rc == FV_EINTR ? "stopped"
                                    : rc < 0       ? "failed"
                                                   : "done"));
    if (rc < 0 && rc != FV_EINTR) /* a sentence that names a file may be no UTF-8 */
        json_object_set_new(o, "why", json_string(why));
    char *text = json_dumps(o, 0), *path = fv_format("%s/end.json", folder);
    char *line = text ? fv_format("%s\n", text) : NULL;
    if (line && path)
        fv_file_write(path, line, strlen(line));
    json_decref(o);
    free(text);
    free(line);
    free(path);
    fv_err_restore(rc, why);
}
