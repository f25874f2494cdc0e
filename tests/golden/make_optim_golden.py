#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes optim.txt: what torch.optim makes of 20 steps, for every optimiser and what goes with it. Run by hand:

    python3 tests/golden/make_optim_golden.py tests/golden

Nets, weights and images are those of make_trainer_golden.py, in double; weights, running statistics, the optimiser's
states and the average are rounded to fp32 after each update, as a backend keeps them. The seed is the first for which
no value that a ReLU or a max-pool sees comes near a branch. Decoupled decay for SGD, which torch lacks, is AdamW's
line before SGD's step; "cycle" has torch's OneCycleLR move rate and momentum with each step, the whole number of which
is that of the updates; the average is timm's ModelEmaV2 (an average of the whole state_dict) in torch's lerp form.

A case is a line of settings; for each step "loss"; for each update that clips "norm"; then for each tensor "value",
"first", "second", "ema": name, root mean square, SAMPLES values at (2 j + 1) * count / (2 * SAMPLES).
"""
import sys

import numpy as np
import torch
from torch import nn

import make_trainer_golden as base

base.SAMPLES = 8
STEPS, CLASSES, BATCH = 20, 5, 6
USUAL = dict(kind="sgd", lr=0.05, momentum=0.0, nesterov=0, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0, decoupled=0,
             clip=0.0, parts=1, ema=0.0, decay_all=1, lr_of="-", freeze="-", cycle="-")
TRAINED = dict(momentum=0.9, decay=5e-4)
CASES = [
    ("tiny", dict()),
    ("tiny", dict(**TRAINED)),
    ("grouped", dict(**TRAINED, nesterov=1, decay_all=0)),
    ("tiny", dict(**TRAINED, decoupled=1)),
    ("tiny", dict(kind="adam", lr=1e-3)),
    ("grouped", dict(kind="adam", lr=1e-3, beta1=0.8, beta2=0.99, decay=0.01, eps=1e-6)),
    ("tiny", dict(kind="adamw", lr=1e-3, decay=0.05)),
    ("grouped", dict(kind="adamw", lr=2e-3, decay=0.1, decay_all=0, ema=0.9)),
    ("tiny", dict(**TRAINED, clip=0.5)),
    ("grouped", dict(kind="adamw", lr=1e-3, clip=0.3, decay=0.05)),
    ("tiny", dict(**TRAINED, parts=4, clip=0.5)),
    ("grouped", dict(kind="adam", lr=1e-3, parts=5, ema=0.8)),
    ("tiny", dict(**TRAINED, lr_of="fc=3,layer1=0.5,layer1.0.conv2=0.25", freeze="conv1,bn1,layer2.0.bn1.weight")),
    ("grouped", dict(kind="adamw", lr=1e-3, decay=0.05, lr_of="fc=10", freeze="conv2,bn2", ema=0.9, clip=0.5)),
    ("tiny", dict(**TRAINED, ema=0.95, nesterov=1)),
    ("tiny", dict(**TRAINED, cycle="0.85,0.95")),
    ("grouped", dict(kind="adamw", lr=1e-3, decay=0.05, cycle="0.8,0.92")),
]


def fits(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def factor(name, s):
    if s["freeze"] != "-" and any(fits(name, f) for f in s["freeze"].split(",")):
        return 0.0
    best, f = -1, 1.0
    for entry in s["lr_of"].split(",") if s["lr_of"] != "-" else []:
        prefix, value = entry.split("=")
        if fits(name, prefix) and len(prefix) > best:
            best, f = len(prefix), float(value)
    return f


def round_all(values):
    with torch.no_grad():
        for v in values:
            v.copy_(v.float().double())


def make_optimiser(net, s):
    groups = []
    for name, p in net.named_parameters():
        f = factor(name, s)
        p.requires_grad_(f > 0)
        no_decay = p.ndim == 1 and not s["decay_all"]
        if f > 0:
            groups.append(dict(params=[p], lr=s["lr"] * f, weight_decay=0.0 if no_decay else s["decay"]))
    if s["kind"] == "sgd":
        if s["decoupled"]:
            for g in groups:
                g["shrink"], g["weight_decay"] = 1 - g["lr"] * g["weight_decay"], 0.0
        return torch.optim.SGD(groups, lr=s["lr"], momentum=s["momentum"], nesterov=bool(s["nesterov"]))
    make = torch.optim.AdamW if s["kind"] == "adamw" else torch.optim.Adam
    return make(groups, lr=s["lr"], betas=(s["beta1"], s["beta2"]), eps=s["eps"])


def freeze_norms(net):
    net.train()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d) and not m.weight.requires_grad and not m.bias.requires_grad:
            m.eval()


def update(net, optim, s, out):
    trained = [p for p in net.parameters() if p.requires_grad]
    if s["clip"]:
        out.append(f"norm {nn.utils.clip_grad_norm_(trained, s['clip']).item():.12e}")
    with torch.no_grad():
        for g in optim.param_groups:
            g["params"][0].mul_(g.get("shrink", 1.0))
    optim.step()
    optim.zero_grad()
    for p in trained:
        round_all(v for k, v in optim.state[p].items() if torch.is_tensor(v) and v.ndim)


def run(number, net_name, s, seed):
    size = 16 if net_name == "tiny" else 15
    net = (base.Tiny if net_name == "tiny" else base.Grouped)(CLASSES).double()
    for i, (key, v) in enumerate(base.tensors(net)):
        v.copy_(base.initial(key, tuple(v.shape), seed, i))
    for m in net.modules():
        if isinstance(m, nn.ReLU):
            m.inplace = False
            m.register_forward_hook(base.check_relu)
        elif isinstance(m, nn.MaxPool2d):
            m.register_forward_hook(base.check_maxpool)
    optim = make_optimiser(net, s)
    freeze_norms(net)
    cycle = None
    if s["cycle"] != "-":
        low, high = map(float, s["cycle"].split(","))
        cycle = torch.optim.lr_scheduler.OneCycleLR(optim, s["lr"], total_steps=STEPS, base_momentum=low,
                                                    max_momentum=high)
    ema = {k: v.clone() for k, v in base.tensors(net)}
    label = torch.tensor([(3 * i) % CLASSES for i in range(BATCH)])
    out = [" ".join(["case", str(number), net_name, str(seed), str(size), str(CLASSES), str(BATCH), str(STEPS)]
                    + [str(s[k]) for k in USUAL])]
    for step in range(STEPS):
        loss = nn.functional.cross_entropy(net(base.images(seed, step, BATCH, size)), label)
        (loss / s["parts"]).backward()
        out.append(f"loss {loss.item():.12e}")
        if (step + 1) % s["parts"] == 0:
            update(net, optim, s, out)
            if cycle and step + 1 < STEPS:
                cycle.step()
            round_all(v for _, v in base.tensors(net))
            if s["ema"]:
                for k, v in base.tensors(net):
                    ema[k] += (1 - s["ema"]) * (v.detach() - ema[k])
                round_all(ema.values())
        else:
            round_all(v for _, v in base.tensors(net))
    out += [base.row("value", k, v) for k, v in base.tensors(net)]
    names = dict(sgd=["momentum_buffer"], adam=["exp_avg", "exp_avg_sq"], adamw=["exp_avg", "exp_avg_sq"])[s["kind"]]
    for which, key in zip(["first", "second"], names):
        for k, p in net.named_parameters():
            if p.requires_grad and optim.state[p].get(key) is not None:
                out.append(base.row(which, k, optim.state[p][key]))
    if s["ema"]:
        out += [base.row("ema", k, v) for k, v in ema.items()]
    return out + ["end"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with open(f"{sys.argv[1]}/optim.txt", "w") as f:
        print(f"# torch {torch.__version__}, numpy {np.__version__}", file=f)
        for number, (net_name, settings) in enumerate(CASES):
            for seed in range(1, 2000):
                try:
                    lines = run(number, net_name, {**USUAL, **settings}, seed)
                    break
                except base.TooClose:
                    continue
            print(*lines, sep="\n", file=f)
            print(number, net_name, settings, "seed", seed, flush=True)
