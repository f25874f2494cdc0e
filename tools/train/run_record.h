/* SPDX-License-Identifier: MIT */
/* What a run folder says of its run: settings.txt, log.jsonl, end.json, and who holds the folder's lock. Any of them
 * may be missing, half-written or made by something else: what can be read is taken, the rest is left out. */
#ifndef FV_TOOLS_RUN_RECORD_H
#define FV_TOOLS_RUN_RECORD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of a line of the log, by their names there. */
enum run_number {
    RUN_LOSS,
    RUN_ACC,
    RUN_LR,
    RUN_IMG_PER_S,
    RUN_DATA_WAIT,
    RUN_VAL_LOSS,
    RUN_VAL_ACC,
    RUN_EER,
    RUN_AUC,
    RUN_NUMBERS
};

struct run_line {
    uint64_t step, epoch;
    double time_s;              /* NAN: not said */
    double number[RUN_NUMBERS]; /* NAN: not measured */
};

struct run_lines {
    struct run_line *line;
    size_t n, room;
};

struct run_record {
    char *folder;
    /* "running", "done", "stopped" (by a signal), "failed", or "killed" when nothing says how it ended */
    const char *state;
    char *why;      /* it failed, for people; may be NULL */
    char *settings; /* "name = value" lines; "" without any */
    struct run_lines steps, epochs;
    uint64_t epochs_wanted; /* 0: not known */
    /* Index of the best epoch, -1 without one: highest val_acc; lowest eer. */
    int best_cls, best_ver;
    double img_per_s; /* the median over epochs, over steps without one; NAN: none */
    double time_s;    /* of the last line; NAN: none */
};

/* FV_ENOTFOUND when there is nothing of a run in this folder. */
int run_record_read(struct run_record *r, const char *folder);
void run_record_free(struct run_record *r); /* accepts a zeroed one */

/* The value of a setting, in fresh memory; NULL if it is not set. */
char *run_record_setting(const struct run_record *r, const char *name);
/* All of it but the lines of the log. */
json_t *run_record_json(const struct run_record *r);

#endif
