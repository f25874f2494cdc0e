#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes metrics.txt: score sets with what scikit-learn, SciPy, pyeer and the definitions say of them. Run by hand:
pip install numpy scipy scikit-learn pyeer; make_metrics_golden.py > metrics.txt

A line "set" is one set of scores, heavy with ties:
    n folds  AUC  error of the AUC  EER  lower and upper EER  best accuracy
    three times (FMR asked: TPR by step, interp, nearest)
    accuracy over folds: mean, std(ddof=0), std(ddof=1) / sqrt(folds)
    VAL and FAR over folds at FMR 0.1, or nan where a fold lacks a kind
    then n times score*64 (an integer, so that ties are exact), label, fold.
EER is the course's brentq over the interpolated ROC, its interval pyeer's (nan where pyeer says that the curves do
not cross). The error of the AUC is DeLong's, by comparing every genuine with every impostor. Folds by trying every
threshold. A line "rate" is k, n, level, Wilson's and Clopper and Pearson's interval.
"""
import warnings

import numpy as np
import scipy
import sklearn
from pyeer.eer_stats import calculate_roc, get_eer_values
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve

warnings.simplefilter("ignore", RuntimeWarning)
FMRS = (0.1, 0.05, 0.3)


def delong(same, score):
    higher = np.sign(score[same == 1][:, None] - score[same == 0][None, :]) / 2 + 0.5
    g, i = higher.shape
    return np.sqrt(higher.mean(1).var(ddof=1) / g + higher.mean(0).var(ddof=1) / i) if min(g, i) > 1 else np.nan


def pyeer(same, score):
    _, fmr, fnmr = calculate_roc(score[same == 1].astype(float), score[same == 0].astype(float))
    if not (fmr <= fnmr).any():
        return np.nan, np.nan
    return get_eer_values(fmr, fnmr)[1:3]


def tpr_at(fpr, tpr, f):
    down = np.flipud(fpr)
    nearest = min(zip(abs(down - f), range(len(down))))[1]  # as InsightFace writes it
    return tpr[fpr <= f].max(), np.interp(f, fpr, tpr), np.flipud(tpr)[nearest]


def candidates(score):
    """Above all, then half way down to each next lower score."""
    s = np.unique(score)[::-1]
    return np.concatenate([[s[0] + 1], (s[:-1] + s[1:]) / 2, s[-1:]])


def by_folds(same, score, fold, folds):
    accuracy, val, far = [], [], []
    for f in range(folds):
        train, test = fold != f, fold == f
        t = candidates(score[train])
        right = [((score[train] >= x) == same[train]).sum() for x in t]
        accuracy.append(((score[test] >= t[np.argmax(right)]) == same[test]).mean())
        impostors, genuine = test & (same == 0), test & (same == 1)
        allowed = [x for x in np.concatenate([[np.inf], np.unique(score[train])])
                   if (score[train & (same == 0)] >= x).mean() <= 0.1]
        x = min(allowed)
        val.append((score[genuine] >= x).mean() if genuine.any() else np.nan)
        far.append((score[impostors] >= x).mean() if impostors.any() else np.nan)
    a = np.array(accuracy)
    return a.mean(), a.std(), a.std(ddof=1) / np.sqrt(folds), np.mean(val), np.mean(far)


def trainable(same, fold, folds):
    return all((fold == f).any() and len(set(same[fold != f])) == 2 for f in range(folds))


def refusal(same, score):
    try:
        return f"gives {roc_auc_score(same, score)}"
    except ValueError as e:
        return "ValueError: " + str(e).split("\n")[0]


rng = np.random.default_rng(20261124)
print(f"# numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, pyeer 0.5.6")
print("# scikit-learn of a score that is not a number:", refusal([0, 1], [0.0, np.nan]))
print("# scikit-learn of one class:", refusal([1, 1], [0.0, 1.0]))
sets = 0
while sets < 200:
    n = int(rng.integers(4, 60))
    same = rng.integers(0, 2, n)
    same[:2] = (0, 1)
    levels = int(rng.choice([1, 2, 5, 20, 1000]))
    shift = rng.choice([-1.0, 0.0, 0.5, 2.0, 6.0])
    score = np.round(np.clip((rng.normal(size=n) + shift * same) * levels / 4, -1000, 1000)).astype(int)
    if sets < 12:  # all equal, perfect, reversed
        score = [np.full(n, 7), same * 64 + score % 9, score % 9 - same * 64][sets % 3]
    folds = int(rng.integers(2, 6))
    fold = rng.integers(0, folds, n)
    if not trainable(same, fold, folds):
        continue
    sets += 1
    fpr, tpr, _ = roc_curve(same, score, drop_intermediate=False)
    eer = brentq(lambda x: 1.0 - x - interp1d(fpr, tpr)(x), 0.0, 1.0, xtol=1e-15)
    g, i = same.sum(), n - same.sum()
    best = ((tpr * g + (1 - fpr) * i) / n).max()
    numbers = [roc_auc_score(same, score), delong(same, score), eer, *pyeer(same, score), best]
    for f in FMRS:
        numbers += tpr_at(fpr, tpr, f)
    numbers += by_folds(same, score, fold, folds)
    body = " ".join(f"{s} {l} {f}" for s, l, f in zip(score, same, fold))
    print("set", n, folds, *(repr(float(x)) for x in numbers), body)
for k, n in ((0, 1), (1, 1), (0, 30), (1, 30), (15, 30), (30, 30), (3, 3000), (0, 3000), (2999, 3000), (81, 300000),
             (150000, 300000), (8000, 8000000)):
    for level in (0.9, 0.95, 0.99):
        w, e = (binomtest(k, n).proportion_ci(level, method) for method in ("wilson", "exact"))
        print("rate", k, n, level, *(repr(float(x)) for x in (w.low, w.high, e.low, e.high)))
