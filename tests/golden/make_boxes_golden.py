#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes boxes.txt: the boxes that torchvision's rules make of our random numbers. Run by hand.

RandomResizedCrop.get_params and RandomErasing.get_params are torchvision's own, with their draws replaced by ours
(philox.py). CutMix and MixUp are written out from torchvision's reference recipe (RandomCutmix, RandomMixup).
A line is one case: op, policy, height, width, image (or step), found, y, x, box height, box width, lambda.
"""
import math

import torch
import torchvision
from torchvision.transforms import RandomErasing, RandomResizedCrop

from philox import AUG, BATCH, Stream, replay


def put(op, policy, h, w, sample, found, box, lam=1.0):
    print(op, policy, h, w, sample, found, *box, repr(lam))


def crops(policy, h, w, scale, ratio):
    for image in range(40):
        box = replay(Stream(image, AUG), RandomResizedCrop.get_params, torch.zeros(3, h, w), scale, ratio)
        put("rrc", policy, h, w, image, 1, box)


def erasures(policy, h, w, p, scale, ratio):
    for image in range(40):
        s, picture, box, found = Stream(image, AUG), torch.zeros(3, h, w), (0, 0, 0, 0), 0
        if s.unit() < p:
            *box, v = replay(s, RandomErasing.get_params, picture, scale, ratio, [0.0])
            found = int(v is not picture)
        put("erase", policy, h, w, image, found, box if found else (0, 0, 0, 0))


def mixes(policy, h, w, p):
    for step in range(40):
        s = Stream(step, BATCH)
        if s.unit() >= p:
            put("cutmix", policy, h, w, step, 0, (0, 0, 0, 0))
            continue
        lam, r_x, r_y = s.unit(), s.below(w), s.below(h)
        r = 0.5 * math.sqrt(1.0 - lam)
        r_w_half, r_h_half = int(r * w), int(r * h)
        x1, y1 = max(r_x - r_w_half, 0), max(r_y - r_h_half, 0)
        x2, y2 = min(r_x + r_w_half, w), min(r_y + r_h_half, h)
        put("cutmix", policy, h, w, step, 1, (y1, x1, y2 - y1, x2 - x1), 1.0 - (x2 - x1) * (y2 - y1) / (w * h))


def blends(policy, p):
    for step in range(40):
        s = Stream(step, BATCH)
        on = s.unit() < p
        put("mixup", policy, 64, 64, step, int(on), (0, 0, 0, 0), s.unit() if on else 1.0)


print(f"# torchvision {torchvision.__version__}, torch {torch.__version__}")
crops("rrc", 112, 112, (0.08, 1), (3 / 4, 4 / 3))
crops("rrc(.8,1)", 90, 61, (0.8, 1), (3 / 4, 4 / 3))
crops("rrc(.9,1,2,3)", 64, 64, (0.9, 1), (2, 3))
crops("rrc(.9,1,.3,.4)", 50, 91, (0.9, 1), (0.3, 0.4))
crops("rrc(0,.001)", 40, 40, (0, 0.001), (3 / 4, 4 / 3))
erasures("erase(1)", 112, 112, 1, (0.02, 0.33), (0.3, 3.3))
erasures("erase(.25)", 64, 40, 0.25, (0.02, 0.33), (0.3, 3.3))
erasures("erase(1,.9,1)", 30, 30, 1, (0.9, 1), (0.3, 3.3))
erasures("erase(1,0,.001)", 30, 30, 1, (0, 0.001), (0.3, 3.3))
mixes("cutmix", 112, 112, 1)
mixes("cutmix(1,.5)", 31, 64, 0.5)
blends("mixup", 1)
blends("mixup(1,.5)", 0.5)
