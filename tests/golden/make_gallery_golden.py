#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes gallery.txt: identification restated in NumPy, from the definitions. Run by hand.

A vector is 64 signs, +-1/8 each, written as a hexadecimal number (bit k set: component k positive): cosines are
multiples of 1/32, exact, with many ties. A set is lines

  set IDENTITIES IMAGES PROBES
  g LABEL VECTOR                                       an image of the gallery
  p TRUTH VECTOR BEST SCORE BETTER EQUAL               a probe; TRUTH -1: stranger, -2: unknown
  cmc OPTIMISTIC... PESSIMISTIC...                     at ranks 1, 2, 3, 5
  tpir OPTIMISTIC... PESSIMISTIC...                    at FPIR 0.05, 0.1, 0.3
  accuracy BEST AT_0.25 WITHOUT                        of all thresholds; at 0.25; without rejection
  mean V...                                            mean template of identity 0, 64 numbers
"""
import numpy as np

rng = np.random.default_rng(20261130)
print(f"# numpy {np.__version__}")


def signs(centre, flips):
    return np.where(rng.random((len(centre), 64)) < flips, -centre, centre)


def word(v):
    return f"{sum(1 << k for k in range(64) if v[k] > 0):016x}"


for case in range(40):
    identities = int(rng.integers(2, 30))
    images = identities + int(rng.integers(0, 40))
    probes = int(rng.integers(5, 80))
    flips = rng.choice([0.1, 0.3, 0.4, 0.45])
    centre = rng.choice([-1, 1], (identities + 10, 64))
    label = np.concatenate([np.arange(identities), rng.integers(0, identities, images - identities)])
    who = rng.integers(0, identities + 10, probes)
    who[:2] = (0, identities)
    gallery = signs(centre[label], flips)
    probe = signs(centre[who], flips)
    truth = np.where(who < identities, who, -1)
    truth[rng.random(probes) < 0.1] = -2
    truth[:2] = (0, -1)
    score = probe @ gallery.T / 64.0
    by_identity = np.stack([score[:, label == i].max(axis=1) for i in range(identities)], axis=1)
    best, top = by_identity.argmax(axis=1), by_identity.max(axis=1)
    mated, stranger = truth >= 0, truth == -1
    mate = np.where(mated, by_identity[np.arange(probes), np.maximum(truth, 0)], -np.inf)
    better = np.where(mated, (by_identity > mate[:, None]).sum(axis=1), 0)
    equal = np.where(mated, (by_identity == mate[:, None]).sum(axis=1) - 1, 0)
    print("set", identities, images, probes)
    for i in range(images):
        print("g", label[i], word(gallery[i]))
    for i in range(probes):
        print("p", truth[i], word(probe[i]), best[i], repr(float(top[i])), better[i], equal[i])
    ranks = [1 + better, 1 + better + equal]
    print("cmc", *[repr(float((r[mated] <= k).mean())) for r in ranks for k in (1, 2, 3, 5)])
    tpir = []
    for r in ranks:
        for f in (0.05, 0.1, 0.3):
            found = [0.0]
            for t in np.unique(np.concatenate([top[stranger], mate[mated]])):
                if (top[stranger] >= t).mean() <= f:
                    found.append(float((mated & (r == 1) & (mate >= t)).sum() / mated.sum()))
            tpir.append(max(found))
    print("tpir", *[repr(x) for x in tpir])
    known = mated | stranger

    def accuracy(t):
        return float(((mated & (best == truth) & (top >= t)) | (stranger & (top < t))).sum() / known.sum())

    thresholds = np.concatenate([[-2.0], np.unique(top) + 1 / 64])
    print("accuracy", repr(max(accuracy(t) for t in thresholds)), repr(accuracy(0.25)), repr(accuracy(-2.0)))
    mean = gallery[label == 0].mean(axis=0)
    norm = np.linalg.norm(mean)
    print("mean", *[repr(float(x)) for x in (mean / norm if norm > 0 else mean)])
