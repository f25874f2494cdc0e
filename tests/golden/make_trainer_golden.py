#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes trainer_*.txt: what PyTorch makes of small training runs, and resnet18's state_dict. Run by hand:

    python3 tests/golden/make_trainer_golden.py tests/golden [CASE...]

Weights and images come from an integer hash that test_golden.c repeats. PyTorch computes in double, and
everything that a backend keeps in fp32 between steps is rounded to fp32 after each one, so the numbers are
exact to about 1e-7. The seed of the hash is the first for which no value that a ReLU sees lies within MARGIN
of zero, and no window's two largest values within MARGIN of each other: a backend in fp32 then takes the same
branches, and what differs is rounding alone.

A case is: "case name seed size classes batch steps"; for each step "loss", "correct", "logits"; after the
last "embedding" and "logits" of inference; and for each tensor "grad" of the first step and "value" after the
last: name, root mean square over the tensor, SAMPLES values at (2 j + 1) * count / (2 * SAMPLES).
"""
import sys

import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

SAMPLES = 32
MARGIN = 4e-6
LR, MOMENTUM, DECAY = np.float32(0.05), np.float32(0.9), np.float32(5e-4)


def unit(seed, stream, count):
    """count numbers in [-1, 1), multiples of 2^-23."""
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x ^= np.uint32((stream * 0x85EBCA6B + seed * 0xC2B2AE35) & 0xFFFFFFFF)
        for _ in range(2):
            x ^= x >> np.uint32(16)
            x *= np.uint32(0x7FEB352D)
            x ^= x >> np.uint32(15)
            x *= np.uint32(0x846CA68B)
            x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float64) * 2.0**-23 - 1.0


def initial(name, shape, seed, index):
    u = unit(seed, index, int(np.prod(shape)))
    if name.endswith("running_mean") or name.endswith("bias"):
        u = 0.1 * u
    elif len(shape) == 1:
        u = 1.0 + 0.2 * u
    elif len(shape) == 2:
        u = u * np.sqrt(3.0 / shape[1])
    else:
        u = u * np.sqrt(6.0 / (shape[1] * shape[2] * shape[3]))
    return torch.from_numpy(u.astype(np.float32).astype(np.float64).reshape(shape))


def images(seed, step, batch, size):
    u = unit(seed, 1000 + step, batch * size * size * 3)
    u8 = np.floor((u + 1.0) * 128.0).reshape(batch, size, size, 3)
    return (torch.from_numpy(u8).permute(0, 3, 1, 2).contiguous() / 255.0 - 0.5) / 0.25


class Tiny(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8))
        down = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2, down))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.avgpool(self.layer2(self.layer1(x))).flatten(1))


class Grouped(nn.Module):
    """What the residual nets lack: groups, depthwise, biases, odd windows, uneven strides, no padding."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, 2, 1, groups=3)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(12, 12, 5, 1, 2, groups=12, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.maxpool = nn.MaxPool2d(2, 1, 0)
        self.conv3 = nn.Conv2d(12, 8, 4, 3, 0, groups=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, classes, bias=False)

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.maxpool(self.relu(self.bn2(self.conv2(x))))
        return self.fc(self.avgpool(self.conv3(x)).flatten(1))


def resnet18(classes, stride):
    net = torchvision.models.resnet18(num_classes=classes)
    if stride:
        net.conv1 = nn.Conv2d(3, 64, 3, stride, 1, bias=False)
        net.maxpool = nn.Identity()
    return net


