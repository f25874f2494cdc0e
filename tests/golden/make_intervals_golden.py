#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes intervals.txt: samples, and the 95 % bootstrap intervals that SciPy gives for their mean with 100,000
replicates. A line: n, percentile low and high, BCa low and high, standard error, then the n numbers. Run by hand."""
import numpy as np
import scipy
from scipy.stats import bootstrap

rng = np.random.default_rng(20261130)
print(f"# numpy {np.__version__}, scipy {scipy.__version__}")
for n in (20, 60, 150):
    x = np.round(rng.exponential(size=n) ** 1.5, 6)
    found = []
    for method in ("percentile", "BCa"):
        b = bootstrap((x,), np.mean, n_resamples=100000, method=method, random_state=rng, batch=2000)
        found += [b.confidence_interval.low, b.confidence_interval.high]
    print(n, *(repr(float(v)) for v in found), repr(float(b.standard_error)), *x)
