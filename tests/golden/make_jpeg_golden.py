#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes jpeg.txt: small JPEG files of each kind that a data set may hold, and what Pillow decodes from them.
Run by hand; needs Pillow built with libjpeg-turbo.

Each line: name, width, height, the file in hex, RGB in hex.
"""
import io
import os
import random

from PIL import Image, features

W, H = 37, 29
assert features.check_feature("libjpeg_turbo")


def photo():
    """Smooth in the large, noise in the small, all of the colour cube."""
    r = random.Random(5)
    rows = bytearray()
    for y in range(H):
        for x in range(W):
            for base in (x * 255 // W, y * 255 // H, (x * 7 + y * 3) % 256):
                rows.append(max(0, min(255, base + r.randint(-24, 24))))
    return Image.frombytes("RGB", (W, H), bytes(rows))


KINDS = {
    "444": dict(subsampling=0, quality=95),
    "422": dict(subsampling=1, quality=90),
    "420": dict(subsampling=2, quality=75),
    "420-optimised": dict(subsampling=2, quality=85, optimize=True),
    "420-progressive": dict(subsampling=2, quality=80, progressive=True),
    "444-progressive": dict(subsampling=0, quality=97, progressive=True),
    "grey": dict(quality=90),
}
with open(os.path.join(os.path.dirname(__file__), "jpeg.txt"), "w") as f:
    for name, how in KINDS.items():
        image = photo().convert("L") if name == "grey" else photo()
        out = io.BytesIO()
        image.save(out, "JPEG", **how)
        decoded = Image.open(io.BytesIO(out.getvalue())).convert("RGB")
        print(name, W, H, out.getvalue().hex(), decoded.tobytes().hex(), file=f)
