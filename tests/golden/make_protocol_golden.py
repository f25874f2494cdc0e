#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes protocols.txt: what the published evaluation scripts say of sets of scores. Run by hand:
pip install numpy scikit-learn; make_protocol_golden.py > protocols.txt

A line "folds" is a set as InsightFace's verification.py (after FaceNet's) judges it:
    n folds FAR  accuracy: mean, std(ddof=0)  VAL: mean, std(ddof=0)  FAR: mean
    then n times score, label. Folds are scikit-learn's KFold without shuffling.
A line "ijb" is one as InsightFace's eval_ijbc.py judges it:
    n  TPR at six FAR (larger than its own: there are few pairs)  then n times score, label.

Both scripts are restated here line by line, for scores instead of embeddings: the squared distance of unit vectors is
2 - 2 score. VAL is by numpy.interp, which is what interp1d(kind="slinear") gave before SciPy 1.9 began to refuse
repeated abscissae.
"""
import numpy as np
import sklearn
from sklearn.metrics import roc_curve
from sklearn.model_selection import KFold


def calculate_accuracy(threshold, dist, actual_issame):
    predict_issame = np.less(dist, threshold)
    tp = np.sum(np.logical_and(predict_issame, actual_issame))
    tn = np.sum(np.logical_and(np.logical_not(predict_issame), np.logical_not(actual_issame)))
    return float(tp + tn) / dist.size


def calculate_val_far(threshold, dist, actual_issame):
    predict_issame = np.less(dist, threshold)
    true_accept = np.sum(np.logical_and(predict_issame, actual_issame))
    false_accept = np.sum(np.logical_and(predict_issame, np.logical_not(actual_issame)))
    n_same, n_diff = np.sum(actual_issame), np.sum(np.logical_not(actual_issame))
    return float(true_accept) / float(n_same), float(false_accept) / float(n_diff)


def evaluate(dist, actual_issame, folds, far_target):
    accuracy, val, far = np.zeros(folds), np.zeros(folds), np.zeros(folds)
    for fold, (train, test) in enumerate(KFold(n_splits=folds, shuffle=False).split(np.arange(dist.size))):
        thresholds = np.arange(0, 4, 0.01)
        acc_train = [calculate_accuracy(t, dist[train], actual_issame[train]) for t in thresholds]
        accuracy[fold] = calculate_accuracy(thresholds[np.argmax(acc_train)], dist[test], actual_issame[test])
        thresholds = np.arange(0, 4, 0.001)
        far_train = [calculate_val_far(t, dist[train], actual_issame[train])[1] for t in thresholds]
        threshold = np.interp(far_target, far_train, thresholds) if np.max(far_train) >= far_target else 0.0
        val[fold], far[fold] = calculate_val_far(threshold, dist[test], actual_issame[test])
    return np.mean(accuracy), np.std(accuracy), np.mean(val), np.std(val), np.mean(far)


def ijb(score, label):
    fpr, tpr, _ = roc_curve(label, score)
    fpr, tpr = np.flipud(fpr), np.flipud(tpr)
    return [tpr[min(zip(abs(fpr - f), range(len(fpr))))[1]] for f in (1e-3, 0.03, 0.1, 0.2, 0.4, 0.7)]


def scores(rng, n):
    label = rng.integers(0, 2, n)
    label[:2] = (0, 1)
    spread, shift = rng.choice([0.1, 0.3]), rng.choice([0.0, 0.2, 0.6])
    score = np.clip(rng.normal(size=n) * spread + shift * label, -1, 1)
    step = rng.choice([0, 1 / 8, 1 / 64, 0.005])  # with steps: ties, and distances that are thresholds
    return (np.round(score / step) * step if step else score), label


def body(score, label):
    return " ".join(f"{float(s)!r} {l}" for s, l in zip(score, label))


rng = np.random.default_rng(20261130)
print(f"# numpy {np.__version__}, scikit-learn {sklearn.__version__}")
made = 0
while made < 40:
    folds = int(rng.integers(2, 8))
    score, label = scores(rng, int(rng.integers(6 * folds, 80)))
    if any(len(set(label[test])) < 2 for _, test in KFold(folds).split(label)):
        continue
    made += 1
    far = float(rng.choice([0.001, 0.05, 0.1, 0.25, 1.0]))
    print("folds", len(score), folds, far, *(repr(float(x)) for x in evaluate(2 - 2 * score, label == 1, folds, far)),
          body(score, label))
for _ in range(40):
    score, label = scores(rng, int(rng.integers(2, 120)))
    print("ijb", len(score), *(repr(float(x)) for x in ijb(score, label)), body(score, label))
