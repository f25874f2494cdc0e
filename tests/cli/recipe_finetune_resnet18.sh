# SPDX-License-Identifier: MIT
# The recipe on a small set, for one step: what is frozen stays, and Adam's first step moves the rest by the rate of its
# group, whatever the gradient.
run fvprep synth -o photos -n 8 -i 8 -s 48 -q
exits 0
run fvprep pack photos -o faces.lmdb --size 32 --holdout-ids 25% --val 25%
exits 0
run fvtrain --db faces.lmdb --arch resnet18 --stem 7x7 --batch 36 --epochs 1 --max-pairs 0 --no-report --out source
exits 0

tune="fvtrain --db faces.lmdb --recipe finetune-resnet18 --size 32 --batch 36 --epochs 1 --milestones 1"
run $tune --out missing
exits 1
err_has 'resnet18.pth: there is no such file'
run $tune --init source/last.safetensors --out run
exits 0
err_has 'matched'
run grep -x 'mean = imagenet' run/settings.txt
exits 0
cat >compare.py <<'END'
import json, struct, sys

def tensors(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    spans = {k: v["data_offsets"] for k, v in json.loads(data[8:8 + n]).items() if k != "__metadata__"}
    return {k: data[8 + n + a:8 + n + b] for k, (a, b) in spans.items()}

def farthest(name):
    x, y = (struct.unpack(f"<{len(t[name]) // 4}f", t[name]) for t in (before, after))
    return max(abs(p - q) for p, q in zip(x, y))

before, after = tensors(sys.argv[1]), tensors(sys.argv[2])
for name in ("conv1.weight", "bn1.weight", "bn1.running_mean", "layer1.1.conv2.weight", "layer1.0.bn1.running_var"):
    if farthest(name) != 0:
        sys.exit(f"{name} is frozen and has moved")
for name, rate in (("layer2.0.conv1.weight", 1e-4), ("layer4.1.bn2.bias", 1e-4), ("fc.bias", 1e-3)):
    if abs(farthest(name) / rate - 1) > 0.01:
        sys.exit(f"{name} has moved by {farthest(name)}, not {rate}")
END
run python3 compare.py source/last.safetensors run/last.safetensors
exits 0
