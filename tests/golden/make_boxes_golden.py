#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes boxes.txt: the boxes that torchvision's rules make of our random numbers. Run by hand.

RandomResizedCrop.get_params and RandomErasing.get_params are torchvision's own, with their draws replaced by those
of Philox4x32-10 keyed as in common/rng.h. CutMix is written out from torchvision's reference recipe (RandomCutmix).
A line is one case: op, policy, height, width, image (or step), found, y, x, box height, box width, lambda.
"""
import math
from unittest import mock

import torch
import torchvision
from torchvision.transforms import RandomErasing, RandomResizedCrop

SEED, EPOCH, AUG, BATCH = 7, 2, 16, 64
MASK = 0xFFFFFFFF


def philox(key, ctr):
    k0, k1 = key
    c0, c1, c2, c3 = ctr
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & MASK, (a >> 32) ^ c3 ^ k1, a & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [c0, c1, c2, c3]


assert philox((0, 0), (0, 0, 0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


class Stream:
    def __init__(self, sample, op):
        self.block, self.sample, self.op, self.words = 0, sample, op, []

    def word(self):
        if not self.words:
            self.words = philox((SEED, 0), (self.op << 24 | self.block, EPOCH, self.sample, 0))
            self.block += 1
        return self.words.pop(0)

    def unit(self):
        low = self.word()
        return ((self.word() << 32 | low) >> 11) * 2.0 ** -53

    def below(self, n):
        while True:
            m = self.word() * n
            if m & MASK >= 2 ** 32 % n:
                return m >> 32


def replay(stream, get_params, *args):
    class Empty:
        def uniform_(self, lo, hi):
            lo, hi = float(lo), float(hi)
            return torch.tensor(lo + (hi - lo) * stream.unit(), dtype=torch.float64)

    with mock.patch.object(torch, "empty", lambda *_, **__: Empty()), \
            mock.patch.object(torch, "randint", lambda lo, hi, size: torch.tensor(lo + stream.below(hi - lo))):
        return get_params(*args)


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
