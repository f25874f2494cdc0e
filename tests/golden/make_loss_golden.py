#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes losses.txt: what PyTorch makes of every loss in double, with gradients by autograd. Run by hand:

    python3 tests/golden/make_loss_golden.py > tests/golden/losses.txt
    python3 tests/golden/make_loss_golden.py heads > tests/golden/heads.txt

Each loss is restated here from its paper or its authors' code: ArcFace in the paper's form (cos t cos m - sin t sin m
and the fallback), the InsightFace convention as arcface_torch has it (the angle is changed under no_grad), CosFace,
AdaFace as in the authors' head.py, triplets by masks over whole distance matrices, center loss by its own update rule.
A case is a line "case SPEC n classes dim epoch", lines of a key and numbers, and "end".
"""
import math
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
LIMIT = 1 - 1e-7


def soft_ce(z, y, smooth=0.0):
    return F.cross_entropy(z, y, reduction="none", label_smoothing=smooth)


def arc_exact(cos, y, s, m1, m2, m3):
    c = cos.gather(1, y[:, None])[:, 0]
    held = c.clamp(-LIMIT, LIMIT)
    if m1 == 1 and m2 == 0:
        f = c - m3
    elif m1 == 1:
        phi = held * math.cos(m2) - torch.sqrt(1 - held * held) * math.sin(m2)
        f = torch.where(held > math.cos(math.pi - m2), phi, c - math.sin(math.pi - m2) * m2) - m3
    else:
        u = m1 * torch.acos(held) + m2
        k = torch.floor(u / math.pi).detach()
        f = (1 - 2 * (k % 2)) * torch.cos(u) - 2 * k - m3
    return s * cos.scatter(1, y[:, None], f[:, None])


class ThroughAngle(torch.autograd.Function):
    """What in-place arccos_, + m, cos_ under no_grad come to: the value changes, the gradient does not notice."""

    @staticmethod
    def forward(ctx, cos, y, m1, m2, m3):
        t = cos.arccos()
        at = y[:, None]
        t = t.scatter(1, at, m1 * t.gather(1, at) + m2)
        out = t.cos()
        return out.scatter(1, at, out.gather(1, at) - m3)

    @staticmethod
    def backward(ctx, g):
        return g, None, None, None, None


def arc_insightface(cos, y, s, m1, m2, m3):
    return s * ThroughAngle.apply(cos, y, m1, m2, m3)


def mixture(make, y, y_mix, lam, smooth):
    """Mean over the batch of lambda L(y) + (1 - lambda) L(y_mix)."""
    return (lam * soft_ce(make(y), y, smooth) + (1 - lam) * soft_ce(make(y_mix), y_mix, smooth)).mean()


def adaface(case, cos, emb, p):
    eps = 1e-3
    mean, std = case["state"]
    norms = emb.norm(dim=1).detach().clip(min=0.001, max=100)
    if len(norms) > 1:
        std = norms.std() * p["t_alpha"] + (1 - p["t_alpha"]) * std
    else:
        std = torch.tensor(std)
    mean = norms.mean() * p["t_alpha"] + (1 - p["t_alpha"]) * mean
    case["new_state"] = [float(mean), float(std)]
    scaler = torch.clip((norms - mean) / (std + eps) * p["h"], -1, 1)[:, None]

    def make(y):
        c = cos.clamp(-1 + eps, 1 - eps)
        one = torch.zeros_like(c).scatter_(1, y[:, None], 1.0)
        theta = c.acos()
        theta = torch.clip(theta + one * (p["m"] * scaler * -1), min=eps, max=math.pi - eps)
        return (theta.cos() - one * (p["m"] + p["m"] * scaler)) * p["s"]
    return make


def distances(u, squared):
    d2 = ((u[:, None] - u[None]) ** 2).sum(-1)
    if squared:
        return d2
    zero = d2 == 0
    return torch.where(zero, torch.zeros_like(d2), torch.sqrt(torch.where(zero, torch.ones_like(d2), d2)))


def triplet(case, emb, y, p):
    u = F.normalize(emb, eps=1e-12) if p["unit"] else emb
    d = distances(u, p["squared"])
    n = len(y)
    same = (y[:, None] == y[None]) & ~torch.eye(n, dtype=torch.bool)
    other = y[:, None] != y[None]
    x = []
    for a in range(n):
        if p["mine"] == "batch-hard":
            if same[a].any() and other[a].any():
                x.append(d[a][same[a]].max() - d[a][other[a]].min())
        else:
            for q in torch.nonzero(same[a])[:, 0]:
                beyond = other[a] & (d[a] > d[a, q])
                if beyond.any():
                    x.append(d[a, q] - d[a][beyond].min())
    case["distance"] = float(distances(u, False)[torch.triu(torch.ones(n, n), 1) > 0].mean()) if n > 1 else math.nan
    if not x:
        case["active"] = math.nan
        return emb.sum() * 0
    x = torch.stack(x)
    if p["soft"]:
        case["active"] = float((x > 0).double().mean())
        return F.softplus(x, threshold=1e9).mean()
    case["active"] = float((x + p["margin"] > 0).double().mean())
    return F.relu(x + p["margin"]).mean()


def center(case, emb, y, p):
    c = torch.tensor(case["state"]).reshape(-1, emb.shape[1])
    new = c.clone()
    for j in set(y.tolist()):
        mine = emb[y == j].detach()
        new[j] = c[j] - p["alpha"] * (c[j] - mine).sum(0) / (1 + len(mine))
    case["new_state"] = new.flatten().tolist()
    return (0.5 * ((emb - c[y]) ** 2).sum(1)).mean()


def margin(p, w):
    return dict(s=p["s"], m1=1 + w * (p["m1"] - 1), m2=w * p["m2"], m3=w * p["m3"])


DEFAULTS = {
    "ce": dict(smooth=0),
    "arcface": dict(s=64, m=0.5, grad="exact", warmup=0, smooth=0),
    "cosface": dict(s=64, m=0.35, warmup=0, smooth=0),
    "combined": dict(m1=1, m2=0.3, m3=0.2, s=64, grad="exact", warmup=0, smooth=0),
    "adaface": dict(s=64, m=0.4, h=0.333, t_alpha=0.01, warmup=0, smooth=0),
    "triplet": dict(margin=0.3, mine="batch-hard", squared=False, soft=False, unit=True),
    "center": dict(alpha=0.5),
}


def text(terms):
    out = []
    for weight, name, given in terms:
        values = ",".join(f"{k}={('no', 'yes')[v] if isinstance(v, bool) else v}" for k, v in given.items())
        out.append((f"{weight}*" if weight != 1 else "") + name + (f"({values})" if values else ""))
    return "+".join(out)


def run(terms, case):
    leaves = [case[k].clone().requires_grad_() for k in ("logits", "cosine", "embedding")]
    total, values, correct = evaluate(terms, case, *leaves)
    return float(total), values, correct, torch.autograd.grad(total, leaves, allow_unused=True)


def evaluate(terms, case, logits, cos, emb):
    y, y_mix, lam = case["label"], case["label_mix"], case["lambda"]
    hard = torch.where(lam == 0, y_mix, y)
    total, values, scores = 0, [], None
    for weight, name, given in terms:
        p = {**DEFAULTS[name], **given}
        w = min(1.0, case["epoch"] / p["warmup"]) if p.get("warmup") else 1.0
        if name == "ce":
            make = lambda _: logits
            reads = logits
        elif name == "adaface":
            make = adaface(case, cos, emb, {**p, "m": p["m"] * w})
            reads = cos
        elif name in ("arcface", "cosface", "combined"):
            q = {"m1": 1, "m2": 0, "m3": 0, **p}
            q["m2"] = p["m"] if name == "arcface" else q["m2"]
            q["m3"] = p["m"] if name == "cosface" else q["m3"]
            form = arc_insightface if p.get("grad") == "insightface" else arc_exact
            make = (lambda form, a: lambda t: form(cos, t, **a))(form, margin(q, w))
            reads = cos
        else:
            make = None
        if make:
            value = mixture(make, y, y_mix, lam, p["smooth"])
            scores = reads if scores is None else scores
        else:
            value = (triplet if name == "triplet" else center)(case, emb, hard, p)
        values.append(float(value))
        total = total + weight * value
    correct = 0.0
    if scores is not None:
        best = scores.argmax(1)
        correct = float((lam * (best == y) + (1 - lam) * (best == y_mix)).sum())
    return total, values, correct


def put(key, values, digits=17):
    """Inputs to the last bit, in as few digits as that takes."""
    print(key, *[str(v.item()) if torch.is_tensor(v) and not v.is_floating_point() else repr(float(v))
                 if digits == 17 else f"{float(v):.{digits}g}" for v in values])


def make_case(seed, n, classes, dim, soft, labels=None, near=False, states=None, epoch=0.0):
    g = torch.Generator().manual_seed(seed)
    f = lambda x: x.float().double()
    case = dict(
        logits=f(3 * torch.randn(n, classes, generator=g)),
        cosine=f(torch.rand(n, classes, generator=g) * 1.9 - 0.95),
        embedding=f(torch.randn(n, dim, generator=g) * 2),
        label=torch.randint(0, classes, (n,), generator=g),
        epoch=epoch,
    )
    if labels is not None:
        case["label"] = torch.tensor(labels)
    case["label_mix"] = case["label"].clone()
    case["lambda"] = torch.ones(n)
    if soft:
        case["label_mix"] = torch.randint(0, classes, (n,), generator=g)
        case["lambda"] = f(torch.rand(n, generator=g))
        case["lambda"][0] = 0
        case["lambda"][1 % n] = 1
    if near:  # own cosines near and at the ends, and another class's behind AdaFace's limit
        ends = [1, 1 - 1e-8, 1 - 1e-5, 0.9995, -0.9, -0.99999, -1]
        for i in range(n):
            case["cosine"][i, case["label"][i]] = ends[i % len(ends)]
            case["cosine"][i, (case["label"][i] + 1) % classes] = 0.9997
    case["state"] = states(g, classes, dim) if states else []
    return case


def heads():
    """Nets of one convolution and the heads, from pixels: "net SPEC n classes dim", then as above; "grad NAME ..."."""
    print(f"# tests/golden/make_loss_golden.py heads, torch {torch.__version__}")
    ada = lambda g, c, d: [2.5, 0.75]
    centers = lambda g, c, d: torch.randn(c * d, generator=g).float().double().tolist()
    ids = [0, 0, 0, 1, 1, 1, 2, 2, 3]
    jobs = [
        ([(1, "ce", dict(smooth=0.1))], dict(soft=True)), ([(1, "arcface", dict(s=16, m=0.4))], dict(soft=True)),
        ([(1, "arcface", dict(s=16, grad="insightface"))], dict(soft=False)), ([(1, "cosface", {})], dict(soft=True)),
        ([(1, "combined", dict(m1=1.2, s=20))], dict(soft=True)),
        ([(1, "adaface", dict(s=20))], dict(soft=True, states=ada)),
        ([(1, "triplet", dict(margin=0.5))], dict(soft=False, labels=ids)),
        ([(1, "ce", {}), (0.5, "arcface", dict(s=16))], dict(soft=True)),
        ([(1, "arcface", dict(s=16)), (0.3, "triplet", dict(mine="semi-hard", margin=1)), (0.01, "center", {})],
         dict(soft=False, labels=ids, states=centers)),
    ]
    for seed, (terms, how) in enumerate(jobs):
        how = dict(dict(n=9, classes=6, dim=5), **how)
        case = make_case(100 + seed, **how)
        g = torch.Generator().manual_seed(1000 + seed)
        f = lambda *shape: torch.randn(*shape, generator=g).float().double()
        pixels = torch.randint(0, 256, (how["n"], 3, 3, 3), generator=g)
        w = {"conv.weight": 0.3 * f(how["dim"], 3, 3, 3), "fc.weight": f(how["classes"], how["dim"]),
             "fc.bias": f(how["classes"]), "head.weight": f(how["classes"], how["dim"])}
        w = {k: v.float().double().requires_grad_() for k, v in w.items()}
        x = (pixels.permute(0, 3, 1, 2) / 255.0 - 0.5) / 0.5
        emb = F.conv2d(x, w["conv.weight"])[:, :, 0, 0]
        cos = F.linear(F.normalize(emb, eps=1e-12), F.normalize(w["head.weight"], eps=1e-12))
        total, values, correct = evaluate(terms, case, F.linear(emb, w["fc.weight"], w["fc.bias"]), cos, emb)
        grads = torch.autograd.grad(total, list(w.values()), allow_unused=True)
        print("net", text(terms), how["n"], how["classes"], how["dim"])
        for key in ("label", "label_mix", "lambda"):
            put(key, case[key])
        put("pixels", pixels.flatten())
        for k, v in w.items():
            put(k, v.detach().flatten())
        put("state", case["state"])
        put("loss", [total], 13)
        put("correct", [correct], 13)
        for k, v in zip(w, grads):
            if v is not None:
                put("grad " + k, v.flatten(), 13)
        print("end")


def main():
    print(f"# tests/golden/make_loss_golden.py, torch {torch.__version__}")
    ada = lambda g, c, d: [4.5, 1.25]
    centers = lambda g, c, d: torch.randn(c * d, generator=g).float().double().tolist()
    margins = [
        [(1, "arcface", {})], [(1, "arcface", dict(s=16, m=0.4))], [(1, "arcface", dict(s=16, grad="insightface"))],
        [(1, "cosface", {})], [(1, "cosface", dict(s=10, m=0.2, smooth=0.1))],
        [(1, "combined", dict(s=20))], [(1, "combined", dict(m1=1.35, m2=0.2, m3=0.1, s=12))],
        [(1, "combined", dict(m1=4, m2=0, m3=0, s=8))],
        [(1, "combined", dict(m1=1.2, m2=0.4, m3=0.1, s=12, grad="insightface"))],
        [(1, "arcface", dict(s=16, warmup=4))], [(1, "combined", dict(m1=1.5, m2=0.3, m3=0.2, s=12, warmup=8))],
    ]
    jobs = []
    for soft in (False, True):
        jobs += [([(1, "ce", {})], dict(soft=soft)), ([(1, "ce", dict(smooth=0.1))], dict(soft=soft))]
        jobs += [(m, dict(soft=soft, epoch=1.5)) for m in margins]
        jobs += [([(1, "adaface", {})], dict(soft=soft, states=ada)),
                 ([(1, "adaface", dict(s=12, m=0.5, h=2, t_alpha=0.3, warmup=5))],
                  dict(soft=soft, states=ada, epoch=2.0))]
        jobs += [([(1, "ce", dict(smooth=0.1)), (0.3, "arcface", dict(s=16, m=0.4))], dict(soft=soft)),
                 ([(1, "arcface", dict(s=16)), (0.25, "cosface", dict(s=8))], dict(soft=soft))]
    ids = [0, 0, 0, 1, 1, 1, 2, 2, 3]
    for mine in ("batch-hard", "semi-hard"):
        for more in ({}, dict(squared=True), dict(unit=False), dict(soft=True), dict(margin=1.5),
                     dict(squared=True, unit=False, margin=0.1)):
            jobs.append(([(1, "triplet", dict(mine=mine, **more))], dict(soft=False, n=9, labels=ids)))
    jobs += [
        ([(1, "triplet", {})], dict(soft=False, n=4, labels=[2, 2, 2, 2])),
        ([(1, "triplet", {})], dict(soft=False, n=3, labels=[0, 1, 2])),
        ([(1, "triplet", {})], dict(soft=False, n=1, labels=[3])),
        ([(1, "center", {})], dict(soft=False, states=centers, n=9, labels=ids)),
        ([(1, "ce", {}), (0.2, "triplet", {})], dict(soft=False, n=9, labels=ids)),
        ([(1, "ce", {}), (0.003, "center", dict(alpha=0.9)), (0.3, "triplet", dict(mine="semi-hard"))],
         dict(soft=False, n=9, labels=ids, states=centers)),
        ([(1, "ce", {})], dict(soft=False, n=1)), ([(1, "arcface", {})], dict(soft=False, n=1)),
        ([(1, "adaface", {})], dict(soft=False, n=1, states=ada)),
        ([(1, "ce", {})], dict(soft=False, classes=1)), ([(1, "arcface", {})], dict(soft=True, classes=2)),
        ([(1, "ce", dict(smooth=0.2))], dict(soft=True, classes=2)),
        ([(1, "ce", dict(smooth=0.2))], dict(soft=True, classes=150, n=3)),
        ([(1, "cosface", {})], dict(soft=True, classes=64, n=3)),
    ]
    near = [m for m in margins] + [[(1, "adaface", {})]]
    jobs += [(m, dict(soft=False, near=True, epoch=1.5, states=ada if m[0][1] == "adaface" else None)) for m in near]
    for seed, (terms, how) in enumerate(jobs):
        how = dict(dict(n=7, classes=6, dim=5), **how)
        case = make_case(seed, **how)
        total, values, correct, grads = run(terms, case)
        print("case", text(terms), how["n"], how["classes"], how["dim"], repr(case["epoch"]))
        for key in ("label", "label_mix", "lambda"):
            put(key, case[key])
        for key in ("logits", "cosine", "embedding"):
            put(key, case[key].flatten())
        put("state", case["state"])
        put("loss", [total], 13)
        put("term", values, 13)
        put("correct", [correct])
        for key, g in zip(("grad_logits", "grad_cosine", "grad_embedding"), grads):
            if g is not None:
                put(key, g.flatten(), 13)
        if "new_state" in case:
            put("new_state", case["new_state"], 13)
        if "active" in case:
            put("active", [case["active"]], 13)
            put("distance", [case["distance"]], 13)
        print("end")


heads() if sys.argv[1:] == ["heads"] else main()
