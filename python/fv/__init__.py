# SPDX-License-Identifier: MIT
"""Batches of augmented face images, made by fv's own threads from a packed data set.

    import fv
    loader = fv.Loader("faces.lmdb", batch=256, aug="rrc(0.8,1),flip,cutmix(1)")
    for batch in loader:                       # one epoch
        use(batch.pixels, batch.label)         # NumPy views, nothing is copied

With PyTorch, fv.torch.batches gives normalised tensors and soft labels. Needs NumPy and libfv.so.
"""
from fv._lib import CorruptError, Error, NotFoundError, UsageError, lib as _c
from fv.dataset import Dataset, Image
from fv.loader import Batch, Loader, options

__version__ = _c.fv_version().decode()
__all__ = ["Batch", "CorruptError", "Dataset", "Error", "Image", "Loader", "NotFoundError", "UsageError", "options"]
