#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fv.torch: zero copies, normalisation as torchvision's, soft labels."""
import unittest

import demo

demo.needs("numpy", "torch")
import numpy as np  # noqa: E402
import torch  # noqa: E402

import fv  # noqa: E402
import fv.torch  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def open_loader(**settings):
    return fv.Loader(demo.whole, batch=16, **{"aug": demo.POLICY, "threads": 2, **settings})


class Tensors(unittest.TestCase):
    def test_share_memory_with_the_batch(self):
        batch = next(iter(open_loader()))
        for tensor in (torch.from_dlpack(batch), torch.from_dlpack(batch.pixels), torch.from_numpy(batch.pixels)):
            self.assertEqual(tensor.data_ptr(), batch.pixels.ctypes.data)
            self.assertEqual(tensor.dtype, torch.uint8)

    def test_keep_the_batch_after_the_loader(self):
        expected = demo.c_batches(demo.whole, 16, demo.POLICY, count=1)[0]
        loader = open_loader(slots=2)
        tensor = torch.from_dlpack(next(iter(loader)))[:, 4:9]
        for _ in loader:
            pass
        loader.close()
        del loader
        pixels = np.frombuffer(expected[:16 * demo.SIDE * demo.SIDE * 3], np.uint8)
        np.testing.assert_array_equal(tensor.numpy(), pixels.reshape(16, demo.SIDE, demo.SIDE, 3)[:, 4:9])

    def test_are_normalised_as_torchvision_does(self):
        plain = [torch.from_numpy(b.pixels.copy()) for b in open_loader()]
        made = [x for x, _ in fv.torch.batches(open_loader(), mean=MEAN, std=STD)]  # kept: they are copies
        self.assertEqual(len(made), 7)
        mean, std = (torch.tensor(v)[None, :, None, None] for v in (MEAN, STD))
        for pixels, images in zip(plain, made):
            expected = (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std
            self.assertLess((images - expected).abs().max().item(), 1e-5)
            self.assertTrue(images.is_contiguous(memory_format=torch.channels_last))

    def test_labels(self):
        for (_, soft), batch in zip(fv.torch.batches(open_loader()), open_loader()):
            expected = np.zeros((16, demo.CLASSES), np.float32)
            for i, (a, b, lam) in enumerate(zip(batch.label, batch.label_mix, batch.lam)):
                expected[i, a] += lam
                expected[i, b] += 1 - lam
            np.testing.assert_allclose(soft.numpy(), expected, atol=1e-6)
        labels = [y for _, y in fv.torch.batches(open_loader(aug="flip"), soft_labels=False)]
        for y, batch in zip(labels, open_loader(aug="flip")):
            self.assertEqual(y.dtype, torch.int64)
            self.assertEqual(y.tolist(), batch.label.tolist())

    def test_labels_that_cannot_be(self):
        with self.assertRaisesRegex(fv.UsageError, "soft_labels=True"):
            list(fv.torch.batches(open_loader(aug="cutmix(1)"), soft_labels=False))
        with self.assertRaisesRegex(fv.UsageError, "held out"):
            list(fv.torch.batches(open_loader(aug="none", split="holdout")))

    def test_of_a_batch_that_has_none(self):
        """Of the last batch of a pass, 1 image for 119 processes, the first gets nothing."""
        loader = fv.Loader(demo.whole, batch=1, drop_last=False, world=119, rank=0)
        shapes = [(tuple(x.shape), tuple(y.shape)) for x, y in fv.torch.batches(loader)]
        self.assertEqual(shapes, [((n, 3, demo.SIDE, demo.SIDE), (n, demo.CLASSES)) for n in (1, 0)])

    def test_give_batches_back_at_once(self):
        """While the consumer works on tensors, no slot is occupied: two slots are enough, whatever is kept."""
        loader = open_loader(slots=2)
        kept = list(fv.torch.batches(loader))
        self.assertEqual(len(kept), 7)
        self.assertEqual(len(loader._ring.held), 0)


if __name__ == "__main__":
    demo.main()
