#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes schedule.txt: learning rates of torch.optim.lr_scheduler, and of InsightFace's PolynomialLRWarmup, whose
source is repeated here (deepinsight/insightface, recognition/arcface_torch/lr_scheduler.py). Run by hand:

    python3 tests/golden/make_schedule_golden.py tests/golden

A case is a line of settings, then a line for each step on which a rate is compared: step, rate, and of a case whose
momentum moves that momentum, which is SGD's, or of "adam" beta1. Schedulers step once
a step or once an epoch; warm-ups of other schedules than the polynomial one are torch's LinearLR in SequentialLR.
"""
import sys
import warnings

import torch
from torch.optim import lr_scheduler as ls

STEPS_PER_EPOCH = 7


class PolynomialLRWarmup(ls._LRScheduler):
    def __init__(self, optimizer, warmup_iters, total_iters=5, power=1.0, last_epoch=-1, verbose=False):
        super().__init__(optimizer, last_epoch=last_epoch, verbose=verbose)
        self.total_iters = total_iters
        self.power = power
        self.warmup_iters = warmup_iters

    def get_lr(self):
        if self.last_epoch == 0 or self.last_epoch > self.total_iters:
            return [group["lr"] for group in self.optimizer.param_groups]
        if self.last_epoch <= self.warmup_iters:
            return [base_lr * self.last_epoch / self.warmup_iters for base_lr in self.base_lrs]
        el = self.last_epoch
        w = self.warmup_iters
        t = self.total_iters
        decay_factor = ((1.0 - (el - w) / (t - w)) / (1.0 - (el - 1 - w) / (t - w))) ** self.power
        return [group["lr"] * decay_factor for group in self.optimizer.param_groups]


USUAL = dict(name="", lr=0.1, eta_min=0.0, epochs=12, warmup=0, by_epoch=0, t0=1, t_mult=1, milestones="-", gamma=0.1,
             power=1.0, pct=0.3, div=25.0, final_div=1e4, low=0.0, high=0.0, optim="sgd")
CASES = [
    dict(name="constant"),
    dict(name="cosine", eta_min=1e-5),
    dict(name="cosine", eta_min=1e-5, by_epoch=1),
    dict(name="cosine", lr=0.02, eta_min=1e-4, warmup=2),
    dict(name="cosine-restarts", t0=3, t_mult=2, eta_min=1e-5, epochs=25, by_epoch=1),
    dict(name="cosine-restarts", t0=3, t_mult=2, eta_min=1e-5, epochs=25),
    dict(name="cosine-restarts", t0=4, t_mult=1, lr=0.3, epochs=13),
    dict(name="step", milestones="2,5,9", gamma=0.1, by_epoch=1),
    dict(name="step", milestones="2,5,9", gamma=0.3),
    dict(name="step", milestones="4,5", gamma=0.5, warmup=1),
    dict(name="polynomial"),
    dict(name="polynomial", warmup=2),
    dict(name="polynomial", warmup=2, power=2.0, lr=0.02),
    dict(name="polynomial", by_epoch=1, power=0.9),
    dict(name="one-cycle"),
    dict(name="one-cycle", pct=0.45, div=10.0, final_div=100.0, lr=0.02, epochs=9),
    dict(name="one-cycle", by_epoch=1),
    dict(name="one-cycle", low=0.85, high=0.95),
    dict(name="one-cycle", low=0.8, high=0.9, pct=0.45, epochs=9, by_epoch=1, optim="adam"),
]


def scheduler(optim, s, unit):
    """unit: calls of step() an epoch."""
    total, warm = s["epochs"] * unit, s["warmup"] * unit
    if s["name"] == "polynomial":
        return PolynomialLRWarmup(optim, warm, total, s["power"])
    if s["name"] == "one-cycle":
        return ls.OneCycleLR(optim, max_lr=s["lr"], total_steps=total, pct_start=s["pct"], div_factor=s["div"],
                             final_div_factor=s["final_div"], cycle_momentum=s["high"] > 0, base_momentum=s["low"],
                             max_momentum=s["high"])
    marks = [int(m) * unit - warm for m in s["milestones"].split(",")] if s["milestones"] != "-" else []
    make = {
        "constant": lambda: ls.LambdaLR(optim, lambda _: 1.0),
        "cosine": lambda: ls.CosineAnnealingLR(optim, total - warm, s["eta_min"]),
        "cosine-restarts": lambda: ls.CosineAnnealingWarmRestarts(optim, s["t0"] * unit, s["t_mult"], s["eta_min"]),
        "step": lambda: ls.MultiStepLR(optim, marks, s["gamma"]),
    }[s["name"]]
    return make()


def rates(s):
    unit = 1 if s["by_epoch"] else STEPS_PER_EPOCH
    if s["name"] in ("polynomial", "one-cycle") or not s["warmup"]:
        make = torch.optim.SGD if s["optim"] == "sgd" else torch.optim.Adam
        optim = make([torch.nn.Parameter(torch.zeros(1))], lr=s["lr"])
        return torch_rates(optim, scheduler(optim, s, unit), s, 0)
    # The line of the warm-up by LinearLR, then the schedule from its own beginning.
    warm = s["warmup"] * STEPS_PER_EPOCH
    optim = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=s["lr"])
    line = ls.LinearLR(optim, 1 / warm, 1.0, warm - 1)
    out = []
    for step in range(warm):
        out.append((step, optim.param_groups[0]["lr"]))
        optim.step()
        line.step()
    optim = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=s["lr"])
    return out + torch_rates(optim, scheduler(optim, s, unit), s, warm)


def torch_rates(optim, sched, s, first):
    out = []
    for step in range(first, s["epochs"] * STEPS_PER_EPOCH):
        # The chained form of InsightFace's class has the full rate at its first step, before the warm-up begins.
        if not (s["name"] == "polynomial" and s["warmup"] and step == 0):
            group = optim.param_groups[0]
            momentum = group["momentum"] if s["optim"] == "sgd" else group["betas"][0]
            out.append((step, group["lr"], momentum) if s["high"] else (step, group["lr"]))
        optim.step()
        if not s["by_epoch"] or (step + 1) % STEPS_PER_EPOCH == 0:
            if step + 1 < s["epochs"] * STEPS_PER_EPOCH:
                sched.step()
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with open(f"{sys.argv[1]}/schedule.txt", "w") as f:
        print(f"# torch {torch.__version__}", file=f)
        for case in CASES:
            s = {**USUAL, **case}
            rows = rates(s)
            print("case", *s.values(), STEPS_PER_EPOCH, len(rows), file=f)
            for step, *values in rows:
                print(step, *(f"{v:.17g}" for v in values), file=f)
