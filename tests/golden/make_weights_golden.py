#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes weights_*: the net "tiny" as PyTorch and safetensors save it, and what PyTorch makes of it. Run by hand:

    python3 tests/golden/make_weights_golden.py tests/golden

The weights are those of make_trainer_golden.py (seed 1), which C code can make again:

weights_tiny.pth         the state_dict, as it is
weights_tiny.safetensors the same; convolutions in bf16, batch norms in f16, the head in f64
weights_nested.pth       a checkpoint of training: the state_dict under 'state_dict' with 'module.model.' before each
                         name, in half precision, convolutions in channels_last, all batch norms' parameters views of
                         one storage, a head of another number of classes, an optimiser, settings of a class
weights_module.pth       a whole module, which is refused
weights.txt              logits of the images of make_trainer_golden.py's step 0, in double
"""
import argparse
import sys

import make_trainer_golden as trainer
import safetensors
import torch
from safetensors.torch import save_file

SEED, SIZE, CLASSES, BATCH = 1, 16, 5, 4
FOLDER = sys.argv[1]


def fill(net):
    with torch.no_grad():
        state = [(n, t) for n, t in net.state_dict().items() if not n.endswith("num_batches_tracked")]
        for i, (name, t) in enumerate(state):
            t.copy_(trainer.initial(name, tuple(t.shape), SEED, i))
    return net


net = fill(trainer.Tiny(CLASSES)).eval()
torch.save(net.state_dict(), f"{FOLDER}/weights_tiny.pth")

kinds = {4: torch.bfloat16, 1: torch.float16, 2: torch.float64}
mixed = {n: t.to(torch.float64 if n.startswith("fc") else kinds.get(t.dim(), t.dtype)).contiguous()
         for n, t in net.state_dict().items()}
save_file(mixed, f"{FOLDER}/weights_tiny.safetensors", metadata={"format": "pt"})

half = fill(trainer.Tiny(7)).half().to(memory_format=torch.channels_last)
state = half.state_dict()
vectors = [n for n, t in state.items() if t.dim() == 1]
shared = torch.cat([state[n] for n in vectors])
at = 0
for n in vectors:
    state[n] = shared[at:at + len(state[n])]
    at += len(state[n])
sgd = torch.optim.SGD(half.parameters(), lr=0.1, momentum=0.9)
checkpoint = {"epoch": 3, "best": 0.5, "args": argparse.Namespace(arch="tiny", sizes={1, 2}),
              "optimizer": sgd.state_dict(), "state_dict": {"module.model." + n: t for n, t in state.items()}}
torch.save(checkpoint, f"{FOLDER}/weights_nested.pth")
torch.save(torch.nn.Linear(1, 1), f"{FOLDER}/weights_module.pth")

with torch.no_grad():
    logits = net.double()(trainer.images(SEED, 0, BATCH, SIZE))
with open(f"{FOLDER}/weights.txt", "w") as f:
    print(f"# torch {torch.__version__}, safetensors {safetensors.__version__}", file=f)
    for row in logits.tolist():
        print(" ".join(f"{v:.9e}" for v in row), file=f)
