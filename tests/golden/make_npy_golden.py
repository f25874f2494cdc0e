#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes npy.txt: small arrays in every form of .npy that NumPy writes, and the numbers in them. Run by hand.

A line is: rows, columns, dimensions, the file in hexadecimal, then the numbers, row by row, as NumPy converts them to
float64.
"""
import io

import numpy as np
from numpy.lib import format as npy

rng = np.random.default_rng(20261130)
print(f"# numpy {np.__version__}")


def line(a, version):
    f = io.BytesIO()
    npy.write_array(f, a, version=version, allow_pickle=False)
    table = (a if a.ndim == 2 else a[:, None]).astype(np.float64)
    numbers = " ".join(repr(float(x)) for x in table.ravel())
    print(table.shape[0], table.shape[1], a.ndim, f.getvalue().hex(), numbers)


for kind in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]:
    for order in "<>":
        for layout in "CF":
            for version in [(1, 0), (2, 0), (3, 0)]:
                a = rng.normal(size=(3, 4)) * (100 if kind[0] in "iu" else 1)
                if kind[0] == "u":
                    a = np.abs(a)
                a = np.asarray(a, order=layout).astype(np.dtype(kind).newbyteorder(order), order=layout)
                line(a, version)
    line(np.arange(5).astype(kind), (1, 0))
line(np.array([[0.0, -0.0, 6e-8, 6.1e-5, 65504, -65504, 1 / 3, 5.96e-8 * 1023]], "<f2"), (1, 0))
line(np.array([[2**53, -(2**63), 2**62 + 1]], "<i8"), (1, 0))
line(np.array([[2**64 - 1, 2**63]], "<u8"), (1, 0))
line(np.zeros((0, 4), "<f4"), (1, 0))
