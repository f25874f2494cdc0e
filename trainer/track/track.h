/* SPDX-License-Identifier: MIT */
/* The log of a run in the forms that other programs read, beside it in the run folder: one row of fv_track_forms each.
 *
 * Each is a function of the lines of log.jsonl alone and grows as the log does. A resumed run makes it anew from the
 * lines that the log has kept: what is in the file already stays, and what lies behind goes. So a form needs no reader
 * of its own and no place in the checkpoint, and a run that was resumed leaves the file of one that was not, but for
 * the time of day and the speed.
 */
#ifndef FV_TRAINER_TRACK_H
#define FV_TRAINER_TRACK_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

struct fv_track_form {
    const char *file;
    /* Writes what a line adds, and says whether that is anything. `first` is the first line that added something, NULL
     * before it. A line has an integer "step" of at least 0; nothing else of it is known. */
    int (*write)(FILE *to, const json_t *line, const json_t *first);
};
extern const struct fv_track_form fv_track_csv, fv_track_tensorboard;

struct fv_track;

/* `log` is the path of log.jsonl, with all up to now. Files go into `folder`. */
int fv_track_open(struct fv_track **out, const char *folder, const char *log);
/* One more line of the log, without its newline. */
int fv_track_add(struct fv_track *t, const char *line, size_t n);
void fv_track_close(struct fv_track **t); /* accepts NULL and half-built ones */

#endif
