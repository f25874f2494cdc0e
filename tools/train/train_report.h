/* SPDX-License-Identifier: MIT */
/* What a run ends with: a page that says how well its best net verifies faces, and how it came to that. */
#ifndef FV_TOOLS_TRAIN_REPORT_H
#define FV_TOOLS_TRAIN_REPORT_H

#include "tools/train/train_sources.h"

/* Scores the verification pairs once more, with best_ver.safetensors of the folder, as the epochs' log does, and writes
 * report.html there. Nothing when there was no verification. */
int train_report_write(const char *folder, const struct train_sources *src,
                       const struct fv_train_settings *s, int64_t batch);

#endif
