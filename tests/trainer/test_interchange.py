#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Weights and nets between fv and PyTorch, safetensors, ONNX:  test_interchange.py PROBE torch|onnx

torch: torchvision's resnet18 and mobilenet_v2, saved by torch.save and by safetensors, give PyTorch's logits here to
1e-4, and what fv writes loads with strict=True and gives them there.
onnx: every architecture and kind of head passes onnx.checker, and onnxruntime gives what fv gives to 1e-4 of the
outputs' root mean square, for batches of 1 and 3.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    if sys.argv[2] == "torch":
        import torch
        import torchvision
        from safetensors.torch import load_file, save_file
        torch.from_numpy(np.zeros(1))
    else:
        import onnx
        import onnxruntime
except (ImportError, RuntimeError) as e:
    print(f"skipped: {e}")
    sys.exit(77)

PROBE = sys.argv[1]
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
BATCH, CLASSES = 3, 10
FOLDER = tempfile.TemporaryDirectory()


def images(size):
    return np.random.default_rng(1).integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)


def normalised(u8):
    return ((u8.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2).copy()


def probe(arch, stem, size, loss, weights, name):
    """Runs fv; the prefix of what it wrote, its embeddings and logits."""
    prefix, pixels = os.path.join(FOLDER.name, name), os.path.join(FOLDER.name, "images")
    images(size).tofile(pixels)
    subprocess.run([PROBE, arch, stem, str(size), str(CLASSES), loss, weights, pixels, str(BATCH), prefix], check=True)
    read = [np.fromfile(f"{prefix}.{what}", np.float32).reshape(BATCH, -1) for what in ("embedding", "logits")]
    return prefix, *read


def difference(a, b):
    """The largest, as a share of the root mean square of b."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    rms = np.sqrt((b ** 2).mean())
    assert a.shape == b.shape and np.isfinite(b).all() and rms > 0.01, (a.shape, b.shape, rms)
    return np.abs(a - b).max() / rms


def same(what, a, b):
    d = difference(a, b)
    print(f"{what:44} {d:.1e}")
    assert d < 1e-4, what


def randomise(net):
    g = torch.Generator().manual_seed(1)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.weight.data.uniform_(0.7, 1.3, generator=g)
            m.bias.data.normal_(0, 0.2, generator=g)
            m.running_mean.normal_(0, 0.2, generator=g)
            m.running_var.uniform_(0.7, 1.3, generator=g)
    return net.eval()


def with_torch():
    for arch, stem, make in (("resnet18", "7x7", torchvision.models.resnet18),
                             ("mobilenet-v2", "original", torchvision.models.mobilenet_v2)):
        torch.manual_seed(1)
        net, size = randomise(make(num_classes=CLASSES)), 96
        with torch.no_grad():
            wanted = net(torch.from_numpy(normalised(images(size)))).numpy()
        pth, st = os.path.join(FOLDER.name, "net.pth"), os.path.join(FOLDER.name, "net.safetensors")
        torch.save(net.state_dict(), pth)
        save_file(net.state_dict(), st, metadata={"format": "pt"})
        for file in (pth, st):
            prefix, _, logits = probe(arch, stem, size, "ce", file, arch)
            same(f"{arch} from {os.path.basename(file)}", logits, wanted)
            fresh = make(num_classes=CLASSES)
            fresh.load_state_dict(load_file(prefix + ".safetensors"), strict=True)
            with torch.no_grad():
                back = fresh.eval()(torch.from_numpy(normalised(images(size)))).numpy()
            assert all(torch.equal(a, b) for n, a in net.state_dict().items()
                       for b in [fresh.state_dict()[n]] if not n.endswith("num_batches_tracked"))
            same(f"{arch} back in torch, strict", back, wanted)


def with_onnx():
    archs = ["resnet18", "resnet34", "resnet50", "se-resnet18", "se-resnet34", "se-resnet50", "iresnet18",
             "iresnet34", "iresnet50", "mobilenet-v2", "mobilefacenet", "tiny"]
    cases = [(a, "ce") for a in archs] + [("tiny", "arcface"), ("tiny", "ce+0.2*arcface"), ("mobilefacenet", "cosface")]
    for arch, loss in cases:
        size = 112 if arch == "mobilefacenet" else 32
        prefix, embedding, logits = probe(arch, "auto", size, loss, "-", f"{arch}-{len(loss)}")
        for raw in (0, 1) if arch in ("tiny", "iresnet18") else (0,):
            path = prefix + (".raw.onnx" if raw else ".onnx")
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            first = [n.name for n in model.graph.node[:8]]
            assert any(n.startswith("Sub") for n in first) == any(n.startswith("Mul") for n in first) == bool(raw)
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            assert len(session.get_outputs()) == (1 if raw else 2)
            x = images(size)
            x = x.astype(np.float32).transpose(0, 3, 1, 2).copy() if raw else normalised(x)
            for n in (1, 3):
                got = session.run(None, {"data": x[:n]})
                same(f"{arch} {loss} raw {raw} batch {n} embedding", got[0], embedding[:n])
                if not raw:
                    same(f"{arch} {loss} batch {n} logits", got[1], logits[:n])


with_torch() if sys.argv[2] == "torch" else with_onnx()
