#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tensorboard.bin: the events of the log that tests/trainer/test_runlog.c writes, by the tensorboard package's
own protobuf classes and record writer. Made with tensorboard 2.21.0, protobuf 7.36.2.

usage: make_tensorboard_golden.py >tensorboard.bin
"""
import sys

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

TIME, STEP = 1764460800.125, 120


def write(out, **fields):
    RecordWriter(out).write(event_pb2.Event(wall_time=TIME, **fields).SerializeToString(deterministic=True))


def scalars(out, values):
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=t, simple_value=v) for t, v in values])
    write(out, step=STEP, summary=summary)


out = sys.stdout.buffer
rest = [("lr", 0.01), ("img_per_s", 812.0), ("data_wait", 0.03)]
write(out, file_version="brain.Event:2")
both = [("loss", 3.4125), ("acc", 0.125)] + rest
scalars(out, [("train/" + k, v) for k, v in both])
scalars(out, [("epoch/" + k, v) for k, v in both] + [("verify/eer", 0.0625), ("verify/auc", 0.975)])
scalars(out, [("epoch/" + k, v) for k, v in rest] + [("verify/auc", 0.975)])
