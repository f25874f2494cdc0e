#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes augment.txt: what torchvision's tensor operations make of one picture. Run by hand.

A line is one case: kind, result height, width, six parameters, pixels in hexadecimal. A "source" is what the
cases after it start from.
"""
import numpy as np
import torch
import torchvision
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode as Mode

S = 40
rng = np.random.default_rng(20261124)
y, x = np.mgrid[0:S, 0:S]
a = np.stack([128 + 90 * np.sin(x / 5 + y / 9), 40 + 4 * y + 20 * (x > 22), 128 + 80 * np.cos(y / 4)], -1)
a[8:14, 10:30] = (230, 180, 20)
source = torch.from_numpy(np.clip(a + rng.normal(0, 9, a.shape), 0, 255).astype(np.uint8)).permute(2, 0, 1)


def put(kind, image, *p):
    p = list(p) + [0] * (6 - len(p))
    print(kind, image.shape[1], image.shape[2], *map(repr, map(float, p)),
          image.permute(1, 2, 0).contiguous().numpy().tobytes().hex())


print(f"# torchvision {torchvision.__version__}, torch {torch.__version__}")
put("source", source)
put("flip", F.hflip(source))
for angle in (10, -27.5, 90):
    put("rotate", F.rotate(source, angle, Mode.BILINEAR, fill=0), angle)
for box, size in (((5, 3, 31, 27), 40), ((0, 0, 40, 40), 20), ((2, 6, 30, 24), 60), ((0, 4, 40, 20), 20),
                  ((4, 0, 20, 40), 20)):
    put("crop", F.resized_crop(source, *box, [size, size], Mode.BILINEAR, antialias=False), *box)
for f in (0.6, 1.4):
    put("brightness", F.adjust_brightness(source, f), f)
    put("contrast", F.adjust_contrast(source, f), f)
    put("saturation", F.adjust_saturation(source, f), f)

# Brightness, contrast and saturation one after the other, in a given order (0, 1, 2), as ColorJitter does it. The
# source has no value near 0 or 255: torchvision cuts off there after every step, which is another picture.
soft = source[:, ::2, ::2] // 2 + 56
steps = F.adjust_brightness, F.adjust_contrast, F.adjust_saturation
put("source", soft)
for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
    for factors in ((0.8, 1.2, 0.8), (1.2, 0.8, 1.2), (1.1, 1.15, 1.2), (0.85, 0.9, 0.8)):
        image = soft
        for k in order:
            image = steps[k](image, factors[k])
            assert 0 < image.min() and image.max() < 255
        put("jitter", image, *order, *factors)
