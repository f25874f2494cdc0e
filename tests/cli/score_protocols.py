#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fveval score on embeddings against InsightFace's verification.py, restated line by line for embeddings of every type
of number: accuracy over folds, VAL@FAR, and beside them EER and AUC by their definitions.

usage: score_protocols.py FVEVAL
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

PAIRS, FOLDS, DIM = 603, 10, 24


def faces(rng):
    """Embeddings of rows 2i and 2i + 1, and whether they show one person; pairs shuffled, so that folds are mixed."""
    people = rng.normal(size=(90, DIM))
    first = rng.integers(0, 90, PAIRS)
    same = rng.integers(0, 2, PAIRS)
    second = np.where(same == 1, first, (first + 1 + rng.integers(0, 89, PAIRS)) % 90)
    who = np.stack([first, second], 1).ravel()
    return people[who] + 0.8 * rng.normal(size=(2 * PAIRS, DIM)), same == 1


def calculate_val_far(threshold, dist, actual_issame):
    predict_issame = np.less(dist, threshold)
    return (np.sum(predict_issame & actual_issame) / np.sum(actual_issame),
            np.sum(predict_issame & ~actual_issame) / np.sum(~actual_issame))


def evaluate(embeddings, actual_issame, far_target=1e-3):
    diff = np.subtract(embeddings[0::2], embeddings[1::2])
    dist = np.sum(np.square(diff), 1)
    accuracy, val, far = [], [], []
    for test in np.array_split(np.arange(PAIRS), FOLDS):  # KFold without shuffling
        train = np.setdiff1d(np.arange(PAIRS), test)
        thresholds = np.arange(0, 4, 0.01)
        acc_train = [np.mean(np.less(dist[train], t) == actual_issame[train]) for t in thresholds]
        best = thresholds[np.argmax(acc_train)]
        accuracy.append(np.mean(np.less(dist[test], best) == actual_issame[test]))
        thresholds = np.arange(0, 4, 0.001)
        far_train = [calculate_val_far(t, dist[train], actual_issame[train])[1] for t in thresholds]
        threshold = np.interp(far_target, far_train, thresholds) if np.max(far_train) >= far_target else 0.0
        v, f = calculate_val_far(threshold, dist[test], actual_issame[test])
        val.append(v)
        far.append(f)
    return np.mean(accuracy), np.std(accuracy), np.mean(val), np.std(val), np.mean(far)


def auc_and_eer(score, same):
    genuine, impostor = score[same], score[~same]
    auc = np.mean(genuine[:, None] > impostor) + np.mean(genuine[:, None] == impostor) / 2
    at = np.sort(score)[::-1]
    fnmr = np.array([1.0] + [np.mean(genuine < t) for t in at])
    fmr = np.array([0.0] + [np.mean(impostor >= t) for t in at])
    k = np.argmax(fnmr <= fmr)
    above, below = fnmr[k - 1] - fmr[k - 1], fmr[k] - fnmr[k]
    return auc, fmr[k - 1] + above / (above + below) * (fmr[k] - fmr[k - 1])


def check(what, got, want):
    if not abs(got - want) < 1e-12:
        sys.exit(f"{what}: fveval says {got!r}, the script {want!r}")


FVEVAL, FOLDER = os.path.abspath(sys.argv[1]), tempfile.TemporaryDirectory()
os.chdir(FOLDER.name)
rng = np.random.default_rng(7)
for dtype, order in (("<f4", "C"), (">f4", "F"), ("<f2", "C"), (">f8", "F"), ("<i2", "C")):
    rows, same = faces(rng)
    rows = np.asarray((rows * 100 if dtype == "<i2" else rows).astype(dtype), order=order)
    np.save("e.npy", rows)
    np.save("same.npy", same)
    run = subprocess.run([FVEVAL, "score", "e.npy", "--same", "same.npy", "--protocol", "bin", "--json", "-q"],
                         capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    got = json.loads(run.stdout)
    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    accuracy, accuracy_std, val, val_std, far = evaluate(unit, same)
    auc, eer = auc_and_eer((unit[0::2] * unit[1::2]).sum(1), same)
    check(f"{dtype}: accuracy", got["insightface_accuracy"]["mean"], accuracy)
    check(f"{dtype}: its deviation", got["insightface_accuracy"]["std_population"], accuracy_std)
    check(f"{dtype}: VAL", got["insightface_val"]["mean"], val)
    check(f"{dtype}: its deviation", got["insightface_val"]["std_population"], val_std)
    check(f"{dtype}: FAR", got["insightface_val"]["far"], far)
    check(f"{dtype}: AUC", got["auc"], auc)
    check(f"{dtype}: EER", got["eer"], eer)
