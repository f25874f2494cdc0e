# SPDX-License-Identifier: MIT
"""What the tests of the Python package share: the demo data set, and the C loader's batches of it.

The programs come from the environment: DEMO_SET and DUMP_BATCHES. Without NumPy, or PyTorch where a test says so, the
test says why it cannot run and exits with 77.
"""
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SIDE, CLASSES, PER_LABEL = 24, 10, 15
TRAIN, VAL, HOLDOUT = 120, 30, 30
POLICY = "rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),erase(.25),cutmix(1,p=.5)"


def needs(*modules):
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            print(f"skipped: {sys.executable} has no {name}")
            sys.exit(77)


folder = tempfile.mkdtemp(prefix="fv-python-")
atexit.register(shutil.rmtree, folder)
whole, damaged = os.path.join(folder, "whole.lmdb"), os.path.join(folder, "damaged.lmdb")
subprocess.run([os.environ["DEMO_SET"], whole, damaged], check=True)


def c_batches(path, batch, policy, seed=1, size=0, threads=1, start=0, count=1):
    """The bytes of that many batches as the C loader makes them."""
    numbers = map(str, (batch, policy, seed, size, threads, start, count))
    r = subprocess.run([os.environ["DUMP_BATCHES"], path, *numbers], check=True, stdout=subprocess.PIPE)
    assert len(r.stdout) % count == 0
    n = len(r.stdout) // count
    return [r.stdout[i * n:(i + 1) * n] for i in range(count)]


def raw(batch):
    """A batch of the package as c_batches has it."""
    arrays = (batch.pixels, batch.label, batch.label_mix, batch.lam, batch.image)
    return b"".join(a.tobytes() for a in arrays) + batch.ticket.to_bytes(8, sys.byteorder)


def main():
    program = unittest.main(exit=False, module="__main__", verbosity=2)
    sys.exit(not program.result.wasSuccessful())
