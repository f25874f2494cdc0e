#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples of docs/python.md run, one after the other, and train."""
import os
import re
import unittest

import demo

demo.needs("numpy", "torch")
import torch  # noqa: E402

DOC = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "python.md")


class Examples(unittest.TestCase):
    def test_run(self):
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(demo.SIDE * demo.SIDE * 3, demo.CLASSES))
        optimiser = torch.optim.SGD(net.parameters(), 1e-4)
        losses, scored = [], []

        def step(images, labels):
            loss = torch.nn.functional.cross_entropy(net(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())

        with open(DOC, encoding="utf-8") as f:
            blocks = re.findall(r"^```python\n(.*?)^```", f.read(), re.M | re.S)
        self.assertEqual(len(blocks), 5)
        names = {"step": step, "score": lambda images, labels: scored.extend(labels.tolist())}
        for block in blocks:
            exec(compile(block.replace("faces.lmdb", demo.whole), "docs/python.md", "exec"), names)
        self.assertEqual(len(losses), 2)
        self.assertEqual(len(scored), demo.VAL)
        self.assertEqual(names["again"].epoch, 3)
        self.assertEqual(names["label"], 0)


if __name__ == "__main__":
    demo.main()
