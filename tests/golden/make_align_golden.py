#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes align.txt: Umeyama's similarity from five landmarks to ArcFace's template. Run by hand.

By singular values, as "Least-squares estimation of transformation parameters between two point patterns"
(Umeyama 1991, equations 34 to 43) has it and face recognition code uses it. A line is one case: the picture's
size, ten coordinates, and the 2 x 3 matrix from the photo to the aligned picture.
"""
import numpy as np

ARCFACE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
rng = np.random.default_rng(20261124)


def template(size):
    if size % 112 == 0:
        return ARCFACE * (size / 112)
    ratio = size / 128
    return ARCFACE * ratio + [8 * ratio, 0]


def umeyama(src, dst):
    n, d = src.shape
    sm, dm = src.mean(0), dst.mean(0)
    cov = (dst - dm).T @ (src - sm) / n
    u, s, vt = np.linalg.svd(cov)
    sign = np.ones(d)
    if np.linalg.det(cov) < 0 or (np.linalg.matrix_rank(cov) == d - 1 and np.linalg.det(u) * np.linalg.det(vt) < 0):
        sign[-1] = -1
    r = u @ np.diag(sign) @ vt
    c = (s * sign).sum() / src.var(0).sum()
    return np.column_stack([c * r, dm - c * r @ sm])


def put(size, points):
    points = np.asarray(points, np.float32)
    m = umeyama(points.astype(float), template(size))
    print(size, *(f"{v:.9g}" for v in points.ravel()), *(f"{v:.17g}" for v in m.ravel()))


print(f"# numpy {np.__version__}")
for size in (112, 224, 128, 256, 896, 384):
    put(size, template(size))  # nothing to do
    put(size, ARCFACE * 3.7 + [100, -20])
    for _ in range(4):
        angle, scale = rng.uniform(-np.pi, np.pi), np.exp(rng.uniform(-1.5, 2.5))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        put(size, ARCFACE @ turn.T + rng.uniform(-200, 900, 2) + rng.normal(0, 3 * scale, (5, 2)))
put(112, ARCFACE * [-1, 1] + [112, 0] + rng.normal(0, 2, (5, 2)))  # mirrored: must not be mirrored back
put(112, [[10, 10], [90, 12], [50, 11], [12, 10], [88, 11]])  # nearly on a line
