#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tsne.txt: vectors, and how good the maps are that scikit-learn's exact t-SNE makes of them. Run by hand.

  set N DIM PERPLEXITY KL... TRUST...          least and most of six maps (where one ends depends on where it begins:
                                               two from the principal plane, four from random places); k = 10
  v X...                                       N of them
  p P...                                       of the first set: neighbours of each, over pairs i > j, by bisection
                                               in double
"""
import numpy as np
import sklearn
from sklearn.manifold import TSNE, trustworthiness

print(f"# numpy {np.__version__}, scikit-learn {sklearn.__version__}")


def neighbours(v, perplexity):
    d = ((v[:, None] - v[None]) ** 2).sum(-1)
    p = np.zeros_like(d)
    for i in range(len(v)):
        low, high = 1e-12, 1e12
        others = np.arange(len(v)) != i
        for _ in range(300):
            beta = np.sqrt(low * high)
            e = np.exp(-beta * (d[i, others] - d[i, others].min()))
            e /= e.sum()
            entropy = -(e * np.log(np.maximum(e, 1e-300))).sum()
            low, high = (beta, high) if entropy > np.log(perplexity) else (low, beta)
        p[i, others] = e
    return (p + p.T) / (2 * len(v))


rng = np.random.default_rng(20261130)
for n, dim, groups, spread, perplexity in [(50, 6, 4, 1.0, 8), (100, 12, 5, 1.2, 30), (120, 3, 1, 1.0, 20),
                                           (130, 16, 20, 0.3, 15)]:
    centre = rng.normal(0, 1, (groups, dim))
    v = (centre[np.arange(n) % groups] + spread * rng.normal(0, 1, (n, dim)) / np.sqrt(dim)).astype(np.float32)
    v = np.array([[float(f"{x:.5g}") for x in row] for row in v], np.float32)
    kl, trust = [], []
    for seed in range(6):
        t = TSNE(method="exact", init="pca" if seed < 2 else "random", perplexity=perplexity, learning_rate="auto",
                 n_iter=1000, n_iter_without_progress=1000, min_grad_norm=0, random_state=seed)
        xy = t.fit_transform(v)
        kl.append(t.kl_divergence_)
        trust.append(trustworthiness(v, xy, n_neighbors=10))
    print("set", n, dim, perplexity, *[f"{x:.6f}" for x in (min(kl), max(kl), min(trust), max(trust))])
    for row in v:
        print("v", *[f"{x:.5g}" for x in row])
    if n == 50:
        p = neighbours(v.astype(float), perplexity)
        print("p", *[f"{p[i, j]:.12g}" for i in range(n) for j in range(i)])
