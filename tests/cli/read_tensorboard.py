#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the events of a run folder with the tensorboard package and compares every scalar with log.jsonl.
Prints the tags; exit status 77 without that package.

usage: read_tensorboard.py RUN
"""
import json
import os
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    sys.exit(77)

run = sys.argv[1]
events = EventAccumulator(run, size_guidance={"scalars": 0})
events.Reload()
seen = {(tag, e.step, round(e.wall_time, 3)): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}
place = {"val_loss": "val/loss", "val_acc": "val/acc", "eer": "verify/eer", "auc": "verify/auc"}
for line in map(json.loads, open(os.path.join(run, "log.jsonl"), encoding="utf-8")):
    step, time, epoch = line["step"], line["time"], line["type"] == "epoch"
    for key, value in line.items():
        if key in ("type", "step", "epoch", "time"):
            continue
        tag = place.get(key, "epoch/" + key) if epoch else "train/" + key
        got = seen.pop((tag, step, time), None)
        if got is None or abs(got - value) > 1e-6 * abs(value):
            sys.exit(f"{tag} at step {step}: TensorBoard reads {got}, the log has {value}")
if seen:
    sys.exit(f"TensorBoard reads what the log lacks: {seen}")
print(" ".join(sorted(events.Tags()["scalars"])))
