/* SPDX-License-Identifier: MIT */
/* A run while it is open (internal to trainer/): train_choose.c makes of the options what train_open.c builds it up by,
 * train.c goes round, train_epoch.c ends an epoch, train_meter.c says how it goes. */
#ifndef FV_TRAINER_TRAIN_RUN_H
#define FV_TRAINER_TRAIN_RUN_H

#include "trainer/run/diagnose.h"
#include "trainer/run/loss_watch.h"
#include "trainer/run/measure.h"
#include "trainer/run/runlog.h"
#include "trainer/run/schedule.h"
#include "trainer/run/snapshot.h"
#include "trainer/trainer.h"

/* Sums since a moment. */
struct fv_meter {
    uint64_t since_ns, waited_ns; /* the moment, and what the source had waited until then */
    uint64_t images, steps;
    uint64_t finite_images; /* those of steps with a finite loss, and their sums */
    double loss_sum, correct_sum;
    struct fv_term_sums terms;
};

struct fv_run {
    const struct fv_train_settings *s;
    const struct fv_train_data *d;
    const char *folder;
    const struct fv_report *report;
    struct fv_report fleeting; /* the same, for what an epoch's line is the end of */
    int lock;                  /* descriptor of the folder, locked: one process trains in it */

    const struct fv_schedule *schedule;
    struct fv_schedule_settings course;
    struct fv_optim optim; /* all but what changes with the step */
    float *lr_factor, *decay_factor;
    const struct fv_measure *watched; /* by --patience */
    struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_train_device *own; /* where the data came without one */
    struct fv_program *program;
    char *backend_info;
    uint64_t resident_before; /* bytes of the process before the net was built */

    struct fv_snapshot snap; /* snap.at says how far training is */
    struct fv_runlog *log;
    int pending;            /* steps given to the backend, their results not yet read */
    int late;               /* there may be two of them */
    unsigned wanted;        /* by any rank: bits of enum fv__want (ranks.h) */
    double lr;              /* of the last step */
    struct fv_meter window; /* since the last line of the log */
    struct fv_meter epoch;  /* since the epoch began or was resumed */
    struct fv_stuck stuck;
    struct fv_loss_watch watch;
    uint64_t first_ns, first_steps, saved_ns;
    uint64_t told_ns; /* when the other ranks were told last that this one is at work */
    uint64_t began_ns, began_step;  /* of the loop, in this process */
    int saves;                      /* "last" was there before, or was written so often */
    int estimated;                  /* how long it will take has been said */
    int said_validation, said_wait; /* traps that show after an epoch: once each */

    float *emb; /* verification: embeddings, scores and truth */
    double *score;
    uint8_t *same;
};

/* On failure everything is closed again. Closing twice does nothing. */
int fv__run_open(struct fv_run *run, const struct fv_train_settings *s,
                 const struct fv_train_data *d, const char *folder, int resume,
                 const struct fv_report *r);
void fv__run_close(struct fv_run *run);

/* train_choose.c. The schedule; what --patience watches; with the net built, the optimiser, then the snapshot. */
int fv__run_choose_schedule(struct fv_run *run);
int fv__run_choose_watched(struct fv_run *run);
int fv__run_choose_optim(struct fv_run *run);
void fv__run_say_optim(const struct fv_run *run); /* and of options that nothing reads */
int fv__run_make_snapshot(struct fv_run *run);

/* train.c. The rate of a step; the net's numbers and states out of the program; "last", of what was fetched. */
extern const char fv__run_remedy[]; /* for a loss that is not finite */
double fv__run_rate(const struct fv_run *run, uint64_t step);
int fv__run_fetch(struct fv_run *run);
int fv__run_save(struct fv_run *run);
/* What came of writing into the folder. A file is replaced whole or not at all, so whatever a full disk does, the last
 * checkpoint is there, and the sentence says so. */
int fv__run_wrote(const struct fv_run *run, int rc);

/* train_memory.c. Says what memory the run takes, and warns if that is more than there is. */
int fv__run_say_memory(const struct fv_run *run);
/* 1, with a sentence, if a process that needs so many bytes will not have them; 0 for a limit that is not known. */
int fv__memory_is_short(uint64_t needed, uint64_t limit, char *text, size_t n);

/* train_epoch.c. Measures, notes what is best, writes it all down. */
int fv__run_finish_epoch(struct fv_run *run);
/* Whether --patience has run out. */
int fv__run_is_over(const struct fv_run *run);

/* train_meter.c */
void fv__meter_start(struct fv_run *run, struct fv_meter *m);
void fv__meter_add(struct fv_meter *m, const struct fv_step_result *r);
double fv__meter_seconds(const struct fv_meter *m);
struct fv_runlog_line fv__meter_line(const struct fv_run *run, const struct fv_meter *m,
                                     double loss_sum, double correct_sum, uint64_t images);
struct fv_runlog_line fv__meter_window(const struct fv_run *run);
/* A finite step's terms into the sums; the means into a line. */
void fv__meter_add_terms(struct fv_term_sums *sums, const struct fv_step_result *r);
void fv__meter_take_terms(const struct fv_run *run, const struct fv_term_sums *sums,
                          struct fv_runlog_line *l);
enum { FV_METER_DURATION = 32 };
const char *fv__meter_duration(char text[FV_METER_DURATION], double seconds);
/* 1, with a sentence, once the steps since run->first_steps, which took so long, tell how long all of it will take: 20
 * of them and 3 seconds, or 30 seconds. */
int fv__meter_estimate(const struct fv_run *run, double seconds, char *text, size_t n);
/* How long the rest will take, evaluation included, by all that this process has done of it. */
double fv__meter_left_s(const struct fv_run *run);
struct fv_report fv__meter_fleeting(const struct fv_report *r);
void fv__meter_say(struct fv_run *run); /* progress, and once how long it will take */

#endif
