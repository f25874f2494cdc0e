#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes photo.txt: what Pillow makes of JPEGs, shrunk while decoding, cut and resized. Run by hand.

A line is one case: a name, the size of the result, CRC-32 of its bytes, and the JPEG in hexadecimal. The rules of
prep/photo/framing.h (cover) and prep/photo/photo.h are written down here a second time.
"""
import io
import zlib

import numpy as np
import PIL.features
from PIL import Image, ImageCms

rng = np.random.default_rng(20261124)


def scene(w, h):
    y, x = np.mgrid[0:h, 0:w]
    squares = (x // 24 + y // 31) % 2
    a = np.stack([128 + 90 * np.sin(x / 7 + y / 19), 60 + 100 * squares, 128 + 80 * np.cos(y / 9)], -1)
    return np.clip(a + rng.normal(0, 6, a.shape), 0, 255).astype(np.uint8)


def put(name, size, w, h, grey=False, **options):
    image = Image.fromarray(scene(w, h))
    file = io.BytesIO()
    (image.convert("L") if grey else image).save(file, "JPEG", **options)
    im = Image.open(io.BytesIO(file.getvalue()))
    side, shrink = min(w, h), 1
    while shrink < 8 and side / (shrink * 2) >= 2 * size:
        shrink *= 2
    im.draft(None, (w // shrink, h // shrink))
    assert im.size == (-(-w // shrink), -(-h // shrink)), (im.size, shrink)
    left, top = (w - side) // 2, (h - side) // 2
    box = [v / shrink for v in (left, top, left + side, top + side)]
    out = im.convert("RGB").resize((size, size), Image.LANCZOS, box=box).tobytes()
    print(name, size, f"{zlib.crc32(out):08x}", file.getvalue().hex())


print(f"# Pillow {PIL.__version__}, libjpeg-turbo {PIL.features.version('libjpeg_turbo')}")
put("full", 32, 100, 90, quality=60)
put("half", 32, 201, 150, quality=50)
put("half-444", 32, 130, 135, quality=50, subsampling=0)
put("half-422-progressive", 32, 160, 140, quality=50, subsampling=1, progressive=True)
put("quarter", 24, 230, 201, quality=40)
put("quarter-grey", 24, 215, 230, grey=True, quality=40)
put("eighth", 16, 300, 263, quality=30)
put("enlarged", 64, 40, 48, quality=70)
put("finished", 32, 32, 32, quality=70)
put("finished-grey-progressive", 32, 32, 32, grey=True, quality=70, progressive=True)
srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
put("finished-srgb", 32, 32, 32, quality=70, icc_profile=srgb)
