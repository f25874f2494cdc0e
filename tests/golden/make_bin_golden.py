# SPDX-License-Identifier: MIT
"""Writes the pickles that tests/prep/test_bin.c reads: three pairs of small grey pictures, in every form in which
verification sets are found. Run it with Python 2 for bin_py2.bin, and with Python 3 and numpy for the others.

usage: make_bin_golden.py FOLDER
"""
import os
import pickle
import sys


def picture(grey):
    """A PGM of 12 x 12 pixels of one grey value."""
    return b"P5\n12 12\n255\n" + bytes(bytearray([grey])) * 144


images = [picture(g) for g in (10, 11, 127, 128, 200, 255)]
same = [True, False, True]


def write(name, value, protocol, edit=lambda data: data):
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(edit(pickle.dumps(value, protocol)))


if sys.version_info[0] == 2:
    write("bin_py2.bin", (images, same), 2)
    sys.exit(0)

import numpy as np

arrays = [np.frombuffer(i, np.uint8).reshape(-1, 1).copy() for i in images]
write("bin_bytes2.bin", (images, same), 2)
write("bin_bytes4.bin", (images, same), 4)
write("bin_numpy2.bin", (arrays, same), 2)
write("bin_numpy4.bin", (arrays, [np.bool_(s) for s in same]), 4)
write("bin_numpy5.bin", (arrays, np.array(same)), 5)
# numpy 2 has moved its inside to numpy._core
write("bin_numpy_core.bin", (arrays, np.array(same)), 2, lambda data: data.replace(b"numpy.core", b"numpy._core"))
