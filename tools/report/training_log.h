/* SPDX-License-Identifier: MIT */
/* A run's log as the learning curves of a report. */
#ifndef FV_TOOLS_REPORT_TRAINING_LOG_H
#define FV_TOOLS_REPORT_TRAINING_LOG_H

#include <stdio.h>

/* A section of the page from a log.jsonl (trainer/run/runlog.h); nothing when it holds fewer than two epochs. Lines
 * that are no JSON are passed over. */
int training_log_write(FILE *f, const char *path);

#endif
