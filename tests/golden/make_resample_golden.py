#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes resample.txt: what Pillow's resize(LANCZOS, box) makes of pictures given by a formula. Run by hand.

A line is one case: seed, width and height of the picture, the box, width and height of the result, CRC-32 of its
bytes. Where a box reaches beyond the picture, the picture is laid on a white page that just holds the box.
Small results are written out as well, in hexadecimal.
"""
import math
import random
import zlib

import numpy as np
import PIL
from PIL import Image

draw = random.Random(20261124)


def picture(seed, w, h):
    """Every third pixel block is black or white, so that the filter overshoots; the rest is noise."""
    y, x, c = np.mgrid[0:h, 0:w, 0:3].astype(np.uint32)
    v = (x * np.uint32(2654435761)) ^ (y * np.uint32(2246822519)) ^ ((c + np.uint32(seed)) * np.uint32(3266489917))
    v = v ^ (v >> np.uint32(15))
    v = v * np.uint32(668265263)
    block = (x // 7 + y // 5) % 3
    return np.where(block == 0, (x // 7) % 2 * 255, v >> np.uint32(24)).astype(np.uint8)


def on_page(a, box):
    h, w = a.shape[:2]
    left, top = max(0, -math.floor(box[0])), max(0, -math.floor(box[1]))
    right, bottom = max(0, math.ceil(box[2]) - w), max(0, math.ceil(box[3]) - h)
    page = np.pad(a, ((top, bottom), (left, right), (0, 0)), constant_values=255)
    return page, [float(np.float32(v) + np.float32(s)) for v, s in zip(box, (left, top, left, top))]


def put(seed, w, h, box, size):
    box = [float(np.float32(v)) for v in box]
    page, moved = on_page(picture(seed, w, h), box)
    out = Image.fromarray(page).resize(size, Image.LANCZOS, box=moved).tobytes()
    text = " ".join(f"{v:.9g}" for v in box)
    print(seed, w, h, text, *size, f"{zlib.crc32(out):08x}", out.hex() if len(out) <= 48 else "-")


print(f"# Pillow {PIL.__version__}")
put(1, 3, 2, (0, 0, 3, 2), (4, 4))
put(1, 9, 9, (0, 0, 9, 9), (4, 4))
put(1, 5, 7, (-1, -2, 6, 9), (4, 4))
put(1, 1, 1, (0, 0, 1, 1), (4, 4))
for side in (112, 64, 80, 111, 113, 128, 180, 224, 250, 256, 320, 500, 511, 512, 640, 1000):  # whole squares
    put(side, side, side, (0, 0, side, side), (112, 112))
for w, h in ((640, 480), (480, 641), (301, 203), (92, 112), (17, 90), (1500, 40)):  # squares in the middle, and all
    s = min(w, h)
    left, top = (w - s) // 2, (h - s) // 2
    put(w, w, h, (left, top, left + s, top + s), (112, 112))
    put(h, w, h, (0, 0, w, h), (64, 96))
for k in range(60):
    w, h = draw.randint(1, 400), draw.randint(1, 400)
    ow, oh = draw.randint(1, 150), draw.randint(1, 150)
    x0, x1 = sorted((draw.uniform(0, w), draw.uniform(0, w)))
    y0, y1 = sorted((draw.uniform(0, h), draw.uniform(0, h)))
    put(k, w, h, (x0, y0, max(x1, min(w, x0 + 0.5)), max(y1, min(h, y0 + 0.5))), (ow, oh))
for k in range(40):  # beyond the edges, some of them on one side only
    w, h = draw.randint(8, 200), draw.randint(8, 200)
    b = [draw.uniform(-w, w / 2), draw.uniform(-h, h / 2), draw.uniform(w / 2, 2 * w), draw.uniform(h / 2, 2 * h)]
    if k % 3 == 0:
        b = [round(v) for v in b]
    if b[2] - b[0] >= 1 and b[3] - b[1] >= 1:
        put(k, w, h, b, (draw.randint(1, 130), draw.randint(1, 130)))
put(2, 6000, 9, (0, 0, 6000, 9), (33, 20))
put(3, 9, 6000, (0, 0, 9, 6000), (20, 33))
