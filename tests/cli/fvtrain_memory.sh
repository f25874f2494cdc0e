# SPDX-License-Identifier: MIT
# The memory that a run says it will take, before its first step, is what it comes to: within 10 % of the largest
# resident set that the system saw.
command -v python3 >/dev/null || skip 'no python3 to ask the system with'
grep -qE '__(asan|tsan|msan)_init' "$(command -v fvtrain)" && skip 'a sanitizer has memory of its own'
run fvprep synth -o photos -n 8 -i 8 -s 48 -q
exits 0
run fvprep pack photos -o faces.lmdb --size 32 --holdout-ids 25% --val 25%
exits 0
cat >peak.py <<'END'
import re, resource, subprocess, sys

said = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=True).stderr
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
line = re.search(r"memory: about (\d+) MiB: weights (\d+), gradients (\d+), optimiser (\d+), activations (\d+), "
                 r"evaluation (\d+), checkpoints (\d+), loader (\d+), program (\d+)$", said, re.M)
if not line:
    sys.exit("no estimate in:\n" + said)
about, *parts = map(int, line.groups())
if abs(about - sum(parts)) > 5:
    sys.exit(f"{line[0]}: the parts come to {sum(parts)}")
if abs(about / peak - 1) > 0.1:
    sys.exit(f"{line[0]}: it came to {peak:.0f}")
print(line[0], f"and it came to {peak:.0f}")
END
train="fvtrain --db faces.lmdb --epochs 1 --no-report"
# mostly activations; mostly numbers, with all that an optimiser may keep
run python3 peak.py $train --arch mobilenet-v2 --batch 32 --out activations
exits 0
run python3 peak.py $train --arch resnet18 --batch 8 --optim adam --lr 1e-3 --ema 0.9 --accumulate 2 --out numbers
exits 0
# a small part of it where most is frozen, and never what the whole would take
run python3 peak.py $train --arch mobilenet-v2 --batch 32 --freeze features --out frozen
exits 0
