/* SPDX-License-Identifier: MIT */
/* A run's device (internal to trainer/). */
#ifndef FV_TRAINER_TRAIN_DEVICE_H
#define FV_TRAINER_TRAIN_DEVICE_H

#include "trainer/trainer.h"

#include "common/err.h"

struct fv_train_device {
    const struct fv_backend *backend;
    struct fv_device *device;
    char passed_over[FV_ERR_TEXT_MAX]; /* fv_device_settings */
};

#endif