def tensors(net):
    return [(k, v) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")]


class TooClose(Exception):
    pass


def check_relu(_, inputs, __):
    if inputs[0].abs().min() < MARGIN:
        raise TooClose


def check_maxpool(module, inputs, _):
    x = nn.functional.pad(inputs[0], (module.padding,) * 4, value=-1.0)
    windows = x.unfold(2, module.kernel_size, module.stride).unfold(3, module.kernel_size, module.stride)
    two = windows.flatten(4).topk(2).values
    # Ties at zero are exact: both come out of a ReLU, and nothing flows back through it.
    if ((two[..., 0] - two[..., 1] < MARGIN) & (two[..., 0] > 0)).any():
        raise TooClose


def row(kind, name, t):
    t = t.detach().double().flatten()
    at = [(2 * j + 1) * t.numel() // (2 * SAMPLES) for j in range(SAMPLES)]
    return f"{kind} {name} {t.square().mean().sqrt():.9e} " + " ".join(f"{t[i]:.8e}" for i in at)


def numbers(kind, t):
    return kind + " " + " ".join(f"{v:.9e}" for v in t.detach().flatten().tolist())


def round_state(net, optim):
    with torch.no_grad():
        for _, v in tensors(net):
            v.copy_(v.float().double())
        for s in optim.state.values():
            s["momentum_buffer"].copy_(s["momentum_buffer"].float().double())


def run(name, make, seed, size, classes, batch, steps):
    net = make(classes).double()
    for i, (key, v) in enumerate(tensors(net)):
        v.copy_(initial(key, tuple(v.shape), seed, i))
    for m in net.modules():
        if isinstance(m, nn.ReLU):
            m.inplace = False
            m.register_forward_hook(check_relu)
        elif isinstance(m, nn.MaxPool2d):
            m.register_forward_hook(check_maxpool)
    optim = torch.optim.SGD(net.parameters(), lr=float(LR), momentum=float(MOMENTUM), weight_decay=float(DECAY))
    lam = torch.tensor([1.0, 0.25, 0.625, 1.0] * 2, dtype=torch.float64)[:batch, None]
    one = torch.tensor([(3 * i) % classes for i in range(batch)])
    two = torch.tensor([(3 * i) % classes if lam[i] == 1 else (i + 1) % classes for i in range(batch)])
    soft = lam * nn.functional.one_hot(one, classes) + (1 - lam) * nn.functional.one_hot(two, classes)
    out = [f"case {name} {seed} {size} {classes} {batch} {steps}"]
    grads = []
    for step in range(steps):
        logits = net(images(seed, step, batch, size))
        loss = -(soft * logits.log_softmax(1)).sum(1).mean()
        optim.zero_grad()
        loss.backward()
        guess = logits.argmax(1, keepdim=True)
        correct = soft.gather(1, guess).sum().item()
        out += [f"loss {loss.item():.12e}", f"correct {correct:.9e}", numbers("logits", logits)]
        if step == 0:
            grads = [row("grad", k, p.grad) for k, p in net.named_parameters()]
        optim.step()
        round_state(net, optim)
    net.eval()
    kept = {}
    net.avgpool.register_forward_hook(lambda m, i, o: kept.update(e=o.flatten(1)))
    logits = net(images(seed, steps, batch, size))
    out += [numbers("embedding", kept["e"]), numbers("logits", logits)]
    return out + grads + [row("value", k, v) for k, v in tensors(net)]


CASES = [
    ("tiny", Tiny, 16, 5, 6, 3),
    ("grouped", Grouped, 15, 7, 5, 3),
    ("resnet18-3x3", lambda c: resnet18(c, 1), 16, 10, 4, 2),
    ("resnet18-7x7", lambda c: resnet18(c, 0), 64, 10, 4, 2),
]

if __name__ == "__main__":
    torch.set_num_threads(2)
    folder = sys.argv[1]
    versions = f"# torch {torch.__version__}, torchvision {torchvision.__version__}"
    with open(f"{folder}/trainer_resnet18_names.txt", "w") as f:
        print(versions, file=f)
        for key, v in torchvision.models.resnet18().state_dict().items():
            print(key, *v.shape, file=f)
    for case in CASES:
        if sys.argv[2:] and case[0] not in sys.argv[2:]:
            continue
        for seed in range(1, 2000):
            try:
                lines = run(case[0], case[1], seed, *case[2:])
                break
            except TooClose:
                continue
        with open(f"{folder}/trainer_{case[0]}.txt", "w") as f:
            print(versions, *lines, sep="\n", file=f)
        print(case[0], "seed", seed, flush=True)
