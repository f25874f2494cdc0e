#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes metrics.txt: score sets with what scikit-learn and SciPy say of them. Run by hand.

A line is one set: n, AUC, EER, TPR@FPR=0.1 (largest TPR whose FPR does not exceed it), best accuracy, then
n times score*64 (an integer, so that ties are exact) and label. EER is the course's brentq over the
interpolated ROC.
"""
import numpy as np
import scipy
import sklearn
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

rng = np.random.default_rng(20261124)
print(f"# scikit-learn {sklearn.__version__}, scipy {scipy.__version__}")
for case in range(200):
    n = int(rng.integers(4, 60))
    same = rng.integers(0, 2, n)
    same[:2] = (0, 1)
    levels = int(rng.choice([1, 2, 5, 20, 1000]))
    shift = rng.choice([-1.0, 0.0, 0.5, 2.0, 6.0])
    score = np.round(np.clip((rng.normal(size=n) + shift * same) * levels / 4, -1000, 1000)).astype(int)
    fpr, tpr, thr = roc_curve(same, score, drop_intermediate=False)
    auc = roc_auc_score(same, score)
    eer = brentq(lambda x: 1.0 - x - interp1d(fpr, tpr)(x), 0.0, 1.0, xtol=1e-15)
    at = tpr[fpr <= 0.1].max()
    g, i = same.sum(), n - same.sum()
    best = ((tpr * g + (1 - fpr) * i) / n).max()
    body = " ".join(f"{s} {l}" for s, l in zip(score, same))
    print(n, repr(float(auc)), repr(float(eer)), repr(float(at)), repr(float(best)), body)
