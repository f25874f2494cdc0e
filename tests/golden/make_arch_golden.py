#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes arch_*.txt: what PyTorch makes of one training step and of inference of each architecture. Run by hand:

    python3 tests/golden/make_arch_golden.py tests/golden [CASE...]

ResNets and MobileNetV2 are torchvision's own. The others are restated here from their definitions: squeeze and
excitation as in timm 0.9 (names, 1x1 convolutions with biases, width rounded to a multiple of 8), IResNet and
MobileFaceNet as in InsightFace's arcface_torch. Dropout's draws are those of fv_net_dropout_factors
(trainer/net/net.h).

Weights, images and the rule for the seed are those of make_trainer_golden.py, and PyTorch in fp32 has to come to
the same gradients, to STEADY of each tensor's root mean square. A PReLU's slopes lie around 0.25 and a scale that
is not trained is 1. MobileNetV2's scales are 2.5 times as large and its running variances 12 times, so that values
reach the upper end of ReLU6 and inference does not drown in it. In nets of fifty layers with ReLUs rounding adds up
to more than any MARGIN that a seed could be found for; their cases are "apart": batch norms have scales around 0.35
and shifts around 1 and -1 in turns, so that few numbers come near a ReLU's zero.

A case is: "case arch stem size classes embedding batch apart seed"; "loss", "correct", "logits" of the step, which
updates no weight; then of inference, with the running statistics that it left, "embedding": length, root mean
square, eight projections sum(u_i x_i) / sqrt(count) on numbers u of the same hash; and "logits". Then a line for
each tensor, in the order of the state_dict: "train" or "buffer", name, shape, and of the gradient, or of a buffer
its value, root mean square and two projections.
"""
import sys

import numpy as np
import torch
import torchvision
from torch import nn

from make_trainer_golden import TooClose, MARGIN, check_maxpool, check_relu, images, initial, numbers, tensors, unit
from philox import philox

TICKET = 3
STEADY = 5e-5


class Unsteady(Exception):
    """Rounding to fp32 counts for too much."""


class Dropout(nn.Module):
    """By the draws of node `node` for batch TICKET."""

    def __init__(self, rate, node):
        super().__init__()
        self.rate, self.node, self.seed = float(np.float32(rate)), node, 0

    def forward(self, x):
        if not self.training:
            return x
        words = []
        for block in range((x.numel() + 3) // 4):
            words += philox((self.seed, 0), (12 << 24 | block, self.node, TICKET, 0))
        gone = np.array(words[:x.numel()]) < int(self.rate * 2**32)
        factor = np.where(gone, 0, float(np.float32(1 / (1 - self.rate)))).reshape(x.shape)
        return x * torch.from_numpy(factor).to(x.dtype)


class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        fewer = max(8, (channels // 16 + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(channels, fewer, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(fewer, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(self.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class SEBlock(nn.Module):
    def __init__(self, inside, width, stride, bottleneck):
        super().__init__()
        out = 4 * width if bottleneck else width
        if bottleneck:
            shapes = [(inside, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        else:
            shapes = [(inside, width, 3, stride), (width, out, 3, 1)]
        for i, (a, b, window, s) in enumerate(shapes, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, window, s, window // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.count = len(shapes)
        self.se = Squeeze(out)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or inside != out:
            self.downsample = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = self.relu(y) if i < self.count else self.se(y)
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def stage(block, inside, width, stride, count, *more):
    blocks = []
    for i in range(count):
        blocks.append(block(inside, width, stride if i == 0 else 1, *more))
        inside = 4 * width if more == (True,) else width
    return nn.Sequential(*blocks), inside


class SEResNet(nn.Module):
    def __init__(self, blocks, bottleneck, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c = 64
        for i, n in enumerate(blocks):
            layer, c = stage(SEBlock, c, 64 << i, 1 if i == 0 else 2, n, bottleneck)
            setattr(self, f"layer{i + 1}", layer)
        self.embedding = nn.Flatten()
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(self.embedding(x.mean((2, 3))))


class IBlock(nn.Module):
    def __init__(self, inside, width, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inside, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    def __init__(self, blocks, side, embedding, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        c = 64
        for i, n in enumerate(blocks):
            layer, c = stage(IBlock, c, 64 << i, 2, n)
            setattr(self, f"layer{i + 1}", layer)
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * side * side, embedding)
        self.features = nn.BatchNorm1d(embedding)
        self.features.weight.requires_grad = False
        self.embedding = nn.Identity()
        self.head = nn.Linear(embedding, classes)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.head(self.embedding(self.features(self.fc(self.bn2(x).flatten(1)))))


class Layers(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.layers = nn.Sequential(*parts)

    def forward(self, x):
        return self.layers(x)


class Around(Layers):
    def forward(self, x):
        return x + self.layers(x)


def conv_block(a, b, window, stride, groups=1, linear=False, pad=None):
    parts = [nn.Conv2d(a, b, window, stride, window // 2 if pad is None else pad, groups=groups, bias=False),
             nn.BatchNorm2d(b)]
    return Layers(*parts) if linear else Layers(*parts, nn.PReLU(b))


def depthwise(a, b, wide, stride, kind=Layers):
    return kind(conv_block(a, wide, 1, 1), conv_block(wide, wide, 3, stride, wide),
                conv_block(wide, b, 1, 1, linear=True))


class MobileFaceNet(nn.Module):
    def __init__(self, first, side, embedding, classes):
        super().__init__()
        self.layers = nn.ModuleList([
            conv_block(3, 128, 3, first), conv_block(128, 128, 3, 1, 64),
            depthwise(128, 128, 128, 2), Layers(*[depthwise(128, 128, 128, 1, Around) for _ in range(4)]),
            depthwise(128, 256, 256, 2), Layers(*[depthwise(256, 256, 256, 1, Around) for _ in range(6)]),
            depthwise(256, 256, 512, 2), Layers(*[depthwise(256, 256, 256, 1, Around) for _ in range(2)])])
        self.conv_sep = conv_block(256, 512, 1, 1)
        self.features = Layers(conv_block(512, 512, side, 1, 512, True, 0), nn.Flatten(),
                               nn.Linear(512, embedding, bias=False), nn.BatchNorm1d(embedding))
        self.embedding = nn.Identity()
        self.head = nn.Linear(embedding, classes)

    def forward(self, x):
        for part in self.layers:
            x = part(x)
        return self.head(self.embedding(self.features(self.conv_sep(x))))


class Necked(nn.Module):
    """A net of torchvision's with a layer and its batch norm before the classes."""

    def __init__(self, net, embedding, classes):
        super().__init__()
        for name, part in net.named_children():
            if name != "fc":
                setattr(self, name, part)
        self.neck = nn.Sequential(nn.Linear(net.fc.in_features, embedding, bias=False), nn.BatchNorm1d(embedding))
        self.embedding = nn.Identity()
        self.fc = nn.Linear(embedding, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(self.embedding(self.neck(x.mean((2, 3)))))


def make_resnet(make):
    def build(stem, size, embedding, classes):
        net = make(classes)
        if stem == "3x3":
            net.conv1 = nn.Conv2d(3, 64, 3, 2 if size > 32 else 1, 1, bias=False)
            net.maxpool = nn.Identity()
        return Necked(net, embedding, classes) if embedding else net
    return build


def mobilenet_v2(stem, size, embedding, classes):
    net = torchvision.models.mobilenet_v2(num_classes=classes)
    if stem == "small":
        net.features[0][0].stride = (2 if size > 32 else 1,) * 2
        net.features[2].conv[1][0].stride = (1, 1)
    # nodes: 1 input, 3 of the first layer, 5 and 16 times 8 and its additions, 3 of the last, the mean
    nodes = 1 + 3 + 5 + 16 * 8 + sum(f.use_res_connect for f in list(net.features)[1:-1]) + 3 + 1
    net.classifier[0] = Dropout(0.2, nodes)
    net.embedding_input = net.classifier[0]
    assert not embedding
    return net


def last_side(size, halvings):
    for _ in range(halvings):
        size = (size - 1) // 2 + 1
    return size


def iresnet(*blocks):
    return lambda stem, size, embedding, classes: IResNet(blocks, last_side(size, 4), embedding or 512, classes)


def mobilefacenet(stem, size, embedding, classes):
    small = stem == "small"
    return MobileFaceNet(1 if small else 2, last_side(size, 3 if small else 4), embedding or 512, classes)


def tv(name):
    return make_resnet(lambda classes: getattr(torchvision.models, name)(num_classes=classes))


def se(*blocks, bottleneck=False):
    return make_resnet(lambda classes: SEResNet(blocks, bottleneck, classes))


# name of the file: builder, architecture, stem, size, classes, embedding, batch, apart
CASES = {
    "resnet18": (tv("resnet18"), "resnet18", "3x3", 16, 5, 24, 4, 0),
    "resnet34": (tv("resnet34"), "resnet34", "7x7", 40, 5, 0, 3, 0),
    "resnet50": (tv("resnet50"), "resnet50", "7x7", 40, 5, 0, 5, 1),
    "se-resnet18": (se(2, 2, 2, 2), "se-resnet18", "3x3", 16, 5, 0, 4, 0),
    "se-resnet34": (se(3, 4, 6, 3), "se-resnet34", "7x7", 40, 5, 0, 3, 0),
    "se-resnet50": (se(3, 4, 6, 3, bottleneck=True), "se-resnet50", "7x7", 40, 5, 20, 5, 1),
    "mobilenet-v2": (mobilenet_v2, "mobilenet-v2", "original", 48, 5, 0, 4, 0),
    "mobilenet-v2-small": (mobilenet_v2, "mobilenet-v2", "small", 16, 5, 0, 6, 0),
    "iresnet18": (iresnet(2, 2, 2, 2), "iresnet18", "auto", 32, 5, 0, 4, 0),
    "iresnet34": (iresnet(3, 4, 6, 3), "iresnet34", "auto", 32, 5, 0, 3, 0),
    "iresnet50": (iresnet(3, 4, 14, 3), "iresnet50", "auto", 32, 5, 32, 3, 0),
    "mobilefacenet": (mobilefacenet, "mobilefacenet", "original", 32, 5, 0, 4, 0),
    "mobilefacenet-small": (mobilefacenet, "mobilefacenet", "small", 16, 5, 48, 6, 0),
}


def check_relu6(_, inputs, __):
    if min(inputs[0].abs().min(), (inputs[0] - 6).abs().min()) < MARGIN:
        raise TooClose


def prepare(net, arch, apart, seed):
    slopes = {f"{name}.weight" for name, m in net.named_modules() if isinstance(m, nn.PReLU)}
    norms = {f"{name}.weight" for name, m in net.named_modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))}
    still = {name for name, p in net.named_parameters() if not p.requires_grad}
    with torch.no_grad():
        for i, (key, v) in enumerate(tensors(net)):
            x = initial(key, tuple(v.shape), seed, i)
            if key in slopes:
                x = (x - 0.75).float().double()
            elif key in still:
                x = torch.ones_like(x)
            elif key in norms and arch == "mobilenet-v2":
                x = (x * 2.5).float().double()
            elif key.endswith("running_var") and arch == "mobilenet-v2":
                x = (x * 12).float().double()
            elif key in norms and apart:
                x = (0.35 * x).float().double()
            elif key.endswith(".bias") and key[:-4] + "weight" in norms and apart:
                x = (x + torch.tensor([1.0, -1.0]).repeat(len(x) // 2)).float().double()
            v.copy_(x)
    for m in net.modules():
        if isinstance(m, nn.ReLU):
            m.inplace = False
            m.register_forward_hook(check_relu)
        elif isinstance(m, nn.ReLU6):
            m.inplace = False
            m.register_forward_hook(check_relu6)
        elif isinstance(m, nn.PReLU):
            m.register_forward_hook(check_relu)
        elif isinstance(m, nn.MaxPool2d):
            m.register_forward_hook(check_maxpool)
        elif isinstance(m, Dropout):
            m.seed = seed
    return still


def keep_embedding(net, kept):
    where = next((getattr(net, a) for a in ("embedding", "embedding_input", "fc") if hasattr(net, a)))
    where.register_forward_hook(lambda m, i, o: kept.update(e=i[0]))


def digest(v, seed, stream, projections):
    x = v.detach().double().numpy().flatten()
    p = [(unit(seed, stream + k, x.size) * x).sum() / np.sqrt(x.size) for k in range(projections)]
    return " ".join(f"{y:.9e}" for y in [np.sqrt((x * x).mean()), *p])


def row(key, v, index, seed, trained):
    shape = " ".join(str(d) for d in v.shape)
    return f"{'train' if trained else 'buffer'} {key} {v.ndim} {shape} {digest(v, seed, 5000 + 2 * index, 2)}"


def clear_hooks(net):
    for m in net.modules():
        m._forward_hooks.clear()


def check_steady(lines, single, limit):
    """PyTorch in fp32 comes to the same numbers, to `limit` of the root mean square of each tensor. Of a batch norm the
    scale and the shift count as one: another one further on undoes most of a shift, so that its gradient is the small
    difference of large sums."""
    largest = max(float(line.split()[-3]) for line in lines if line.startswith("train"))
    scale = 0
    for a, b in zip(lines, single):
        if a.startswith(("train", "buffer")):
            x, y = (np.array(line.split()[-3:], dtype=float) for line in (a, b))
            pair = a.split()[1].endswith(".bias") and a.split()[2] == "1"
            scale = max(x[0], scale) if pair else x[0]
            if x[0] > 1e-9 * largest and abs(x - y).max() > limit * scale:
                raise Unsteady


def run(build, arch, stem, size, classes, embedding, batch, apart, seed, dtype):
    net = build(stem, size, embedding, classes).double()
    still = prepare(net, arch, apart, seed)
    net = net.to(dtype)
    if dtype == torch.float32:
        clear_hooks(net)
    lam = torch.tensor([1.0, 0.25, 0.625, 1.0] * 2, dtype=dtype)[:batch, None]
    one = torch.tensor([(3 * i) % classes for i in range(batch)])
    two = torch.tensor([(3 * i) % classes if lam[i] == 1 else (i + 1) % classes for i in range(batch)])
    soft = lam * nn.functional.one_hot(one, classes) + (1 - lam) * nn.functional.one_hot(two, classes)
    logits = net(images(seed, 0, batch, size).to(dtype))
    loss = -(soft * logits.log_softmax(1)).sum(1).mean()
    loss.backward()
    correct = soft.gather(1, logits.argmax(1, keepdim=True)).sum().item()
    out = [f"case {arch} {stem} {size} {classes} {embedding} {batch} {apart} {seed}",
           f"loss {loss.item():.12e}", f"correct {correct:.9e}", numbers("logits", logits)]
    net.eval()
    clear_hooks(net)
    kept = {}
    keep_embedding(net, kept)
    with torch.no_grad():
        logits = net(images(seed, 1, batch, size).to(dtype))
    out += [f"embedding {kept['e'].shape[1]} {digest(kept['e'], seed, 4000, 8)}", numbers("logits", logits)]
    grads = {k: p.grad for k, p in net.named_parameters()}
    for i, (key, v) in enumerate(tensors(net)):
        trained = key in grads and key not in still
        out.append(row(key, grads[key] if trained else v, i, seed, trained))
    return out


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = sys.argv[1]
    for name, case in CASES.items():
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        for seed in range(1, 5000):
            try:
                lines = run(*case, seed, torch.float64)
                check_steady(lines, run(*case, seed, torch.float32), STEADY)
                break
            except (TooClose, Unsteady):
                continue
        with open(f"{folder}/arch_{name}.txt", "w") as f:
            print(f"# torch {torch.__version__}, torchvision {torchvision.__version__}", *lines, sep="\n", file=f)
        print(name, "seed", seed, flush=True)
