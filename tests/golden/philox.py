# SPDX-License-Identifier: MIT
"""Our random numbers for torchvision: Philox4x32-10 keyed as in common/rng.h, and torch's draws replaced by its."""
from unittest import mock

import torch

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

    def permutation(self, n):
        """Fisher and Yates's shuffle from the end, as augment/op_jitter.c has it."""
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def replay(stream, get_params, *args):
    """get_params(*args) of torchvision with the stream's draws."""
    class Empty:
        def uniform_(self, lo, hi):
            lo, hi = float(lo), float(hi)
            return torch.tensor(lo + (hi - lo) * stream.unit(), dtype=torch.float64)

    with mock.patch.object(torch, "empty", lambda *_, **__: Empty()), \
            mock.patch.object(torch, "randperm", lambda n: torch.tensor(stream.permutation(n))), \
            mock.patch.object(torch, "randint", lambda lo, hi, size: torch.tensor(lo + stream.below(hi - lo))):
        return get_params(*args)
