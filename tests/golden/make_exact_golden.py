#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes exact.txt: what torchvision's tensor operations make of two pictures, one step after the other. Run by hand:

    tests/golden/make_exact_golden.py > tests/golden/exact.txt

A line is a picture (name, height, width, pixels in hexadecimal) or a case: its name, the picture that it starts
from, the result's height and width, the number of steps, each step with the number of its parameters and those, and
the result's pixels. Bilinear throughout, fill=0 as torchvision's classes pass it, and crops with antialias=True,
the default since 0.17.
"""
import numpy as np
import torch
import torchvision
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode as Mode

rng = np.random.default_rng(20261124)
BLACK = [0.0, 0.0, 0.0]


def picture(h, w):
    """Smooth colours of every hue, edges, a flat grey, black, white and noise."""
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([128 + 130 * np.sin(x / 5 + y / 9), 40 + 4 * y + 20 * (x > w / 2), 128 + 120 * np.cos(y / 4)], -1)
    a[h // 5:h // 3, w // 4:w // 2] = 230, 180, 20
    a[h // 2:h // 2 + 5, 3:10] = 77
    a[h // 2 + 5:h // 2 + 8, 3:10] = 255
    a[-4:, :4] = 0
    a += rng.normal(0, 9, a.shape) * (rng.random((h, w, 1)) < 0.7)
    return torch.from_numpy(np.clip(a, 0, 255).astype(np.uint8)).permute(2, 0, 1)


def crop(image, y, x, h, w, *size):
    return F.resized_crop(image, y, x, h, w, list(size), Mode.BILINEAR, antialias=True)


def perspective(image, *p):
    h, w = image.shape[1:]
    corners = [[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]]
    return F.perspective(image, corners, [list(p[i:i + 2]) for i in (0, 2, 4, 6)], fill=BLACK)


STEPS = {
    "flip": F.hflip,
    "rotate": lambda i, angle: F.rotate(i, angle, Mode.BILINEAR, fill=BLACK),
    "affine": lambda i, a, tx, ty, s, sx, sy: F.affine(i, a, [tx, ty], s, [sx, sy], Mode.BILINEAR, fill=BLACK),
    "perspective": perspective,
    "crop": crop,
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
    "gray": lambda i: F.rgb_to_grayscale(i, 3),
    "blur": lambda i, taps, sigma: F.gaussian_blur(i, [taps, taps], [sigma, sigma]),
    "erase": lambda i, y, x, h, w, *rgb: F.erase(i, y, x, h, w, torch.tensor(rgb, dtype=torch.uint8)[:, None, None]),
}


def pixels(image):
    return image.permute(1, 2, 0).contiguous().numpy().tobytes().hex()


def put(name, source, *steps):
    image, words = PICTURES[source], []
    for kind, *p in steps:
        image = STEPS[kind](image, *p)
        words += [kind, len(p), *p]
    print(name, source, *image.shape[1:], len(steps), *words, pixels(image))


PICTURES = {"square": picture(28, 28), "wide": picture(40, 48)}
print(f"# torchvision {torchvision.__version__}, torch {torch.__version__}, resized crops with antialias=True")
for name, image in PICTURES.items():
    print("picture", name, *image.shape[1:], pixels(image))

put("flip", "wide", ("flip",))
for angle in (10, -27.5, 180):
    put("rotate", "square", ("rotate", angle))
put("rotate", "wide", ("rotate", -8.25))
put("affine", "square", ("affine", 12, 3, -5, 0.8, 7.5, -4))
put("affine", "wide", ("affine", -6, -4, 2, 1.25, 0, 10))
put("perspective", "square", ("perspective", 3, 1, 23, 4, 26, 21, 2, 27))
put("perspective", "wide", ("perspective", 0, 8, 40, 2, 47, 36, 5, 30))
put("cut", "square", ("crop", 4, 5, 16, 20, 16, 20))
for box, size in (((5, 3, 20, 17), (28, 28)), ((0, 0, 28, 28), (14, 14))):
    put("crop", "square", ("crop", *box, *size))
put("crop", "wide", ("crop", 1, 2, 37, 43, 13, 17))
for kind in "brightness", "contrast", "saturation":
    for factor in (0.6, 1.45):
        put(kind, "square", (kind, factor))
for shift in (-0.5, -0.07, 0.05, 0.3):
    put("hue", "square", ("hue", shift))
put("gray", "square", ("gray",))
for taps, sigma in ((3, 0.6), (9, 1.7), (23, 2)):
    put("blur", "square", ("blur", taps, sigma))
put("blur", "wide", ("blur", 5, 0.1))
put("erase", "wide", ("erase", 7, 11, 19, 5, 0, 127, 255))


def jitter(b, c, s, hue=None):
    steps = [("brightness", rng.uniform(1 - b, 1 + b)), ("contrast", rng.uniform(1 - c, 1 + c)),
             ("saturation", rng.uniform(1 - s, 1 + s))] + ([] if hue is None else [("hue", rng.uniform(-hue, hue))])
    return [steps[i] for i in rng.permutation(len(steps))]


def erase(h, w, *rgb):
    bh, bw = (int(v) for v in rng.integers(h // 5, h // 2, 2))
    return "erase", int(rng.integers(0, h - bh)), int(rng.integers(0, w - bw)), bh, bw, *rgb


# the chain of the recipe resnet18-cutmix, without the mixing
for k in range(6):
    steps = [("flip",)] * (k % 2) + [("rotate", rng.uniform(-10, 10)), *jitter(.2, .2, .2)]
    steps.append(("affine", 0, *(int(v) for v in rng.integers(-4, 5, 2)), rng.uniform(.9, 1.1), 0, 0))
    put("resnet18-cutmix", "wide", *steps, erase(40, 48, 0, 0, 0))
# crop and strong colours, as for learning without labels
for k in range(3):
    steps = [("crop", 3, 5, 30, 36, 40, 40), ("flip",), *jitter(.4, .4, .2, .1)]
    put("contrastive", "wide", *steps, *[("gray",)] * (k == 2), ("blur", 5, rng.uniform(.1, 2)))
put("perspective-rotate", "wide", ("perspective", 2, 3, 45, 1, 46, 38, 1, 37), ("rotate", 5), ("saturation", 1.3))
put("colour-between", "wide", ("brightness", 1.2), ("rotate", 9), ("hue", .04), ("crop", 2, 2, 36, 36, 32, 32))
