# SPDX-License-Identifier: MIT
"""Batches as a PyTorch training loop wants them."""
from __future__ import annotations

from typing import Iterator, Sequence

import torch

from fv._lib import UsageError
from fv.loader import Batch, Loader


def batches(loader: Loader, device: "torch.device | str" = "cpu", mean: Sequence[float] = (0.5, 0.5, 0.5),
            std: Sequence[float] = (0.5, 0.5, 0.5), soft_labels: bool = True,
            dtype: torch.dtype = torch.float32) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """One epoch as (images, labels) on `device`.

    images  (n, 3, height, width) in channels_last memory: (pixels / 255 - mean) / std
    labels  (n, classes) probabilities, which torch.nn.functional.cross_entropy takes; with soft_labels=False (n,)
            class numbers, for policies that do not mix images

    Bytes travel to the device and are normalised there. The tensors are the caller's own: they may be kept.
    """
    scale = 1 / (255 * torch.tensor(std, dtype=torch.float32, device=device))
    shift = -torch.tensor(mean, dtype=torch.float32, device=device) / torch.tensor(std, device=device)
    for batch in loader:
        # From ordinary memory this copy is complete when it returns, so the batch may go back at once.
        pixels = torch.from_numpy(batch.pixels).to(device)
        images = pixels.to(torch.float32).mul_(scale).add_(shift).permute(0, 3, 1, 2).to(dtype)
        target = (_soft if soft_labels else _hard)(batch, loader.classes).to(device)
        del batch, pixels
        yield images, target


def _hard(batch: Batch, classes: int) -> torch.Tensor:
    if (batch.lam != 1).any():
        raise UsageError("the policy mixes images, which one class number cannot tell: use soft_labels=True")
    return torch.from_numpy(batch.label).long()


def _soft(batch: Batch, classes: int) -> torch.Tensor:
    label, mix = (torch.from_numpy(x).long()[:, None] for x in (batch.label, batch.label_mix))
    if len(batch) and int(label.max()) >= classes:
        raise UsageError(f"an image of label {int(label.max())} is of none of the {classes} classes, but held out from "
                         "training: use soft_labels=False")
    lam = torch.from_numpy(batch.lam)[:, None]
    return torch.zeros(len(batch), classes).scatter_add_(1, label, lam).scatter_add_(1, mix, 1 - lam)
